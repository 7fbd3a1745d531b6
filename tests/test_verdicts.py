"""From records to verdicts: planted faults must be seen, and every verdict must be reachable."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from experiments.catalog import studies, study
from experiments.quantities import (
    at_epoch,
    at_lowest_validation_loss,
    at_the_end,
    best_train_accuracy,
    difference,
    epochs_with_finite_loss,
    final_train_accuracy,
    loss_rise,
    median_of,
    parameters,
    seconds_an_epoch,
    turning_point,
)
from experiments.recipe import Optimizer, Recipe
from experiments.statements import Exactly, Reported, Within
from experiments.statistics import prediction_interval, two_test_sets_sd
from experiments.study import Study
from experiments.verdicts import ClaimVerdict, judge, select
from theory.ledger.claims import claims

SEEDS = range(4)
# Four values with mean 0 and standard deviation 1: their t-interval is ±1.59, the prediction
# interval for a fifth ±3.56.
SPREAD = np.array([-1.5, -0.5, 0.5, 1.5]) / np.std([-1.5, -0.5, 0.5, 1.5], ddof=1)


def recipe(role: str, completion: str) -> Recipe:
    filters = {"wide": 20, "narrow": 3}[role]
    lr = {"slow": 0.001, "fast": 0.01}[completion]
    name = f"{role}.{completion}"
    return Recipe(name, "two-conv", "cifar10", Optimizer("sgd", lr), epochs=4, filters=filters)


def toy_study(*statements, completions=("slow",)) -> Study:
    return Study(
        name="toy",
        title="Two networks",
        recipes=tuple(recipe(role, c) for role in ("wide", "narrow") for c in completions),
        statements=statements,
        completions={completion: f"{completion} steps" for completion in completions},
    )


def judged(statement, records) -> ClaimVerdict:
    (verdict,) = judge(toy_study(statement), records)
    return verdict


@pytest.fixture
def wide(make_record):
    """Make records of the wide network, one for each test accuracy after the last epoch."""

    def records(accuracies, **fields):
        return [
            make_record(recipe("wide", "slow"), seed, test_accuracy=float(accuracy), **fields)
            for seed, accuracy in enumerate(accuracies)
        ]

    return records


_LOSS = at_the_end("test_loss", "wide")
ACCURACY = at_epoch("test_accuracy", "wide", 4)
SEVENTY = Reported("toy-acc", ACCURACY, 0.70)


def test_a_number_within_reach_is_reproduced(wide) -> None:
    claim = judged(SEVENTY, wide(0.705 + 0.005 * SPREAD))
    (finding,) = claim.findings
    assert claim.verdict == "reproduced"
    assert finding.measured == pytest.approx(0.705)
    assert finding.seeds == (0, 1, 2, 3)
    assert finding.reported == 0.70
    assert 0.70 in finding.interval
    # Both error bars are stated, and the one that decides covers both.
    assert finding.interval.half_width > finding.seed_interval.half_width
    assert finding.interval.half_width > finding.test_set_interval.half_width


def test_a_shifted_mean_is_not_reproduced(wide) -> None:
    for shift in (-0.05, 0.05):
        claim = judged(SEVENTY, wide(0.70 + shift + 0.005 * SPREAD))
        assert claim.verdict == "not_reproduced"


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
    assert finding.reason.endswith("(by ranks 1 and 39 of 39)") == (seeds == 39)


def test_a_number_is_held_against_the_prediction_not_the_mean(wide) -> None:
    # Outside the confidence interval of the mean, inside the prediction interval.
    claim = judged(SEVENTY, wide(0.715 + 0.005 * SPREAD))
    assert 0.70 not in claim.findings[0].seed_interval
    assert claim.verdict == "reproduced"


def test_what_is_measured_is_the_mean_and_no_median(wide) -> None:
    (finding,) = judged(SEVENTY, wide([0.70, 0.70, 0.70, 0.74])).findings
    assert finding.measured == pytest.approx(0.71)


def test_another_test_set_is_as_large_as_this_one_and_as_hard_as_the_mean(wide) -> None:
    values = [0.60, 0.50, 0.52, 0.54]
    (finding,) = judged(SEVENTY, wide(values, test_size=100)).findings
    expected = prediction_interval(values, noise_sd=two_test_sets_sd(0.54, 100), grid=0.01)
    assert finding.interval.low == pytest.approx(expected.low, rel=1e-12)
    assert finding.interval.high == pytest.approx(expected.high, rel=1e-12)


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
        assert claim.findings[0].seed_interval.half_width > 0


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
    assert finding.seed_interval is None
    assert "need two" in finding.reason


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
    assert trained.test_set_interval is None


def test_seeds_that_agree_confirm_a_number_to_the_grid_of_their_counts(make_record) -> None:
    """Of 10,000 images: ± t sqrt(1 + 1/4) / 10000 / sqrt(12) = 0.000103."""
    records = [make_record(recipe("wide", "slow"), seed, train_accuracy=0.5) for seed in SEEDS]
    quantity = at_epoch("train_accuracy", "wide", 4)
    for resolution, verdict in ((1.02e-4, "undecided"), (1.04e-4, "reproduced")):
        claim = judged(Reported("toy-acc", quantity, 0.5, resolution=resolution), records)
        assert claim.verdict == verdict
        assert "before it was rounded" not in claim.findings[0].reason


def test_the_wrong_epoch_is_seen(make_record) -> None:
    records = [
        make_record(recipe("wide", "slow"), seed, test_accuracy=[0.3, 0.5, 0.7, 0.8])
        for seed in SEEDS
    ]
    third = Reported("toy-acc", at_epoch("test_accuracy", "wide", 3), 0.70)
    assert judged(third, records).verdict == "reproduced"
    assert judged(SEVENTY, records).verdict == "not_reproduced"


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
    assert claim.findings[0].measured == pytest.approx(gain)


@pytest.mark.parametrize("bound", ["above", "below"])
def test_equal_counts_are_neither_better_nor_worse(pairs, bound) -> None:
    """Each accuracy is known to an image of 10,000: so is the sign of their difference."""
    sign = 1 if bound == "above" else -1
    for gain, verdict in ((0.0, "undecided"), (5e-5, "undecided"), (1e-4, "reproduced")):
        claim = judged(Within("toy-gain", GAIN, **{bound: 0}), pairs([sign * gain] * 4))
        assert claim.verdict == verdict


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
    assert half.seeds == (2, 3)
    (none,) = judged(better, pairs([0.02] * 4, narrow_seeds=(7, 8, 9))).findings
    assert none.seeds == ()
    assert none.verdict == "undecided"
    assert none.measured is None


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
    assert finding.expected == expected
    assert finding.next_run == ""  # what was bounded is a mean, and no further run


def test_one_run_is_enough(wide) -> None:
    claim = Exactly("toy-count", parameters("wide"), 46590)
    assert judged(claim, wide([0.5], parameters=46590)).verdict == "reproduced"
    assert judged(claim, wide([0.5], parameters=46591)).verdict == "not_reproduced"


def test_two_runs_are_not_enough_where_seeds_may_differ(wide) -> None:
    claim = Exactly("toy-setup", epochs_with_finite_loss("wide"), 4)
    assert judged(claim, wide([0.5])).verdict == "undecided"
    (finding,) = judged(claim, wide([0.5, 0.5])).findings
    assert finding.verdict == "undecided"
    assert finding.reason == "4 in every run, but 2 seeds are too few for a verdict"
    assert judged(claim, wide([0.5, 0.5, 0.5])).verdict == "reproduced"


@pytest.mark.parametrize("above", [0.4, 0.6])
def test_two_seeds_that_agree_by_chance_leave_no_doubt_only_seemingly(wide, above) -> None:
    """What they say is shown; red where it is told as a verdict, either way."""
    statement = Within("toy-acc", ACCURACY, above=above)
    (finding,) = judged(statement, wide([0.5, 0.5])).findings
    assert (finding.verdict, len(finding.seeds)) == ("undecided", 2)
    assert finding.interval is not None
    assert judged(statement, wide([0.5, 0.5, 0.5])).verdict != "undecided"


def test_every_run_must_agree(wide) -> None:
    records = wide([0.5, 0.5])
    records[1] = dataclasses.replace(records[1], parameters=99)
    claim = judged(Exactly("toy-count", parameters("wide"), 100), records)
    assert claim.verdict == "not_reproduced"
    assert claim.findings[0].reason == "99 and not 100"


def test_a_number_between_two_integers_is_neither(make_record) -> None:
    """A median of two counts can be one."""
    records = [
        make_record(recipe(role, "slow"), 0, parameters=count)
        for role, count in (("wide", 100), ("narrow", 101))
    ]
    between = Exactly("toy-count", median_of([parameters("wide"), parameters("narrow")]), 100)
    (finding,) = judged(between, records).findings
    assert (finding.verdict, finding.reason) == ("not_reproduced", "100.5 and not 100")


@pytest.mark.parametrize(
    ("diverged", "verdict"), [(0, "reproduced"), (1, "undecided"), (4, "not_reproduced")]
)
def test_all_some_or_none(make_record, diverged, verdict) -> None:
    records = [
        make_record(
            recipe("wide", "slow"),
            seed,
            test_accuracy=0.7,
            diverged_after=2 if seed < diverged else None,
        )
        for seed in SEEDS
    ]
    claim = judged(Reported("toy-acc", ACCURACY, 0.7), records)
    assert claim.verdict == verdict
    assert (claim.findings[0].measured is None) == (diverged > 0)


def test_one_diverged_run_alone_refutes_nothing(make_record) -> None:
    records = [make_record(recipe("wide", "slow"), 0, diverged_after=2)]
    assert judged(SEVENTY, records).verdict == "undecided"


@pytest.mark.parametrize(
    "statement",
    [
        Within("toy-rise", loss_rise("wide", 4), above=0),
        Exactly("toy-setup", epochs_with_finite_loss("wide"), 4),
    ],
    ids=["rise", "setup"],
)
@pytest.mark.parametrize(
    ("diverged", "seeds", "verdict"),
    [
        (1, 1, "undecided"),
        (1, 2, "undecided"),
        (2, 2, "not_reproduced"),
        (1, 3, "undecided"),
        (2, 3, "undecided"),
        (3, 3, "not_reproduced"),
        (0, 3, "reproduced"),
    ],
)
def test_every_quantity_counts_the_diverged_alike(
    make_record, statement, diverged, seeds, verdict
) -> None:
    records = [
        make_record(
            recipe("wide", "slow"),
            seed,
            test_loss=[2.0, 1.0, 1.5, 4.0],
            diverged_after=2 if seed >= seeds - diverged else None,
        )
        for seed in range(seeds)
    ]
    (finding,) = judged(statement, records).findings
    assert finding.verdict == verdict
    assert finding.seeds == tuple(range(seeds))
    assert len(finding.records) == seeds
    if diverged:
        assert finding.reason == f"the loss diverged for {diverged} of {seeds} seeds"


def test_the_rise_of_one_seed_is_undecided(make_record) -> None:
    records = [make_record(recipe("wide", "slow"), 0, test_loss=[2.0, 1.0, 1.5, 4.0])]
    (finding,) = judged(Within("toy-rise", loss_rise("wide", 4), above=0), records).findings
    assert (finding.verdict, finding.measured, finding.seeds) == ("undecided", 3.0, (0,))
    assert finding.reason == "seeds with every run: 1; error bars need two"
    assert len(finding.records) == 1


def test_a_claim_about_an_earlier_epoch_stands(make_record) -> None:
    records = [
        make_record(recipe("wide", "slow"), seed, test_accuracy=0.7, diverged_after=2)
        for seed in SEEDS
    ]
    early = Reported("toy-acc", at_epoch("test_accuracy", "wide", 2), 0.7)
    assert judged(early, records).verdict == "reproduced"


PAIR = (
    Reported("toy-pair", at_epoch("train_accuracy", "wide", 4), 0.8),
    Reported("toy-pair", ACCURACY, 0.5),
)


def pair_verdict(make_record, measured) -> ClaimVerdict:
    """Judge the pair on (train, test) accuracies by completion; None leaves runs out."""
    records = [
        make_record(recipe("wide", completion), s, train_accuracy=train, test_accuracy=test)
        for completion, accuracies in measured.items()
        if accuracies is not None
        for train, test in [accuracies]
        for s in SEEDS
    ]
    (claim,) = judge(toy_study(*PAIR, completions=tuple(measured)), records)
    return claim


def test_all_parts_under_one_completion(make_record) -> None:
    claim = pair_verdict(make_record, {"slow": (0.8, 0.5), "fast": (0.8, 0.9)})
    assert claim.by_completion == {"slow": "reproduced", "fast": "not_reproduced"}
    assert claim.verdict == "reproduced"
    assert claim.reason == "reproduced under slow; not reproduced under fast"


def test_no_completion_applies_but_the_one_that_the_report_states(make_record) -> None:
    """Red where runs that the report rules out refute its claim, or reproduce it."""
    records = [
        make_record(recipe("wide", completion), seed, test_accuracy=accuracy)
        for completion, accuracy in (("slow", 0.9), ("fast", 0.7))
        for seed in SEEDS
    ]
    other = dataclasses.replace(SEVENTY, claim="toy-other")
    open_ = toy_study(SEVENTY, other, completions=("slow", "fast"))
    for completion, verdict in (("slow", "not_reproduced"), ("fast", "reproduced")):
        (claim, unstated) = judge(
            dataclasses.replace(open_, stated={"toy-acc": completion}), records
        )
        assert claim.by_completion == {completion: verdict}
        assert claim.verdict == verdict
        assert claim.reason == "under the one completion that applies"
        assert unstated.by_completion == {"slow": "not_reproduced", "fast": "reproduced"}


def test_a_part_that_shows_the_verdict_is_found_under_a_completion_that_has_it(make_record) -> None:
    claim = pair_verdict(make_record, {"slow": (0.1, 0.9), "fast": (0.8, 0.5)})
    assert (claim.example.completion, claim.example.verdict) == ("fast", "reproduced")
    half = pair_verdict(make_record, {"slow": (0.8, 0.9), "fast": (0.8, 0.5)})
    assert half.example.completion == "fast"  # under slow the first part holds, but not the claim
    refuted = pair_verdict(make_record, {"slow": (0.8, 0.9), "fast": (0.1, 0.5)}).example
    assert (refuted.completion, refuted.verdict) == ("slow", "not_reproduced")
    assert refuted.quantity.startswith("test")
    assert pair_verdict(make_record, {"slow": None}).example.verdict == "not_run"


def test_a_part_that_seeds_can_change_shows_more_than_one_that_none_can(wide) -> None:
    same = Exactly("toy-acc", parameters("wide"), 100)
    for statements in ((same, SEVENTY), (SEVENTY, same)):
        (claim,) = judge(toy_study(*statements), wide([0.7] * 4))
        assert claim.verdict == "reproduced"
        assert claim.example.quantity.startswith("test accuracy")
    assert judged(same, wide([0.7])).example.quantity.startswith("parameters")


def test_a_claim_says_what_the_report_or_the_study_says(make_record) -> None:
    (claim,) = judge(dataclasses.replace(toy_study(SEVENTY), own={"toy-acc": "Ours."}), [])
    assert claim.sentence == "Ours."
    assert judged(SEVENTY, []).sentence == ""
    (first, *_) = judge(study("nni-2023-ex1"), [])
    assert first.sentence == claims()[first.claim].statement
    renamed = dataclasses.replace(study("nni-2023-ex1"), own={first.claim: "Ours."})
    assert renamed.sentence(first.claim) == first.sentence  # what a report says, it says


@pytest.mark.parametrize("each", studies(), ids=lambda each: each.name)
def test_every_claim_of_the_catalogue_has_a_sentence(each) -> None:
    assert all(each.sentence(claim) for claim in each.claims)


def test_parts_from_different_completions_do_not_add_up(make_record) -> None:
    claim = pair_verdict(make_record, {"slow": (0.8, 0.9), "fast": (0.1, 0.5)})
    assert claim.verdict == "not_reproduced"
    assert claim.reason == "under every completion"


def test_one_refuted_part_refutes_the_claim_whatever_the_others_are(make_record) -> None:
    records = [
        make_record(
            recipe("wide", "slow"),
            seed,
            train_accuracy=float(0.8 + 0.05 * noise),
            test_accuracy=0.9,
        )
        for seed, noise in enumerate(SPREAD)
    ]
    not_run = Exactly("toy-pair", parameters("narrow"), 100)
    (claim,) = judge(toy_study(*PAIR, not_run), records)
    assert [f.verdict for f in claim.findings] == ["undecided", "not_reproduced", "not_run"]
    assert claim.verdict == "not_reproduced"
    (claim,) = judge(toy_study(PAIR[0], not_run), records)
    assert claim.verdict == "not_run"


def test_refuted_where_run_but_not_run_everywhere(make_record) -> None:
    claim = pair_verdict(make_record, {"slow": (0.8, 0.9), "fast": None})
    assert claim.by_completion == {"slow": "not_reproduced", "fast": "not_run"}
    assert claim.verdict == "undecided"


def test_not_run_says_what_is_missing(make_record) -> None:
    claim = pair_verdict(make_record, {"slow": None, "fast": None})
    assert claim.verdict == "not_run"
    finding = claim.findings[0]
    assert finding.missing == ("wide.slow",)
    assert finding.reason == "no records of wide.slow"
    assert finding.records == ()


def test_findings_name_their_records(wide) -> None:
    records = wide([0.7, 0.7])
    (finding,) = judged(Reported("toy-acc", ACCURACY, 0.7), records).findings
    assert finding.records == tuple(
        f"toy/wide.slow.seed-{r.seed}.cpu.{r.key[:12]}.json" for r in records
    )


def test_only_the_recipe_as_it_stands_counts(make_record) -> None:
    current = make_record(recipe("wide", "slow"), 0)
    old_engine = make_record(recipe("wide", "slow"), 1, engine=0)
    changed = make_record(dataclasses.replace(recipe("wide", "slow"), epochs=5), 2)
    chosen = select(toy_study(), [current, old_engine, changed])
    assert chosen == {"wide.slow": {0: current}, "narrow.slow": {}}


def test_a_name_is_only_a_label(make_record) -> None:
    renamed = make_record(dataclasses.replace(recipe("wide", "slow"), name="broad.slow"), 0)
    assert select(toy_study(), [renamed])["wide.slow"] == {0: renamed}


def test_what_is_run_on_request_says_what_it_needs(wide) -> None:
    asking = dataclasses.replace(toy_study(SEVENTY), on_request={"wide.slow": "a larger machine"})
    (claim,) = judge(asking, [])
    assert (claim.verdict, claim.reason) == ("not_run", "needs a larger machine")
    (finding,) = claim.findings
    assert (finding.measured, finding.reported, finding.expected) == (None, 0.7, "70 %")
    assert (finding.missing, finding.records) == (("wide.slow",), ())
    (claim,) = judge(asking, wide(0.705 + 0.005 * SPREAD))  # once it was run, it counts
    assert (claim.verdict, claim.needs) == ("reproduced", ())


def test_a_need_is_not_a_missing_record() -> None:
    claim = judged(SEVENTY, [])
    assert claim.verdict == "not_run"
    assert claim.findings[0].missing == ("wide.slow",)
    assert claim.needs == ()
    assert claim.reason == "no records of wide.slow"


def test_the_cpu_is_the_reference(make_record) -> None:
    cpu = make_record(recipe("wide", "slow"), 0)
    cuda = make_record(recipe("wide", "slow"), 0, device="cuda")
    other = make_record(recipe("wide", "slow"), 1, device="cuda")
    for records in ([cpu, cuda, other], [other, cuda, cpu]):
        assert select(toy_study(), records)["wide.slow"] == {0: cpu, 1: other}


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
    assert (finding.verdict, finding.seeds, finding.records) == ("undecided", (), ())

    # With the narrow network on both, the wide one's device is the one that has pairs.
    both = mixed + [run("narrow", seed, 0.6, "cuda") for seed in SEEDS]
    (finding,) = judged(GAP, both).findings
    assert finding.measured == pytest.approx(0.2)
    assert all(".cuda." in name for name in finding.records)

    # The CPU's pair comes first where there are two.
    (finding,) = judged(GAP, [*both, run("wide", 0, 0.9, "cpu")]).findings
    assert [".cpu." in name for name in finding.records] == [True, False, False, False] * 2


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
    assert (finding.verdict, finding.seeds) == ("undecided", ())


@pytest.mark.parametrize(
    "quantity", [seconds_an_epoch("wide"), at_the_end("test_accuracy", "wide")]
)
def test_a_recipe_without_epochs_has_no_last_one(quantity) -> None:
    untrained = dataclasses.replace(recipe("wide", "slow"), epochs=0)
    with pytest.raises(ValueError, match=r"reads epoch 1, but recipe 'wide\.slow' ends after 0"):
        Study(
            "toy",
            "Two networks",
            (untrained,),
            (Within("toy-x", quantity, above=0),),
            {"slow": "s"},
        )


def test_a_number_that_is_no_accuracy_says_how_finely_it_is_printed() -> None:
    loss = at_epoch("test_loss", "wide", 4)
    with pytest.raises(ValueError, match="'toy-loss': give the half_unit of a number in nats"):
        Reported("toy-loss", loss, 0.67)
    with pytest.raises(ValueError, match="give the resolution"):
        Reported("toy-loss", loss, 0.67, half_unit=0.005)


def test_two_versions_of_the_data_are_never_mixed(make_record) -> None:
    records = [
        make_record(recipe("wide", "slow"), 0),
        make_record(recipe("narrow", "slow"), 0, dataset_fingerprint="another"),
    ]
    with pytest.raises(ValueError, match="different versions of data set 'cifar10'"):
        select(toy_study(), records)


def test_a_recipe_is_found_by_role_and_completion() -> None:
    assert toy_study().recipe("narrow", "slow") == recipe("narrow", "slow")
    with pytest.raises(ValueError, match=r"no recipe 'deep\.slow'; known: wide\.slow, narrow"):
        toy_study().recipe("deep", "slow")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipes": (recipe("wide", "slow"),) * 2}, r"two recipes are named 'wide\.slow'"),
        ({"completions": {"adam": ""}}, r"'wide\.slow' must be named <role>\.<completion>"),
        (
            {"recipes": (dataclasses.replace(recipe("wide", "slow"), name=".slow"),)},
            r"'\.slow' must be named <role>\.<completion>",
        ),
        ({"on_request": {"deep.slow": "time"}}, r"no recipe 'deep\.slow' to run on request"),
        ({"stated": {"toy-x": "slow"}}, "no claim 'toy-x' with a stated completion 'slow'"),
        (
            {"statements": (SEVENTY,), "stated": {"toy-acc": "adam"}},
            "no claim 'toy-acc' with a stated completion 'adam'",
        ),
        ({"completions": {"slow": "", "fast": ""}}, r"no recipe 'wide\.fast'"),
        ({"statements": (Exactly("other-claim", parameters("wide"), 1),)}, "must start with"),
        ({"statements": (Exactly("toys-x", parameters("wide"), 1),)}, "must start with 'toy-'"),
        ({"statements": (Exactly("toy-x", parameters("deep"), 1),)}, r"no recipe 'deep\.slow'"),
        (
            {"statements": (Exactly("toy-x", at_epoch("test_loss", "wide", 5), 1),)},
            "reads epoch 5, but recipe 'wide.slow' ends after 4",
        ),
        *(
            (
                {"statements": (Within("toy-x", quantity, above=0),)},
                "'toy-x' reads what was measured in validation, but recipe 'wide.slow' holds no",
            )
            for quantity in (
                at_the_end("validation_loss", "wide"),
                best_train_accuracy("wide"),
                difference(at_lowest_validation_loss("test_loss", "wide"), _LOSS),
            )
        ),
    ],
)
def test_mistakes_in_the_catalogue_are_named(changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(toy_study(), **changes)


def test_what_is_measured_in_validation_needs_images_held_out_and_no_patience() -> None:
    study = toy_study()
    recipes = tuple(dataclasses.replace(each, validation=10) for each in study.recipes)
    statement = Within("toy-x", at_the_end("validation_loss", "wide"), above=0)
    assert dataclasses.replace(study, recipes=recipes, statements=(statement,)).claims == ("toy-x",)


def test_what_is_read_must_be_measured_under_every_completion() -> None:
    statement = Within("toy-x", at_epoch("test_loss", "wide", 4), above=0)
    study = toy_study(statement, completions=("slow", "fast"))
    recipes = tuple(
        dataclasses.replace(each, epochs=3) if each.name == "wide.fast" else each
        for each in study.recipes
    )
    with pytest.raises(ValueError, match=r"reads epoch 4, but recipe 'wide\.fast' ends after 3"):
        dataclasses.replace(study, recipes=recipes)


@pytest.mark.parametrize("study", studies(), ids=lambda study: study.name)
def test_every_empirical_claim_of_a_report_is_measured(study) -> None:
    reported = {c.id: c for c in claims().values() if c.report == study.name}
    assert set(study.claims) >= {claim for claim in reported if reported[claim].empirical}
    own = set(study.claims) - reported.keys()
    # The embedded study makes its own statements; those beside a report's are marked.
    assert study.name == "digits" or all(c.startswith(f"{study.name}-own-") for c in own)


@pytest.mark.parametrize("study", studies(), ids=lambda study: study.name)
def test_nothing_is_run_in_vain(study) -> None:
    read = {role for statement in study.statements for role in statement.quantity.reads}
    assert read == set(study.roles)


@pytest.mark.parametrize("study", studies(), ids=lambda study: study.name)
def test_no_two_recipes_are_the_same_run(study) -> None:
    assert len({recipe.digest for recipe in study.recipes}) == len(study.recipes)


# Readings


def read_as(**accuracies) -> list[Reported]:
    """State a number in a reading for each role."""
    return [
        Reported("toy-acc", at_epoch("test_accuracy", role, 4), value, reading=role)
        for role, value in accuracies.items()
    ]


def both(make_record, accuracies=(0.70, 0.701, 0.699, 0.7005)):
    return [
        make_record(recipe(role, "slow"), seed, test_accuracy=accuracy)
        for role in ("wide", "narrow")
        for seed, accuracy in enumerate(accuracies)
    ]


def read(statements, records) -> ClaimVerdict:
    (verdict,) = judge(toy_study(*statements), records)
    return verdict


def by_reading(claim: ClaimVerdict) -> dict[str, str]:
    """Return the verdict in each reading under the one completion."""
    return {way.reading: way.verdict for way in claim.ways}


def test_one_reading_that_holds_is_enough(make_record):
    claim = read(read_as(wide=0.7, narrow=0.9), both(make_record))
    assert by_reading(claim) == {"wide": "reproduced", "narrow": "not_reproduced"}
    assert claim.by_completion == {"slow": "reproduced"}
    assert claim.verdict == "reproduced"
    assert claim.reason == "reproduced under slow (wide); not reproduced under slow (narrow)"


def test_a_claim_is_refuted_where_every_reading_is(make_record):
    claim = read(read_as(wide=0.8, narrow=0.9), both(make_record))
    assert claim.verdict == "not_reproduced"
    assert claim.reason == "under every completion in every reading"


def test_a_reading_that_was_not_run_leaves_a_claim_open(make_record):
    wide_only = [record for record in both(make_record) if record.recipe.name == "wide.slow"]
    claim = read(read_as(wide=0.9, narrow=0.9), wide_only)
    assert claim.verdict == "undecided"


def test_a_part_without_a_reading_belongs_to_all(make_record):
    """Red where it counts as a reading of its own, which would hold alone."""
    general = Within("toy-acc", at_epoch("test_accuracy", "wide", 4), above=0.6)
    claim = read([general, *read_as(wide=0.8, narrow=0.9)], both(make_record))
    assert claim.verdict == "not_reproduced"
    refuted = Within("toy-acc", at_epoch("test_accuracy", "wide", 4), above=0.9)
    assert read([refuted, *read_as(wide=0.7)], both(make_record)).verdict == "not_reproduced"


def test_a_finding_names_its_reading(make_record):
    claim = read(read_as(wide=0.7), both(make_record))
    assert claim.findings[0].what.endswith("(reading: wide)")


def test_the_seeds_behind_a_verdict_are_those_of_its_weakest_part(make_record):
    records = both(make_record)
    wide = [record for record in records if record.recipe.name == "wide.slow"]
    narrow = [record for record in records if record.recipe.name == "narrow.slow"]
    parts = [
        Within("toy-acc", at_epoch("test_accuracy", role, 4), above=0.6)
        for role in ("wide", "narrow")
    ]
    assert read(parts, wide + narrow[:3]).deciding_seeds == 3
    refuted = [
        Within("toy-acc", at_epoch("test_accuracy", role, 4), above=0.9)
        for role in ("wide", "narrow")
    ]
    assert read(refuted, wide + narrow[:3]).deciding_seeds == 4  # either would be enough
    assert read(parts, wide).deciding_seeds is None
    same = Exactly("toy-acc", parameters("wide"), wide[0].parameters)
    assert read([same], wide).deciding_seeds is None
    assert read([same, parts[0]], wide[:3]).deciding_seeds == 3
    other = Exactly("toy-acc", parameters("wide"), wide[0].parameters + 1)
    assert read([other, refuted[0]], wide[:3]).deciding_seeds is None  # any one seed refutes it


def test_readings_with_more_seeds_count_for_a_claim_and_with_fewer_against(make_record):
    records = both(make_record)
    records = [each for each in records if each.recipe.name == "wide.slow" or each.seed < 3]
    assert read(read_as(wide=0.7, narrow=0.7), records).deciding_seeds == 4
    assert read(read_as(wide=0.9, narrow=0.9), records).deciding_seeds == 3


def test_a_late_reading_leaves_a_claim_open_and_reproduces_none(make_record):
    """Red where whoever has seen the runs can still choose what a claim means."""
    wide, narrow = read_as(wide=0.9, narrow=0.7)
    claim = read([wide, dataclasses.replace(narrow, late=True)], both(make_record))
    assert by_reading(claim) == {"wide": "not_reproduced", "narrow": "undecided"}
    assert claim.verdict == "undecided"
    assert claim.deciding_seeds is None
    assert claim.findings[1].what.endswith("(reading: narrow, late)")
    first = dataclasses.replace(wide, value=0.7, reading="narrow")
    partly = read([wide, first, dataclasses.replace(narrow, late=True)], both(make_record))
    assert partly.verdict == "undecided"  # one part of it was chosen late, and is enough
    refuted = read([wide, dataclasses.replace(narrow, value=0.95, late=True)], both(make_record))
    assert refuted.verdict == "not_reproduced"
    assert read([narrow, dataclasses.replace(wide, late=True)], both(make_record)).verdict == (
        "reproduced"
    )


@pytest.mark.parametrize(
    ("settings", "quantity", "message"),
    [
        (
            {"validation": 100},
            best_train_accuracy("wide"),
            "reads the weights that patience kept, but recipe 'wide.slow' has none",
        ),
        (
            {"validation": 100},
            difference(best_train_accuracy("wide"), at_the_end("train_accuracy", "wide")),
            "reads the weights that patience kept",
        ),
        (
            {"validation": 100, "patience": 2},
            at_epoch("test_loss", "wide", 2),
            "reads epoch 2, but patience may end recipe 'wide.slow' before",
        ),
    ],
)
def test_a_value_that_runs_may_lack_is_no_sign_of_divergence(settings, quantity, message) -> None:
    """Such a run would have none, and be told to have diverged; the catalogue is refused."""
    changed = dataclasses.replace(recipe("wide", "slow"), **settings)
    others = [each for each in toy_study().recipes if each.name != "wide.slow"]
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(
            toy_study(),
            recipes=(changed, *others),
            statements=(Within("toy-x", quantity, above=0),),
        )
