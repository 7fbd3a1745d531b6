"""The search for witnesses: responses, how far two of them differ, and what is made of a find.

Which inputs are tried is said in `theory.diagnosis.inputs`, how one that breaks a law is made small
in `theory.diagnosis.shrinking`.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from theory.diagnosis.calling import Array, Operator
from theory.diagnosis.equations import Equation
from theory.diagnosis.errors import OperatorError
from theory.diagnosis.findings import SINGLE
from theory.diagnosis.inputs import impulses
from theory.diagnosis.rounding import Rounding
from theory.diagnosis.shrinking import shrunk
from theory.diagnosis.witnesses import Witness
from theory.signals import impulse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

T = TypeVar("T")

BUDGET = 2**14
"""How many inputs any one question may try, unless told otherwise."""


SCALARS = (-1.0, 2.0, 0.5, -3.0, 2.0**20)


CLEAR = 2.0**10
"""A violation this many bounds large is beyond any doubt about the bound."""


_REMEMBERED_VALUES = 2**24
"""Values of all responses that are remembered, or of the inputs where those are larger."""


_CHECKED_TOGETHER = 128
"""Impulses whose responses in batches are checked by one single call."""


_SUMS_ON_ONE_CELL = 4
"""How often one cell is asked for rounding, which a single sum may have none of by chance."""


_CACHED_VALUES = 2**16
"""Output values of one batch: more would leave the processor's cache, and are slower."""


def check_search(budget: int, seed: int) -> None:
    """Raise a ValueError unless a search can be made within a budget and from a seed."""
    if not isinstance(budget, int | np.integer) or budget < 1:
        raise ValueError(f"budget is {budget!r}: give the number of inputs to try, at least 1")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed is {seed!r}: give a whole number that is not negative")


