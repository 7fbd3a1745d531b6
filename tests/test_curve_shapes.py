"""Turning points, rises and jumps are read where they are."""

from __future__ import annotations

import math

import pytest

from experiments.errors import InputError
from experiments.quantities import jumpiness, steps_to_reach, turning_point
from experiments.recipe import Optimizer, Recipe

RECIPE = Recipe("net.sgd", "gap fc10", "cifar10", Optimizer("sgd", 0.01), epochs=5)


def test_the_turning_point_counts_from_one_and_stops_where_told(make_record) -> None:
    runs = {"net": {0: make_record(RECIPE, 0, test_loss=[3.0, 2.0, 2.5, 1.0, 4.0])}}
    assert turning_point("net", 5).values(runs) == {0: 4}
    assert turning_point("net", 3).values(runs) == {0: 2}


def test_a_lost_run_has_no_turning_point(make_record) -> None:
    runs = {"net": {0: make_record(RECIPE, 0, diverged_after=3)}}
    assert math.isnan(turning_point("net", 5).values(runs)[0])
    assert turning_point("net", 3).values(runs) == {0: 1}


def test_a_level_is_reached_in_the_first_epoch_that_is_as_good(make_record) -> None:
    run = make_record(
        RECIPE,
        0,
        test_accuracy=[0.1, 0.5, 0.4, 0.6, 0.7],
        train_loss=[2.0, 1.0, 1.5, 0.5, 0.4],
    )
    runs = {"net": {0: run}}
    for metric, level, epoch in (
        ("test_accuracy", 0.5, 2),
        ("test_accuracy", 0.55, 4),
        ("train_loss", 1.0, 2),
        ("train_loss", 0.9, 4),
    ):
        assert steps_to_reach(metric, "net", level, 5, every=4).values(runs) == {0: 4 * epoch}
    # What a run did before it was lost stands.
    lost = {"net": {0: make_record(RECIPE, 0, test_accuracy=[0.1, 0.5, 0.6], diverged_after=3)}}
    assert steps_to_reach("test_accuracy", "net", 0.5, 5, every=4).values(lost) == {0: 8}


def test_a_level_is_told_as_what_it_is_a_level_of() -> None:
    for metric, told in (("train_loss", "train loss of 0.500"), ("test_accuracy", "50.0 %")):
        quantity = steps_to_reach(metric, "net", 0.5, 5, every=4)
        assert str(quantity).startswith("steps to a ")
        assert str(quantity).endswith(f"{told}, net")


def test_a_level_that_is_not_reached_counts_as_one_epoch_more(make_record) -> None:
    run = make_record(RECIPE, 0, test_accuracy=[0.1, 0.2, 0.3, 0.4, 0.9])
    runs = {"net": {0: run}}
    reach = steps_to_reach("test_accuracy", "net", 0.8, 4, every=4)
    assert reach.values(runs) == {0: 20}
    late = {"net": {0: make_record(RECIPE, 0, test_accuracy=0.1, diverged_after=4)}}
    assert reach.values(late) == {0: 20}
    lost = {"net": {0: make_record(RECIPE, 0, test_accuracy=0.1, diverged_after=3)}}
    assert math.isnan(reach.values(lost)[0])


def test_a_straight_curve_does_not_jump(make_record) -> None:
    straight = make_record(RECIPE, 0, train_accuracy=[0.125, 0.25, 0.375, 0.5, 0.625])
    zigzag = make_record(RECIPE, 1, train_accuracy=[0.0, 0.5, 0.0, 0.5, 0.0])
    runs = {"net": {0: straight, 1: zigzag}}
    assert jumpiness("train_accuracy", "net", 5).values(runs) == {0: 0.0, 1: 1.0}
    assert math.isnan(
        jumpiness("train_accuracy", "net", 5).values(
            {"net": {0: make_record(RECIPE, 0, diverged_after=4)}}
        )[0]
    )


def test_units_and_epochs_that_must_be_there() -> None:
    for quantity, unit in (
        (turning_point("net", 5), "count"),
        (jumpiness("train_loss", "net", 5), "nats"),
        (jumpiness("test_accuracy", "net", 5), "points"),
        (steps_to_reach("test_loss", "net", 1.0, 5, every=4), "count"),
    ):
        assert quantity.unit == unit
        assert quantity.reads == {"net": 5}
        assert not quantity.of_test_set


def test_what_is_read_off_a_grid_says_how_fine_it_is() -> None:
    assert turning_point("net", 5).grid == 1
    assert steps_to_reach("test_loss", "net", 1.0, 5, every=4).grid == 4
    assert jumpiness("train_loss", "net", 5).grid == 0


def test_jumps_at_the_start_can_be_left_out(make_record) -> None:
    curve = [0.0, 0.5, 0.5, 0.5, 0.5]
    runs = {"net": {0: make_record(RECIPE, 0, train_accuracy=curve)}}
    assert jumpiness("train_accuracy", "net", 5).values(runs)[0] > 0
    assert jumpiness("train_accuracy", "net", 5, first=2).values(runs) == {0: 0.0}
    late = {"net": {0: make_record(RECIPE, 0, train_accuracy=[0.0, 0.0, 0.0, 0.0, 0.5])}}
    assert jumpiness("train_accuracy", "net", 5, first=3).values(late) == {0: 0.5}


@pytest.mark.parametrize(
    "shape",
    [
        lambda metric: steps_to_reach(metric, "net", 0.5, 5, every=4),
        lambda metric: jumpiness(metric, "net", 5),
    ],
)
def test_a_curve_that_is_none_is_named(shape):
    with pytest.raises(InputError, match=r"^metric 'loss' is unknown; known: train_loss, "):
        shape("loss")


@pytest.mark.parametrize(("first", "last"), [(0, 5), (1, 2), (4, 5)])
def test_a_second_difference_needs_three_epochs(first, last):
    """Red if it is NaN instead, as of runs that diverged."""
    with pytest.raises(InputError, match=f"is of three epochs, .* got {first} to {last}$"):
        jumpiness("test_loss", "net", last, first=first)
    jumpiness("test_loss", "net", 3)
