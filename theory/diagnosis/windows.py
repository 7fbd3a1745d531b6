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


def nearer_first(i: Array, m: int, by: int) -> Array:
    """Return which pairs of cells i - by and i, of m cells, are nearer to the first end."""
    nearer: Array = i - by + 1 <= m - i
    return nearer


def widths(differs: Array, by: int) -> tuple[int, int]:
    """Return how many cells at the first and at the last end the pairs that differ reach.

    Cells i - by and i are a pair, of which `differs` tells at i.
    """
    m = len(differs)
    cells = np.flatnonzero(differs)
    near_first = nearer_first(cells, m, by)
    first = (cells - by + 1)[near_first].max(initial=0)
    return int(first), int((m - cells)[~near_first].max(initial=0))


def least_border(differs: Array, by: int) -> int | None:
    """Return the fewest cells to leave out at either end; None if too few are left to compare.

    A border leaves a pair out if it holds one of the two cells. At least as many pairs as cells in
    the shift have to remain: what repeats itself could agree by chance.
    """
    border = max(widths(differs, by))
    return border if len(differs) - 2 * border >= 2 * by else None
