"""What a claim speaks of is read from the right curve, epoch and pairs of seeds."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from experiments.catalog import study
from experiments.quantities import (
    absolute,
    at_epoch,
    at_lowest_test_loss,
    at_lowest_validation_loss,
    at_the_end,
    best_train_accuracy,
    difference,
    epochs_with_finite_loss,
    failed,
    final_train_accuracy,
    final_train_loss,
    formatted,
    formatted_reported,
    formatted_with_bars,
    loss_rise,
    median_over_epochs,
    parameters,
    seconds_an_epoch,
    size_of_test_set,
    size_of_training_set,
    steps_taken,
    turning_point,
)
from experiments.recipe import Optimizer, Recipe
from experiments.records import on_equal_machines
from experiments.statistics import Interval

WIDE = Recipe("wide.sgd", "two-conv", "cifar10", Optimizer("sgd", 0.01), epochs=4, filters=20)
NARROW = Recipe("narrow.sgd", "two-conv", "cifar10", Optimizer("sgd", 0.01), epochs=4, filters=3)
SEEDS = range(4)


def test_the_epoch_counts_from_one(make_record) -> None:
    run = make_record(WIDE, 0, test_accuracy=[0.1, 0.2, 0.3, 0.4])
    runs = {"wide": {0: run}}
    assert at_epoch("test_accuracy", "wide", 1).values(runs) == {0: 0.1}
    assert at_epoch("test_accuracy", "wide", 4).values(runs) == {0: 0.4}


@pytest.mark.parametrize("metric", ["train_loss", "train_accuracy", "test_loss", "test_accuracy"])
def test_each_metric_reads_its_own_curve(make_record, metric) -> None:
    run = make_record(WIDE, 0, **{metric: 0.125})
    quantity = at_epoch(metric, "wide", 2)
    assert quantity.values({"wide": {0: run}}) == {0: 0.125}
    assert quantity.of_test_set is (metric == "test_accuracy")


@pytest.mark.parametrize("metric", ["train_loss", "test_accuracy", "validation_accuracy"])
def test_the_kept_epoch_is_that_of_the_lowest_validation_loss(make_record, metric) -> None:
    """Neither the highest accuracy nor the lowest of another loss chooses it."""
    falling, rising = [0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]
    run = make_record(WIDE, 0, train_loss=falling, test_loss=falling, test_accuracy=rising)
    held_out = {"validation_loss": [2.0, 1.0, 3.0, 4.0], "validation_accuracy": rising}
    run = dataclasses.replace(run, curves=dataclasses.replace(run.curves, **held_out))
    quantity = at_lowest_validation_loss(metric, "wide")
    assert quantity.values({"wide": {0: run}}) == {0: 0.3 if metric == "train_loss" else 0.2}
    assert quantity.of_test_set is (metric == "test_accuracy")
    lost = dataclasses.replace(run, diverged=True)
    assert math.isnan(quantity.values({"wide": {0: lost}})[0])


def test_a_quantity_without_its_sign_is_known_as_well_as_with_it() -> None:
    assert absolute(turning_point("wide", 4)).grid == turning_point("wide", 4).grid == 1


def test_the_final_training_accuracy_is_not_the_running_mean(make_record) -> None:
    run = make_record(WIDE, 0, train_accuracy=0.6, final_train_accuracy=0.75, final_train_loss=0.4)
    assert final_train_accuracy("wide").values({"wide": {0: run}}) == {0: 0.75}
    lost = dataclasses.replace(run, final_train_loss=None)
    assert final_train_loss("wide").values({"wide": {0: run}}) == {0: 0.4}
    assert np.isnan(final_train_loss("wide").values({"wide": {0: lost}})[0])


def test_a_difference_pairs_seeds(make_record) -> None:
    runs = {
        "wide": {s: make_record(WIDE, s, test_loss=s + 0.5) for s in (2, 0, 1)},
        "narrow": {s: make_record(NARROW, s, test_loss=2.0 * s) for s in (1, 2, 3)},
    }
    quantity = difference(at_epoch("test_loss", "wide", 4), at_epoch("test_loss", "narrow", 4))
    assert quantity.values(runs) == {1: -0.5, 2: -1.5}
    assert quantity.reads == {"wide": 4, "narrow": 4}


def test_what_is_no_time_is_paired_across_unequal_machines(make_record) -> None:
    """One device may be several machines, and results do not depend on which: times alone do."""
    runs = {
        "wide": {0: make_record(WIDE, 0, test_loss=0.75, provenance={"threads": 1})},
        "narrow": {0: make_record(NARROW, 0, test_loss=0.5, provenance={"threads": 2})},
    }
    roles = ("wide", "narrow")
    losses = difference(*(at_epoch("test_loss", role, 4) for role in roles))
    assert losses.values(runs) == {0: 0.25}
    assert difference(*(seconds_an_epoch(role) for role in roles)).values(runs) == {}


def test_a_run_that_says_nothing_of_a_fleet_was_alone(make_record) -> None:
    alone, *others = (
        make_record(WIDE, 0, provenance=made) for made in ({}, {"fleet": 1}, {"fleet": 2})
    )
    assert [on_equal_machines([alone, other]) for other in others] == [True, False]


def test_a_difference_reads_as_far_as_either_of_the_two() -> None:
    late, early = (at_epoch("test_loss", "wide", epoch) for epoch in (4, 2))
    assert difference(late, early).reads == difference(early, late).reads == {"wide": 4}


def test_a_difference_says_once_what_both_have_in_common() -> None:
    def gap(role):
        return difference(at_epoch("test_loss", role, 4), at_epoch("train_loss", role, 4))

    assert str(gap("wide")) == "test loss − train loss, wide at epoch 4"
    both = difference(gap("wide"), gap("narrow"))
    assert str(both) == "test loss − train loss, wide at epoch 4 − narrow at epoch 4"
    lead = [
        difference(final_train_accuracy(role), at_epoch("test_accuracy", role, 4))
        for role in ("wide", "narrow")
    ]
    assert difference(*lead).where == (
        "(wide, final weights − wide at epoch 4) − (narrow, final weights − narrow at epoch 4)"
    )


def test_the_absolute_difference_is_how_far_two_are_apart(make_record) -> None:
    runs = {
        "wide": {s: make_record(WIDE, s, test_loss=0.5 + 2.5 * s, train_loss=1.0) for s in (0, 1)}
    }
    gap = difference(at_epoch("test_loss", "wide", 4), at_epoch("train_loss", "wide", 4))
    assert absolute(gap).values(runs) == {0: 0.5, 1: 2.0}
    assert str(absolute(gap)) == "|test loss − train loss|, wide at epoch 4"
    assert absolute(gap).reads == {"wide": 4}


def test_a_difference_needs_one_unit() -> None:
    with pytest.raises(ValueError, match="cannot subtract nats from accuracy"):
        difference(at_epoch("test_accuracy", "wide", 4), at_epoch("test_loss", "wide", 4))


def test_the_rise_is_from_the_lowest_epoch_to_the_one_named(make_record) -> None:
    curve = [2.0, 1.0, 1.5, 4.0]
    runs = {"wide": {s: make_record(WIDE, s, test_loss=curve) for s in SEEDS}}
    assert loss_rise("wide", 3).values(runs) == dict.fromkeys(SEEDS, 0.5)
    assert loss_rise("wide", 4).values(runs) == dict.fromkeys(SEEDS, 3.0)


def test_a_falling_curve_does_not_rise(make_record) -> None:
    curve = [4.0, 3.0, 2.0, 1.0]
    runs = {"wide": {s: make_record(WIDE, s, test_loss=curve) for s in SEEDS}}
    assert loss_rise("wide", 4).values(runs) == dict.fromkeys(SEEDS, 0.0)


def test_noise_does_not_rise(make_record) -> None:
    noise = 1 + 0.1 * np.random.default_rng(3).standard_normal((400, 4))
    runs = {
        "wide": {
            seed: make_record(WIDE, seed, test_loss=list(curve)) for seed, curve in enumerate(noise)
        }
    }
    rises = np.array(list(loss_rise("wide", 4).values(runs).values()))
    own_minimum = noise[:, -1] - noise.min(axis=1)
    standard_error = 0.1 * np.sqrt(2 / 400)
    assert abs(rises.mean()) < 4 * standard_error
    assert own_minimum.mean() > 10 * standard_error  # the biased reading, which this is not


def test_the_epoch_of_the_minimum_is_told_by_the_other_seeds_alone(make_record) -> None:
    curves = ([0.0, 1.0, 1.0, 1.0], [1.0, 0.5, 1.0, 1.0])
    runs = {"wide": {s: make_record(WIDE, s, test_loss=curve) for s, curve in enumerate(curves)}}
    assert loss_rise("wide", 4).values(runs) == {0: 0.0, 1: 0.0}


def test_the_epoch_of_the_minimum_is_that_of_the_mean_curve(make_record) -> None:
    """Of three others the mean is lowest after epoch 1, the median after 2, one of them after 3."""
    curves = (
        [5.0, 6.0, 7.0, 8.0],
        [1.0, 0.9, 0.0, 9.0],
        [1.0, 0.9, 3.0, 9.0],
        [1.0, 3.0, 3.0, 9.0],
    )
    runs = {"wide": {s: make_record(WIDE, s, test_loss=curve) for s, curve in enumerate(curves)}}
    assert loss_rise("wide", 4).values(runs)[0] == 3.0
    assert loss_rise("wide", 4).reads == {"wide": 4}


def test_a_lone_curve_rises_from_its_own_minimum(make_record) -> None:
    runs = {0: make_record(WIDE, 0, test_loss=[2.0, 1.0, 1.5, 4.0])}
    assert loss_rise("wide", 4).values({"wide": runs}) == {0: 3.0}
    runs[1] = make_record(WIDE, 1, diverged_after=2)
    survivor, lost = (loss_rise("wide", 4).values({"wide": runs})[seed] for seed in runs)
    assert survivor == 3.0
    assert np.isnan(lost)


def test_a_run_counts_until_it_diverged(make_record) -> None:
    run = make_record(WIDE, 0, test_loss=0.5, diverged_after=2)
    runs = {"wide": {0: run}}
    assert at_epoch("test_loss", "wide", 2).values(runs) == {0: 0.5}
    assert loss_rise("wide", 2).values(runs) == {0: 0.0}
    for quantity in (
        at_epoch("test_loss", "wide", 3),
        loss_rise("wide", 3),
        final_train_accuracy("wide"),
        epochs_with_finite_loss("wide"),
    ):
        assert np.isnan(quantity.values(runs)[0]), quantity


def test_a_run_that_did_not_diverge_has_every_epoch(make_record) -> None:
    assert epochs_with_finite_loss("wide").values({"wide": {0: make_record(WIDE, 0)}}) == {0: 4.0}


def test_bad_readings_are_named() -> None:
    with pytest.raises(ValueError, match=r"metric 'loss' is unknown; known: train_loss, .*"):
        at_epoch("loss", "wide", 1)
    for first, last in ((1.5, 3), (1, 2.5)):
        with pytest.raises(ValueError, match=r"an epoch must be an integer, got .\.5"):
            median_over_epochs("test_loss", "wide", first, last)
    with pytest.raises(ValueError, match="epochs count from 1, got 0"):
        at_epoch("test_loss", "wide", 0)
    with pytest.raises(ValueError, match=r"an epoch must be an integer, got 1\.5"):
        at_epoch("test_loss", "wide", 1.5)
    for first, last in ((0, 2), (3, 2)):
        with pytest.raises(ValueError, match=f"count from 1, .* got {first} to {last}"):
            median_over_epochs("test_loss", "wide", first, last)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.7124, "accuracy", "71.2 %"),
        (0.0124, "points", "+1.2 pp"),
        (-0.0124, "points", "-1.2 pp"),
        (0.8526, "nats", "0.853"),
        (30.0, "count", "30"),
        (46590, "count", "46,590"),
        (4.5, "count", "4.5"),
        (0.25, "share", "25 %"),
    ],
)
def test_values_read_as_people_write_them(value, unit, text) -> None:
    assert formatted(value, unit) == text


@pytest.mark.parametrize(
    ("unit", "text"),
    [("accuracy", "71.2 ± 2.0 %"), ("points", "+71.2 ± 2.0 pp"), ("nats", "0.712 ± 0.020")],
)
def test_behind_plus_or_minus_stands_a_number_without_sign_or_unit(unit, text) -> None:
    assert formatted_with_bars(0.712, unit, Interval(-0.01, 0.03), None) == text
    both = formatted_with_bars(0.712, unit, Interval(-0.01, 0.03), Interval(0, 0))
    assert both.count(" ± ") == 2
    assert formatted_with_bars(0.712, unit) == formatted(0.712, unit)


@pytest.mark.parametrize(
    ("value", "unit", "half_unit", "text"),
    [
        (0.70, "accuracy", 0.005, "70 %"),
        (0.906, "accuracy", 0.0005, "90.6 %"),
        (0.8895, "accuracy", 0.00005, "88.95 %"),
        (0.9605, "accuracy", 0.00005, "96.05 %"),
        (0.79, "accuracy", 0.00005, "79.00 %"),
        (0.67, "nats", 0.005, "0.67"),
        (3, "count", 0.5, "3"),
        (5265, "count", 0, "5,265"),
        (0.8788895606994629, "accuracy", 0, "87.9 %"),  # not rounded: as what was measured
        (0.70 - 0.37, "points", 0.01, "+33 pp"),
        (0.8895 - 0.906, "points", 0.00055, "-1.65 pp"),  # rounded unlike: the digits of the finer
        (0.78 - 0.8022, "points", 0.00505, "-2.22 pp"),
    ],
)
def test_a_reported_number_has_the_digits_of_its_report(value, unit, half_unit, text) -> None:
    assert formatted_reported(value, unit, half_unit) == text


STOPPED = Recipe(
    "wide.sgd", "gap fc10", "cifar10", Optimizer("sgd", 0.01), epochs=9, validation=10, patience=2
)


def _stopped(make_record, **fields):
    curves = {"train_loss": [3.0, 2.0, 1.0, 0.5], "test_accuracy": [0.1, 0.4, 0.3, 0.2]}
    run = make_record(STOPPED, 0, **curves, best_train_accuracy=0.625, **fields)
    for curve in (run.curves.train_accuracy, run.curves.test_loss):
        del curve[4:]
    run.curves.validation_loss[:] = [2.0, 1.0, 1.5, 1.25]
    run.curves.validation_accuracy[:] = [0.2, 0.5, 0.6, 0.7]
    return {"wide": {0: run}}


def test_the_end_is_where_patience_ended_the_run(make_record) -> None:
    runs = _stopped(make_record)
    assert at_the_end("test_accuracy", "wide").values(runs) == {0: 0.2}
    assert at_the_end("validation_accuracy", "wide").values(runs) == {0: 0.7}
    assert at_the_end("test_accuracy", "wide").of_test_set
    assert steps_taken("wide").values(runs) == {0: 4 * STOPPED.steps_an_epoch(50_000)}


def test_the_kept_weights_are_those_of_the_lowest_validation_loss(make_record) -> None:
    runs = _stopped(make_record)
    assert at_lowest_validation_loss("test_accuracy", "wide").values(runs) == {0: 0.4}
    assert at_lowest_validation_loss("validation_loss", "wide").values(runs) == {0: 1.0}
    assert best_train_accuracy("wide").values(runs) == {0: 0.625}


def test_the_lowest_test_loss_is_sought_among_the_epochs_named(make_record) -> None:
    run = make_record(WIDE, 0, test_loss=[3.0, 1.0, 2.0, 0.5], test_accuracy=[0.1, 0.2, 0.3, 0.4])
    runs = {"wide": {0: run}}
    assert at_lowest_test_loss("test_accuracy", "wide", 3).values(runs) == {0: 0.2}
    assert at_lowest_test_loss("test_accuracy", "wide", 4).values(runs) == {0: 0.4}


def test_what_comes_after_the_epochs_named_does_not_count(make_record) -> None:
    run = make_record(WIDE, 0, test_loss=1.0, test_accuracy=[0.1, 0.2, 0.3], diverged_after=3)
    lowest = at_lowest_test_loss("test_accuracy", "wide", 3)
    assert lowest.values({"wide": {0: run}}) == {0: 0.1}
    assert lowest.reads == {"wide": 3}


def test_one_epoch_that_collapses_does_not_move_the_median(make_record) -> None:
    run = make_record(WIDE, 0, test_accuracy=[0.9, 0.7, 0.1, 0.8])
    for first, last, median in ((2, 4, 0.7), (1, 3, 0.7), (1, 1, 0.9), (1, 2, 0.8)):
        quantity = median_over_epochs("test_accuracy", "wide", first, last)
        assert quantity.values({"wide": {0: run}}) == {0: pytest.approx(median, rel=1e-14)}
        assert quantity.reads == {"wide": last}
    assert str(quantity) == "test accuracy, wide in the median of epochs 1 to 2"


def test_a_combination_is_as_fine_and_as_sure_as_its_parts() -> None:
    turns = [turning_point(role, 4) for role in ("wide", "narrow")]
    assert difference(*turns).grid == pytest.approx(math.sqrt(2))
    assert not difference(*turns).seedless
    assert difference(parameters("wide"), parameters("narrow")).seedless
    assert difference(parameters("wide"), parameters("narrow")).reads == {"wide": 0, "narrow": 0}
    assert not difference(parameters("wide"), turning_point("narrow", 4)).seedless


@pytest.mark.parametrize(
    ("recipe", "steps"),
    [(WIDE, 4 * 1563), (dataclasses.replace(WIDE, steps=351), 4 * 351)],
    ids=["passes", "counted"],
)
def test_steps_are_updates(make_record, recipe, steps) -> None:
    assert steps_taken("wide").values({"wide": {0: make_record(recipe, 0)}}) == {0: steps}


def test_steps_until_a_run_may_end_are_known_to_as_many() -> None:
    """Two seeds that end at one moment would otherwise decide with an interval of no width."""
    assert steps_taken("wide").grid == 0
    assert steps_taken("wide", every=351).grid == 351
    for statement in study("assignment-3").statements:
        if statement.quantity.what == "steps":
            assert statement.quantity.grid >= 351


def test_a_lost_run_has_no_value(make_record) -> None:
    runs = {"wide": {0: make_record(WIDE, 0, diverged_after=2)}}
    for quantity in (
        at_the_end("test_loss", "wide"),
        at_lowest_test_loss("test_loss", "wide", 4),
        median_over_epochs("test_loss", "wide", 1, 4),
        steps_taken("wide"),
    ):
        assert math.isnan(quantity.values(runs)[0])


def test_what_a_record_says_of_its_network_is_read_off_it(make_record) -> None:
    kept = make_record(WIDE, 0, parameters=390_410, best_train_accuracy=0.75)
    lost = make_record(WIDE, 1, parameters=390_410, diverged_after=2)
    runs = {"wide": {0: kept, 1: lost}}
    assert parameters("wide").values(runs) == {0: 390_410, 1: 390_410}
    accuracies = best_train_accuracy("wide").values(runs)
    assert accuracies[0] == 0.75
    assert math.isnan(accuracies[1])


def test_both_sets_are_counted(make_record) -> None:
    runs = {"wide": {0: make_record(WIDE, 0, train_size=250, test_size=90)}}
    assert size_of_training_set("wide").values(runs) == {0: 250}
    assert size_of_test_set("wide").values(runs) == {0: 90}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"train_loss": [3.0, 2.4, 2.2, 2.4]}, 1),
        ({"train_loss": [3.0, 2.4, 2.2, 2.2]}, 0),
        ({"train_loss": math.log(10)}, 1),
        ({"train_loss": 2.2, "diverged_after": 3}, 1),
        ({"train_loss": 2.2, "diverged_after": 0}, 1),
    ],
)
def test_a_run_that_is_lost_or_guesses_has_failed(make_record, fields, expected) -> None:
    runs = {"wide": {0: make_record(WIDE, 0, **fields)}}
    assert failed("wide", 4).values(runs) == {0: expected}


@pytest.mark.parametrize(("loss", "expected"), [(math.log(19), 1), (2.94, 0), (math.log(10), 0)])
def test_of_more_classes_guessing_costs_more(make_record, loss, expected) -> None:
    """The sums of two digits are 19: a network that knows them as well as ten has learnt."""
    sums = Recipe("sums.sgd", "fc19", "mnist-pairs", Optimizer("sgd", 0.01), epochs=4)
    runs = {"sums": {0: make_record(sums, 0, train_loss=loss)}}
    assert failed("sums", 4).values(runs) == {0: expected}


def test_a_run_has_failed_by_the_epoch_named(make_record) -> None:
    runs = {"wide": {0: make_record(WIDE, 0, train_loss=[2.4, 2.2, 2.4, 2.2])}}
    assert [failed("wide", epoch).values(runs)[0] for epoch in (1, 2, 3, 4)] == [1, 0, 1, 0]


def test_an_epoch_takes_its_share_of_the_training_time(make_record) -> None:
    fields = {"provenance": {"wall_seconds": 99.0, "training_seconds": 20.0}}
    runs = {
        "wide": {0: make_record(WIDE, 0, **fields)},
        "narrow": {0: make_record(NARROW, 0, diverged_after=2, **fields)},
    }
    assert seconds_an_epoch("wide").values(runs) == {0: 5.0}
    assert math.isnan(seconds_an_epoch("narrow").values(runs)[0])
    # Of the 9 epochs of its recipe patience let this one have 4.
    assert seconds_an_epoch("wide").values(_stopped(make_record, **fields)) == {0: 5.0}
    assert formatted(5.0, "seconds") == "5.0 s"
