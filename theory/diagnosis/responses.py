"""The responses of an operator: remembered, and those to unit impulses many at a time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from theory.diagnosis.errors import OperatorError
from theory.diagnosis.measuring import channel_axes, measured_rounding
from theory.signals import impulse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from theory.diagnosis.amplification import Amplification
    from theory.diagnosis.calling import Array, Operator
    from theory.diagnosis.rounding import Rounding

_REMEMBERED_VALUES = 2**24
"""Values of all responses that are remembered, or of the inputs where those are larger."""


_CHECKED_TOGETHER = 128
"""Impulses whose responses in batches are checked by one single call."""


_CACHED_VALUES = 2**16
"""Output values of one batch: more would leave the processor's cache, and are slower."""


class Responses:
    """Responses to inputs without batch, what rounds in them, and the first input that has none.

    Parameters
    ----------
    operator : Operator
        The operator.
    held : float, optional
        Largest magnitude of the values inside at zero, where a graph shows them. Measured if left
        out.
    amplified : Amplification, optional
        What of the rounding inside reaches the output, where a graph shows it.

    Attributes
    ----------
    failure : str
        Why nothing can be concluded where no witness is found: what happened on the first input
        without a response, or a precision that is too coarse; empty if neither.
    not_finite : str
        Which was the first input whose response has NaN or infinity; empty if none was met.
    rounding : Rounding
        What counts as a rounding error, channel by channel.
    rounding_of_sums : Rounding
        The same between sums of responses, none of which is moved: cell by cell where known.
    """

    def __init__(
        self,
        operator: Operator,
        held: float | None = None,
        amplified: Amplification | None = None,
    ) -> None:
        self.operator = operator
        self.failure = ""
        self.not_finite = ""
        self._finite = False
        self._memory: dict[bytes, Array] = {}
        self._batches = operator.batched
        largest = max(math.prod(operator.shape), math.prod(operator.output_shape))
        self._capacity = max(8, _REMEMBERED_VALUES // largest)
        self.rounding_of_sums: Rounding = measured_rounding(operator, self, held, amplified)
        self.rounding: Rounding = self.rounding_of_sums.along(channel_axes(operator))
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

    @property
    def unanswered(self) -> str:
        """Why responses that are alike conclude nothing: `failure`, or none had a finite value."""
        nothing = "" if self._finite else "no output that was tried has a finite value"
        return self.failure or nothing

    def failed(self, response: Array) -> bool:
        """Whether nothing but NaN may stand for an error, of which `failure` tells."""
        return bool(self.failure) and bool(np.isnan(response).all())

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
        weights = np.random.default_rng(0).integers(1, 10, len(cells)).astype(float)
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


def _described(x: Array) -> str:
    low, high = x.min(), x.max()
    values = f"values from {low:g} to {high:g}" if low < high else f"the value {low:g} everywhere"
    return f"an input with {values}"
