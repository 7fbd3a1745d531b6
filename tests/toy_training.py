"""A small recipe on the digits, and its training."""

from __future__ import annotations

from experiments.recipe import Optimizer, Recipe
from experiments.training import train

RECIPE = Recipe("small.adam", "conv-fc", "digits", Optimizer("adam", 0.003), epochs=2, filters=2)


def trained(recipe=RECIPE, seed=0, **options):
    """Train on one thread, and return the record."""
    return train(recipe, seed, study="test", threads=1, **options)
