"""Comparisons: paired by seed and device, with the t-interval of the pairs' differences."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from experiments.catalog import study
from experiments.comparison import compare, differing_settings
from tests.toy_study import recipe

FIRST, SECOND = study("digits").recipes[:2]
ACCURACIES = {"first": [0.71, 0.74, 0.69, 0.75], "second": [0.70, 0.71, 0.66, 0.74]}


@pytest.fixture
def runs(make_record):
    def make(recipe, accuracies, **fields):
        return [
            make_record(recipe, seed, test_accuracy=accuracy, **fields)
            for seed, accuracy in enumerate(accuracies)
        ]

    return make


def of(found, what):
    (entry,) = [each for each in found.differences if each.what.startswith(what)]
    return entry


def test_the_interval_is_that_of_a_paired_t_test(runs):
    """The two means differ by less than the seeds' spread; paired, the difference is clear."""
    many = {"test_size": 10**12}  # so that an image is nothing
    first, second = ACCURACIES["first"], ACCURACIES["second"]
    found = compare(runs(FIRST, first, **many), runs(SECOND, second, **many))
    entry = of(found, "test accuracy")
    expected = stats.ttest_rel(ACCURACIES["first"], ACCURACIES["second"]).confidence_interval(0.95)
    assert found.seeds == (0, 1, 2, 3)
    assert (entry.first, entry.second) == pytest.approx((0.7225, 0.7025), rel=1e-12)
    assert entry.difference == pytest.approx(0.02, rel=1e-12)
    assert (entry.interval.low, entry.interval.high) == pytest.approx(tuple(expected), rel=1e-9)
    assert entry.each == pytest.approx((0.01, 0.03, 0.03, 0.01), rel=1e-12)
    assert entry.larger == "first"
    swapped = compare(runs(SECOND, ACCURACIES["second"]), runs(FIRST, ACCURACIES["first"]))
    assert of(swapped, "test accuracy").larger == "second"
    assert of(found, "test loss, last").larger is None


@pytest.mark.parametrize(("images", "larger"), [(1, None), (2, "first")])
def test_pairs_that_differ_by_one_image_each_do_not_tell_which_is_larger(runs, images, larger):
    """Accuracies are counts: of 450 images each, one more in every pair may be rounding."""
    of_450 = {"test_size": 450}
    first = [accuracy + images / 450 for accuracy in ACCURACIES["second"][:3]]
    found = compare(runs(FIRST, first, **of_450), runs(SECOND, ACCURACIES["second"][:3], **of_450))
    entry = of(found, "test accuracy")
    assert entry.larger == larger
    assert entry.interval.half_width == pytest.approx(4.302653 * 2**0.5 / 450 / 6, rel=1e-6)


@pytest.mark.parametrize("sizes", [(450, 10_000), (10_000, 450)])
def test_the_smaller_of_two_test_sets_says_how_finely_accuracies_are_known(runs, sizes):
    first, second = (
        runs(each, [0.5] * 3, test_size=size)
        for each, size in zip((FIRST, SECOND), sizes, strict=True)
    )
    entry = of(compare(first, second), "test accuracy")
    assert entry.interval.half_width == pytest.approx(4.302653 * 2**0.5 / 450 / 6, rel=1e-6)


def test_a_loss_is_no_count(make_record):
    """Pairs that all differ by as much tell it exactly."""
    first, second = (
        [make_record(each, seed, test_loss=loss) for seed in range(3)]
        for each, loss in ((FIRST, 0.5), (SECOND, 0.25))
    )
    entry = of(compare(first, second), "test loss, last")
    assert (entry.interval.ends, entry.larger) == ([0.25, 0.25], "first")


def test_two_recipes_differ_in_settings_and_not_for_their_names():
    optimizer = dataclasses.replace(FIRST.optimizer, lr=2 * FIRST.optimizer.lr)
    other = dataclasses.replace(FIRST, name="other.adam", epochs=7, optimizer=optimizer)
    assert differing_settings(FIRST, other) == {
        "epochs": (FIRST.epochs, 7),
        "optimizer.lr": (FIRST.optimizer.lr, optimizer.lr),
    }


@pytest.mark.parametrize("lost", [0, 1])
def test_a_pair_with_a_run_that_diverged_is_left_out_and_named(runs, make_record, lost):
    both = [runs(FIRST, ACCURACIES["first"]), runs(SECOND, ACCURACIES["second"])]
    both[lost][1] = make_record((FIRST, SECOND)[lost], 1, diverged_after=1)
    found = compare(*both)
    assert (found.seeds, found.diverged) == ((0, 2, 3), (1,))


def test_only_pairs_count(runs):
    first, second = runs(FIRST, ACCURACIES["first"]), runs(SECOND, ACCURACIES["second"])
    found = compare(first[1:], second[:3])
    assert found.seeds == (1, 2)
    assert of(found, "test accuracy").first == pytest.approx((0.74 + 0.69) / 2, rel=1e-12)


