"""What is measured on two operators: whether they agree, and an input on which they do not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from theory.diagnosis.calling import Array, Operator
from theory.diagnosis.findings import Finding
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


def as_called(inputs: tuple[Array, ...], operators: tuple[Operator, Operator]) -> tuple[Array, ...]:
    """Return inputs in the narrower of the precisions that two operators are called with."""
    single = np.float32 in [operator.array_type for operator in operators]
    return tuple(x.astype(np.float32 if single else np.float64) for x in inputs)
