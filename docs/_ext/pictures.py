"""Pictures: figures drawn at build time, as SVG, once for light and once for dark pages."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from experiments.figures import THEMES, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment
    from sphinx.util.typing import ExtensionMetadata


def picture(env: BuildEnvironment, name: str, drawn: Figure, alt: str) -> nodes.figure:
    """Keep a picture in every theme, and return it as a figure without caption.

    Parameters
    ----------
    env : BuildEnvironment
        The site's; its pictures lie under ``_generated/pictures`` of the sources.
    name : str
        File name without theme and extension.
    drawn : matplotlib.figure.Figure
        The picture.
    alt : str
        What the picture shows, for readers who do not see it.
    """
    folder = env.srcdir / "_generated" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    save(drawn, folder / name)
    images = [
        nodes.image(
            uri=f"/_generated/pictures/{name}-{theme}.svg", alt=alt, classes=[f"only-{theme}"]
        )
        for theme in THEMES
    ]
    return nodes.figure("", *images, classes=["picture"])


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
