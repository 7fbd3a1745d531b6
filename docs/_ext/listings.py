"""Listings end with their text: doctests need an empty line behind it, and readers do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata


def trim(app: Sphinx, doctree: nodes.document) -> None:
    """Take the empty lines from the ends of all listings of a page."""
    for listing in doctree.findall(nodes.literal_block):
        text = listing.astext().rstrip("\n")
        if listing.rawsource == listing.astext():  # not one with nodes of its own
            listing.rawsource = text
            listing[:] = [nodes.Text(text)]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Trim each page once it is read."""
    app.connect("doctree-read", trim)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