def test_runs_on_different_data_are_not_compared(runs):
    first, second = runs(FIRST, [0.5, 0.6]), runs(SECOND, [0.4, 0.5], dataset_fingerprint="other")
    with pytest.raises(ValueError, match="on different data"):
        compare(first, second)
    of_images = runs(recipe("wide", "slow"), [0.4, 0.5], dataset_fingerprint="other")
    with pytest.raises(ValueError, match=r"on different data \(digits, cifar10\)"):
        compare(first, of_images)


def test_a_pair_is_of_one_kind_of_device(runs):
    first = runs(FIRST, [0.5, 0.6]) + runs(FIRST, [0.9, 0.9], device="cuda")
    second = runs(SECOND, [0.5], device="cuda") + runs(SECOND, [0.4])
    assert of(compare(first, second), "test accuracy").first == 0.5
    assert of(compare(first, second[:1]), "test accuracy").first == 0.9
    with pytest.raises(ValueError, match="nothing can be paired"):
        compare(first[:2], second[:1])


def test_each_measure_is_read_where_it_says(make_record):
    losses = [2.0, 1.0, 1.5, 4.0, *[3.0] * 16]
    first = make_record(FIRST, 0, test_loss=losses, final_train_loss=0.25)
    second = make_record(
        SECOND, 0, test_loss=1.0, final_train_accuracy=0.125, test_accuracy=[*[0.875] * 19, 0.375]
    )
    found = compare([first], [second])
    assert {each.what: (each.first, each.second) for each in found.differences} == {
        "test accuracy, last epoch": (0.5, 0.375),
        "test loss, last epoch": (3.0, 1.0),
        "test loss, lowest": (1.0, 1.0),
        "train accuracy, final weights": (0.5, 0.125),
        "train loss, final weights": (0.25, 1.0),
    }
    units = ["accuracy", "nats", "nats", "accuracy", "nats"]
    assert [each.unit for each in found.differences] == units
    assert {each.interval for each in found.differences} == {None}  # one pair has no spread
    assert {each.larger for each in found.differences} == {None}


def test_a_measure_that_some_pair_lacks_is_left_out(runs, make_record):
    """Else its mean would be one of fewer pairs than are named."""
    first, second = runs(FIRST, [0.5, 0.6]), runs(SECOND, [0.4, 0.5])
    second[1] = make_record(SECOND, 1, final_train_accuracy=None)
    found = compare(first, second)
    assert found.seeds == (0, 1)
    measures = [each.what for each in found.differences]
    assert "train accuracy, final weights" not in measures
    assert "train loss, final weights" in measures


def test_where_patience_ends_both_runs_the_weights_that_they_keep_are_compared_too(make_record):
    patient = dataclasses.replace(FIRST, validation=300, patience=2, epochs=3)
    accuracies = [0.25, 0.75, 0.5]
    first, second = (make_record(recipe, 0, test_accuracy=accuracies) for recipe in (patient,) * 2)
    first.curves.validation_loss.extend([1.0, 1.0, 2.0])  # of equal ones the first
    second.curves.validation_loss.extend([3.0, 1.0, 2.0])
    kept = of(compare([first], [second]), "test accuracy, kept")
    assert (kept.first, kept.second) == (0.25, 0.75)
    for changes in ({"validation": 0}, {}):  # to look at validation images is not to wait for them
        other = make_record(dataclasses.replace(patient, patience=None, **changes), 0)
        other.curves.validation_loss.extend([1.0] * 3 * bool(other.recipe.validation))
        measures = [each.what for each in compare([first], [other]).differences]
        assert "test accuracy, kept weights" not in measures


def test_diverged_pairs_are_left_out_and_named(runs, make_record):
    first = runs(FIRST, [0.5, 0.6, 0.7])
    second = runs(SECOND, [0.4, 0.4, 0.4])
    first[1] = make_record(FIRST, 1, diverged_after=2)
    found = compare(first, second)
    assert (found.seeds, found.diverged) == ((0, 2), (1,))
    assert of(found, "test accuracy").difference == pytest.approx(0.2, rel=1e-12)
    nothing = compare(first[1:2], second)
    assert (nothing.seeds, nothing.diverged, nothing.differences) == ((), (1,), ())


def test_a_recipe_without_epochs_has_no_last_one(make_record):
    initial = [dataclasses.replace(recipe, epochs=0) for recipe in (FIRST, SECOND)]
    found = compare(*([make_record(recipe, 0)] for recipe in initial))
    assert [each.what for each in found.differences] == [
        "train accuracy, final weights",
        "train loss, final weights",
    ]


def test_the_same_runs_do_not_differ(runs):
    found = compare(runs(FIRST, ACCURACIES["first"]), runs(FIRST, ACCURACIES["first"]))
    assert not np.any([each.difference for each in found.differences])
    assert {each.larger for each in found.differences} == {None}
