"""A report's number against the prediction interval of the runs: every verdict can be reached."""

from __future__ import annotations

import math

import pytest

from experiments.quantities import (
    at_epoch,
    difference,
    final_train_accuracy,
    parameters,
    turning_point,
)
from experiments.statements import Reported, Within
from experiments.statistics import mean_interval, prediction_interval, two_test_sets_sd
from tests.toy_study import ACCURACY, SEEDS, SEVENTY, SPREAD, judged, recipe


def test_a_number_within_reach_is_reproduced(wide) -> None:
    claim = judged(SEVENTY, wide(0.705 + 0.005 * SPREAD))
    (finding,) = claim.findings
    assert claim.verdict == "reproduced"
    assert finding.measurement.mean == pytest.approx(0.705)
    assert finding.measurement.seeds == (0, 1, 2, 3)
    assert (finding.statement.claim, finding.quantity.unit) == ("toy-acc", "accuracy")
    assert (finding.statement.reported, finding.statement.rounding) == (0.70, 0.005)
    assert finding.outcome == "reproduced"
    assert 0.70 in finding.interval
    # Both error bars are stated, and the one that decides covers both.
    assert finding.interval.half_width > finding.measurement.seed_interval.half_width
    assert finding.interval.half_width > finding.measurement.test_set_interval.half_width


def test_a_shifted_mean_is_not_reproduced(wide) -> None:
    for shift in (-0.05, 0.05):
        claim = judged(SEVENTY, wide(0.70 + shift + 0.005 * SPREAD))
        assert claim.verdict == "not_reproduced"
        assert 0.70 + shift in claim.findings[0].interval
        assert 0.70 not in claim.findings[0].interval


@pytest.mark.parametrize(("seeds", "verdict"), [(38, "reproduced"), (39, "not_reproduced")])
def test_many_seeds_are_held_against_by_their_ranks(make_record, seeds, verdict) -> None:
    """One run collapsed, so that a normal model reaches up to 76 %, where no run came near."""
    accuracies = [0.5, *[0.69, 0.71] * 19][:seeds]
    records = [
        make_record(recipe("wide", "slow"), seed, final_train_accuracy=accuracy)
        for seed, accuracy in enumerate(accuracies)
    ]
    claim = judged(Reported("toy-acc", final_train_accuracy("wide"), 0.74, resolution=0.1), records)
    assert claim.verdict == verdict
    (finding,) = claim.findings
    ranks = ", where one further run is expected (by ranks 1 and 39 of 39)"
    assert finding.reason.endswith(ranks) == (seeds == 39)


def test_a_number_is_held_against_the_prediction_not_the_mean(wide) -> None:
    # Outside the confidence interval of the mean, inside the prediction interval.
    claim = judged(SEVENTY, wide(0.715 + 0.005 * SPREAD))
    assert 0.70 not in claim.findings[0].measurement.seed_interval
    assert claim.verdict == "reproduced"


def test_what_is_measured_is_the_mean_and_no_median(wide) -> None:
    (finding,) = judged(SEVENTY, wide([0.70, 0.70, 0.70, 0.74])).findings
    assert finding.measurement.mean == pytest.approx(0.71)


def test_another_test_set_is_as_large_as_this_one_and_as_hard_as_the_mean(wide) -> None:
    values = [0.60, 0.50, 0.52, 0.54]
    (finding,) = judged(SEVENTY, wide(values, test_size=100)).findings
    expected = prediction_interval(values, noise_sd=two_test_sets_sd(0.54, 100), grid=0.01)
    assert finding.interval.low == pytest.approx(expected.low, rel=1e-12)
    assert finding.interval.high == pytest.approx(expected.high, rel=1e-12)


def test_no_mistake_on_these_images_does_not_refute_three_on_others(wide) -> None:
    """A network that is wrong on one image in 150 does both with 250 images in one case of 20."""
    runs = wide([1.0] * 4, test_size=250)
    three, ten = (Reported("toy-acc", ACCURACY, 1 - wrong / 250, 0.0005) for wrong in (3, 10))
    assert judged(three, runs).verdict == "undecided"
    assert judged(ten, runs).verdict == "not_reproduced"


def test_a_reported_epoch_is_known_to_an_epoch(make_record) -> None:
    """Four runs that turn in one epoch do not fix a fifth to it."""
    losses = [2.0, 1.5, 1.0, 1.2]
    records = [make_record(recipe("wide", "slow"), seed, test_loss=losses) for seed in SEEDS]
    statement = Reported("toy-turn", turning_point("wide", 4), 3, half_unit=0.5, resolution=2.0)
    (finding,) = judged(statement, records).findings
    expected = prediction_interval([3.0] * 4, grid=1.0)
    assert expected.half_width > 0
    assert finding.interval.half_width == pytest.approx(expected.half_width)


