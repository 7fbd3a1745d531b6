"""Which shifts are followed in the interior, whatever comes in and is lost at the ends.

One signal that is longer than the input by k cells is seen through two windows, the input x and the
input shifted by k: f follows the shift at a rate of t output cells if ``f(shifted)[i] = f(x)[i -
t]`` for all output cells that are at least a border away from both ends. This is what translation
on a longer line comes to for an operator that is given a piece of it. Neither k, t nor the border
is assumed: for every k the t is taken that leaves the smallest border. But a border has to be what
the ends explain (`theory.diagnosis.reach`), or a taper would have one.

For an affine operator the longer signal's unit impulses exhaust the question; any other is tried
on inputs of all kinds.
"""

from __future__ import annotations

import copy
import functools
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from theory.diagnosis.equivariance import Step
from theory.diagnosis.findings import words
from theory.diagnosis.inputs import probes
from theory.diagnosis.interior_witness import WitnessSearch
from theory.diagnosis.reach import Rows, pooled, unexplained, weights_of
from theory.diagnosis.sampled_reach import SampledReach
from theory.diagnosis.search import CLEAR
from theory.diagnosis.windows import cells_along, least_border, moved_cell, two_windows, widths

if TYPE_CHECKING:
    from collections.abc import Iterator

    from theory.diagnosis.calling import Array
    from theory.diagnosis.equivariance import Equivariance, Shifts

_DENSE_INPUTS = 12
"""Random inputs without zeros: the ones that show how wide a border is."""


