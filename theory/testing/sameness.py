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
from theory.diagnosis.findings import SINGLE, Finding
from theory.diagnosis.inputs import probes
from theory.diagnosis.inside import examined
from theory.diagnosis.isolation import isolated
from theory.diagnosis.rounding import exceeding
from theory.diagnosis.search import BUDGET, Trials, check_search, clearest, exceeds_single_precision
from theory.signals import impulse
from theory.testing.agreement import Agreement, as_called, on_basis, share
from theory.testing.replaying import Counterexample, outputs


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
        left, right = (examined(op, budget, seed) for op in (one, other))
        x = _unlike(left, right, np.random.default_rng(seed))
        advice = "" if x is None else _advice(left, right, x)
    if x is not None:
        return _told_apart(a, b, x, (one, other), batched, advice)
    if why := left.unanswered or right.unanswered:
        return Agreement(Finding(None, "undecided", f"no difference found, but {why}"))
    exhausts = math.prod(one.shape) <= budget and all(
        diagnose(op, shape, **options).affine.certainty == "proved" for op in (a, b)
    )
    if not exhausts:
        return Agreement(Finding(True, "sampled", "no input found that tells them apart"))
    with isolated(seed):
        x, faint = _unlike_on_basis(left, right)
        advice = "" if x is None else _advice(left, right, x)
    if x is not None:
        return _told_apart(a, b, x, (one, other), batched, advice)
    what = "f(0) and the response to every unit impulse are the same"
    return on_basis(what, faint, "a value", (one, other))


def _told_apart(
    a: Callable[..., Any],
    b: Callable[..., Any],
    x: Array,
    operators: tuple[Operator, Operator],
    batched: bool | None,
    advice: str,
) -> Agreement:
    inputs = as_called((x,), operators)
    return Agreement(
        Finding(False, "refuted", f"an input tells them apart{advice}"),
        Counterexample(
            "outputs",
            ("a", "b"),
            inputs,
            {} if batched is None else {"batched": batched},
            ("a(x)", "b(x)"),
            *outputs(a, b, *inputs, batched=batched),
        ),
    )


def _unlike(a: Trials, b: Trials, rng: np.random.Generator) -> Array | None:
    """Return a small input on which two operators differ, clearly if there is such a one."""

    def size(inputs: tuple[Array, ...]) -> float:
        return _difference(a, b, inputs[0])

    def clear(inputs: tuple[Array, ...]) -> bool:
        return exceeds_single_precision(lambda: size(inputs), a, b)

    inputs = probes(a.operator.shape, rng, min(a.operator.significand, b.operator.significand))
    found = clearest(((x,) for x in inputs if size((x,)) > 1), clear)
    return None if found is None else a.shrink(found, size, clear)[0]


def _advice(a: Trials, b: Trials, x: Array) -> str:
    """Return what to say where weights, or values inside, that were rounded may be the reason."""
    clear = exceeds_single_precision(lambda: _difference(a, b, x), a, b)
    return "" if clear else SINGLE


def _unlike_on_basis(a: Trials, b: Trials) -> tuple[Array | None, float]:
    """Return the first unit impulse that two affine operators answer differently.

    And how large a share of the values differs that may be rounding, there and at zero.
    """
    cells, zero = list(np.ndindex(a.operator.shape)), np.zeros(a.operator.shape)
    faint = share(a(zero), b(zero))
    for cell, one, other in zip(cells, a.columns(cells), b.columns(cells), strict=True):
        if _excess(a, b, one, other, norm=1) > 1:
            return impulse(a.operator.shape, cell), faint
        faint = max(faint, share(one, other))
    return None, faint


def _difference(a: Trials, b: Trials, x: Array) -> float:
    return _excess(a, b, a(x), b(x), float(np.abs(x).sum()))


def _excess(a: Trials, b: Trials, left: Array, right: Array, norm: float) -> float:
    """Return how many rounding bounds lie between the responses of two operators to one input."""
    if np.array_equal(left, right, equal_nan=True):
        return 0.0
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        return np.nan if a.failed(left) or b.failed(right) else np.inf
    bounds = [t.rounding.bound(left, right, norm, responses=1) for t in (a, b)]
    return exceeding(np.abs(left - right), bounds[0] + bounds[1])
