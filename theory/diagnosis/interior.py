"""Which shifts are followed in the interior, whatever comes in and is lost at the ends.

One signal that is longer than the input by k cells is seen through two windows, the input x and the
input shifted by k: f follows the shift at a rate of t output cells if ``f(shifted)[i] = f(x)[i -
t]`` for all output cells that are at least a border away from both ends. This is what translation
on a longer line comes to for an operator that is given a piece of it. Neither k, t nor the border
is assumed: for every k the t is taken that leaves the smallest border.

For an affine operator the longer signal's unit impulses exhaust the question; any other is tried
on inputs of all kinds.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from theory.diagnosis.equations import Equation
from theory.diagnosis.findings import SINGLE, words
from theory.diagnosis.search import CLEAR
from theory.diagnosis.windows import cells_along, least_border, moved_cell, two_windows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from theory.diagnosis.calling import Array
    from theory.diagnosis.equivariance import Equivariance, Shifts
    from theory.diagnosis.witnesses import Witness

_DENSE_INPUTS = 12
"""Random inputs without zeros: the ones that show how wide a border is."""


_FADES = "; faint in the middle: longer inputs may leave a border"
"""What to add where only what comes from the ends, and fades, speaks against every shift."""

_OR_SINGLE = ", or dtype float32 if values inside or weights were computed in that"
"""What to add to that where no more than such rounding speaks against linearity: in single
precision it has faded after fewer cells."""


@dataclass(frozen=True)
class _Step:
    """A shift of the input along an axis, the output's shift, and the border that it leaves."""

    by: int
    output_by: int
    border: int


