"""A study of two networks, and claims of it, for records of runs that never happened."""

from __future__ import annotations

import numpy as np

from experiments.quantities import at_epoch
from experiments.recipe import Optimizer, Recipe
from experiments.statements import Reported
from experiments.study import Study
from experiments.verdicts import ClaimVerdict, judge

SEEDS = range(4)
# Four values with mean 0 and standard deviation 1: their t-interval is ±1.59, the prediction
# interval for a fifth ±3.56.
SPREAD = np.array([-1.5, -0.5, 0.5, 1.5]) / np.std([-1.5, -0.5, 0.5, 1.5], ddof=1)


def recipe(role: str, completion: str) -> Recipe:
    """Return the recipe of a role, wide or narrow, under a completion, slow or fast."""
    filters = {"wide": 20, "narrow": 3}[role]
    lr = {"slow": 0.001, "fast": 0.01}[completion]
    name = f"{role}.{completion}"
    return Recipe(name, "two-conv", "cifar10", Optimizer("sgd", lr), epochs=4, filters=filters)


def toy_study(*statements, completions=("slow",)) -> Study:
    """Return the study with the statements that it is to measure."""
    return Study(
        name="toy",
        title="Two networks",
        recipes=tuple(recipe(role, c) for role in ("wide", "narrow") for c in completions),
        statements=statements,
        completions={completion: f"{completion} steps" for completion in completions},
    )


def judged(statement, records) -> ClaimVerdict:
    """Return the verdict on the claim of the one statement that the study makes."""
    (verdict,) = judge(toy_study(statement), records)
    return verdict


ACCURACY = at_epoch("test_accuracy", "wide", 4)
SEVENTY = Reported("toy-acc", ACCURACY, 0.70)