def test_error_bars_that_reach_beyond_one_do_not_confirm_for_being_cut_there(wide) -> None:
    (finding,) = judged(Reported("toy-acc", ACCURACY, 0.97), wide(0.97 + 0.0165 * SPREAD)).findings
    assert finding.interval.half_width < 0.05
    assert finding.verdict == "undecided"


def test_agreement_with_anything_decides_nothing(wide) -> None:
    claim = judged(SEVENTY, wide(0.70 + 0.02 * SPREAD))
    assert claim.verdict == "undecided"
    assert "but more than ± 5.0 pp is too wide to confirm" in claim.findings[0].reason


def test_an_interval_as_wide_as_the_resolution_confirms(make_record) -> None:
    losses = [0.9, 1.0, 1.1]
    records = [make_record(recipe("wide", "slow"), s, test_loss=x) for s, x in enumerate(losses)]
    width = prediction_interval(losses).half_width
    for resolution, verdict in ((width, "reproduced"), (0.99 * width, "undecided")):
        loss = Reported("toy-loss", at_epoch("test_loss", "wide", 4), 1.0, 0.05, resolution)
        claim = judged(loss, records)
        assert claim.verdict == verdict
    assert claim.findings[0].reason.endswith("but more than ± 0.492 is too wide to confirm it")


def test_no_further_run_is_expected_below_no_accuracy_or_above_all(wide) -> None:
    (finding,) = judged(SEVENTY, wide(0.5 + 0.3 * SPREAD)).findings
    assert (finding.interval.low, finding.interval.high) == (0, 1)
    # Wide are the error bars, not what is left of them: that alone could confirm the number.
    near_all = Reported("toy-acc", ACCURACY, 0.99)
    (finding,) = judged(near_all, wide(0.99 + 0.03 * SPREAD)).findings
    assert finding.interval.high == 1
    assert finding.interval.half_width < 0.1
    assert finding.verdict == "undecided"
    assert "to 100.0 %" in finding.reason


def test_disagreement_counts_even_where_error_bars_are_wide(wide) -> None:
    assert judged(SEVENTY, wide(0.40 + 0.02 * SPREAD)).verdict == "not_reproduced"


def test_two_seeds_that_turn_in_one_epoch_decide_little(make_record) -> None:
    turns = Within("toy-acc", turning_point("wide", 4), above=1.5, below=3.5)
    curve = [3.0, 1.0, 2.0, 2.0]
    for seeds, verdict in ((2, "undecided"), (4, "reproduced")):
        records = [
            make_record(recipe("wide", "slow"), seed, test_loss=curve) for seed in range(seeds)
        ]
        claim = judged(turns, records)
        assert claim.verdict == verdict
        assert claim.findings[0].measurement.seed_interval.half_width > 0


def test_one_seed_decides_what_seeds_do_not_change(make_record) -> None:
    fewer = difference(parameters("narrow"), parameters("wide"))
    records = [
        make_record(recipe(role, "slow"), 0, parameters=count)
        for role, count in (("wide", 200), ("narrow", 100))
    ]
    assert judged(Within("toy-acc", fewer, below=0), records).verdict == "reproduced"
    assert judged(Within("toy-acc", fewer, above=0), records).verdict == "not_reproduced"
    assert judged(Within("toy-acc", fewer, above=-150, below=50), records).verdict == "reproduced"
    # A change of the network between two seeds is no error of theirs, and decides nothing.
    records += [
        make_record(recipe(role, "slow"), 1, parameters=count)
        for role, count in (("wide", 200), ("narrow", 300))
    ]
    (finding,) = judged(Within("toy-acc", fewer, below=0), records).findings
    assert finding.verdict == "undecided"
    assert (finding.interval.low, finding.interval.high) == (-100, 100)


def test_one_seed_is_undecided(wide) -> None:
    claim = judged(SEVENTY, wide([0.70]))
    (finding,) = claim.findings
    assert claim.verdict == "undecided"
    assert finding.interval is None
    assert finding.measurement.seed_interval is None
    assert finding.reason == "seeds with every run: 1; error bars need two"


def test_rounding_belongs_to_the_number(make_record) -> None:
    records = [
        make_record(recipe("wide", "slow"), seed, final_train_accuracy=accuracy)
        for seed, accuracy in enumerate(0.70 + 0.001 * SPREAD)
    ]
    edges = prediction_interval(list(0.70 + 0.001 * SPREAD))
    quantity = final_train_accuracy("wide")
    for beyond, verdict in ((0.0049, "reproduced"), (0.0051, "not_reproduced")):
        for value in (edges.low - beyond, edges.high + beyond):
            claim = judged(Reported("toy-acc", quantity, value), records)
            assert claim.verdict == verdict
            told = "before it was rounded, lies in" if verdict == "reproduced" else "lies outside"
            assert told in claim.findings[0].reason
    for edge in prediction_interval(list(0.70 + 0.001 * SPREAD), grid=1e-4).ends:  # belongs to it
        (finding,) = judged(Reported("toy-acc", quantity, edge, half_unit=0), records).findings
        assert finding.verdict == "reproduced"
        assert finding.reason.startswith(f"{finding.statement.expected} lies in ")


