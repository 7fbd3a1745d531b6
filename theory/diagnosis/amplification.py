"""How much of what is rounded inside an operator reaches each cell of its output.

Where there is a graph, every value in it that depends on the input is changed at random by a small
share of itself, as rounding does by a far smaller one. What the graph amplifies, mixes or keeps
apart of those changes, it does so of rounding, and where values cancel, their changes do not. A
primitive that rounds relative to a norm, as a Fourier transform does, is met as well: the changes
to its input reach all of its output. A complex number is changed in both parts, each in proportion
to its magnitude. The method is that of stochastic arithmetic [1]_.

.. [1] D. S. Parker, Monte Carlo Arithmetic, UCLA CSD-970002, 1997.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from theory.diagnosis.values import Values, is_inexact

if TYPE_CHECKING:
    from theory.diagnosis.calling import Array, Operator

_SHARE = 2.0**-8
"""By how much of itself a value is changed at most; the least is half of that."""

_RUNS = 2
"""How often each input is tried: one run may miss by chance what another one shows."""


@dataclass(frozen=True, eq=False)
class Amplification:
    """How much reaches each output cell, relative to the share by which all values are changed.

    Attributes
    ----------
    at_ones : array of the output's shape
        The largest of what reaches it where the input is 1 or -1 in every cell.
    at_zero : array of the output's shape
        The same where the input is 0.
    """

    at_ones: Array
    at_zero: Array


def amplification(operator: Operator, graph: torch.fx.Graph) -> Amplification | None:
    """Return how a graph amplifies what is rounded inside, None where it has no finite output.

    Parameters
    ----------
    operator : Operator
        The operator.
    graph : torch.fx.Graph
        Its graph, from `theory.diagnosis.tracing.trace`.
    """
    changed = _Changed(graph, operator)
    signs = np.random.default_rng(0).choice((-1.0, 1.0), (2, *operator.shape))
    try:
        at_ones = np.max([changed.reaching(x) for x in signs], axis=0)
        at_zero = changed.reaching(np.zeros(operator.shape))
    except Exception:  # the operator may raise on these
        return None
    if not (np.isfinite(at_ones).all() and np.isfinite(at_zero).all()):
        return None
    return Amplification(at_ones, at_zero)


class _Changed(Values):
    """Runs a graph, and changes at random what depends on its input."""

    def __init__(self, graph: torch.fx.Graph, operator: Operator) -> None:
        super().__init__(graph)
        self._operator = operator
        self._random = torch.Generator().manual_seed(0)
        self._share = 0.0

    def reaching(self, x: Array) -> Array:
        """Return how much reaches each output cell, relative to the share."""
        unchanged = self._outputs(x, 0.0)
        reached = [np.abs(self._outputs(x, _SHARE) - unchanged) for _ in range(_RUNS)]
        largest: Array = np.max(reached, axis=0) / _SHARE
        return largest

    def _outputs(self, x: Array, share: float) -> Array:
        self._share = share
        return self._operator.unwrap(self.run(self._operator.wrap(x)))

    def taken(self, value: Any) -> Any:
        """Return a value with random changes; what is no inexact number as it is."""
        if isinstance(value, tuple | list):
            return type(value)(self.taken(each) for each in value)
        if not self._share or not is_inexact(value):
            return value
        change = self._numbers(value)
        if value.is_complex():
            change = torch.complex(change, self._numbers(value))
        return value + (self._share * value.abs() * change.to(value.device)).to(value.dtype)

    def _numbers(self, value: torch.Tensor) -> torch.Tensor:
        """Return random numbers of magnitude 1/2 to 1, of both signs, one for each cell."""
        numbers = 2 * torch.rand(value.shape, generator=self._random, dtype=torch.float64) - 1
        return numbers.sign() * (1 + numbers.abs()) / 2