class Interior:
    """The judge of shifts away from the ends."""

    def __init__(self, shifts: Shifts) -> None:
        self._shifts = shifts
        self._trials = shifts.trials
        self._operator = shifts.operator
        self._threshold = CLEAR if shifts.pointwise else 1.0
        self._tried = dict.fromkeys(shifts.axes, 0)  # inputs, in the search along each axis
        self._ended_before: dict[int, int] = {}  # the first shift that the budget left out

    def judge(self) -> Equivariance:
        """Return the finding, and period, rate and border along each axis."""
        shifts = self._shifts
        nothing: tuple[int | None, ...] = (None,) * len(shifts.axes)
        if shifts.output_sizes is None or shifts.trials.rounding.too_coarse:
            return shifts.judged(nothing, nothing, nothing)
        steps = [self._step(axis) for axis in shifts.axes]
        if shifts.by_basis:
            steps = self._confirmed(steps)
        shifts.untried = "".join(
            f"; the budget ended before shifts by {by} cells or more along axis {axis} were tried"
            for axis, by in self._ended_before.items()
        )
        period = tuple(None if step is None else step.by for step in steps)
        rate = tuple(None if step is None else step.output_by for step in steps)
        border = tuple(None if step is None else step.border for step in steps)
        how_far = f", a shift by 1 moves the output by {words(rate)}" if period != rate else ""
        witness, advice = self._witness(period)
        return shifts.judged(
            period,
            rate,
            border,
            witness,
            "f(shift x) is no shift of f(x) in the interior",
            f"; border {words(border)}{how_far}",
            advice,
        )

    def _step(self, axis: int, start: int = 1) -> _Step | None:
        """Return the smallest shift from `start` on that is followed on every input tried.

        All shifts along an axis are one question with one budget, looked at before each shift.
        """
        n, m = self._operator.shape[axis], self._operator.output_shape[axis]
        if n == 1:
            return _Step(1, 1, 0)
        for by in range(start, n // 2 + 1):
            if self._tried[axis] >= self._trials.budget:
                self._ended_before[axis] = by
                break
            left = np.arange(1, m // 2 + 1)  # shifts of the output that nothing speaks against
            differs: dict[int, Array] = {}
            for signal in self._signals(axis, by):
                self._tried[axis] += 1
                x, moved = two_windows(signal, axis, by)
                left = left[~self._ruled_out(x, moved, axis)[left - 1]]
                for to in left.tolist():
                    differs[to] = differs.get(to, False) | self._differs(x, moved, axis, to)
                left = np.array(
                    [to for to in left if least_border(differs[to], to) is not None], int
                )
                if not left.size:
                    break
            borders = ((to, least_border(differs[to], to)) for to in left.tolist())
            steps = [_Step(by, to, border) for to, border in borders if border is not None]
            if steps:
                return min(steps, key=lambda step: (step.border, abs(step.output_by * n - by * m)))
        return None

    def _signals(self, axis: int, by: int) -> Iterator[Array]:
        """Yield inputs that are longer by some cells: random without zeros, then all probes."""
        shape = list(self._operator.shape)
        shape[axis] += by
        rng = self._shifts.rng
        for scale in (1.0, 0.25, 2.0**-6):
            for _ in range(_DENSE_INPUTS // 3):
                yield scale * rng.integers(1, 9, shape, endpoint=True) * rng.choice((-1, 1), shape)
        yield from self._shifts.probes(tuple(shape))

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

    def _differs(self, x: Array, moved: Array, axis: int, to: int) -> Array:
        """Return at which output cells f(moved) is not f(x) moved by `to` cells."""
        norm = float(np.abs(x).sum() + np.abs(moved).sum())
        return self._unlike(self._trials(x), self._trials(moved), axis, to, norm)

    def _unlike(self, before: Array, after: Array, axis: int, to: int, norm: float) -> Array:
        """Return at which cells along an axis one response is not the other one moved."""
        m = after.shape[axis]
        left, right = cells_along(after, axis, to, m), cells_along(before, axis, 0, m - to)
        unlike = np.zeros(m, dtype=bool)
        failed = self._trials.failed(before) or self._trials.failed(after)
        if not failed and not (left == right).all():
            bound = self._trials.rounding.bound(left, right, norm, responses=2)
            others = tuple(a for a in range(-after.ndim, 0) if a != axis)
            beyond = np.abs(left - right) > self._threshold * bound
            beyond |= self._trials.oddities(left, right)
            unlike[to:] = beyond.any(axis=others)
        return unlike

    def _unlike_on_basis(
        self, before: Array, after: Array, axis: int, to: int, norm: float = 2
    ) -> Array:
        """Return the same for responses to unit impulses, and note what the bound lets pass."""
        unlike = self._unlike(before, after, axis, to, norm)
        m = after.shape[axis]
        left, right = cells_along(after, axis, to, m), cells_along(before, axis, 0, m - to)
        alike = ~unlike[to:].reshape(-1, *(1,) * (-axis - 1))
        self._shifts.note(left, right, norm, alike)
        return unlike

    def _confirmed(self, steps: list[_Step | None]) -> list[_Step | None]:
        """Return the steps that hold on the whole basis, with the borders that they leave there."""
        while True:
            borders = self._borders_on_basis(steps)
            failed = False
            for at, (step, border) in enumerate(zip(steps, borders, strict=True)):
                if step is not None and border is None:
                    axis = self._operator.axes[at]
                    self._tried[axis] += math.prod(self._operator.shape)
                    steps[at] = self._step(axis, step.by + 1)
                    failed = True
                elif step is not None and border is not None:
                    steps[at] = replace(step, border=border)
            if not failed:
                return steps

    def _borders_on_basis(self, steps: Sequence[_Step | None]) -> list[int | None]:
        """Return the border that each step leaves, from the response to every unit impulse."""
        operator, trials = self._operator, self._trials
        zero = trials(np.zeros(operator.shape))
        known = {
            at: (axis, step)
            for at, (axis, step) in enumerate(zip(operator.axes, steps, strict=True))
            if step is not None and operator.shape[axis] > 1
        }
        differs = {
            at: self._unlike_on_basis(zero, zero, axis, step.output_by, norm=0)
            for at, (axis, step) in known.items()
        }
        if not known:
            return [None if step is None else step.border for step in steps]
        cells = list(np.ndindex(operator.shape))
        reach = max(step.by * math.prod(operator.shape[axis:][1:]) for axis, step in known.values())
        responses: dict[tuple[int, ...], Array] = {}
        for cell, response in zip(cells, trials.columns(cells), strict=True):
            responses[cell] = response
            for at, (axis, step) in known.items():
                before = responses.get(moved_cell(cell, axis, -step.by), zero)
                differs[at] |= self._unlike_on_basis(before, response, axis, step.output_by)
                if cell[axis] + step.by >= operator.shape[axis]:  # lost when the input is shifted
                    differs[at] |= self._unlike_on_basis(response, zero, axis, step.output_by)
            if len(responses) > reach:
                del responses[next(iter(responses))]
        return [
            least_border(differs[at], known[at][1].output_by)
            if at in known
            else None
            if step is None
            else step.border
            for at, step in enumerate(steps)
        ]

    def _witness(self, period: Sequence[int | None]) -> tuple[Witness | None, str]:
        """Return the clearest input whose response is moved into no shift of itself, and advice."""
        faint: tuple[Witness, str] | None = None
        for axis, smallest in zip(self._operator.axes, period, strict=True):
            if smallest == 1 or self._operator.output_shape[axis] == 1:
                continue
            violation = self._violation(axis)
            if violation is None:
                continue
            (signal,), advice = violation
            by = self._operator.along(axis, 1)
            equation = Equation("shift_equivariant", shift=by, boundary="interior")
            found = self._trials.witness(equation, two_windows(signal, axis, 1)), advice
            if not advice:
                return found
            faint = faint or found
        return faint or (None, "")

    def _violation(self, axis: int) -> tuple[tuple[Array, ...], str] | None:
        """Return a small signal whose response no shift along an axis follows, and advice on it.

        What is faint in the middle of the output may be rounded in single precision, or fade on its
        way from the ends. The first is said only of a signal whose response is moved by no more
        than that at the ends, either.
        """
        size = functools.partial(self._distance_from_shifts, axis)
        whole = functools.partial(self._distance_of_all_cells, axis)
        faint: list[tuple[Array]] = []
        for signal in self._signals(axis, 1):
            if size((signal,)) > 1:
                if self._trials.is_clear((signal,), size):
                    return self._trials.shrink((signal,), size), ""
                faint.append((signal,))
        if not faint:
            return None
        rounded = next((each for each in faint if not self._trials.is_clear(each, whole)), None)
        if rounded is None:
            return self._trials.shrink(faint[0], size), _FADES + _OR_SINGLE * self._shifts.in_single

        def rounding(inputs: tuple[Array, ...]) -> float:
            return math.nan if self._trials.is_clear(inputs, whole) else size(inputs)

        return self._trials.shrink(rounded, rounding), SINGLE

    def _distance_from_shifts(self, axis: int, signal: tuple[Array, ...]) -> float:
        """Return by how many rounding bounds f(moved) is no shift of f(x), far from the ends."""
        m = self._operator.output_shape[axis]
        compared = [(to, (m - 2 * max(to, 1)) // 2) for to in range(m // 2 + 1)]
        return self._distance(axis, signal, compared)

    def _distance_of_all_cells(self, axis: int, signal: tuple[Array, ...]) -> float:
        """Return the same at the ends as well, for shifts in proportion."""
        rate = self._operator.output_shape[axis] / self._operator.shape[axis]
        return self._distance(axis, signal, [(math.floor(rate), 0), (math.ceil(rate), 0)])

    def _distance(
        self, axis: int, signal: tuple[Array, ...], compared: Sequence[tuple[int, int]]
    ) -> float:
        """Return the least number of bounds by which f(moved) is not f(x) moved, but for a border.

        Each pair to compare is how far it is moved, and the border.
        """
        x, moved = two_windows(signal[0], axis, 1)
        norm = float(np.abs(x).sum() + np.abs(moved).sum())
        before, after = self._trials(x), self._trials(moved)
        m = after.shape[axis]
        distances = []
        for to, border in compared:
            left = cells_along(after, axis, border + to, m - border)
            right = cells_along(before, axis, border, m - border - to)
            distances.append(self._trials.distance(left, right, norm))
        return min(distances)
