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
                return self._refuted(self._witness(np.ones_like(x)) or self._witness(x))
        return Finding(True, "sampled", self._alike())

    def judge_drawing(self, primitive: str) -> Finding:
        """Search further where its graph shows that the output is made of random numbers.

        If nothing is found, it may still be that they change the output too seldom to be seen, as
        well as never, where they are multiplied by 0 for one: neither is more than a guess.

        Parameters
        ----------
        primitive : str
            What draws them.
        """
        witness = self._witness(np.ones_like(self._inputs[0]))
        if witness is not None:
            return self._refuted(witness)
        why = f"its graph draws random numbers ({primitive}), though {self._alike()}"
        return Finding(None, "undecided", why)

    @staticmethod
    def _refuted(witness: Witness | None) -> Finding:
        why = "the same input gives different outputs (randomness or hidden state)"
        return Finding(False, "refuted", why, witness)

    def _alike(self) -> str:
        return f"{len(self._inputs)} inputs give the same outputs when repeated"

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
