"""Whether two operators are the same, in shapes and in values.

Small integers are tried first. What integer inputs give in integers is compared exactly; for the
rest the bound of `theory.diagnosis.rounding` on each operator's output is carried through the
comparison. Two affine operators are the same if f(0) and the response to every unit impulse are:
where both are proved to be of that kind, the basis exhausts the question if these are equal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from theory.diagnosis import diagnose
from theory.diagnosis.calling import Array, Operator
from theory.diagnosis.findings import Finding
from theory.diagnosis.inputs import probes
from theory.diagnosis.isolation import isolated
from theory.diagnosis.rounding import exceeding
from theory.diagnosis.search import BUDGET, check_search, clearest
from theory.signals import impulse
from theory.testing.agreement import Agreement, Comparison, share
from theory.testing.replaying import outputs


def sameness(
    a: Callable[..., Any],
    b: Callable[..., Any],
    shape: Sequence[int],
    *,
    batched: bool | None = None,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
    budget: int = BUDGET,
) -> Agreement:
    """Find out whether two operators are the same function of inputs of one shape.

    Parameters
    ----------
    a, b : callable
        Modules or functions, called as `theory.diagnose` calls them.
    shape, batched, dtype, seed, budget
        As in `theory.diagnose`; `batched` is for both.

    Returns
    -------
    Agreement
        ``exhausted`` if both are proved affine and equal on a basis, else ``sampled`` at most: the
        reason says how large the differences are that may be rounding.

    Raises
    ------
    TypeError
        If one of them is not callable.
    ValueError
        If one of them takes no input of this shape, or budget or seed is no such number.
    """
    check_search(budget, seed)
    options: dict[str, Any] = {"batched": batched, "dtype": dtype, "seed": seed, "budget": budget}
    with isolated(seed):
        one, other = (Operator(op, shape, dtype, batched=batched) for op in (a, b))
        if one.output_shape != other.output_shape:
            sizes = f"outputs have shapes {one.output_shape} and {other.output_shape}"
            return Agreement(Finding(False, "refuted", sizes))
        answers = _Outputs((a, b), (one, other), batched, budget, seed)
        outcome = answers.searched()
    if outcome is not None:
        return outcome
    exhausts = math.prod(one.shape) <= budget and all(
        diagnose(op, shape, **options).affine.certainty == "proved" for op in (a, b)
    )
    if not exhausts:
        return Agreement(Finding(True, "sampled", "no input found that tells them apart"))
    with isolated(seed):
        return answers.exhausted()


class _Outputs(Comparison):
    """What two operators make of the same input."""

    replay = staticmethod(outputs)
    arguments = ("a", "b")
    formulas = ("a(x)", "b(x)")
    fails = "an input tells them apart"
    same = "f(0) and the response to every unit impulse are the same"
    value = "a value"

    @property
    def unanswered(self) -> str:
        a, b = self.trials
        return a.unanswered or b.unanswered

    def excess(self, inputs: tuple[Array, ...]) -> float:
        (x,), (a, b) = inputs, self.trials
        return self._excess(a(x), b(x), float(np.abs(x).sum()))

    def search(self) -> tuple[Array, ...] | None:
        a, b = (each.operator for each in self.trials)
        inputs = ((x,) for x in probes(a.shape, self.rng, min(a.significand, b.significand)))
        found = clearest((each for each in inputs if self.excess(each) > 1), self.is_clear)
        return None if found is None else self.trials[0].shrink(found, self.excess, self.is_clear)

    def on_basis(self) -> tuple[tuple[Array, ...] | None, float]:
        a, b = self.trials
        cells, zero = list(np.ndindex(a.operator.shape)), np.zeros(a.operator.shape)
        faint = share(a(zero), b(zero))
        for cell, one, other in zip(cells, a.columns(cells), b.columns(cells), strict=True):
            if self._excess(one, other, norm=1) > 1:
                return (impulse(a.operator.shape, cell),), faint
            faint = max(faint, share(one, other))
        return None, faint

    def _excess(self, left: Array, right: Array, norm: float) -> float:
        a, b = self.trials
        if np.array_equal(left, right, equal_nan=True):
            return 0.0
        if not (np.isfinite(left).all() and np.isfinite(right).all()):
            return np.nan if a.failed(left) or b.failed(right) else np.inf
        bounds = [t.rounding.bound(left, right, norm, responses=1) for t in (a, b)]
        return exceeding(np.abs(left - right), bounds[0] + bounds[1])
