"""What is measured on two operators: whether they agree, and inputs on which they do not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from theory.diagnosis.calling import Array, Operator
from theory.diagnosis.findings import SINGLE, Finding, but_for
from theory.diagnosis.inside import examined
from theory.diagnosis.search import exceeds_single_precision
from theory.testing.replaying import Counterexample


@dataclass(frozen=True, eq=False)
class Agreement:
    """Whether two operators agree, how that is known, and where they do not.

    Attributes
    ----------
    finding : Finding
        The verdict.
    counterexample : Counterexample, optional
        An input on which they do not.
    """

    finding: Finding
    counterexample: Counterexample | None = None


class Comparison(ABC):
    """Two operators under trial, and the verdict on whether they agree.

    A subclass says which inputs are tried, how far apart the two sides are, and how that is told.

    Parameters
    ----------
    given : pair of callable
        The two as they were given, for the replay.
    operators : pair of Operator
        The same, normalised.
    batched, budget, seed
        As in `theory.diagnose`.

    Attributes
    ----------
    replay : callable
        The function of `theory.testing` that computes the two sides.
    arguments, formulas : pair of str
        What its arguments for the two operators are called, and the two sides.
    fails, same, value : str
        What is said where inputs make the sides differ; of a whole basis on which they do not; and
        what the values are that are compared there.
    """

    replay: ClassVar[Callable[..., tuple[Array, Array]]]
    arguments: ClassVar[tuple[str, str]]
    formulas: ClassVar[tuple[str, str]]
    fails: ClassVar[str]
    same: ClassVar[str]
    value: ClassVar[str]

    def __init__(
        self,
        given: tuple[Callable[..., Any], Callable[..., Any]],
        operators: tuple[Operator, Operator],
        batched: bool | None,
        budget: int,
        seed: int,
    ) -> None:
        one, other = operators
        self.trials = examined(one, budget, seed), examined(other, budget, seed)
        self.rng = np.random.default_rng(seed)
        self._given = given
        self._batched = batched

    @property
    @abstractmethod
    def unanswered(self) -> str:
        """Why nothing follows where no difference is found; empty if something does."""

    @abstractmethod
    def excess(self, inputs: tuple[Array, ...]) -> float:
        """Return how many rounding bounds lie between the two sides; NaN if one is an error."""

    @abstractmethod
    def search(self) -> tuple[Array, ...] | None:
        """Return small inputs on which the sides differ, clearly if there are such."""

    @abstractmethod
    def on_basis(self) -> tuple[tuple[Array, ...] | None, float]:
        """Return the first unit impulses on which the sides differ.

        Beside it is returned the largest `share` among the values, which the bound lets pass.
        """

    def is_clear(self, inputs: tuple[Array, ...]) -> bool:
        """Whether the two sides differ by more than what single precision rounds."""
        return exceeds_single_precision(lambda: self.excess(inputs), *self.trials)

    def searched(self) -> Agreement | None:
        """Return that the two disagree, or why that is undecided; None if no input shows it."""
        found = self.search()
        if found is not None:
            return self._disagreement(found)
        if why := self.unanswered:
            return Agreement(Finding(None, "undecided", f"no difference found, but {why}"))
        return None

    def exhausted(self) -> Agreement:
        """Return whether the two agree on a basis: exhausted if exactly, else sampled at most.

        Two operators may round the same products in different ways, and a bound that is cautious
        in refuting is rash in confirming: no difference is so small that it could be told from a
        fault.
        """
        found, faint = self.on_basis()
        if found is not None:
            return self._disagreement(found)
        if not faint:
            return Agreement(Finding(True, "exhausted", self.same))
        double = all(each.operator.dtype is torch.float64 for each in self.trials)
        reason = f"{self.same}{but_for(faint, self.value, double)}"
        return Agreement(Finding(True, "sampled", reason))

    def _disagreement(self, found: tuple[Array, ...]) -> Agreement:
        """Return the inputs, in the narrower of the two precisions, as a counterexample."""
        single = np.float32 in [each.operator.array_type for each in self.trials]
        inputs = tuple(x.astype(np.float32 if single else np.float64) for x in found)
        advice = "" if self.is_clear(found) else SINGLE
        return Agreement(
            Finding(False, "refuted", f"{self.fails}{advice}"),
            Counterexample(
                self.replay.__name__,
                self.arguments,
                inputs,
                {} if self._batched is None else {"batched": self._batched},
                self.formulas,
                *self.replay(*self._given, *inputs, batched=self._batched),
            ),
        )


def share(left: Array, right: Array) -> float:
    """Return the largest difference of two responses as a share of the values; 0 if there is none.

    NaN is the same as NaN here, where no difference is left to find.
    """
    if (left == right).all():  # as most are, one by one over the whole basis
        return 0.0
    differs = (left != right) & ~(np.isnan(left) & np.isnan(right))
    left, right = left[differs], right[differs]
    sizes = np.maximum(np.abs(left), np.abs(right))
    return float((np.abs(left - right) / sizes).max(initial=0.0))
