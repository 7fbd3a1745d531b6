"""The embedded study: the same four networks on scikit-learn's 8x8 digits, in a minute.

It needs no network and no data folder. Its statements are our own: they ask on small images what
the reports ask on CIFAR-10.
"""

from __future__ import annotations

from experiments.recipe import Optimizer, Recipe
from experiments.study import Study

COMPLETIONS = {"adam": "Adam at learning rate 0.001, batch 32, 20 epochs"}


def _recipe(role: str, network: str) -> Recipe:
    return Recipe(f"{role}.adam", network, 8, "digits", Optimizer("adam", 0.001), 20, batch=32)


STUDY = Study(
    name="digits",
    title="Non-linear against linear, FC against global average pooling (8x8 digits)",
    completions=COMPLETIONS,
    recipes=(
        _recipe("two-conv", "two-conv"),
        _recipe("linear", "linear-two-conv"),
        _recipe("conv-fc", "conv-fc"),
        _recipe("conv-gap", "conv-gap"),
    ),
    statements=(),
)
