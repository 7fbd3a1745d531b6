"""Recipes: a digest that stays, and impossible settings that are refused."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from experiments.errors import InputError
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
        ({"epochs": 1.5}, r"recipe 'small\.adam': epochs must be an integer, got 1\.5"),
        ({"epochs": 10.0}, r"epochs must be an integer, got 10\.0"),
        ({"epochs": "3"}, "epochs must be an integer, got '3'"),
        ({"epochs": None}, "epochs must be an integer, got None"),
        ({"epochs": True}, "epochs must be an integer, got True"),
        ({"batch": None}, "batch must be an integer, got None"),
        ({"validation": None}, "validation must be an integer, got None"),
        ({"filters": 2.0}, r"filters must be an integer, got 2\.0"),
        ({"dataset": "svhn"}, "dataset 'svhn' is unknown; known: cifar10, mnist, mnist-pairs, dig"),
        ({"optimizer": {"name": "sgd", "lr": 0.1}}, "optimizer must be an Optimizer, got {'name'"),
        ({"network": None}, "network must be text, got None"),
        ({"augmentation": None}, "augmentation must be text, got None"),
        ({"augmentation": "pad1\u0661"}, "augmentation 'pad1\u0661' is unknown"),
    ],
)
def test_an_impossible_recipe_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(RECIPE, **change)


@pytest.mark.parametrize(
    "name",
    ["../../x.sgd", "/x.sgd", "a/b.sgd", "a\\b.sgd", "", "a b.sgd", "x\0.sgd", "\u00fc.sgd", 3],
)
def test_a_recipe_is_named_as_a_file_may_be(name):
    """Red where its records would be written into another folder than the store's."""
    with pytest.raises(InputError, match="a recipe's name is made of letters, digits and"):
        dataclasses.replace(RECIPE, name=name)


def test_an_integer_of_any_type_makes_the_same_recipe():
    """Red where one of NumPy's cannot be hashed into a digest."""
    fields = {"epochs": 10, "batch": 8, "filters": 3, "steps": 5, "examples": 9, "validation": 2}
    fields |= {"patience": 4, "resize": 16}
    own = dataclasses.replace(RECIPE, **fields)
    foreign = {name: np.int64(value) for name, value in fields.items()}
    numpys = dataclasses.replace(RECIPE, **foreign)
    assert numpys.digest == own.digest
    assert json.dumps(numpys.to_dict()) == json.dumps(own.to_dict())


def test_a_setting_has_one_spelling():
    """Red where one schedule has two digests, and so is trained twice."""
    for schedule in ("exponential-0.95", "step-10-0.1"):
        assert Optimizer("sgd", 0.1, schedule=schedule).schedule == schedule
    for schedule in (
        *("exponential-.95", "exponential-0.950", "exponential-0.0", "step-10-.1", "step-010-0.1"),
        *("exponential-0.9\u0665", "step-10-0.10"),
    ):
        with pytest.raises(InputError, match="is unknown; known: constant, exponential"):
            Optimizer("sgd", 0.1, schedule=schedule)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rmsprop", 0.1), "'rmsprop' is unknown"),
        (("sgd", 0.0), "must be positive"),
        (("sgd", float("nan")), "must be positive"),
        (("sgd", float("inf")), "learning rate must be positive and finite, got inf"),
        (("sgd", "0.1"), "learning rate must be a number, got '0.1'"),
        (("sgd", None), "learning rate must be a number, got None"),
        (("sgd", True), "learning rate must be a number, got True"),
        (("sgd", np.array([0.1, 0.2])), "learning rate must be a number, got array"),
        (("sgd", 10**400), "learning rate must be a number, got 1000"),
        (("sgd", 0.1, float("nan")), r"must be in \[0, 1\), got nan"),
        (("sgd", 0.1, "0.9"), "momentum must be a number, got '0.9'"),
        (("sgd", 0.1, 0.0, float("inf")), "weight decay must be finite and not negative, got inf"),
        (("sgd", 0.1, 0.0, 0.0, None), "schedule must be text, got None"),
        (("sgd", 0.1, 1.0), r"must be in \[0, 1\)"),
        (("adam", 0.1, 0.9), "Adam has no momentum"),
        (("sgd", 0.1, 0.0, -1e-4), "weight decay must be finite and not negative"),
        (("sgd", 0.1, 0.0, 0.0, "linear"), "schedule 'linear' is unknown; known: constant"),
        (("sgd", 0.1, 0.0, 0.0, "step-0-0.1"), "schedule 'step-0-0.1' is unknown"),
    ],
)
def test_an_impossible_optimiser_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Optimizer(*arguments)


@pytest.mark.parametrize("epoch", [(0, 3), (4, 3), (1, 0), (1.5, 3)])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "step-10-0.1"])
def test_an_epoch_that_no_run_has_has_no_learning_rate(epoch, schedule):
    with pytest.raises(InputError, match="epoch"):
        Optimizer("sgd", 0.1, schedule=schedule).lr_at(*epoch)
