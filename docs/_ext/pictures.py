"""Pictures: figures drawn at build time, as SVG, once for light and once for dark pages."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from experiments.figures import NARROW, THEMES, WIDE, save

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment
    from sphinx.util.typing import ExtensionMetadata


FORMS = {"": WIDE, "-narrow": NARROW}
"""Width, in inches, of a picture that is drawn twice, by what its file's name ends with."""


def picture(
    env: BuildEnvironment, name: str, drawn: Figure | Callable[[float], Figure], alt: str
) -> nodes.figure:
    """Keep a picture in every theme, and return it as a figure without caption.

    Parameters
    ----------
    env : BuildEnvironment
        The site's; its pictures lie under ``_generated/pictures`` of the sources.
    name : str
        File name without theme and extension.
    drawn : matplotlib.figure.Figure or function
        The picture, which phones show smaller; or what draws it in a width, in inches, so that
        they show one that was drawn for them.
    alt : str
        What the picture shows, for readers who do not see it.
    """
    folder = env.srcdir / "_generated" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    if not callable(drawn):
        save(drawn, folder / name)
        return nodes.figure("", *_images(name, alt), classes=["picture"])
    images = []
    for end, width in FORMS.items():
        save(drawn(width), folder / f"{name}{end}")
        images += _images(f"{name}{end}", alt, "for-narrow" if end else "for-wide")
    return nodes.figure("", *images, classes=["picture"])


def _images(name: str, alt: str, *classes: str) -> list[nodes.image]:
    """Return a kept picture in every theme."""
    return [
        nodes.image(
            uri=f"/_generated/pictures/{name}-{theme}.svg",
            alt=alt,
            classes=[f"only-{theme}", *classes],
        )
        for theme in THEMES
    ]


class PictureDirective(SphinxDirective):
    """Insert what ``module.function`` of this package draws; the content is the caption."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar = {"alt": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        if not self.options.get("alt"):
            raise self.error("a picture needs alt text: give :alt:")
        module, _, function = self.arguments[0].partition(".")
        draw = getattr(importlib.import_module(f"_ext.{module}"), function)
        figure = picture(self.env, function.replace("_", "-"), draw(), self.options["alt"])
        for paragraph in self.parse_content_to_nodes():
            figure += nodes.caption("", "", *paragraph.children)
        return [figure]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive ``picture``."""
    app.add_directive("picture", PictureDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
