"""What is measured on two operators: whether they agree, and an input on which they do not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from theory.diagnosis.calling import Array, Operator
from theory.diagnosis.findings import Finding, but_for
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


def on_basis(what: str, faint: float, of: str, operators: tuple[Operator, Operator]) -> Agreement:
    """Return that two operators agree on a basis: exhausted if exactly, else no more than sampled.

    Two operators may round the same products in different ways, and a bound that is cautious in
    refuting is rash in confirming: no difference is so small that it could be told from a fault.

    Parameters
    ----------
    what : str
        What is the same.
    faint : float
        The largest `share` among the responses, which the bound lets pass.
    of : str
        What it is a share of.
    operators : tuple of Operator
        Both of them.
    """
    if not faint:
        return Agreement(Finding(True, "exhausted", what))
    double = all(each.dtype is torch.float64 for each in operators)
    return Agreement(Finding(True, "sampled", f"{what}{but_for(faint, of, double)}"))


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


def as_called(inputs: tuple[Array, ...], operators: tuple[Operator, Operator]) -> tuple[Array, ...]:
    """Return inputs in the narrower of the precisions that two operators are called with."""
    single = np.float32 in [operator.array_type for operator in operators]
    return tuple(x.astype(np.float32 if single else np.float64) for x in inputs)
