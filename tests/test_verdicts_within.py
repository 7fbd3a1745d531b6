"""Statements of bounds: differences are taken seed by seed, of runs that can be compared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from experiments.findings import find
from experiments.quantities import (
    at_epoch,
    at_the_end,
    difference,
    parameters,
    seconds_an_epoch,
)
from experiments.statements import Within
from experiments.statistics import mean_interval
from tests.toy_study import ACCURACY, SEEDS, SPREAD, judged, recipe, toy_study

GAIN = difference(ACCURACY, at_epoch("test_accuracy", "narrow", 4))


@pytest.fixture
def pairs(make_record):
    def records(gains, narrow_seeds=SEEDS):
        # Seeds differ far more than the networks do: only pairs can tell.
        base = dict(zip(SEEDS, 0.5 + 0.1 * SPREAD, strict=True))
        return [
            make_record(recipe("wide", "slow"), s, test_accuracy=float(base[s] + gain))
            for s, gain in zip(SEEDS, gains, strict=True)
        ] + [
            make_record(recipe("narrow", "slow"), s, test_accuracy=float(base.get(s, 0.5)))
            for s in narrow_seeds
        ]

    return records


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [(0.02, "reproduced"), (0.01, "undecided"), (-0.02, "not_reproduced")],
)
def test_better(pairs, gain, verdict) -> None:
    claim = judged(Within("toy-gain", GAIN, above=0), pairs(gain + 0.01 * SPREAD))
    assert claim.verdict == verdict
    assert claim.findings[0].measurement.mean == pytest.approx(gain)


@pytest.mark.parametrize(
    ("gain", "told"),
    [(0.1, "> 0"), (0.0, "only in part > 0"), (-0.1, "not > 0")],
)
def test_the_reason_says_where_the_mean_lies_and_what_of_it_is_meant(pairs, gain, told) -> None:
    (finding,) = judged(Within("toy-gain", GAIN, above=0), pairs(gain + 0.01 * SPREAD)).findings
    low, high = (100 * (gain + side * 0.0159) for side in (-1, 1))  # the t-interval of SPREAD
    place = f"the mean over seeds lies in {low:+.1f} to {high:+.1f} pp"
    assert finding.reason == f"{place}, which is {told}"


def test_the_reason_says_that_two_bounds_are_a_range(pairs) -> None:
    between = Within("toy-gain", GAIN, above=-0.2, below=0.2)
    assert (
        judged(between, pairs(0.01 * SPREAD))
        .findings[0]
        .reason.endswith("pp, which is within -20.0 to +20.0 pp")
    )


def test_a_bound_is_not_between_the_bounds(wide) -> None:
    """What no seed changes can lie on one exactly."""
    for bounds, verdict in (
        ({"above": 100}, "not_reproduced"),
        ({"below": 100}, "not_reproduced"),
        ({"above": 99, "below": 101}, "reproduced"),
    ):
        statement = Within("toy-count", parameters("wide"), **bounds)
        assert judged(statement, wide([0.5], parameters=100)).verdict == verdict


@pytest.mark.parametrize("bound", ["above", "below"])
def test_equal_counts_are_neither_better_nor_worse(pairs, bound) -> None:
    """Each accuracy is known to an image of 10,000: so is the sign of their difference."""
    sign = 1 if bound == "above" else -1
    for gain, verdict in ((0.0, "undecided"), (5e-5, "undecided"), (1e-4, "reproduced")):
        claim = judged(Within("toy-gain", GAIN, **{bound: 0}), pairs([sign * gain] * 4))
        assert claim.verdict == verdict


@pytest.mark.parametrize("sizes", [(100, 10_000), (10_000, 100)])
def test_a_difference_is_known_to_an_image_of_the_smaller_test_set(make_record, sizes) -> None:
    """Red where the first of the two alone says how fine it is."""
    records = [
        make_record(recipe(role, "slow"), seed, test_accuracy=accuracy, test_size=size)
        for role, accuracy, size in zip(("wide", "narrow"), (0.51, 0.5), sizes, strict=True)
        for seed in SEEDS
    ]
    (finding,) = judged(Within("toy-gain", GAIN, above=0), records).findings
    expected = mean_interval([0.01] * 4, grid=2**0.5 / 100)
    assert finding.interval.half_width == pytest.approx(expected.half_width, rel=1e-9)


def test_an_accuracy_on_held_out_images_is_known_to_one_of_them(make_record) -> None:
    """Red where it is known to an image of the test set, which is larger."""
    holding = replace(recipe("wide", "slow"), validation=100)
    made = [make_record(holding, seed) for seed in SEEDS]
    curves = replace(made[0].curves, validation_loss=[1.0] * 4, validation_accuracy=[0.5] * 4)
    runs = {"wide": [replace(run, curves=curves) for run in made]}
    for metric, images in (("validation_accuracy", 100), ("test_accuracy", 10_000)):
        statement = Within("toy-end", at_the_end(metric, "wide"), above=0.2)
        finding = find(toy_study(), statement, "slow", runs)
        expected = mean_interval([0.5] * 4, grid=1 / images)
        for interval in (finding.interval, finding.measurement.seed_interval):
            assert interval.half_width == pytest.approx(expected.half_width, rel=1e-9)


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [(0.0, "reproduced"), (0.02, "undecided"), (0.05, "not_reproduced")],
)
def test_similar(pairs, gain, verdict) -> None:
    similar = Within("toy-gain", GAIN, above=-0.02, below=0.02)
    assert judged(similar, pairs(gain + 0.01 * SPREAD)).verdict == verdict


def test_not_much_better(pairs) -> None:
    no_gain = Within("toy-gain", GAIN, below=0.02)
    assert judged(no_gain, pairs(-0.3 + 0.01 * SPREAD)).verdict == "reproduced"
    assert judged(no_gain, pairs(0.3 + 0.01 * SPREAD)).verdict == "not_reproduced"


def test_unpaired_seeds_do_not_count(pairs) -> None:
    better = Within("toy-gain", GAIN, above=0)
    (half,) = judged(better, pairs([0.02] * 4, narrow_seeds=(2, 3, 4))).findings
    assert half.measurement.seeds == (2, 3)
    (none,) = judged(better, pairs([0.02] * 4, narrow_seeds=(7, 8, 9))).findings
    assert none.measurement.seeds == ()
    assert none.verdict == "undecided"
    assert none.measurement.mean is None


def test_bounds_must_make_sense() -> None:
    for bounds in ({}, {"above": 1.0, "below": 0.0}, {"above": 0.5, "below": 0.5}):
        with pytest.raises(ValueError, match="claim 'toy-gain': give a bound"):
            Within("toy-gain", GAIN, **bounds)


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"above": 0}, "> 0"),
        ({"below": 0}, "< 0"),
        ({"above": 0.02}, "> +2.0 pp"),
        ({"below": -0.02}, "< -2.0 pp"),
        ({"above": -0.02, "below": 0.03}, "-2.0 to +3.0 pp"),
    ],
)
def test_bounds_are_told_on_the_side_where_they_are(pairs, bounds, expected) -> None:
    statement = Within("toy-gain", GAIN, **bounds)
    (finding,) = judged(statement, pairs(0.01 * SPREAD)).findings
    assert finding.statement.expected == expected
    assert finding.next_run == ""  # what was bounded is a mean, and no further run


@pytest.mark.parametrize("above", [0.4, 0.6])
def test_two_seeds_that_agree_by_chance_leave_no_doubt_only_seemingly(wide, above) -> None:
    """What they say is shown; red where it is told as a verdict, either way."""
    statement = Within("toy-acc", ACCURACY, above=above)
    (finding,) = judged(statement, wide([0.5, 0.5])).findings
    assert (finding.verdict, len(finding.measurement.seeds)) == ("undecided", 2)
    assert finding.interval is not None
    assert judged(statement, wide([0.5, 0.5, 0.5])).verdict != "undecided"


@pytest.mark.parametrize(("below", "told"), [(1.5, "reproduced"), (1.0, "not_reproduced")])
def test_seeds_without_any_spread_are_no_normal_draws(make_record, below, told) -> None:
    """Red where three runs that all end at their lowest loss refute that any rises at the end."""
    statement = Within("toy-loss", at_epoch("test_loss", "wide", 4), below=below)
    for seeds in range(3, 7):
        records = [make_record(recipe("wide", "slow"), seed) for seed in range(seeds)]
        (finding,) = judged(statement, records).findings
        assert finding.verdict == ("undecided" if seeds < 5 else told)
        assert finding.judgement.too_few is (seeds < 5)
        if seeds < 5:
            reason = f"1.000 with each of {seeds} seeds: without any spread a verdict takes 5"
            assert finding.reason == reason
    nearly = [make_record(recipe("wide", "slow"), s, test_loss=1 - s * 1e-9) for s in range(3)]
    assert judged(Within("toy-loss", statement.quantity, below=1.5), nearly).verdict == "reproduced"


GAP = Within(
    "toy-gap",
    difference(ACCURACY, at_epoch("test_accuracy", "narrow", 4)),
    above=0,
)


def test_devices_are_never_subtracted_from_each_other(make_record) -> None:
    def run(role, seed, accuracy, device):
        return make_record(recipe(role, "slow"), seed, test_accuracy=accuracy, device=device)

    mixed = [
        run(role, seed, accuracy, device)
        for seed in SEEDS
        for role, accuracy, device in (("wide", 0.8, "cuda"), ("narrow", 0.7, "cpu"))
    ]
    (finding,) = judged(GAP, mixed).findings
    assert finding.verdict == "undecided"
    assert (finding.measurement.seeds, finding.measurement.records) == ((), ())

    # With the narrow network on both, the wide one's device is the one that has pairs.
    both = mixed + [run("narrow", seed, 0.6, "cuda") for seed in SEEDS]
    (finding,) = judged(GAP, both).findings
    assert finding.measurement.mean == pytest.approx(0.2)
    assert all(".cuda." in name for name in finding.measurement.records)

    # The CPU's pair comes first where there are two.
    (finding,) = judged(GAP, [*both, run("wide", 0, 0.9, "cpu")]).findings
    assert [".cpu." in name for name in finding.measurement.records] == [
        True,
        False,
        False,
        False,
    ] * 2


@pytest.mark.parametrize(
    "other",
    [
        {"hardware": "B", "threads": 1},
        {"hardware": "A", "threads": 2},
        {"hardware": "A", "threads": 1, "fleet": 4},
    ],
)
def test_times_of_unequal_machines_are_not_compared(make_record, other) -> None:
    def run(role, seed, seconds, machine):
        provenance = {"wall_seconds": 9.0, "training_seconds": seconds, **machine}
        return make_record(recipe(role, "slow"), seed, provenance=provenance)

    here = {"hardware": "A", "threads": 1}
    faster = Within(
        "toy-faster", difference(seconds_an_epoch("narrow"), seconds_an_epoch("wide")), below=0
    )
    records = [run("wide", seed, 8.0 + seed / 100, here) for seed in SEEDS]
    assert judged(faster, records + [run("narrow", s, 4.0, here) for s in SEEDS]).verdict == (
        "reproduced"
    )
    (finding,) = judged(faster, records + [run("narrow", s, 4.0, other) for s in SEEDS]).findings
    assert (finding.verdict, finding.measurement.seeds) == ("undecided", ())
