"""Equivalence: bfloat16 is licensed by a whole interval within the margin, and by nothing less."""

from __future__ import annotations

import dataclasses

import pytest
from scipy import stats

from experiments.catalog import study
from experiments.equivalence import equivalences
from experiments.variants import variant
from tests.precision_pairs import DIGITS, OTHER, RECIPE, SMALL, only


@pytest.fixture
def judged(runs_in):
    """Judge a recipe by the differences of its pairs, bfloat16 - float32."""

    def judge(differences, **fields):
        reference = [0.75 + 0.02 * seed for seed in range(len(differences))]
        reduced = [a + b for a, b in zip(reference, differences, strict=True)]
        images = {"test_size": fields.pop("test_size", 10_000)}
        both = (
            runs_in("float32", reference, **images),
            runs_in("bfloat16", reduced, **images, **fields),
        )
        return only([*both[0], *both[1]])

    return judge


def test_a_whole_interval_within_the_margin_is_a_licence(judged):
    found = judged(SMALL, test_size=10**12)  # so that an image is nothing
    expected = stats.ttest_1samp(SMALL, 0).confidence_interval(0.95)
    assert (found.study, found.recipe) == (DIGITS, RECIPE)
    assert (found.seeds, found.diverged, found.pairs) == ((0, 1, 2, 3, 4), (), 5)
    assert found.licensed is True
    assert found.difference == pytest.approx(0.002, rel=1e-9)
    assert found.differences == pytest.approx(SMALL, rel=1e-9)
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(expected), rel=1e-9)
    assert found.reason == "the interval lies within ±0.5 points"
    assert str(found) == "+0.20 ± 0.12 pp"


def test_the_sign_is_that_of_bfloat16(judged):
    """What bfloat16 loses is negative."""
    assert str(judged([-0.125])) == "-12.50 pp"  # one pair has no error
    found = judged([-each for each in SMALL])
    assert found.licensed is True
    assert found.difference == pytest.approx(-0.002, rel=1e-9)
    assert found.interval.low == pytest.approx(-0.00324, abs=1e-5)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(
    ("differences", "why"),
    [
        # The mean is 0.4 points, and the interval reaches 0.52.
        ([0.003, 0.005, 0.004, 0.003, 0.005], "the interval is too wide"),
        # The mean is 0.1 points.
        ([-0.009, 0.011, 0.001, -0.009, 0.011], "the interval is too wide"),
        ([0.009, 0.011, 0.010, 0.009, 0.011], "the difference is too large"),
        (
            [-0.010, 0.030, 0.010, -0.010, 0.030],
            "the difference is too large and the interval is too wide",
        ),
    ],
)
def test_an_interval_that_leaves_the_margin_is_none(judged, sign, differences, why):
    found = judged([sign * each for each in differences])
    assert found.licensed is False
    assert found.reason == f"not within ±0.5 points: {why}"


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [(4, "4 pairs; 5 are needed"), (3, "3 pairs; 5 are needed"), (1, "1 pair; 5 are needed")],
)
def test_fewer_than_five_pairs_say_nothing(judged, pairs, reason):
    found = judged([0.001] * pairs)
    assert (found.licensed, found.reason, found.pairs) == (None, reason, pairs)
    large = judged([0.2] * pairs)
    assert (large.licensed, large.reason) == (None, reason)


def test_where_patience_ends_a_run_the_weights_that_it_keeps_count(make_record):
    """Red if the last epoch is compared, whose weights nothing is judged by."""
    report = study("assignment-3")
    recipe = next(recipe for recipe in report.recipes if recipe.patience is not None)

    def run(precision, seed, kept, last):
        record = make_record(
            variant(recipe, precision=precision), seed, train_loss=[1.0] * 3,
            train_accuracy=[0.5] * 3, test_loss=[1.0] * 3, test_accuracy=[0.25, kept, last],
        )  # fmt: skip
        record.curves.validation_loss.extend([3.0, 1.0, 2.0])
        return record

    reference = [run("float32", seed, 0.75, 0.5) for seed in range(5)]
    reduced = [run("bfloat16", seed, 0.75 + each, 0.7) for seed, each in enumerate(SMALL)]
    (found,) = equivalences(report, [*reference, *reduced])
    assert found.differences == pytest.approx(SMALL, rel=1e-9)
    assert found.licensed is True


