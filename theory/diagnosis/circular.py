"""Which shifts are followed on the circle, where what leaves at one end comes in at the other.

An affine operator is known from f(0) and its responses to the unit impulses, so that comparing
these with their shifts exhausts the question. Any other operator is tried on adversarial inputs.
The shifts that an operator follows along an axis form a subgroup of Z_n: only divisors of n need
to be tried.
"""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from theory.diagnosis.equations import Equation
from theory.diagnosis.equivariance import Step
from theory.diagnosis.search import CLEAR, clearest
from theory.signals import impulse
from theory.signals import shift as shifted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from theory.diagnosis.calling import Array
    from theory.diagnosis.equivariance import Equivariance, Shifts
    from theory.diagnosis.witnesses import Witness


class Circle:
    """The judge of shifts that wrap."""

    def __init__(self, shifts: Shifts) -> None:
        self._shifts = shifts
        self._trials = shifts.trials
        self._operator = shifts.operator
        self._inputs = list(shifts.probes())
        self._threshold = CLEAR if shifts.pointwise or shifts.exhausts else 1.0

    def judge(self) -> Equivariance:
        """Return the finding, and the smallest shift that is followed along each axis."""
        shifts = self._shifts
        if not shifts.comparable:
            return shifts.judged([None] * len(shifts.axes))
        steps, against = self._steps(by_basis=False)
        if shifts.by_basis and not self._basis_follows(steps):
            steps, against = self._steps(by_basis=True)
            shifts.faint = 0.0  # which was about a smaller period
            if not self._basis_follows(steps):  # it does step by step, but not all the way round
                shifts.faint = max(shifts.faint, shifts.trials.rounding.relative)
        if against is None:
            return shifts.judged(steps)
        witness, advice = against
        return shifts.judged(steps, witness, self._why_not(steps, witness), advice=advice)

    def _steps(self, by_basis: bool) -> tuple[list[Step | None], tuple[Witness, str] | None]:
        """Return the smallest step along each axis, and the clearest witness against one by 1."""
        axes = [self._step(axis, by_basis) for axis in self._shifts.axes]
        witnesses = (against for _, against in axes if against is not None)
        return [smallest for smallest, _ in axes], clearest(witnesses, lambda each: not each[1])

    def _step(self, axis: int, by_basis: bool) -> tuple[Step | None, tuple[Witness, str] | None]:
        """Return the smallest step along an axis, and a witness against one by 1, with advice."""
        n, m = self._operator.shape[axis], self._operator.output_shape[axis]
        if n == 1:
            return Step(1, m), None
        if m == 1:
            return None, None
        against = self._no_shift_at_all(axis, m) if m % n else None
        for k in (k for k in range(1, n) if n % k == 0 and k * m % n == 0):
            step = Step(k, k * m // n)
            violations = self._violations(axis, step, by_basis)
            if against is None:
                against = self._trials.clearest_witness(violations)
                followed = against is None
            else:
                followed = next(violations, None) is None
            if followed:
                return step, against
        return None, against

    def _equation(self, axis: int, by: int, output_by: int | None) -> Equation:
        output = None if output_by is None else self._operator.along(axis, output_by)
        return Equation(
            "shift_equivariant", shift=self._operator.along(axis, by), output_shift=output
        )

    def _violations(
        self, axis: int, step: Step, by_basis: bool
    ) -> Iterator[tuple[Equation, tuple[Array]]]:
        """Yield the inputs whose response does not follow a step, with the equation that fails."""
        equation = self._equation(axis, step.by, step.output_by)
        for x in self._inputs:
            if self._trials.excess(equation, (x,)) > self._threshold:
                yield equation, (x,)
        if by_basis:
            for x in self._basis_along(axis, step.by):
                if self._trials.excess(equation, (x,)) > 1:
                    yield equation, (x,)

    def _basis_along(self, axis: int, by: int) -> Iterator[Array]:
        """Yield zero and every unit impulse, each followed by its shift along an axis."""
        shape = self._operator.shape
        steps = list(shape)
        steps[axis] = by
        yield np.zeros(shape)
        yield from (impulse(shape, cell) for cell in _orbits(shape, steps))

    def _basis_follows(self, followed: Sequence[Step | None]) -> bool:
        """Whether the responses to all unit impulses follow the shifts by multiples of the steps.

        One pass over the basis settles every axis: each response is compared with a window on the
        response to the impulse of its orbit that is nearest to the origin.
        """
        if not any(followed):
            return True
        operator, trials = self._operator, self._trials
        zero = trials(np.zeros(operator.shape))
        steps = list(operator.shape)  # axes that are not shifted, or not followed: one full turn
        output_steps = list(operator.output_shape)
        for axis, step in zip(operator.axes, followed, strict=True):
            if step is not None:
                steps[axis], output_steps[axis] = step.by, step.output_by
                if not self._alike(zero, shifted(zero, operator.along(axis, step.output_by))):
                    return False
        cells = list(_orbits(operator.shape, steps))
        for cell, response in zip(cells, trials.columns(cells), strict=True):
            origin = tuple(i % step for i, step in zip(cell, steps, strict=True))
            if cell == origin:
                turns = response
                for axis in operator.axes:
                    turns = np.concatenate([turns, turns], axis)
            window = [slice(None)] * response.ndim
            for axis in operator.axes:
                turn = cell[axis] // steps[axis] * output_steps[axis]
                m = operator.output_shape[axis]
                window[axis] = slice(m - turn, 2 * m - turn)
            if not self._alike(response, turns[tuple(window)]):
                return False
        return True

    def _alike(self, response: Array, expected: Array) -> bool:
        """Whether two responses to unit impulses, or to zero, agree."""
        if (response == expected).all():  # as most do, one by one over the whole basis
            return True
        self._shifts.note(response, expected, norm=2)
        return self._trials.distance(response, expected, norm=2) <= 1

    def _no_shift_at_all(self, axis: int, m: int) -> tuple[Witness, str] | None:
        """Return a witness x for which f(shift x) is no shift of f(x), by whatever offset.

        There is no advice with it: the sizes forbid the shift, whatever is rounded.
        """
        turns = [self._equation(axis, 1, by) for by in range(m)]

        def size(inputs: tuple[Array, ...]) -> float:
            smallest = math.inf
            for turn in turns:
                smallest = min(smallest, self._trials.excess(turn, inputs))
                if smallest <= 1:  # it follows this one: how closely does not matter
                    break
            return smallest

        one = impulse(self._operator.shape)
        two = one + shifted(one, self._operator.along(axis, 1))
        for x in (one, two, *self._inputs):
            if size((x,)) > 1:
                shrunk = self._trials.shrink((x,), size)
                return self._trials.witness(self._equation(axis, 1, None), shrunk), ""
        return None

    def _why_not(self, steps: Sequence[Step | None], witness: Witness) -> str:
        if witness.output_shift is None:
            why = self._shifts.no_whole_shift()
        else:
            why = "f(shift x) = shift f(x) fails"
        if not any(steps) and not self._trials.unanswered:
            why = f"{why}; no shift but the full turn is followed"
        return why


def _orbits(shape: Sequence[int], steps: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield all cells, those together that whole steps lead to, each time from the origin on."""
    for origin in product(*map(range, steps)):
        yield from product(*(range(o, n, s) for o, n, s in zip(origin, shape, steps, strict=True)))
