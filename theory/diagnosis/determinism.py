"""Whether the same input gives the same output: randomness and hidden state are looked for here.

To ask twice finds what changes often. What draws random numbers and changes the output once in a
thousand calls is known by what it draws from: a generator that has moved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from theory.diagnosis.errors import OperatorError
from theory.diagnosis.findings import Finding
from theory.diagnosis.generators import Generators, owned
from theory.diagnosis.inputs import probes
from theory.diagnosis.isolation import isolated
from theory.diagnosis.witnesses import Witness

if TYPE_CHECKING:
    from theory.diagnosis.calling import Array, Operator

_ONCE = ", seen once: no sequence of calls that was tried since shows it again"
"""What to add where the witness is what was seen, and its replay may show nothing."""


class Repetition:
    """Responses of the operator as it was given, to be asked for again later."""

    def __init__(self, operator: Operator, rng: np.random.Generator) -> None:
        self._operator = operator
        # Richest first: an early change of state would not show in the response to zero.
        self._inputs = list(probes(operator.shape, rng, operator.significand))[::-1]
        operator.reset()
        self._generators, self._owned = Generators.now(), owned(operator.called)
        self._first = [_response(operator, x) for x in self._inputs]

    def judge(self) -> Finding:
        """Ask for every response once more, and find out whether any has changed."""
        for x, first in zip(self._inputs, self._first, strict=True):
            again = _response(self._operator, x)
            if not np.array_equal(again, first, equal_nan=True):
                witness = self._witness(np.ones_like(x)) or self._witness(x)
                if witness is None:
                    return _refuted(self._witness_of((x, x), first, again), _ONCE)
                return _refuted(witness)
        return Finding(True, "sampled", self._alike())

    def drawn_from(self) -> tuple[str, ...]:
        """Return the generators that have moved since the first call, whoever has moved them.

        A move is all that is seen: what was drawn may have been left unused.
        """
        after = owned(self._operator.called)
        own = (
            f"its generator {name}"
            for name, state in after.items()
            if self._owned.get(name) != state
        )
        return (*self._generators.moved(), *own)

    def judge_drawing(self, how: str) -> Finding:
        """Search further where the output may be made of random numbers.

        If nothing is found, it may still be that they change the output too seldom to be seen, as
        well as never, where they are multiplied by 0 for one: neither is more than a guess.

        Parameters
        ----------
        how : str
            How it is known that they are drawn, as a sentence.
        """
        witness = self._witness(np.ones_like(self._inputs[0]))
        if witness is not None:
            return _refuted(witness)
        return Finding(None, "undecided", f"{how}, though {self._alike()}")

    def _alike(self) -> str:
        return f"{len(self._inputs)} inputs give the same outputs when repeated"

    def _witness(self, x: Array) -> Witness | None:
        """Return a short sequence of calls, found by search, whose last output is not its first.

        Or, where what was called before matters and not how often, not that of a fresh copy.
        """
        x = x.astype(self._operator.array_type)
        others = [y for each in self._inputs if not np.array_equal(y := each.astype(x.dtype), x)]
        (alone,) = self._outputs((x,))
        for inputs in [
            (x, x),
            (x,) * 8,
            *((x, y, x) for y in others),
            *((y, x) for y in reversed(others)),
            (x,) * 512,
        ]:
            outputs = self._outputs(inputs)
            left = outputs[0] if inputs[0] is x else alone
            for calls in range(2, len(inputs) + 1):
                right = outputs[calls - 1]
                finite = np.isfinite(left).all() and np.isfinite(right).all()
                if inputs[calls - 1] is x and finite and not np.array_equal(left, right):
                    return self._witness_of(inputs[:calls], left, right)
        return None

    def _outputs(self, inputs: tuple[Array, ...]) -> list[Array]:
        """Return the outputs of calls in a row, in the state in which the operator was given."""
        self._operator.reset()
        with isolated(seed=0):
            return [_response(self._operator, each) for each in inputs]

    def _witness_of(self, inputs: tuple[Array, ...], left: Array, right: Array) -> Witness:
        batched = self._operator.batched
        return Witness("deterministic", inputs, left, right, batched=batched)


def _refuted(witness: Witness, but: str = "") -> Finding:
    why = f"the same input gives different outputs (randomness or hidden state){but}"
    return Finding(False, "refuted", why, witness)


def _response(operator: Operator, x: Array) -> Array:
    try:
        return operator(x)
    except OperatorError:
        return np.full(operator.output_shape, np.nan)
