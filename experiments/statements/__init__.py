"""Statements: the parts of claims, each about one quantity, and what decides them."""

from experiments.statements.exactly import Exactly
from experiments.statements.reported import Reported
from experiments.statements.statement import (
    FEWEST_EQUAL,
    FEWEST_SEEDS,
    Judgement,
    Statement,
    Verdict,
)
from experiments.statements.within import Within

__all__ = [
    "FEWEST_EQUAL",
    "FEWEST_SEEDS",
    "Exactly",
    "Judgement",
    "Reported",
    "Statement",
    "Verdict",
    "Within",
]
