"""Whether one operator is the adjoint of another.

Small integers are tried first. What integer inputs give in integers is compared exactly; for the
rest the bound of `theory.diagnosis.rounding` on each operator's output is carried through the two
dot products. Two linear operators with real outputs are adjoint if one matrix is the transpose of
the other: where both are proved to be of that kind, the basis exhausts the question if the entries
are equal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from theory.diagnosis import diagnose
from theory.diagnosis.calling import Array, Operator
from theory.diagnosis.findings import Finding
from theory.diagnosis.inputs import probes
from theory.diagnosis.isolation import isolated
from theory.diagnosis.rounding import gamma
from theory.diagnosis.search import BUDGET, clearest
from theory.signals import impulse
from theory.testing.agreement import Agreement, Comparison, share
from theory.testing.replaying import Counterexample, dot_products, inner

_MATRIX_ENTRIES = 2**22
"""The largest matrix that is written out, 32 MiB in double precision."""


_DOUBLE = 2.0**-53


def adjointness(
    op: Callable[..., Any],
    adjoint: Callable[..., Any],
    shape: Sequence[int],
    *,
    batched: bool | None = None,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
    budget: int = BUDGET,
) -> Agreement:
    """Find out whether <A x, y> = <x, A* y> for all inputs x of one shape and all outputs y.

    Parameters
    ----------
    op, adjoint : callable
        A and A*, modules or functions, called as `theory.diagnose` calls them.
    shape, batched, dtype, seed, budget
        Of the inputs of `op`, as in `theory.diagnose`; `batched` is for both.

    Returns
    -------
    Agreement
        ``exhausted`` if both are proved linear, have real outputs, no more cells than the budget,
        and their matrices are transposes entry by entry; else ``sampled`` at most: the reason says
        how large the differences are that may be rounding. Complex outputs of A are beyond what A*
        is asked about, which is real y.

    Raises
    ------
    TypeError
        If one of them is not callable.
    ValueError
        If `op` takes no input of this shape, or `adjoint` none of the shape of an output.
    """
    options: dict[str, Any] = {"batched": batched, "dtype": dtype, "seed": seed, "budget": budget}
    linear = diagnose(op, shape, **options).linear
    if linear.holds is not True:
        counterexample = None if linear.witness is None else Counterexample.of(linear.witness)
        known = "A is not linear" if linear.holds is False else "A may not be linear"
        why = f"{known}, and only a linear operator has an adjoint: {linear.reason}"
        return Agreement(Finding(linear.holds, linear.certainty, why), counterexample)
    with isolated(seed):
        forward = Operator(op, shape, dtype, batched=batched)
        backward = Operator(adjoint, forward.output_shape, dtype, batched=batched)
        if backward.output_shape != forward.shape:
            there = f"{forward.shape} to {forward.output_shape}"
            back = f"{backward.shape} to {backward.output_shape}"
            return Agreement(Finding(False, "refuted", f"A maps {there}, A* maps {back}"))
        dots = _DotTest((op, adjoint), (forward, backward), batched, budget, seed)
        outcome = dots.searched()
        exhaustible = dots.exhaustible
    if outcome is not None:
        return outcome
    exhausts = (
        exhaustible
        and linear.certainty == "proved"
        and diagnose(adjoint, forward.output_shape, **options).linear.certainty == "proved"
    )
    if not exhausts:
        reason = "no x and y found with <A x, y> other than <x, A* y>"
        return Agreement(Finding(True, "sampled", reason))
    with isolated(seed):
        return dots.exhausted()


class _DotTest(Comparison):
    """Both sides of <A x, y> = <x, A* y>, and the rounding error that they are allowed.

    An output A x is off by at most b in each cell, so that its inner product with y is off by b
    times the 1-norm of y; so is the other side with x. The sums themselves, of k products each, add
    gamma_k times the sum of magnitudes.
    """

    replay = staticmethod(dot_products)
    arguments = ("op", "adjoint")
    formulas = ("<A x, y>", "<x, A* y>")
    fails = "<A x, y> = <x, A* y> fails"
    same = "the matrix of A* is the transpose of that of A"
    value = "an entry"

    @property
    def unanswered(self) -> str:
        return next((why for t in self.trials if (why := t.failure or t.not_finite)), "")

    @property
    def exhaustible(self) -> bool:
        """Whether outputs are real, both bases within the budget, and the matrix within memory."""
        cells = [math.prod(t.operator.shape) for t in self.trials]
        return (
            all(n <= t.budget for n, t in zip(cells, self.trials, strict=True))
            and math.prod(cells) <= _MATRIX_ENTRIES
            and not any(np.iscomplexobj(t(np.zeros(t.operator.shape))) for t in self.trials)
        )

    def search(self) -> tuple[Array, ...] | None:
        differing = (pair for pair in self._pairs() if self.excess(pair) > 1)
        found = clearest(differing, self.is_clear)
        if found is None:
            return None
        x, y = found
        forward, backward = self.trials
        (x,) = forward.shrink(
            (x,), lambda some: self.excess((*some, y)), lambda some: self.is_clear((*some, y))
        )
        (y,) = backward.shrink(
            (y,), lambda some: self.excess((x, *some)), lambda some: self.is_clear((x, *some))
        )
        return x, y

    def on_basis(self) -> tuple[tuple[Array, ...] | None, float]:
        forward, backward = self.trials
        cells, outputs = list(np.ndindex(forward.operator.shape)), backward.operator.shape
        matrix = np.stack([y.ravel() for y in forward.columns(cells)], axis=1)
        faint = 0.0
        for row, cell in enumerate(np.ndindex(outputs)):
            back = backward(impulse(outputs, cell)).ravel().conj()
            bound = sum(
                t.rounding.of_the_whole.bound(matrix[row], back, norm=1, responses=1)
                for t in (forward, backward)
            )
            differing = np.flatnonzero(np.abs(matrix[row] - back) > bound)
            if differing.size:
                x = impulse(forward.operator.shape, cells[differing[0]])
                return (x, impulse(outputs, cell)), faint
            faint = max(faint, share(matrix[row], back))
        return None, faint

    def _pairs(self) -> Iterator[tuple[Array, Array]]:
        forward, backward = (each.operator for each in self.trials)
        bits = min(forward.significand, backward.significand)
        inputs = list(probes(forward.shape, self.rng, bits))
        outputs = list(probes(backward.shape, self.rng, bits))
        yield from zip(inputs, outputs, strict=False)
        x, y = (
            self.rng.integers(-9, 9, each.shape, endpoint=True) * 1.0
            for each in (forward, backward)
        )
        yield from ((each, y) for each in inputs)
        yield from ((x, each) for each in outputs)

    def excess(self, inputs: tuple[Array, ...]) -> float:
        (x, y), (forward, backward) = inputs, self.trials
        there, back = forward(x), backward(y)
        left, right = inner(there, y), inner(x, back)
        if not (np.isfinite(left) and np.isfinite(right)):
            return np.nan
        difference = float(np.abs(left - right))
        if not difference:
            return 0.0
        norms = [float(np.abs(each).sum()) for each in (x, y)]
        bounds = [
            float(t.rounding.of_the_whole.bound(y, y, norm, responses=1).max())
            for t, y, norm in zip(self.trials, (there, back), norms, strict=True)
        ]
        off = bounds[0] * norms[1] + bounds[1] * norms[0]
        sums = [float(np.abs(u * v).sum()) for u, v in ((there, y), (x, back))]
        exact = all(
            (u == np.rint(u)).all() and total * _DOUBLE < 1
            for u, total in zip((there * y, x * back), sums, strict=True)
        )
        if not exact:
            k = max(x.size, y.size)
            off += gamma(k, _DOUBLE) * sum(sums)
        return difference / off if off else np.inf
