"""A signal longer than the input, seen through two windows, and the borders of what they give.

Axes are counted from the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from theory.diagnosis.calling import Array


def two_windows(signal: Array, axis: int, by: int) -> tuple[Array, Array]:
    """Return the input in a longer signal, and the input moved by some cells."""
    size = signal.shape[axis] - by
    return cells_along(signal, axis, by, by + size), cells_along(signal, axis, 0, size)


def moved_cell(cell: tuple[int, ...], axis: int, by: int) -> tuple[int, ...]:
    """Return the cell some way along an axis; not necessarily one of the signal's."""
    axis += len(cell)
    return (*cell[:axis], cell[axis] + by, *cell[axis + 1 :])


def cells_along(values: Array, axis: int, start: int, stop: int) -> Array:
    """Return some cells along one axis, counted from the end."""
    where = [slice(None)] * values.ndim
    where[axis] = slice(start, stop)
    return values[tuple(where)]


def least_border(differs: Array, by: int) -> int | None:
    """Return the fewest cells to leave out at either end; None if too few are left to compare.

    Cells i and i - by are compared; a border leaves the pair out if it holds one of them. At least
    as many pairs as cells in the shift have to remain: what repeats itself could agree by chance.
    """
    m = len(differs)
    cells = np.flatnonzero(differs)
    border = int(np.minimum(m - cells, cells - by + 1).max(initial=0))
    return border if m - 2 * border >= 2 * by else None
