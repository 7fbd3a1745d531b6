"""Whether the same input gives the same output: randomness and hidden state are looked for here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from theory.diagnosis.errors import OperatorError
from theory.diagnosis.findings import Finding
from theory.diagnosis.inputs import probes
from theory.diagnosis.isolation import isolated
from theory.diagnosis.witnesses import Witness

if TYPE_CHECKING:
    from theory.diagnosis.calling import Array, Operator


class Repetition:
    """Responses of the operator as it was given, to be asked for again later."""

    def __init__(self, operator: Operator, rng: np.random.Generator) -> None:
        self._operator = operator
        # Richest first: an early change of state would not show in the response to zero.
        self._inputs = list(probes(operator.shape, rng, operator.significand))[::-1]
        operator.reset()
        self._first = [_response(operator, x) for x in self._inputs]

    def judge(self) -> Finding:
        """Ask for every response once more, and find out whether any has changed."""
        for x, first in zip(self._inputs, self._first, strict=True):
            if not np.array_equal(_response(self._operator, x), first, equal_nan=True):
                return Finding(
                    False,
                    "refuted",
                    "the same input gives different outputs (randomness or hidden state)",
                    self._witness(np.ones_like(x)) or self._witness(x),
                )
        calls = len(self._inputs)
        return Finding(True, "sampled", f"{calls} inputs give the same outputs when repeated")

    def _witness(self, x: Array) -> Witness | None:
        """Return a short sequence of calls, found by search, whose last output is not its first."""
        x = x.astype(self._operator.array_type)
        others = [y.astype(x.dtype) for y in self._inputs]
        for inputs in [(x, x), (x,) * 8, *((x, y, x) for y in others), (x,) * 512]:
            self._operator.reset()
            with isolated(seed=0):
                outputs = [_response(self._operator, each) for each in inputs]
            for calls in range(2, len(inputs) + 1):
                left, right = outputs[0], outputs[calls - 1]
                finite = np.isfinite(left).all() and np.isfinite(right).all()
                if inputs[calls - 1] is x and finite and not np.array_equal(left, right):
                    return Witness(
                        "deterministic",
                        inputs[:calls],
                        left,
                        right,
                        batched=self._operator.batched,
                    )
        return None


def _response(operator: Operator, x: Array) -> Array:
    try:
        return operator(x)
    except OperatorError:
        return np.full(operator.output_shape, np.nan)
