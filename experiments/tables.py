"""Tables of the command line: columns side by side, without lines, under dim heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Collection

    from rich.console import JustifyMethod


def plain_table(*heads: str, right: Collection[str] = ()) -> Table:
    """Return an empty table with these heads; columns whose head is in ``right`` are numbers.

    Where the terminal is too narrow, cells go on in the next line: names are there to be typed.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for head in heads:
        justify: JustifyMethod = "right" if head in right else "left"
        table.add_column(head, justify=justify, overflow="fold", header_style="dim")
    return table