@pytest.mark.parametrize(
    ("value", "half_unit", "told"),
    [
        (0.72, 0.005, "72 %, which may have been 71.5 %"),
        (0.68, 0.005, "68 %, which may have been 68.5 %"),
        (0.716, 0.0005, "71.6 %, which may have been 71.55 %"),
        (0.684, 0.0005, "68.4 %, which may have been 68.45 %"),
    ],
)
def test_the_reason_says_how_near_a_number_was_before_it_was_rounded(
    make_record, value, half_unit, told
) -> None:
    records = [
        make_record(recipe("wide", "slow"), seed, final_train_accuracy=accuracy)
        for seed, accuracy in enumerate(0.70 + 0.0044 * SPREAD)
    ]
    number = Reported("toy-acc", final_train_accuracy("wide"), value, half_unit)
    (finding,) = judged(number, records).findings
    assert finding.reason == (
        f"{told} before it was rounded, lies in 68.4 to 71.6 %, where one further run is expected"
    )


def test_only_a_test_accuracy_has_noise_of_the_test_set(make_record) -> None:
    records = [
        make_record(recipe("wide", "slow"), seed, train_accuracy=0.7, test_accuracy=0.7)
        for seed in SEEDS
    ]
    tested = judged(Reported("toy-acc", ACCURACY, 0.7), records).findings[0]
    trained = judged(
        Reported("toy-acc", at_epoch("train_accuracy", "wide", 4), 0.7), records
    ).findings[0]
    # sqrt(2 * 0.7 * 0.3 / 10000) * 1.96, and no spread over seeds but that of counting images.
    counted = prediction_interval([0.7] * 4, grid=1e-4).half_width
    assert tested.interval.half_width == pytest.approx(math.hypot(0.012702, counted), abs=1e-6)
    assert trained.interval.half_width == pytest.approx(counted, rel=1e-9)
    of_the_mean = mean_interval([0.7] * 4, grid=1e-4).half_width
    assert trained.measurement.seed_interval.half_width == pytest.approx(of_the_mean, rel=1e-9)
    assert trained.measurement.test_set_interval is None


def test_the_chance_of_another_test_set_widens_what_refutes_and_not_what_confirms(
    make_record,
) -> None:
    """Red where an interval that is wide out of caution confirms whatever lies in it."""
    records = [
        make_record(recipe("wide", "slow"), seed, test_accuracy=accuracy)
        for seed, accuracy in enumerate(0.70 + 0.001 * SPREAD)
    ]
    edge = prediction_interval(list(0.70 + 0.001 * SPREAD)).high
    for beyond, verdict in ((-1e-3, "reproduced"), (1e-3, "undecided"), (2e-2, "not_reproduced")):
        claim = judged(Reported("toy-acc", ACCURACY, edge + beyond, half_unit=0), records)
        assert claim.verdict == verdict
        reason = claim.findings[0].reason
        assert ("on another test set" in reason) is (verdict == "undecided")


def test_seeds_that_agree_confirm_a_number_to_the_grid_of_their_counts(make_record) -> None:
    """Of 10,000 images: ± t sqrt(1 + 1/4) / 10000 / sqrt(12) = 0.000103."""
    records = [make_record(recipe("wide", "slow"), seed, train_accuracy=0.5) for seed in SEEDS]
    quantity = at_epoch("train_accuracy", "wide", 4)
    for resolution, verdict in ((1.02e-4, "undecided"), (1.04e-4, "reproduced")):
        claim = judged(Reported("toy-acc", quantity, 0.5, resolution=resolution), records)
        assert claim.verdict == verdict
        assert "before it was rounded" not in claim.findings[0].reason


def test_what_confirms_a_test_accuracy_is_known_to_an_image_too(wide) -> None:
    """Of 100 images: ± t sqrt(1 + 1/4) / 100 / sqrt(12) = 0.0103."""
    for value, verdict in ((0.51, "reproduced"), (0.511, "undecided")):
        statement = Reported("toy-acc", ACCURACY, value, half_unit=0, resolution=0.2)
        assert judged(statement, wide([0.5] * 4, test_size=100)).verdict == verdict


def test_the_wrong_epoch_is_seen(make_record) -> None:
    records = [
        make_record(recipe("wide", "slow"), seed, test_accuracy=[0.3, 0.5, 0.7, 0.8])
        for seed in SEEDS
    ]
    third = Reported("toy-acc", at_epoch("test_accuracy", "wide", 3), 0.70)
    assert judged(third, records).verdict == "reproduced"
    assert judged(SEVENTY, records).verdict == "not_reproduced"