def test_only_seeds_that_have_both_precisions_count(runs_in):
    """Five runs of each are not five pairs."""
    reduced = runs_in("bfloat16", [0.75] * 6)
    reference = runs_in("float32", [0.75] * 5)
    found = only([*reference, *reduced[3:]])
    assert found.runs == (reduced[3], reference[3], reduced[4], reference[4])
    assert (found.seeds, found.licensed, found.reason) == ((3, 4), None, "2 pairs; 5 are needed")
    alone = only(reduced)
    assert (alone.seeds, alone.difference, alone.interval) == ((), None, None)
    assert (alone.licensed, alone.reason, str(alone)) == (None, "0 pairs; 5 are needed", "–")


def test_pairs_are_of_one_kind_of_device(runs_in):
    found = only([*runs_in("float32", [0.75] * 5), *runs_in("bfloat16", [0.75] * 5, device="cuda")])
    assert (found.pairs, found.licensed) == (0, None)


@pytest.mark.parametrize(
    ("reduced", "reference", "reason"),
    [
        ([2, 4], [], "the loss diverged in bfloat16 alone: seeds 2, 4"),
        ([], [1], "the loss diverged in float32 alone: seed 1"),
        ([3], [3], "the loss diverged in both precisions: seed 3"),
        (
            range(7),
            [0],
            "the loss diverged in bfloat16 alone: seeds 1, 2, 3, 4, 5, 6; "
            "the loss diverged in both precisions: seed 0",
        ),
    ],
)
def test_a_diverged_run_costs_the_licence(runs_in, reduced, reference, reason):
    """However many pairs are left: what could not be compared is not left out in silence."""
    records = [
        run
        for precision, lost in (("bfloat16", reduced), ("float32", reference))
        for run in runs_in(precision, [None if seed in lost else 0.75 for seed in range(7)])
    ]
    found = only(records)
    assert found.licensed is False
    assert found.reason == reason
    assert found.diverged == tuple(sorted({*reduced, *reference}))
    assert set(found.seeds) == set(range(7)) - set(found.diverged)
    assert found.pairs == 7


def test_a_diverged_run_is_told_among_few_pairs_too(runs_in):
    found = only([*runs_in("float32", [0.75] * 3), *runs_in("bfloat16", [0.75, None, 0.75])])
    assert found.licensed is None
    assert found.reason == "3 pairs; 5 are needed; the loss diverged in bfloat16 alone: seed 1"


def test_variants_of_another_length_are_passed_over(runs_in):
    short = runs_in("bfloat16", [0.75] * 5, epochs_scale=0.1)
    assert equivalences(DIGITS, [*runs_in("float32", [0.75] * 5), *short]) == ()
    shorter = runs_in("float32", [0.75] * 5, epochs_scale=0.1)
    assert equivalences(DIGITS, [*short, *shorter]) == ()
    found = only([*runs_in("float32", [0.75] * 5), *short, *runs_in("bfloat16", [0.7] * 3)])
    assert found.pairs == 3


def test_a_recipe_in_float32_alone_is_not_in_the_study(runs_in):
    records = [*runs_in("float32", [0.75] * 5), *runs_in("float32", [0.5] * 5, recipe=OTHER)]
    found = only([*records, *runs_in("bfloat16", [0.5] * 5, recipe=OTHER)])
    assert found.recipe == OTHER