class Interior:
    """The judge of shifts away from the ends."""

    def __init__(self, shifts: Shifts) -> None:
        self._shifts = shifts
        self._trials = shifts.trials
        self._operator = shifts.operator
        self._threshold = CLEAR if shifts.pointwise else 1.0
        self._tried = dict.fromkeys(shifts.axes, 0)  # inputs, in the search along each axis
        self._ended_before: dict[int, int] = {}  # the first shift that the budget left out
        # The cells that the last shift found leaves out, and what drew the signals that show them
        self._differing: dict[int, tuple[Array, np.random.Generator]] = {}
        self._inside: dict[int, Array] = {}  # the cells that see no end, where some differ
        self._unexplained: dict[int, Step] = {}  # what trials show no reason for

    def judge(self) -> Equivariance:
        """Return the finding, and period, rate and border along each axis."""
        shifts = self._shifts
        if not shifts.comparable:
            return shifts.judged([None] * len(shifts.axes))
        each = {axis: self._step(axis) for axis in shifts.axes}
        if shifts.by_basis:
            self._confirm(each)
        else:
            each = {axis: self._explained(axis, step) for axis, step in each.items()}
        steps = list(each.values())
        shifts.untried = "".join(
            f"; the budget ended before shifts by {by} cells or more along axis {axis} were tried"
            for axis, by in self._ended_before.items()
        )
        shifts.untried += "".join(
            f"; a shift by {step.by} along axis {axis} is followed but for a border of "
            f"{step.border}, of which trials do not show that the ends explain it"
            for axis, step in self._unexplained.items()
        )
        search = WitnessSearch(
            self._trials, self._signals, self._inside, in_single=shifts.in_single
        )
        witness, advice = search.witness(steps)
        why_not = "f(shift x) is no shift of f(x) in the interior"
        border = words([step.border if step else None for step in steps])
        return shifts.judged(steps, witness, why_not, f"; border {border}", advice)

    def _step(self, axis: int, start: int = 1) -> Step | None:
        """Return the smallest shift from `start` on that is followed on every input tried.

        All shifts along an axis are one question with one budget, looked at before each shift.
        """
        n, m = self._operator.shape[axis], self._operator.output_shape[axis]
        if n == 1:
            return Step(1, 1)
        for by in range(start, n // 2 + 1):
            if self._tried[axis] >= self._trials.budget:
                self._ended_before[axis] = by
                break
            rng = copy.deepcopy(self._shifts.rng)
            left = np.arange(1, m // 2 + 1)  # shifts of the output that nothing speaks against
            differs: dict[int, Array] = {}
            for x, moved in self._pairs(axis, by):
                self._tried[axis] += 1
                left = left[~self._ruled_out(x, moved, axis)[left - 1]]
                for to in left.tolist():
                    unlike = self._unlike_on(x, moved, axis, to)
                    differs[to] = differs.get(to, False) | unlike
                borders = ((to, least_border(_along(differs[to]), to)) for to in left.tolist())
                steps = [Step(by, to, border) for to, border in borders if border is not None]
                left = np.array([step.output_by for step in steps], int)
                if not steps:
                    break
            else:
                best = min(steps, key=lambda step: (step.border, abs(step.output_by * n - by * m)))
                self._differing[axis] = differs[best.output_by], rng
                return best
        return None

    def _pairs(
        self, axis: int, by: int, rng: np.random.Generator | None = None
    ) -> Iterator[tuple[Array, Array]]:
        """Yield inputs, each with what it is when shifted by some cells."""
        for signal in self._signals(axis, by, copy.deepcopy(rng)):
            yield two_windows(signal, axis, by)

    def _signals(
        self, axis: int, by: int, rng: np.random.Generator | None = None
    ) -> Iterator[Array]:
        """Yield inputs that are longer by some cells: random without zeros, then all probes."""
        shape = list(self._operator.shape)
        shape[axis] += by
        rng = rng or self._shifts.rng
        for scale in (1.0, 0.25, 2.0**-6):
            for _ in range(_DENSE_INPUTS // 3):
                yield scale * rng.integers(1, 9, shape, endpoint=True) * rng.choice((-1, 1), shape)
        yield from probes(tuple(shape), rng, self._operator.significand)

    def _ruled_out(self, x: Array, moved: Array, axis: int) -> Array:
        """Return which shifts of the output, from 1 to half of its cells, one cell rules out.

        Where cell m // 2 of f(moved) is not the cell of f(x) that it should be, no border that
        leaves it out leaves enough to compare, whichever the shift. The bound here is that of all
        cells, which is no smaller than the one for those that a shift compares.
        """
        before, after = self._trials(x), self._trials(moved)
        m = after.shape[axis]
        half = m // 2
        if self._trials.failed(before) or self._trials.failed(after):
            return np.zeros(half, dtype=bool)
        norm = float(np.abs(x).sum() + np.abs(moved).sum())
        bound = self._trials.rounding.bound(before, after, norm, responses=2)
        middle = cells_along(after, axis, half, half + 1)
        should_be = cells_along(before, axis, 0, half)
        beyond = np.abs(middle - should_be) > self._threshold * bound
        others = tuple(a for a in range(-after.ndim, 0) if a != axis)
        ruled_out: Array = beyond.any(axis=others)[::-1]  # a shift by 1 compares with the last
        return ruled_out

    def _unlike_on(self, x: Array, moved: Array, axis: int, to: int) -> Array:
        """Return at which output cells f(moved) is not f(x) moved, pooled along `axis`."""
        norm = float(np.abs(x).sum() + np.abs(moved).sum())
        return self._unlike(self._trials(x), self._trials(moved), axis, to, norm)

    def _unlike(self, before: Array, after: Array, axis: int, to: int, norm: float) -> Array:
        """Return the same for two responses to inputs of a 1-norm together."""
        m = after.shape[axis]
        left, right = cells_along(after, axis, to, m), cells_along(before, axis, 0, m - to)
        unlike = np.zeros(after.shape, dtype=bool)
        if not (self._trials.failed(before) or self._trials.failed(after)):
            beyond = self._trials.unlike(left, right, norm, self._threshold)
            cells_along(unlike, axis, to, m)[...] = beyond
        return pooled(unlike, axis, self._operator.axes)

    def _unlike_on_basis(
        self, before: Array, after: Array, axis: int, to: int, norm: float = 2
    ) -> Array:
        """Return the same for responses to unit impulses, and note what the bound lets pass."""
        unlike = self._unlike(before, after, axis, to, norm)
        m = after.shape[axis]
        left, right = cells_along(after, axis, to, m), cells_along(before, axis, 0, m - to)
        alike = ~_along(unlike)[to:].reshape(-1, *(1,) * (-axis - 1))
        self._shifts.note(left, right, norm, alike)
        return unlike

    def _explained(self, axis: int, step: Step | None) -> Step | None:
        """Return the smallest shift from one on whose border the ends explain, as trials show."""
        while step is not None and step.border:
            differs, rng = self._differing[axis]
            reach = SampledReach(self._trials, axis, step, differs, self._threshold)
            if reach.explains(functools.partial(self._pairs, axis, step.by, rng)):
                return step
            self._unexplained.setdefault(axis, step)
            step = self._step(axis, step.by + 1)
        return step

    def _confirm(self, steps: dict[int, Step | None]) -> None:
        """Replace steps by those that hold on the whole basis, with the borders they leave there.

        An axis of one cell has nothing to compare.
        """
        cells = math.prod(self._operator.shape)
        failed = True
        while failed:
            self._shifts.narrow = ""
            moving = {a: s for a, s in steps.items() if s and self._operator.shape[a] > 1}
            to = {axis: step.output_by if step else None for axis, step in steps.items()}
            borders = self._borders_on_basis(moving, to) if moving else {}
            failed = None in borders.values()
            for axis, step in moving.items():
                border = borders[axis]
                if border is None:
                    self._tried[axis] += cells
                    steps[axis] = self._step(axis, step.by + 1)
                else:
                    steps[axis] = replace(step, border=border)

    def _borders_on_basis(
        self, steps: dict[int, Step], to: dict[int, int | None]
    ) -> dict[int, int | None]:
        """Return the border that each step leaves, from the response to every unit impulse.

        None where the ends do not explain it. `to` is how far the output moves along every axis.
        """
        operator, trials = self._operator, self._trials
        zero = trials(np.zeros(operator.shape))
        differs = {
            axis: self._unlike_on_basis(zero, zero, axis, step.output_by, norm=0)
            for axis, step in steps.items()
        }
        rows = {axis: Rows(zero, operator.shape[axis], axis, to) for axis in steps}
        cells = list(np.ndindex(operator.shape))
        reach = max(step.by * math.prod(operator.shape[axis:][1:]) for axis, step in steps.items())
        responses: dict[tuple[int, ...], Array] = {}
        for cell, response in zip(cells, trials.columns(cells), strict=True):
            responses[cell] = response
            weights = weights_of(response, zero)
            bound = trials.rounding.bound(zero, response, norm=1, responses=2)
            for axis, step in steps.items():
                rows[axis].add(cell[axis], weights, bound)
                before = responses.get(moved_cell(cell, axis, -step.by), zero)
                differs[axis] |= self._unlike_on_basis(before, response, axis, step.output_by)
                if cell[axis] + step.by >= operator.shape[axis]:  # lost when the input is shifted
                    differs[axis] |= self._unlike_on_basis(response, zero, axis, step.output_by)
            if len(responses) > reach:
                del responses[next(iter(responses))]
        return {a: self._border(a, step, differs[a], rows[a]) for a, step in steps.items()}

    def _border(self, axis: int, step: Step, differs: Array, rows: Rows) -> int | None:
        """Return the border that a step leaves on the basis, None if the ends do not explain it."""
        to, n, m = step.output_by, self._operator.shape[axis], differs.shape[-1]
        inside = rows.reach().inside(step, n, m)
        if unexplained(differs, inside, to).any():
            if step.by == 1:
                self._inside[axis] = np.moveaxis(inside, -1, axis)
            return None
        alone = _along(differs)
        border, left_out = least_border(alone, to), sum(widths(alone, to))
        if border is not None and m - left_out < left_out:
            self._shifts.narrow += (
                f"; along axis {axis} most cells see an end, which leaves {m - left_out} of {m} to "
                "compare: a longer input shows more"
            )
        return border


def _along(unlike: Array) -> Array:
    """Return in which cells along the last axis anything is unlike."""
    return np.asarray(unlike.any(axis=tuple(range(unlike.ndim - 1))))
