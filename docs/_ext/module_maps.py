"""Maps of packages stay in the code: they name the modules inside, of which a user needs none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

START = "Which module answers which question"
"""What the paragraph begins with that leads to the map, the last part of a docstring."""


def without_map(
    _app: Sphinx, what: str, _name: str, _documented: Any, _options: Any, lines: list[str]
) -> None:
    """Cut the docstring of a module, as autodoc hands it over, where its map begins."""
    if what == "module":
        starts = (index for index, line in enumerate(lines) if line.startswith(START))
        del lines[next(starts, len(lines)) :]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Listen to autodoc."""
    app.connect("autodoc-process-docstring", without_map)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