def test_a_recipe_that_is_in_bfloat16_itself_is_not_held_against_itself(runs_in):
    own = dataclasses.replace(RECIPE, name="own.adam", precision="bfloat16")
    study = dataclasses.replace(DIGITS, recipes=(own,), statements=())
    assert equivalences(study, runs_in("bfloat16", [0.75] * 5, recipe=own)) == ()


def test_an_initial_network_has_no_training_to_compare(make_record):
    initial = dataclasses.replace(RECIPE, epochs=0)
    study = dataclasses.replace(DIGITS, recipes=(initial,), statements=())
    both = (initial, variant(initial, precision="bfloat16"))
    records = [make_record(recipe, seed, study="digits") for recipe in both for seed in range(5)]
    assert equivalences(study, records) == ()


def test_records_of_different_data_are_refused(runs_in):
    records = [
        *runs_in("float32", [0.7] * 5),
        *runs_in("bfloat16", [0.7] * 5, dataset_fingerprint="b"),
    ]
    with pytest.raises(ValueError, match="different versions of data set 'digits'"):
        equivalences(DIGITS, records)


def test_speed_is_the_median_of_the_pairs_ratios(runs_in):
    reference = runs_in("float32", [0.75] * 5)
    seconds = [50.0, 200.0, 25.0, 100.0, 80.0]
    reduced = [
        runs_in("bfloat16", [0.75] * 5, seconds=each)[seed] for seed, each in enumerate(seconds)
    ]
    assert only([*reference, *reduced]).speed == pytest.approx(100 / 80, rel=1e-12)


def test_a_run_that_is_ended_early_is_no_faster_for_it(make_record):
    """Of as many seconds, one spent them on twice as many epochs."""
    report = study("assignment-3")
    recipe = next(recipe for recipe in report.recipes if recipe.patience is not None)

    def run(precision, epochs):
        curve = [0.5] * epochs
        record = make_record(
            variant(recipe, precision=precision), 0, train_loss=curve, train_accuracy=curve,
            test_loss=curve, test_accuracy=curve,
        )  # fmt: skip
        record.curves.validation_loss.extend(curve)
        return record

    (found,) = equivalences(report, [run("float32", 4), run("bfloat16", 2)])
    assert found.speed == 0.5


def test_a_run_that_diverged_has_no_speed(runs_in):
    """The epoch that went wrong is in its seconds, and in no curve."""
    reduced = runs_in("bfloat16", [0.75, None, None], seconds=50.0)
    found = only([*runs_in("float32", [0.75] * 3), *reduced])
    assert found.speed == pytest.approx(2, rel=1e-12)


def test_a_pair_without_seconds_has_no_speed(runs_in):
    """A clock that did not move tells none: neither an error nor an infinite ratio."""
    reduced = runs_in("bfloat16", [0.75] * 3, seconds=50.0)
    for lost in range(2):
        both = [runs_in("float32", [0.75] * 3), reduced]
        seconds = both[lost][1].provenance
        both[lost] = [*both[lost]]
        both[lost][1] = dataclasses.replace(
            both[lost][1], provenance={**seconds, "training_seconds": 0.0}
        )
        assert only([*both[0], *both[1]]).speed == pytest.approx(2, rel=1e-12)


@pytest.mark.parametrize(
    "made",
    [{"hardware": "another"}, {"threads": 2}, {"fleet": 5}],
    ids=str,
)
def test_speeds_of_unequal_machines_are_not_compared(judged, made):
    found = judged(SMALL, provenance=made)
    assert found.licensed is True
    assert found.speed is None


def test_pairs_on_unequal_machines_leave_the_others_speed_alone(runs_in):
    reduced = [
        *runs_in("bfloat16", [0.75] * 3, seconds=50.0),
        *runs_in("bfloat16", [0.75] * 5, seconds=1.0, provenance={"threads": 2})[3:],
    ]
    assert only([*runs_in("float32", [0.75] * 5), *reduced]).speed == pytest.approx(2, rel=1e-12)
