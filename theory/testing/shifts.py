"""An input that shows that the output does not follow a shift by several cells.

A diagnosis has a witness against the shift by one cell; what is demanded may be another one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from theory.diagnosis.calling import Operator
from theory.diagnosis.equations import Equation
from theory.diagnosis.findings import Diagnosis
from theory.diagnosis.inputs import impulses, probes
from theory.diagnosis.inside import examined
from theory.diagnosis.isolation import isolated
from theory.diagnosis.search import BUDGET
from theory.testing.replaying import Counterexample


def not_followed(
    diagnosis: Diagnosis,
    op: Callable[..., Any],
    by: Sequence[int],
    options: Mapping[str, Any],
) -> Counterexample | None:
    """Search the circle for an input whose shift the output does not follow; None if none is found.

    Parameters
    ----------
    diagnosis : Diagnosis
        The measurement.
    op : callable
        The operator that it is of.
    by : sequence of int
        Shift along each shifted axis, of which one is tried at a time.
    options : mapping
        Those that the diagnosis was made with.
    """
    if diagnosis.boundary != "circular":
        return None
    seed = options.get("seed", 0)
    calling = {name: options[name] for name in ("axes", "batched", "dtype") if name in options}
    with isolated(seed):
        operator = Operator(op, diagnosis.shape, **calling)
        trials = examined(operator, options.get("budget", BUDGET), seed)
        for equation in _equations(operator, by):
            rng = np.random.default_rng(seed)
            inputs = (*impulses(operator.shape), *probes(operator.shape, rng, operator.significand))
            size = functools.partial(trials.excess, equation)
            for x in inputs:
                if size((x,)) > 1:
                    shrunk = trials.shrink((x,), size)
                    return Counterexample.of(trials.witness(equation, shrunk))
    return None


def _equations(operator: Operator, by: Sequence[int]) -> Iterator[Equation]:
    """Yield what it is to follow a shift, for each axis where it is a whole one of the output."""
    sizes_out = operator.output_spatial_shape or ()
    axes = zip(operator.axes, operator.spatial_shape, sizes_out, by, strict=False)
    for axis, n, m, k in axes:
        if k * m % n == 0:
            yield Equation(
                "shift_equivariant",
                shift=operator.along(axis, k),
                output_shift=operator.along(axis, k * m // n),
            )
