"""A sweep of two small networks on the digits."""

from __future__ import annotations

from experiments.recipe import Optimizer, Recipe
from experiments.records import Store
from experiments.study import Study
from experiments.sweep import plan

RECIPES = tuple(
    Recipe(f"{name}.adam", name, "digits", Optimizer("adam", 0.003), epochs=1, filters=2)
    for name in ("conv-fc", "conv-gap")
)
STUDY = Study("test", "A test", RECIPES, statements=(), completions={"adam": "Adam"})


def planned(root, seeds=(0, 1), **options):
    """Return the runs of the study, done and missing, in a store."""
    return plan(STUDY, seeds, Store(root), threads=1, **options)