class Trials:
    """The operator under trial: remembers responses, and the first input that has none.

    Parameters
    ----------
    operator : Operator
        The operator.
    budget : int
        How many inputs any one question may try: a basis to exhaust, a witness to shrink.
    held : float, optional
        Largest magnitude of the values inside at zero, where a graph shows them. Measured if left
        out.

    Attributes
    ----------
    failure : str
        Why nothing can be concluded where no witness is found: what happened on the first input
        without a response, or a precision that is too coarse; empty if neither.
    not_finite : str
        Which was the first input whose response has NaN or infinity; empty if none was met.
    rounding : Rounding
        What counts as a rounding error.
    """

    def __init__(self, operator: Operator, budget: int, held: float | None = None) -> None:
        self.operator = operator
        self.budget = budget
        self.failure = ""
        self.not_finite = ""
        self._finite = False
        self._shown = held is not None
        self._memory: dict[bytes, Array] = {}
        self._batches = operator.batched
        largest = max(1, math.prod(operator.shape), math.prod(operator.output_shape))
        self._capacity = max(8, _REMEMBERED_VALUES // largest)
        self.rounding = self._measure_rounding()
        held = self._measured_held() if held is None else held
        if self.rounding.relative * held < self.rounding.gain:
            self.rounding = replace(self.rounding, offset=max(self.rounding.offset, held))
        if self.rounding.too_coarse:
            self.failure = self.failure or (
                f"{self.rounding.cells} cells are too many for its precision, a unit roundoff of "
                f"{operator.unit_roundoff:.1g}: rounding alone may be as large as the values; "
                "compute in a finer type"
            )

    def __call__(self, x: Array) -> Array:
        """Return the response to x, all NaN where there is none."""
        key = x.tobytes()
        if key not in self._memory:
            if len(self._memory) >= self._capacity:
                self._memory.clear()
            self._memory[key] = self._respond(x)
        return self._memory[key]

    def distance(self, left: Array, right: Array, norm: float, responses: float = 2) -> float:
        """Return by how many rounding bounds one response is not another one, moved.

        Moving values is no arithmetic: a value that is not finite has to meet another one.

        Returns
        -------
        float
            Infinity where it does not; NaN where a response stands for an error. That NaN and
            infinities meet, as they may behind an overflow, counts for nothing.
        """
        if (left == right).all():
            return 0.0
        if self.failed(left) or self.failed(right):
            return np.nan
        if self.oddities(left, right).any():
            return np.inf
        finite = np.isfinite(left)
        return self.rounding.excess(left[finite], right[finite], norm, responses)

    @property
    def unanswered(self) -> str:
        """Why responses that are alike conclude nothing: `failure`, or none had a finite value."""
        nothing = "" if self._finite else "no output that was tried has a finite value"
        return self.failure or nothing

    def failed(self, response: Array) -> bool:
        """Whether nothing but NaN may stand for an error, of which `failure` tells."""
        return bool(self.failure) and bool(np.isnan(response).all())

    @staticmethod
    def oddities(left: Array, right: Array) -> Array:
        """Return in which cells a finite value meets one that is not."""
        odd: Array = np.isfinite(left) != np.isfinite(right)
        return odd

    def column(self, cell: tuple[int, ...]) -> Array:
        """Return the response to the unit impulse in a cell."""
        return self(impulse(self.operator.shape, cell))

    def columns(self, cells: Sequence[tuple[int, ...]]) -> Iterator[Array]:
        """Yield the responses of an affine operator to the unit impulses in some cells."""
        for start in range(0, len(cells), _CHECKED_TOGETHER):
            some = cells[start : start + _CHECKED_TOGETHER]
            responses = self._batched_columns(some) if self._batches else None
            self._batches = responses is not None
            yield from responses or (self._respond(impulse(self.operator.shape, c)) for c in some)

    def _batched_columns(self, cells: Sequence[tuple[int, ...]]) -> list[Array] | None:
        """Return the responses from calls on several impulses, None if these are not kept apart."""
        shape, output_size = self.operator.shape, math.prod(self.operator.output_shape)
        together = max(1, min(len(cells), _CACHED_VALUES // max(1, output_size)))
        responses: list[Array] = []
        for start in range(0, len(cells), together):
            some = cells[start : start + together]
            inputs = np.zeros((len(some), *shape))
            inputs[np.arange(len(some)), *np.transpose(some)] = 1
            try:
                responses.extend(self.operator.many(inputs))
            except OperatorError:
                return None
        return responses if self._add_up(cells, responses) else None

    def _add_up(self, cells: Sequence[tuple[int, ...]], responses: list[Array]) -> bool:
        """Whether an affine operator's responses fit its response to a mixture of the impulses."""
        weights = np.random.default_rng(0).integers(1, 9, len(cells), endpoint=True).astype(float)
        mixture = np.zeros(self.operator.shape)
        mixture[*np.transpose(cells)] = weights
        total = float(weights.sum())
        expected = (1 - total) * self(np.zeros(self.operator.shape))
        weighted = np.empty_like(expected)
        for weight, response in zip(weights, responses, strict=True):
            expected += np.multiply(weight, response, out=weighted)
        found = self._respond(mixture)
        return self.rounding.excess(found, expected, norm=2 * total, responses=2 * total) <= 1

    def _respond(self, x: Array) -> Array:
        try:
            y = self.operator(x)
        except OperatorError as error:
            self.failure = self.failure or f"on {_described(x)} {error}"
            return np.full(self.operator.output_shape, np.nan)
        finite = np.isfinite(y)
        self._finite = self._finite or not finite.size or bool(finite.any())
        if not finite.all():
            self.not_finite = self.not_finite or f"on {_described(x)} its output is not finite"
        return y

    def _measure_rounding(self) -> Rounding:
        operator = self.operator
        zero = self(np.zeros(operator.shape))
        cells = int(np.prod(operator.shape))
        signs = np.random.default_rng(0).choice((-1.0, 1.0), (2, *operator.shape))
        # A mean over all cells finds what four of them miss, and is never too large.
        inputs = [*((x, 1) for x in impulses(operator.shape)), *((x, cells) for x in signs)]
        gains = [np.abs(self(x) - zero).max(initial=0.0) / size for x, size in inputs]
        finite = [float(gain) for gain in gains if np.isfinite(gain)]
        offset = float(np.abs(zero).max(initial=0.0))
        return Rounding(
            cells,
            operator.unit_roundoff,
            max(finite, default=1.0),
            offset if np.isfinite(offset) else 0.0,
            operator.smallest,
        )

    def _measured_held(self) -> float:
        """Return the offset inside that rounds as sums of small inputs show.

        They are of up to a thousandth, where what the inputs themselves round is a thousandth of
        what it is at 1, but what an offset rounds is the same.
        """
        relative, bits, held = self.rounding.relative, self.operator.significand, 0.0
        rng = np.random.default_rng(0)
        for x in [each for each in impulses(self.operator.shape) for _ in range(_SUMS_ON_ONE_CELL)]:
            # Odd numbers with as many bits as leave their sum exact.
            a, b = rng.integers(2 ** (bits - 3), 2 ** (bits - 2), 2) * 2 + 1
            scale = 2.0 ** (-10 - bits)
            left, right = Equation("affine").sides(self, (a * scale * x, b * scale * x))
            difference = float(np.abs(left - right).max(initial=0.0))
            if difference <= relative * self.rounding.gain:
                held = max(held, difference / relative)
        return held

    def excess(self, equation: Equation, inputs: tuple[Array, ...]) -> float:
        """Return by how many rounding bounds an equation fails; NaN if a side is not finite."""
        left, right = equation.sides(self, inputs)
        # Each side holds every input once, and at most as many offsets, times the scalar.
        twice = 2.0 * max(1.0, abs(equation.scalar or 0.0))
        norm = sum(float(np.abs(x).sum()) for x in inputs)
        compare = (
            self.distance if equation.property == "shift_equivariant" else self.rounding.excess
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

    def advice(self, inputs: tuple[Array, ...], size: Callable[[tuple[Array, ...]], float]) -> str:
        """Return what to say where the clearest violation may be what single precision rounds.

        Parameters
        ----------
        inputs, size
            As in `shrink`.
        """
        return "" if self.is_clear(inputs, size) else SINGLE

    @contextlib.contextmanager
    def rounded_in_single(self) -> Iterator[None]:
        """Allow for the rounding of an operator that computes in single precision."""
        known = self.rounding
        self.rounding = known.in_single_precision()
        try:
            yield
        finally:
            self.rounding = known

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


def _described(x: Array) -> str:
    return f"an input with values from {x.min():g} to {x.max():g}"
