"""Which output cells may differ from the middle ones because of the ends, and which may not.

Any operator follows a shift in its middle if a border may be as wide as it takes: a taper has two
equal cells there. A border is therefore what the ends explain, and no more. The cells that a middle
cell sees are its window. Moved along with it, the window lies within the input or reaches beyond an
end, and what an operator makes of what is beyond is its own affair: only cells of the second kind
may differ. Of the first kind are all cells of an operator on single cells, so it has no border.

An operator may also drop cells at the ends, and pad what it keeps. No output reads those cells, and
a window with cells of both kinds sees an end as well. So it does where the output has several cells
for one of the input, and one that is dropped is only a part of a cell. A window that lies within
what nothing reads sees no end: it is a gate that shuts.

Arrays here have the output's axes, of which the shifted ones but one have been pooled to one cell,
and that one comes last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from theory.diagnosis.windows import nearer_first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from theory.diagnosis.calling import Array
    from theory.diagnosis.equivariance import Step

NOWHERE = 2**40
"""The place of the first cell that is seen where none is; minus that, of the last."""

_AMPLIFIED = 2.0**4
"""By how much an operator may amplify what is beyond an end, as an odd extension does by 3."""


@dataclass
class Reach:
    """What the middle cells see along an axis, those that a shift compares with each other.

    Attributes
    ----------
    first, last : array of int
        The first and the last input cell that each of ``2 * step.output_by`` middle cells sees;
        beyond `NOWHERE` if none is.
    read_from, read_to : array of int
        The first and the last input cell that any cell of the output reads.
    """

    first: Array
    last: Array
    read_from: Array
    read_to: Array

    def inside(self, step: Step, n: int, m: int) -> Array:
        """Return which output cells have windows that see no end of the input.

        Parameters
        ----------
        step : Step
            The shift, by which windows are moved.
        n, m : int
            Cells of input and output along the axis.
        """
        by, to, half = step.by, step.output_by, m // 2
        part = by if to > by else 0  # of an input cell, if several output cells are made of it
        seen = np.ones((*self.first.shape[:-1], m), dtype=bool)
        for k in range(1, -(-half // to) + 1):
            start = half - k * to
            some = slice(max(0, -start) + to, None)
            first, last = self.first[..., some] - k * by, self.last[..., some] - k * by
            straddles = (first < self.read_from) & (self.read_from <= last)
            seen[..., max(0, start) : start + to] = ~((first < part) | straddles)
        for k in range(1, -(-(m - half) // to) + 1):
            start = half + (k - 1) * to
            some = slice(0, min(to, m - start))
            first, last = self.first[..., some] + k * by, self.last[..., some] + k * by
            straddles = (first <= self.read_to) & (self.read_to < last)
            seen[..., start : start + to] = ~((last >= n - part) | straddles)
        return seen


def outer_inside(inside: Array, to: int) -> Array:
    """Return of which pairs of cells i - to and i that nearer to an end sees none, from i = to on.

    The one nearer to the middle may see an end without it where that is of what is read.
    """
    m = inside.shape[-1]
    i = np.arange(to, m)
    return np.where(nearer_first(i, m, to), inside[..., : m - to], inside[..., to:])


def unexplained(differs: Array, inside: Array, to: int) -> Array:
    """Return which pairs of cells i - to and i differ although the ends do not explain it.

    Parameters
    ----------
    differs : array of bool
        Whether the pairs differ, by i.
    inside : array of bool
        What `Reach.inside` returned.
    to : int
        How far the output moves.
    """
    found = np.zeros_like(differs)
    found[..., to:] = differs[..., to:] & outer_inside(inside, to)
    return found


def pooled(values: Array, axis: int, axes: Sequence[int]) -> Array:
    """Return the largest values along the shifted axes but one, which becomes the last."""
    others = tuple(each for each in axes if each != axis)
    return np.moveaxis(values.max(others, keepdims=True), axis, -1)


def weights_of(response: Array, zero: Array) -> Array:
    """Return by how much a response differs from that to zero: infinitely if one is not finite."""
    with np.errstate(invalid="ignore"):
        weights = np.abs(response - zero)
    if not np.isfinite(weights).all():
        odd = np.isfinite(response) != np.isfinite(zero)
        weights = np.where(np.isfinite(weights), weights, np.where(odd, np.inf, 0.0))
    return weights


class Rows:
    """The rows of the middle cells, and what is read, from the responses to all unit impulses.

    Parameters
    ----------
    zero : array
        The response to zero.
    n : int
        Cells of the input along the axis.
    axis : int
        The axis.
    to : dict of int to (int or None)
        For each shifted axis how far the output moves along it; None where it follows no shift.
    """

    def __init__(self, zero: Array, n: int, axis: int, to: dict[int, int | None]) -> None:
        self._n, self._axis, self._axes = n, axis, tuple(to)
        middle = [slice(None)] * zero.ndim
        for each, by in to.items():
            half = zero.shape[each] // 2
            if by is not None:
                middle[each] = slice(max(0, half - by), half + by)
        self._middle = tuple(middle)
        rows = self._pooled(zero[self._middle])
        self._weights = np.zeros((n, *rows.shape))
        self._reads = np.zeros((n, *rows.shape[:-1], 1), dtype=bool)
        self._bound = np.zeros(())

    def add(self, at: int, weights: Array, bound: Array) -> None:
        """Add the weights of a cell at some place along the axis.

        Parameters
        ----------
        at : int
            The place.
        weights : array
            The magnitudes of what it adds to the output.
        bound : array
            What may be rounding in them, with one cell along each shifted axis.
        """
        self._bound = np.maximum(self._bound, self._pooled(bound))
        self._weights[at] += self._pooled(weights[self._middle])
        self._reads[at] |= self._pooled(weights > bound).any(-1, keepdims=True)

    def reach(self) -> Reach:
        """Return what the middle cells see.

        Weights that fade are seen as far as those that lie beyond add up to more than rounding.
        """
        seen = [
            _AMPLIFIED * np.cumsum(weights, axis=0) > self._bound
            for weights in (self._weights, self._weights[::-1])
        ]
        first, last = (self._first(each) for each in seen)
        read_from, read_to = (self._first(each) for each in (self._reads, self._reads[::-1]))
        return Reach(first, self._n - 1 - last, read_from, self._n - 1 - read_to)

    def _first(self, holds: Array) -> Array:
        """Return the first place where something holds."""
        return np.where(holds.any(0), holds.argmax(0), NOWHERE)

    def _pooled(self, values: Array) -> Array:
        return pooled(values, self._axis, self._axes)
