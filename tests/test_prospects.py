"""How many seeds would decide what is open: the first number whose error bars do, and its runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from experiments.prospects import MOST_SEEDS, foreseen, prospects
from experiments.quantities import at_epoch, difference, seconds_an_epoch
from experiments.statements import FEWEST_EQUAL, Reported, Within
from tests.toy_study import ACCURACY, SPREAD, judged, recipe, toy_study

NARROW = at_epoch("test_accuracy", "narrow", 4)
GAIN = difference(ACCURACY, NARROW)
HOUR = {"wall_seconds": 3600.0, "training_seconds": 3600.0}


@pytest.fixture
def wide(make_record):
    def records(values, completion="slow", role="wide", curve="test_accuracy", first=0):
        return [
            make_record(recipe(role, completion), s, provenance=HOUR, **{curve: float(value)})
            for s, value in enumerate(values, first)
        ]

    return records


def seeds_by_the_t_interval(mean, deviation):
    """Return the fewest seeds whose 95 % interval of the mean does not reach 0."""
    return next(
        n for n in range(2, 99) if stats.t.ppf(0.975, n - 1) * deviation / n**0.5 < abs(mean)
    )


@pytest.mark.parametrize(
    ("mean", "verdict"), [(0.010, "reproduced"), (0.008, "reproduced"), (-0.009, "not_reproduced")]
)
def test_a_bound_is_decided_by_the_first_interval_that_does_not_reach_it(wide, mean, verdict):
    records = wide(0.5 + mean + 0.01 * SPREAD)
    study = toy_study(Within("toy-acc", ACCURACY, above=0.5))
    (found,) = prospects(study, records)
    assert found.seeds == seeds_by_the_t_interval(mean, 0.01) > 4
    assert found.verdict == found.claim_verdict == verdict
    (finding,) = found.way.parts
    assert foreseen(finding, found.seeds - 1) == "undecided"


def test_a_number_is_confirmed_by_the_first_interval_that_is_narrow_enough(wide):
    deviation = 0.019
    fewest = next(
        n
        for n in range(4, 99)
        if stats.t.ppf(0.975, n - 1) * np.hypot(deviation, deviation / n**0.5) <= 0.05
    )
    statement = Reported("toy-loss", at_epoch("test_loss", "wide", 4), 1, 0.05, 0.05)
    records = wide(1 + deviation * SPREAD, curve="test_loss")
    (found,) = prospects(toy_study(statement), records)
    assert (found.seeds, found.verdict) == (fewest, "reproduced")


def test_a_spread_that_is_too_wide_has_no_prospect(wide):
    """Red where more seeds are taken to narrow the spread itself."""
    (found,) = prospects(toy_study(Reported("toy-acc", ACCURACY, 0.7)), wide(0.7 + 0.05 * SPREAD))
    assert (found.seeds, found.verdict, found.runs) == (None, "undecided", 0)


def test_equal_values_wait_for_as_many_seeds_as_they_take(wide):
    records = wide([1.0] * 3, curve="test_loss")
    statement = Within("toy-loss", at_epoch("test_loss", "wide", 4), below=2)
    (found,) = prospects(toy_study(statement), records)
    assert (found.seeds, found.verdict) == (FEWEST_EQUAL, "reproduced")


def test_equal_values_have_no_spread_by_rounding(wide):
    """Red where the standard deviation of equal values, 1e-16 of 0.7, is taken for a spread."""
    statement = Within("toy-loss", at_epoch("test_loss", "wide", 4), below=2)
    (found,) = prospects(toy_study(statement), wide([0.7] * 3, curve="test_loss"))
    assert found.seeds == FEWEST_EQUAL


def test_only_runs_that_are_missing_count_and_of_open_parts_alone(wide):
    """Red where a recipe that has its seeds is run again, or one that only a decided part reads."""
    records = [*wide(0.51 + 0.01 * SPREAD), *wide([0.5] * 6, role="narrow")]
    decided = Within("toy-acc", at_epoch("test_loss", "narrow", 4), above=0.5)
    (found,) = prospects(toy_study(Within("toy-acc", GAIN, above=0), decided), records)
    assert found.seeds == seeds_by_the_t_interval(0.01, 0.01) == 7
    missing = {each.recipe.name: each.missing for each in found.recipes}
    assert missing == {"wide.slow": (4, 5, 6), "narrow.slow": (6,)}
    assert (found.runs, found.seconds) == (4, 4 * 3600)


def test_seeds_that_are_there_count_wherever_they_begin(wide):
    """Red where the command is said to give as many seeds as it names, and gives more."""
    needed = seeds_by_the_t_interval(0.01, 0.01)
    records = wide(0.51 + 0.01 * SPREAD, first=30)
    (found,) = prospects(toy_study(Within("toy-acc", ACCURACY, above=0.5)), records)
    (wide_slow,) = found.recipes
    assert wide_slow.missing == tuple(range(needed - 4))
    assert (found.seeds, found.runs) == (needed - 4, needed - 4)


def test_one_more_seed_may_be_enough_and_be_the_first(wide):
    """Red where it is not looked at what seed 0 alone would bring."""
    mean = (1.001 * stats.t.ppf(0.975, 4) / 5**0.5) * 0.01
    records = wide(0.5 + mean + 0.01 * SPREAD, first=1)
    (found,) = prospects(toy_study(Within("toy-acc", ACCURACY, above=0.5)), records)
    assert [each.missing for each in found.recipes] == [(0,)]
    assert found.seeds == 1


def test_two_seeds_have_a_spread_to_go_on_with(wide):
    records = wide([0.599, 0.601])
    (found,) = prospects(toy_study(Within("toy-acc", ACCURACY, above=0.5)), records)
    assert (found.seeds, found.verdict) == (3, "reproduced")


def test_a_seed_that_has_its_runs_but_no_value_is_not_run_again(wide, make_record):
    """Red where its runs are counted as if they were to come, and a command names no recipe."""
    records = [
        make_record(
            recipe(role, "slow"), seed,
            provenance=HOUR | {"training_seconds": 4 * seconds, "threads": threads},
        )
        for role, values in (("wide", [*(101 + SPREAD), 100, 100]), ("narrow", [100] * 6))
        for seed, seconds in enumerate(values)
        for threads in [1 if seed < 4 or role == "wide" else 2]
    ]  # fmt: skip
    slower = difference(seconds_an_epoch("wide"), seconds_an_epoch("narrow"))
    (found,) = prospects(toy_study(Within("toy-time", slower, above=0)), records)
    assert found.way.parts[0].measurement.seeds == (0, 1, 2, 3)
    assert {each.recipe.name: each.missing for each in found.recipes} == {
        name: tuple(range(6, 6 + seeds_by_the_t_interval(1, 1) - 4))
        for name in ("wide.slow", "narrow.slow")
    }


def test_what_refutes_one_part_needs_no_runs_of_the_others(wide):
    """Red where all open parts are run, though the claim falls with one of them."""
    records = wide(0.49 + 0.01 * SPREAD) + wide(0.5 + 0.01 * SPREAD, role="narrow")
    falls = Within("toy-acc", ACCURACY, above=0.5)
    open_too = Within("toy-acc", NARROW, above=0.5)
    (found,) = prospects(toy_study(open_too, falls), records)
    assert found.verdict == "not_reproduced"
    assert {each.recipe.name: each.missing for each in found.recipes} == {"wide.slow": (4, 5, 6)}


def test_a_number_that_is_confirmed_may_fall_with_the_runs_of_another_part(wide):
    """Red where a decided part stays so, though the interval for one further run shrinks."""
    number, open_part = Reported("toy-acc", ACCURACY, 0.5), Within("toy-acc", ACCURACY, below=0.531)
    mean, deviation, images = 0.53, 0.008, 10_000
    other_test_set = stats.norm.ppf(0.975) * (2 * mean * (1 - mean) / images) ** 0.5
    falls = next(
        n
        for n in range(4, 99)
        for seeds in [stats.t.ppf(0.975, n - 1) * deviation * (1 + 1 / n) ** 0.5]
        if np.hypot(seeds, other_test_set) < mean - 0.5 - 0.005
    )
    records = wide(mean + deviation * SPREAD)
    assert judged(number, records).verdict == "reproduced"
    assert prospects(toy_study(open_part), records)[0].seeds is None
    (found,) = prospects(toy_study(open_part, number), records)
    assert (found.seeds, found.verdict) == (falls, "not_reproduced")


def test_runs_count_for_the_other_readings_that_they_decide(wide):
    """Red where the claim is called undecided, though the same runs refute its other reading."""
    soon = Within("toy-acc", ACCURACY, above=0.51, reading="soon")
    later = Within("toy-acc", ACCURACY, above=0.509, reading="later")
    first, second = prospects(toy_study(later, soon), wide(0.5 + 0.01 * SPREAD))
    assert (first.way.reading, first.claim_verdict) == ("soon", "undecided")
    assert (second.way.reading, second.claim_verdict) == ("later", "not_reproduced")


def test_a_part_with_all_its_seeds_is_not_judged_by_made_up_ones(wide):
    """Red where the ranks of many seeds are replaced by those of normal quantiles."""
    values = [0.7] * 37 + [0.3, 0.3, 0.3, 0.3]
    ranks = Reported("toy-acc", ACCURACY, 0.31, resolution=0.4)
    (finding,) = judged(ranks, wide(values)).findings
    assert foreseen(finding, len(values)) == foreseen(finding, 4) == finding.verdict


def test_the_claim_needs_all_ways_to_be_refuted_and_one_to_hold(wide):
    below = Within("toy-acc", ACCURACY, above=0.5)
    study = toy_study(below, completions=("slow", "fast"))
    falls, rises = wide(0.49 + 0.01 * SPREAD), wide(0.508 + 0.01 * SPREAD, "fast")
    down, up = prospects(study, falls + rises)
    assert (down.way.completion, down.verdict, down.claim_verdict) == (
        *("slow", "not_reproduced", "undecided"),
    )
    assert (up.way.completion, up.verdict, up.claim_verdict) == (
        *("fast", "reproduced", "reproduced"),
    )
    refuted = wide([0.4, 0.41, 0.42], "fast")
    (found,) = prospects(study, falls + refuted)
    assert (found.way.completion, found.claim_verdict) == ("slow", "not_reproduced")


def test_the_cheapest_comes_first_and_what_nothing_decides_last(wide):
    soon = Within("toy-soon", ACCURACY, above=0.49)
    later = Within("toy-later", ACCURACY, above=0.492)
    never = Within("toy-never", ACCURACY, above=0.5, below=0.5001)
    study = toy_study(never, later, soon)
    found = prospects(study, wide(0.5 + 0.01 * SPREAD))
    assert [each.claim.claim for each in found] == ["toy-soon", "toy-later", "toy-never"]
    assert all(each.study is study for each in found)
    assert found[-1].claim_verdict == "undecided"


def test_what_is_decided_was_never_run_or_fits_late_has_no_prospect(wide):
    """Red where a late reading is promised to reproduce its claim."""
    values = 0.51 + 0.01 * SPREAD
    late = Within("toy-late", ACCURACY, above=0.5, reading="late", late=True)
    decided = Within("toy-decided", ACCURACY, above=0.4)
    never_run = Within("toy-gain", GAIN, above=0)
    (found,) = prospects(toy_study(late, decided, never_run), wide(values))
    assert (found.claim.claim, found.seeds) == ("toy-late", None)
    assert not prospects(toy_study(late), wide(values + 0.1))  # fits already, but late


def test_a_run_that_diverged_leaves_it_open(wide, make_record):
    """Red where the others are taken for all, or the one for a sign of those to come."""
    records = wide(0.51 + 0.01 * SPREAD)
    records[0] = make_record(recipe("wide", "slow"), 0, diverged_after=1, provenance=HOUR)
    (found,) = prospects(toy_study(Within("toy-acc", ACCURACY, above=0.5)), records)
    assert found.seeds is None


def test_one_seed_has_no_spread_to_go_on_with(wide):
    (found,) = prospects(toy_study(Within("toy-acc", ACCURACY, above=0.5)), wide([0.6]))
    assert found.seeds is None
    assert found.without_spread


def test_records_of_the_other_device_do_not_count(wide):
    records = wide(0.51 + 0.01 * SPREAD)
    study = toy_study(Within("toy-acc", ACCURACY, above=0.5))
    assert not prospects(study, records, "cuda")
    on_cuda = [replace(record, device="cuda") for record in records]
    assert prospects(study, on_cuda, "cuda")[0].seeds == 7


def test_no_more_seeds_are_looked_at_than_said(wide):
    least = 0.01 * stats.t.ppf(0.975, MOST_SEEDS - 1) / MOST_SEEDS**0.5
    for mean, seeds in ((1.01 * least, MOST_SEEDS), (0.99 * least, None)):
        statement = Within("toy-acc", ACCURACY, above=0.5)
        records = wide(0.5 + mean + 0.01 * SPREAD)
        assert judged(statement, records).verdict == "undecided"
        assert prospects(toy_study(statement), records)[0].seeds == seeds
