"""Recipes: a digest that stays, and impossible settings that are refused."""

from __future__ import annotations

import dataclasses

import pytest

from experiments.recipe import Optimizer, Recipe
from tests.toy_training import RECIPE


def test_every_existing_record_keeps_its_key():
    """A digest covers what a recipe says and no setting at its default, present or future."""
    recipe = Recipe("x.sgd", "two-conv", "cifar10", Optimizer("sgd", 0.01), epochs=30, filters=20)
    assert recipe.digest == "aa0d88f7ae533d61067b31c1ea81d1058abe5a9ff2cd2ebfbf2ec3786edaa959"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": -1}, "epochs must be at least 0"),
        ({"precision": "float8"}, "precision 'float8' is unknown"),
        ({"batch": -1}, "batch must be at least 1"),
        ({"patience": 2}, "patience needs validation images"),
        ({"scaling": "log"}, "scaling 'log' is unknown; known: symmetric"),
        ({"initialisation": "zeros"}, "initialisation 'zeros' is unknown"),
    ],
)
def test_an_impossible_recipe_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(RECIPE, **change)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rmsprop", 0.1), "'rmsprop' is unknown"),
        (("sgd", 0.0), "must be positive"),
        (("sgd", float("nan")), "must be positive"),
        (("sgd", 0.1, 1.0), r"must be in \[0, 1\)"),
        (("adam", 0.1, 0.9), "Adam has no momentum"),
        (("sgd", 0.1, 0.0, -1e-4), "weight decay must not be negative"),
        (("sgd", 0.1, 0.0, 0.0, "linear"), "schedule 'linear' is unknown; known: constant"),
        (("sgd", 0.1, 0.0, 0.0, "step-0-0.1"), "schedule 'step-0-0.1' is unknown"),
    ],
)
def test_an_impossible_optimiser_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Optimizer(*arguments)
