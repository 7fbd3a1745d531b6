"""Exhaustion: properties of an operator read off every signal of a finite set, with no shortcut.

The trials set these plain loops against `theory.diagnose`, which is far quicker and more general.
Signals are one-dimensional tensors on the circular domain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product

import torch
from jaxtyping import Float64, Num
from torch import Tensor

Operator = Callable[[Tensor], Tensor]


def signal(*values: float) -> Float64[Tensor, " n"]:
    """Return the signal with the given values, in double precision."""
    return torch.tensor(values, dtype=torch.float64)


def grid(cells: int, values: Iterable[int] = (-1, 0, 1)) -> list[Float64[Tensor, " cells"]]:
    """Return every signal of a length whose cells take the given values."""
    return [signal(*cell_values) for cell_values in product(values, repeat=cells)]


def shift(x: Num[Tensor, " n"], by: int) -> Num[Tensor, " n"]:
    """Return the signal translated by a number of cells towards higher indices, wrapping round."""
    return torch.roll(x, by, 0)


def answering_shifts(op: Operator, by: int, signals: Sequence[Num[Tensor, " n"]]) -> set[int]:
    """Return the output shifts that answer one input shift.

    Parameters
    ----------
    op : callable
        The operator, from n cells to m.
    by : int
        The input shift, in cells.
    signals : sequence of tensors of shape (n,)
        The signals that are tried. For a linear operator a basis is enough.

    Returns
    -------
    set of int
        Every `move` from 0 to m - 1 for which ``op(shift(x, by)) == shift(op(x), move)`` holds
        exactly on all the signals; empty if the operator does not pass the shift on.
    """
    pairs = [(op(shift(x, by)), op(x)) for x in signals]
    moves = range(len(pairs[0][1]))
    return {move for move in moves if all(torch.equal(a, shift(b, move)) for a, b in pairs)}


def period(op: Operator, signals: Sequence[Num[Tensor, " n"]]) -> int | None:
    """Return the smallest input shift that the output answers in proportion.

    Parameters
    ----------
    op : callable
        The operator, from n cells to m.
    signals : sequence of tensors of shape (n,)
        The signals that are tried.

    Returns
    -------
    int or None
        The smallest shift from 1 to n - 1 to which a shift by ``m / n`` times as many output cells
        answers; None if there is none.
    """
    n, m = len(signals[0]), len(op(signals[0]))
    proportional = (by for by in range(1, n) if by * m % n == 0)
    return next(
        (by for by in proportional if by * m // n in answering_shifts(op, by, signals)), None
    )
