"""The study of mnist-2017 runs what the report describes and measures all that it claims."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from experiments import networks
from experiments.catalog.mnist_2017 import COMPLETIONS, NETWORKS, STUDY
from tests.catalog_steps import assert_every_weight_moves
from theory.ledger import claims

SHAPES = {"mnist": ((1, 28, 28), 10), "mnist-pairs": ((1, 56, 28), 19)}


def built(role: str) -> torch.nn.Module:
    recipe = STUDY.recipe(role, "1000")
    shape, classes = SHAPES[recipe.dataset]
    torch.manual_seed(0)
    network = networks.build(recipe.network, shape, recipe.filters, classes)
    networks.initialise(network, recipe.initialisation)
    return network


def parameters(role: str) -> int:
    return sum(p.numel() for p in built(role).parameters())


def test_the_networks_have_as_many_parameters_as_the_report_counts() -> None:
    [total] = claims()["mnist-2017-q1-total"].reported
    for role in ("baseline", "linear", "examples-all", "examples-250", "keep-0.75", "keep-0.5"):
        assert parameters(role) == total == 3_274_634
    assert parameters("one-conv") == claims()["mnist-2017-q3a-params"].reported["total"] == 63_250


def test_the_minimal_network_differs_by_the_misprint_of_its_first_layer() -> None:
    [printed] = claims()["mnist-2017-q3b-total"].reported
    first_layer = claims()["mnist-2017-q3b-conv1"].reported["weights"]
    assert (printed, first_layer) == (1_326_586, 294)
    assert parameters("minimal") == printed - first_layer + 16 * 7 * 7


def test_the_reduced_and_the_sum_network_have_the_described_layers() -> None:
    first = 32 * 25 + 32
    assert parameters("reduced-250") == (
        first + (64 * 32 * 9 + 64) + (7 * 7 * 64 * 300 + 300) + (300 * 10 + 10)
    )
    shared_by_both_halves = 7 * 7 * 64 * 1024 + 1024
    assert parameters("digit-sum") == (
        first + (64 * 32 * 25 + 64) + shared_by_both_halves + (2048 * 19 + 19)
    )


def test_every_empirical_claim_is_stated_and_no_other() -> None:
    empirical = {c.id for c in claims().values() if c.report == STUDY.name and c.empirical}
    assert set(STUDY.claims) == empirical
    assert len(empirical) == 9


def test_each_completion_trains_for_as_many_iterations_as_it_says() -> None:
    for recipe in STUDY.recipes:
        _, _, completion = recipe.name.rpartition(".")
        assert f"{recipe.steps * recipe.epochs:,} iterations" == COMPLETIONS[completion]
        assert recipe.batch == 50


def test_question_2_alone_is_about_20000_iterations() -> None:
    """Of no other claim does the report say for how long its network was trained."""
    iterations = claims()["mnist-2017-q2-linear-acc"].reported["iterations"]
    of_question_2 = {claim for claim in STUDY.claims if claim.startswith("mnist-2017-q2-")}
    assert STUDY.stated == dict.fromkeys(of_question_2, str(iterations))
    assert len(of_question_2) == 2
    others = [claims()[claim].reported for claim in STUDY.claims if claim not in of_question_2]
    assert not any(isinstance(reported, dict) and "iterations" in reported for reported in others)


def test_dropout_stands_where_the_question_has_it() -> None:
    kept = {role: network.count("drop0.5") for role, network in NETWORKS.items()}
    assert kept == dict.fromkeys(NETWORKS, 0) | {
        "one-conv": 1,
        "minimal": 1,
        "baseline": 1,
        "linear": 1,
        "keep-0.5": 3,
    }
    assert NETWORKS["keep-0.75"] == NETWORKS["keep-0.5"].replace("drop0.5", "drop0.25")
    assert NETWORKS["examples-all"] == NETWORKS["examples-250"]
    without = NETWORKS["examples-all"]
    assert NETWORKS["baseline"] == without.replace("relu fc10", "relu drop0.5 fc10")


def test_the_linear_network_is_the_baseline_without_relu_and_maximum() -> None:
    assert NETWORKS["linear"] == NETWORKS["baseline"].replace("relu ", "").replace("max", "avg")


def test_only_the_questions_on_few_examples_have_few() -> None:
    few = {recipe.name.rpartition(".")[0] for recipe in STUDY.recipes if recipe.examples == 250}
    assert few == {"examples-250", "reduced-250", "keep-0.75", "keep-0.5"}
    assert all(recipe.examples in (None, 250) for recipe in STUDY.recipes)


@pytest.mark.parametrize("role", NETWORKS)
def test_every_recipe_takes_a_step(role: str) -> None:
    recipe = dataclasses.replace(STUDY.recipe(role, "1000"), batch=4)
    assert_every_weight_moves(recipe, *SHAPES[recipe.dataset])
