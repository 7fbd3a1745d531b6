"""The search for witnesses: how far two responses differ, and what is made of a find.

Which inputs are tried is said in `theory.diagnosis.inputs`, how one that breaks a law is made small
in `theory.diagnosis.shrinking`.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from theory.counts import as_count
from theory.diagnosis.calling import Array, Operator
from theory.diagnosis.equations import Equation
from theory.diagnosis.findings import SINGLE
from theory.diagnosis.responses import Responses
from theory.diagnosis.shrinking import shrunk
from theory.diagnosis.witnesses import Witness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from theory.diagnosis.amplification import Amplification

T = TypeVar("T")

BUDGET = 2**14
"""How many inputs any one question may try, unless told otherwise."""


CLEAR = 2.0**10
"""A violation this many bounds large is beyond any doubt about the bound."""


def check_search(budget: int, seed: int) -> None:
    """Raise a ValueError unless a search can be made within a budget and from a seed."""
    try:
        as_count("budget", budget)
    except (TypeError, ValueError):
        why = f"budget is {budget!r}: give the number of inputs to try, at least 1"
        raise ValueError(why) from None
    try:
        small_enough = as_count("seed", seed, 0) < 2**64  # torch takes no larger one
    except (TypeError, ValueError):
        small_enough = False
    if not small_enough:
        raise ValueError(f"seed is {seed!r}: give a whole number from 0 to below 2**64")


class Trials(Responses):
    """The responses of the operator under trial, and what is made of those that break a law.

    Parameters
    ----------
    operator, held, amplified
        As for `Responses`.
    budget : int
        How many inputs any one question may try: a basis to exhaust, a witness to shrink.
    """

    def __init__(
        self,
        operator: Operator,
        budget: int,
        held: float | None = None,
        amplified: Amplification | None = None,
    ) -> None:
        super().__init__(operator, held, amplified)
        self.budget = budget
        self._shown = held is not None

    def distance(
        self,
        left: Array,
        right: Array,
        norm: float,
        responses: float = 2,
        where: Array | bool = True,
    ) -> float:
        """Return by how many rounding bounds one response is not another one, moved.

        Moving values is no arithmetic: a value that is not finite has to meet another one. Only the
        cells in `where` are compared.

        Returns
        -------
        float
            Infinity where it does not; NaN where a response stands for an error. That NaN and
            infinities meet, as they may behind an overflow, counts for nothing.
        """
        compared = np.broadcast_to(where, left.shape)
        if (left == right).all(where=compared):
            return 0.0
        if self.failed(left) or self.failed(right):
            return np.nan
        if self.oddities(left, right).any(where=compared):
            return np.inf
        finite = np.isfinite(left) & compared
        return self.rounding.excess(left, right, norm, responses, finite)

    def unlike(self, left: Array, right: Array, norm: float, threshold: float) -> Array:
        """Return in which cells two responses differ by more than so many rounding bounds.

        A value that is not finite has to meet another one.
        """
        if (left == right).all():
            return np.zeros(left.shape, dtype=bool)
        with np.errstate(invalid="ignore"):
            bound = self.rounding.bound(left, right, norm, responses=2)
            beyond = np.abs(left - right) > threshold * bound
        unlike: Array = beyond | self.oddities(left, right)
        return unlike

    @staticmethod
    def oddities(left: Array, right: Array) -> Array:
        """Return in which cells a finite value meets one that is not."""
        odd: Array = np.isfinite(left) != np.isfinite(right)
        return odd

    def excess(self, equation: Equation, inputs: tuple[Array, ...]) -> float:
        """Return by how many rounding bounds an equation fails; NaN if a side is not finite."""
        left, right = equation.sides(self, inputs)
        # Each side holds every input once, and at most as many offsets, times the scalar.
        twice = 2.0 * max(1.0, abs(equation.scalar or 0.0))
        norm = sum(float(np.abs(x).sum()) for x in inputs)
        compare = (
            self.distance
            if equation.property == "shift_equivariant"
            else self.rounding_of_sums.excess
        )
        return compare(left, right, twice * norm, twice * len(inputs))

    def is_clear(
        self, inputs: tuple[Array, ...], size: Callable[[tuple[Array, ...]], float]
    ) -> bool:
        """Whether a violation is certainly none of what single precision inside rounds.

        Which precision that is shows in a graph; without one, the size of the violation tells.

        Parameters
        ----------
        inputs, size
            As in `shrink`.
        """
        return self._shown or exceeds_single_precision(lambda: size(inputs), self)

    @contextlib.contextmanager
    def rounded_in_single(self) -> Iterator[None]:
        """Allow for the rounding of an operator that computes in single precision."""
        known = self.rounding, self.rounding_of_sums
        self.rounding, self.rounding_of_sums = (each.in_single_precision() for each in known)
        try:
            yield
        finally:
            self.rounding, self.rounding_of_sums = known

    def clearest_witness(
        self, violations: Iterable[tuple[Equation, tuple[Array, ...]]]
    ) -> tuple[Witness, str] | None:
        """Return what the clearest of some violations is shrunk to, None if there are none.

        Parameters
        ----------
        violations : iterable of (Equation, tuple of array)
            Equations, each with inputs on which it fails.

        Returns
        -------
        Witness, str
            The witness, and what to say where it may be no more than single precision rounds.
        """

        def size_of(equation: Equation) -> Callable[[tuple[Array, ...]], float]:
            return functools.partial(self.excess, equation)

        found = clearest(violations, lambda each: self.is_clear(each[1], size_of(each[0])))
        if found is None:
            return None
        equation, inputs = found
        small = self.shrink(inputs, size_of(equation))
        advice = "" if self.is_clear(small, size_of(equation)) else SINGLE
        return self.witness(equation, small), advice

    def witness(self, equation: Equation, inputs: tuple[Array, ...]) -> Witness:
        """Return the witness with both sides as its replay will compute them."""
        inputs = tuple(x.astype(self.operator.array_type) for x in inputs)
        left, right = equation.replay(self.operator, inputs)
        batched = self.operator.batched
        return Witness(inputs=inputs, left=left, right=right, batched=batched, **vars(equation))

    def shrink(
        self,
        inputs: tuple[Array, ...],
        size: Callable[[tuple[Array, ...]], float],
        clear: Callable[[tuple[Array, ...]], bool] | None = None,
    ) -> tuple[Array, ...]:
        """Make a violation small: fewer cells, then smaller magnitudes.

        Parameters
        ----------
        inputs : tuple of array
            Inputs with a violation.
        size : callable
            Size of the violation, in rounding bounds; NaN where there is none to speak of.
        clear : callable, optional
            Whether a violation is none of what single precision rounds; `is_clear` if left out.

        Returns
        -------
        tuple of array
            Inputs whose violation is still beyond doubt, and still clear if it was. Unless the
            budget ran out, no cell of theirs can be zeroed.
        """
        floor = min(size(inputs), CLEAR)
        clear = clear or (lambda some: self.is_clear(some, size))
        stays_clear = clear(inputs)
        questions = itertools.count()

        def accept(candidate: tuple[Array, ...]) -> bool:
            if next(questions) >= self.budget or not size(candidate) >= floor:
                return False
            return not stays_clear or clear(candidate)

        return shrunk(inputs, accept)


def exceeds_single_precision(size: Callable[[], float], *trials: Trials) -> bool:
    """Return whether a violation is more than what single precision rounds.

    Parameters
    ----------
    size : callable
        Size of the violation, in rounding bounds.
    *trials : Trials
        The operators whose bounds those are.
    """
    with contextlib.ExitStack() as rounded:
        for each in trials:
            rounded.enter_context(each.rounded_in_single())
        return size() > 1


def clearest(violations: Iterable[T], clear: Callable[[T], bool]) -> T | None:
    """Return the first violation that is clear; the first of all if none is, if there is any.

    One that is of the size of single-precision rounding says little, whatever the others are.
    """
    first: T | None = None
    for each in violations:
        if clear(each):
            return each
        first = each if first is None else first
    return first
