"""Which shifts of the input move the output in proportion.

An affine operator is known from f(0) and its responses to the unit impulses, so that comparing
these with their shifts exhausts the question. Any other operator is tried on adversarial inputs.
The shifts that an operator follows along an axis form a subgroup of Z_n: only divisors of n need
to be tried.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from theory.diagnosis.equations import Equation
from theory.diagnosis.findings import Finding
from theory.diagnosis.search import CLEAR, Trials, probes, shrink
from theory.signals import impulse
from theory.signals import shift as shifted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from theory.diagnosis.calling import Array
    from theory.diagnosis.findings import Certainty
    from theory.diagnosis.witnesses import Witness

_LARGEST_BASIS = 2**14
"""Input cells up to which every unit impulse is tried."""


@dataclass(frozen=True, eq=False)
class Equivariance:
    """The finding on shifts, and the period along each spatial axis."""

    finding: Finding
    period: tuple[int | None, ...]


def judge_equivariance(
    trials: Trials, affine: Finding, pointwise: bool, rng: np.random.Generator
) -> Equivariance:
    """Return the finding on shift equivariance and the periods.

    Parameters
    ----------
    trials : Trials
        The operator under trial.
    affine : Finding
        Whether it is affine, and how that is known.
    pointwise : bool
        Whether its structure shows one and the same function in every cell.
    rng : numpy.random.Generator
        For the random inputs.
    """
    return _Judge(trials, affine, pointwise, rng).judge()


class _Judge:
    def __init__(
        self, trials: Trials, affine: Finding, pointwise: bool, rng: np.random.Generator
    ) -> None:
        self._trials = trials
        self._sizes = trials.operator.spatial_shape
        self._output_sizes = trials.operator.output_spatial_shape
        self._inputs = list(probes(trials.operator.shape, rng))
        self._pointwise = pointwise
        cells = int(np.prod(trials.operator.shape))
        self._by_basis = affine.holds is True and cells <= _LARGEST_BASIS
        self._exhausts = self._by_basis and affine.certainty == "proved"
        self._threshold = CLEAR if pointwise or self._exhausts else 1.0
        self._basis_moves = self._by_basis and self._follows_every_shift()

    def judge(self) -> Equivariance:
        if self._output_sizes is None:
            axes = range(len(self._sizes))
            return Equivariance(self._nothing_to_shift(axes), (None,) * len(self._sizes))
        period: list[int | None] = []
        witness: Witness | None = None
        for axis in range(len(self._sizes)):
            smallest, against = self._axis(axis)
            period.append(smallest)
            witness = witness or against
        return Equivariance(self._finding(tuple(period), witness), tuple(period))

    def _finding(self, period: tuple[int | None, ...], witness: Witness | None) -> Finding:
        assert self._output_sizes is not None
        trials, how = self._trials, self._certainty()
        if witness is not None:
            return Finding(False, "refuted", self._why_not(period, witness), witness)
        if trials.failure:
            return Finding(None, "undecided", f"no witness, but {trials.failure}")
        collapsed = [a for a, n in enumerate(self._sizes) if n > 1 == self._output_sizes[a]]
        if collapsed:
            return self._nothing_to_shift(collapsed)
        if all(p == 1 for p in period):
            if self._sizes != self._output_sizes:
                how_far = tuple(
                    m // n for n, m in zip(self._sizes, self._output_sizes, strict=True)
                )
                return Finding(
                    True, how[0], f"{how[1]}; a shift by 1 moves the output by {_one(how_far)}"
                )
            return Finding(True, *how)
        return Finding(
            None, "undecided", f"period {_one(period)}, but no input shows that smaller shifts fail"
        )

    def _certainty(self) -> tuple[Certainty, str]:
        if self._pointwise:
            return "proved", "one and the same function in every cell"
        if self._exhausts:
            return "exhausted", "f(0) and the response to every unit impulse move with the input"
        if self._by_basis:
            return "sampled", "impulse responses move with the input, but affine is only sampled"
        return "sampled", f"no witness found among {len(self._inputs)} inputs"

    def _why_not(self, period: tuple[int | None, ...], witness: Witness) -> str:
        if witness.output_shift is None:
            sizes = f"{_one(self._sizes)} cells in, {_one(self._output_sizes or ())} out"
            why = f"a shift by 1 is no whole shift of the output ({sizes})"
        else:
            why = "f(shift x) = shift f(x) fails"
        if all(p is None for p in period):
            return f"{why}; no shift but the full turn is followed"
        return f"{why}; period {_one(period)} ({self._certainty()[0]})"

    def _nothing_to_shift(self, axes: Iterable[int]) -> Finding:
        """Return the finding on an output with no axis, or a single cell, along the given axes."""
        moved = any(
            self._trials.excess(self._shift(axis, 1, None), (x,)) > 1
            for axis in axes
            for x in self._inputs
        )
        also = "" if moved or self._trials.failure else "; shift-invariant as far as sampled"
        return Finding(False, "refuted", f"the output has no cells that a shift could move{also}")

    def _shift(self, axis: int, by: int, output_by: int | None) -> Equation:
        axes = len(self._sizes)
        output = None if output_by is None else _along(axis, output_by, axes)
        return Equation("shift_equivariant", shift=_along(axis, by, axes), output_shift=output)

    def _axis(self, axis: int) -> tuple[int | None, Witness | None]:
        """Return the period along one axis, and a witness against the shift by 1."""
        assert self._output_sizes is not None
        n, m = self._sizes[axis], self._output_sizes[axis]
        if n == 1:
            return 1, None
        if m == 1:
            return None, None
        witness = self._no_shift_at_all(axis) if m % n else None
        for k in (k for k in range(1, n) if n % k == 0 and k * m % n == 0):
            equation = self._shift(axis, k, k * m // n)
            against = self._violation(equation, axis)
            if against is None:
                return k, witness
            witness = witness or self._witness(equation, against)
        return None, witness

    def _violation(self, equation: Equation, axis: int) -> Array | None:
        """Return the first input whose response does not follow the shift."""
        if self._by_basis and not self._basis_moves:
            for x in self._basis_along(axis, equation):
                if self._trials.excess(equation, (x,)) > 1:
                    return x
        for x in self._inputs:
            if self._trials.excess(equation, (x,)) > self._threshold:
                return x
        return None

    def _follows_every_shift(self) -> bool:
        """Whether each impulse response is the shifted response to the impulse at the origin.

        If so, every shift is followed, along every axis: one pass over the basis instead of one for
        each axis and each divisor of its size.
        """
        sizes = self._output_sizes
        if sizes is None or any(m % n for n, m in zip(self._sizes, sizes, strict=True)):
            return False
        shape = self._trials.operator.shape
        channels = np.ndindex(shape[: len(shape) - len(self._sizes)])
        origins = [impulse(shape, (*c, *(0,) * len(self._sizes))) for c in channels]
        rates = [m // n for n, m in zip(self._sizes, sizes, strict=True)]

        def follows(x: Array, by: tuple[int, ...]) -> bool:
            moved = tuple(t * rate for t, rate in zip(by, rates, strict=True))
            equation = Equation("shift_equivariant", shift=by, output_shift=moved)
            return self._trials.excess(equation, (x,)) <= 1

        axes = len(self._sizes)
        zero = np.zeros(shape)
        return all(follows(zero, _along(axis, 1, axes)) for axis in range(axes)) and all(
            follows(origin, by) for origin in origins for by in np.ndindex(self._sizes)
        )

    def _basis_along(self, axis: int, equation: Equation) -> Iterator[Array]:
        """Yield zero and every unit impulse, each followed by its shift."""
        assert equation.shift is not None
        shape = self._trials.operator.shape
        yield np.zeros(shape)
        step, size = equation.shift[axis], self._sizes[axis]
        axis += len(shape) - len(self._sizes)
        for cell in np.ndindex(*shape[:axis], 1, *shape[axis + 1 :]):
            for start in range(step):
                for position in range(start, size, step):
                    yield impulse(shape, (*cell[:axis], position, *cell[axis + 1 :]))

    def _witness(self, equation: Equation, x: Array) -> Witness:
        shrunk = shrink((x,), functools.partial(self._trials.excess, equation))
        return self._trials.witness(equation, shrunk)

    def _no_shift_at_all(self, axis: int) -> Witness | None:
        """Return a witness x for which f(shift x) is no shift of f(x), by whatever offset."""
        assert self._output_sizes is not None
        turns = [self._shift(axis, 1, by) for by in range(self._output_sizes[axis])]

        def size(inputs: tuple[Array, ...]) -> float:
            return min(self._trials.excess(turn, inputs) for turn in turns)

        one = impulse(self._trials.operator.shape)
        two = one + shifted(one, _along(axis, 1, len(self._sizes)))
        for x in (one, two, *self._inputs):
            if size((x,)) > 1:
                return self._trials.witness(self._shift(axis, 1, None), shrink((x,), size))
        return None


def _along(axis: int, by: int, axes: int) -> tuple[int, ...]:
    """Return the shift by some cells along one axis."""
    return tuple(by if a == axis else 0 for a in range(axes))


def _one(values: tuple[int | None, ...]) -> str:
    """Return a tuple as words, without brackets if it has one entry."""
    words = ["none" if v is None else str(v) for v in values]
    return words[0] if len(words) == 1 else f"({', '.join(words)})"
