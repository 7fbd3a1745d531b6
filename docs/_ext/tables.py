"""A table of text and nodes, which scrolls by itself where the page is too narrow for it."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, TypeAlias

from docutils import nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

Cell: TypeAlias = str | nodes.Node


def table(
    head: Sequence[Cell], rows: Sequence[Sequence[Cell]], *, classes: Sequence[str] = ()
) -> nodes.container:
    """Return a table with one header row.

    Parameters
    ----------
    head : sequence of str or node
        The header's cells.
    rows : sequence of sequences of str or node
        As many cells a row as the header has, but for those that a `spanning` one covers; or one
        that is `below`.
    classes : sequence of str, optional
        CSS classes of the table.
    """
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in head), cols=len(head))
    group += nodes.thead("", _row(head))
    group += nodes.tbody("", *map(_row, rows))
    return nodes.container("", nodes.table("", group, classes=list(classes)), classes=["wide"])


def spanning(text: str, rows: int) -> nodes.entry:
    """Return a cell that takes up so many rows; the rows below leave it out."""
    return nodes.entry("", _paragraph(text), morerows=rows - 1)


def below(text: str, columns: int) -> nodes.entry:
    """Return the only cell of a row, as wide as the table: details of the row above it."""
    return nodes.entry("", _paragraph(text), morecols=columns - 1, classes=["below"])


def duration(seconds: float) -> str:
    """Return a time with three digits, in the unit that suits it."""
    unit, size = next(
        ((unit, size) for unit, size in (("s", 1.0), ("ms", 1e-3)) if seconds >= size),
        ("µs", 1e-6),
    )
    digits = max(0, 2 - math.floor(math.log10(seconds / size)))
    return f"{seconds / size:,.{digits}f} {unit}"


def _row(cells: Sequence[Cell]) -> nodes.row:
    return nodes.row(
        "",
        *(
            cell if isinstance(cell, nodes.entry) else nodes.entry("", _paragraph(cell))
            for cell in cells
        ),
    )


def _paragraph(cell: Cell) -> nodes.paragraph:
    return nodes.paragraph("", "", nodes.Text(minus(cell)) if isinstance(cell, str) else cell)


def minus(text: str) -> str:
    """Return a text whose numbers have minus signs where they have hyphens."""
    return re.sub(r"(?<![\w.)-])-(?=\d)", "−", text)
