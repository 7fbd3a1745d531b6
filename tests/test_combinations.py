"""Trends and medians are taken seed by seed, over the seeds that every quantity has."""

from __future__ import annotations

import math

import numpy as np
import pytest

from experiments.quantities import (
    at_epoch,
    at_the_end,
    difference,
    largest_lead,
    median_of,
    parameters,
    trend,
    turning_point,
)
from experiments.recipe import Optimizer, Recipe


def _recipe(role: str) -> Recipe:
    return Recipe(f"{role}.sgd", "gap fc10", "cifar10", Optimizer("sgd", 0.01), epochs=4)


@pytest.fixture
def runs(make_record):
    """Make up runs of each role with these test accuracies, one for each seed."""

    def made(**accuracies):
        return {
            role: {
                seed: make_record(_recipe(role), seed, test_accuracy=value)
                for seed, value in each.items()
            }
            for role, each in accuracies.items()
        }

    return made


ACCURACY = {role: at_the_end("test_accuracy", role) for role in "abc"}


def test_the_trend_is_the_slope_of_the_least_squares_line(runs) -> None:
    quantity = trend("width", {1.0: ACCURACY["a"], 2.0: ACCURACY["b"], 4.0: ACCURACY["c"]})
    rising = {seed: [0.1 + 0.1 * x * (seed + 1) for x in (1, 2, 4)] for seed in (0, 1)}
    values = quantity.values(
        runs(**{role: {s: rising[s][i] for s in rising} for i, role in enumerate("abc")})
    )
    assert values == pytest.approx({0: 0.1, 1: 0.2})
    # Least squares, not the line through the ends: 0, 1, 0 has slope 0 on the offsets -1, 0, 1.
    even = trend("width", {1.0: ACCURACY["a"], 2.0: ACCURACY["b"], 3.0: ACCURACY["c"]})
    assert even.values(runs(a={0: 0.0}, b={0: 1.0}, c={0: 0.0})) == {0: 0.0}
    assert even.values(runs(a={0: 0.75}, b={0: 0.5}, c={0: 0.25})) == pytest.approx({0: -0.25})


def test_the_median_is_that_of_the_roles(runs) -> None:
    quantity = median_of(list(ACCURACY.values()))
    made = runs(a={0: 0.5, 1: 0.1}, b={0: 0.25, 1: 0.2}, c={0: 0.75, 1: 0.9})
    assert quantity.values(made) == {0: 0.5, 1: 0.2}


@pytest.mark.parametrize(
    "quantity",
    [
        trend("x", {0.0: ACCURACY["a"], 1.0: ACCURACY["b"]}),
        median_of([ACCURACY["a"], ACCURACY["b"]]),
    ],
)
def test_only_seeds_with_every_run_count(runs, quantity) -> None:
    made = runs(a={0: 0.5, 1: 0.5, 3: 0.5}, b={3: 0.5, 1: 0.5, 2: 0.5})
    assert set(quantity.values(made)) == {1, 3}


def test_a_lost_run_loses_its_seed(runs, make_record) -> None:
    made = runs(a={0: 0.5, 1: 0.5}, b={0: 0.5})
    made["b"][1] = make_record(_recipe("b"), 1, diverged_after=2)
    first, second = ACCURACY["a"], ACCURACY["b"]
    for quantity in (trend("x", {0: first, 1: second}), median_of([first, second])):
        values = quantity.values(made)
        assert math.isfinite(values[0])
        assert math.isnan(values[1])


def test_units_and_what_must_be_there() -> None:
    slope = trend("width", {1: at_epoch("test_accuracy", "a", 2), 2: ACCURACY["b"]})
    assert (slope.unit, slope.reads, slope.of_test_set) == ("points", {"a": 2, "b": 1}, False)
    assert str(slope) == "slope of the test accuracy per unit of width, a at epoch 2; b at the end"
    turns = median_of([turning_point("a", 4), turning_point("b", 4)])
    assert (turns.unit, turns.reads) == ("count", {"a": 4, "b": 4})
    assert str(turns) == "median epoch of the lowest test loss, a, b, of 4"
    assert trend("width", {1: turning_point("a", 4), 2: turning_point("b", 4)}).unit == "count"
    one = median_of([turning_point("a", 4)])
    assert str(one) == "median epoch of the lowest test loss, a, of 4"
    sizes = [parameters(role) for role in "abc"]
    gaps = median_of([difference(sizes[0], sizes[1]), difference(sizes[1], sizes[2])])
    assert str(gaps) == "median parameters, a − b, b − c"


def test_rounding_passes_into_what_is_combined_and_no_further() -> None:
    """Simulated: values of any spread, rounded to their grid, and what that does to the number."""
    turns = [turning_point(role, 4) for role in "abcd"]
    assert median_of(turns).grid == 1
    assert median_of([turns[0], parameters("b")]).grid == 1  # the coarsest
    levels = {1: turns[0], 2: turns[1], 4: turns[2]}
    weights = np.array([-4, -1, 5]) / 14
    assert trend("x", levels).grid == pytest.approx(float(np.linalg.norm(weights)))
    assert difference(turns[0], turns[1]).grid == pytest.approx(math.sqrt(2))

    exact = np.random.default_rng(0).normal(0, 3, (20_000, 4))
    rounding = np.round(exact) - exact
    for error, grid in (
        (np.median(np.round(exact), axis=1) - np.median(exact, axis=1), 1),
        (rounding[:, :3] @ weights, float(np.linalg.norm(weights))),
    ):
        assert error.std() < 1.02 * grid / math.sqrt(12)


def test_counted_images_pass_into_what_is_combined_as_a_grid_does() -> None:
    weights = np.array([-4, -1, 5]) / 14
    slope = trend("x", dict(zip((1, 2, 4), ACCURACY.values(), strict=True)))
    assert slope.grid_of(100) == pytest.approx(float(np.linalg.norm(weights)) / 100)
    assert median_of(list(ACCURACY.values())).grid_of(100) == pytest.approx(0.01)
    gap, lead = difference(ACCURACY["a"], ACCURACY["b"]), largest_lead("c")  # the lead has no grid
    assert median_of([gap, lead]).grid_of(100) == pytest.approx(math.sqrt(2) / 100)


def test_combinations_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="needs two levels, got 1"):
        trend("width", {1: ACCURACY["a"]})
    with pytest.raises(ValueError, match="a median needs a quantity"):
        median_of([])
    with pytest.raises(ValueError, match="cannot combine accuracy, nats"):
        median_of([ACCURACY["a"], at_the_end("test_loss", "b")])
