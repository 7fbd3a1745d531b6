"""Whether one operator is the adjoint of another.

Small integers are tried first. What integer inputs give in integers is compared exactly; for the
rest the bound of `theory.diagnosis.rounding` on each operator's output is carried through the two
dot products. Two linear operators with real outputs are adjoint if one matrix is the transpose of
the other: where both are proved to be of that kind, the basis exhausts the question if the entries
are equal.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from theory.diagnosis import diagnose
from theory.diagnosis.calling import Array, Operator
from theory.diagnosis.findings import SINGLE, Finding
from theory.diagnosis.inputs import probes
from theory.diagnosis.inside import examined
from theory.diagnosis.isolation import isolated
from theory.diagnosis.rounding import gamma
from theory.diagnosis.search import BUDGET, Trials, clearest, exceeds_single_precision
from theory.signals import impulse
from theory.testing.agreement import Agreement, as_called, on_basis, share
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
        known = "is not linear" if linear.holds is False else "may not be linear"
        why = f"{known}, and only a linear operator has an adjoint: {linear.reason}"
        return Agreement(Finding(linear.holds, linear.certainty, why), counterexample)
    with isolated(seed):
        forward = Operator(op, shape, dtype, batched=batched)
        backward = Operator(adjoint, forward.output_shape, dtype, batched=batched)
        if backward.output_shape != forward.shape:
            there = f"{forward.shape} to {forward.output_shape}"
            back = f"{backward.shape} to {backward.output_shape}"
            return Agreement(Finding(False, "refuted", f"A maps {there}, A* maps {back}"))
        dots = _DotTest(*(examined(each, budget, seed) for each in (forward, backward)))
        pair = dots.search(np.random.default_rng(seed))
        advice = dots.advice(pair)
        exhaustible = dots.exhaustible
    if pair is not None:
        return _not_adjoint(op, adjoint, pair, (forward, backward), batched, advice)
    if why := dots.failure:
        return Agreement(Finding(None, "undecided", f"no difference found, but {why}"))
    exhausts = (
        exhaustible
        and linear.certainty == "proved"
        and diagnose(adjoint, forward.output_shape, **options).linear.certainty == "proved"
    )
    if not exhausts:
        reason = "no x and y found with <A x, y> other than <x, A* y>"
        return Agreement(Finding(True, "sampled", reason))
    with isolated(seed):
        pair, faint = dots.entry()
        advice = dots.advice(pair)
    if pair is not None:
        return _not_adjoint(op, adjoint, pair, (forward, backward), batched, advice)
    what = "the matrix of A* is the transpose of that of A"
    return on_basis(what, faint, "an entry", (forward, backward))


def _not_adjoint(
    op: Callable[..., Any],
    adjoint: Callable[..., Any],
    pair: tuple[Array, Array],
    operators: tuple[Operator, Operator],
    batched: bool | None,
    advice: str,
) -> Agreement:
    inputs = as_called(pair, operators)
    return Agreement(
        Finding(False, "refuted", f"<A x, y> = <x, A* y> fails{advice}"),
        Counterexample(
            "dot_products",
            ("op", "adjoint"),
            inputs,
            {} if batched is None else {"batched": batched},
            ("<A x, y>", "<x, A* y>"),
            *dot_products(op, adjoint, *inputs, batched=batched),
        ),
    )


class _DotTest:
    """Both sides of <A x, y> = <x, A* y>, and the rounding error that they are allowed.

    An output A x is off by at most b in each cell, so that its inner product with y is off by b
    times the 1-norm of y; so is the other side with x. The sums themselves, of k products each, add
    gamma_k times the sum of magnitudes.
    """

    def __init__(self, forward: Trials, backward: Trials) -> None:
        self._forward = forward
        self._backward = backward

    @property
    def trials(self) -> tuple[Trials, Trials]:
        """Those of A and of A*."""
        return self._forward, self._backward

    @property
    def failure(self) -> str:
        """What happened on the first input that one of the two had no finite answer to."""
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

    def search(self, rng: np.random.Generator) -> tuple[Array, Array] | None:
        """Return a small x and y for which the two sides differ, clearly if there are such."""
        differing = ((x, y) for x, y in self._pairs(rng) if self._excess(x, y) > 1)
        found = clearest(differing, lambda pair: self._is_clear(*pair))
        if found is None:
            return None
        x, y = found
        size = functools.partial(self._excess_of_x, y)
        (x,) = self._forward.shrink((x,), size, lambda some: self._is_clear(some[0], y))
        size = functools.partial(self._excess_of_y, x)
        (y,) = self._backward.shrink((y,), size, lambda some: self._is_clear(x, some[0]))
        return x, y

    def _is_clear(self, x: Array, y: Array) -> bool:
        """Whether the two sides differ by more than what single precision rounds."""
        return exceeds_single_precision(lambda: self._excess(x, y), *self.trials)

    def entry(self) -> tuple[tuple[Array, Array] | None, float]:
        """Return the unit impulses of the first entry in which the two matrices differ.

        And how large a share of an entry differs that may be rounding.
        """
        forward, backward = self._forward, self._backward
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

    def advice(self, pair: tuple[Array, Array] | None) -> str:
        """Return what to say where weights, or values inside, that were rounded may be the reason.

        Parameters
        ----------
        pair : tuple of array, optional
            An x and y for which the two sides differ, if there is one.
        """
        return "" if pair is None or self._is_clear(*pair) else SINGLE

    def _pairs(self, rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
        forward, backward = self._forward.operator, self._backward.operator
        bits = min(forward.significand, backward.significand)
        inputs = list(probes(forward.shape, rng, bits))
        outputs = list(probes(backward.shape, rng, bits))
        yield from zip(inputs, outputs, strict=False)
        x, y = (
            rng.integers(-9, 9, each.shape, endpoint=True) * 1.0 for each in (forward, backward)
        )
        yield from ((each, y) for each in inputs)
        yield from ((x, each) for each in outputs)

    def _excess_of_x(self, y: Array, inputs: tuple[Array, ...]) -> float:
        return self._excess(inputs[0], y)

    def _excess_of_y(self, x: Array, outputs: tuple[Array, ...]) -> float:
        return self._excess(x, outputs[0])

    def _excess(self, x: Array, y: Array) -> float:
        """Return how many rounding bounds lie between the two sides; NaN if one is not finite."""
        there, back = self._forward(x), self._backward(y)
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
