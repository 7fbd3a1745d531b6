"""Statements of an exact number: every run must agree, and one may be enough."""

from __future__ import annotations

import dataclasses

import pytest

from experiments.quantities import (
    difference,
    epochs_with_finite_loss,
    failed,
    median_of,
    parameters,
)
from experiments.statements import Exactly, Within
from tests.toy_study import judged, recipe


def test_one_run_is_enough(wide) -> None:
    claim = Exactly("toy-count", parameters("wide"), 46590)
    assert judged(claim, wide([0.5], parameters=46590)).verdict == "reproduced"
    assert judged(claim, wide([0.5], parameters=46591)).verdict == "not_reproduced"


def test_two_runs_are_not_enough_where_seeds_may_differ(wide) -> None:
    claim = Exactly("toy-setup", failed("wide", 4), 0)
    (one,) = judged(claim, wide([0.5])).findings
    assert (one.verdict, one.reason) == (
        "undecided",
        "seeds with every run: 1; error bars need two",
    )
    (finding,) = judged(claim, wide([0.5, 0.5])).findings
    assert finding.verdict == "undecided"
    assert finding.reason == "0 in every run, but 2 seeds are too few for a verdict"
    assert judged(claim, wide([0.5] * 5)).verdict == "reproduced"


@pytest.mark.parametrize("seeds", [3, 4])
def test_seeds_that_agree_take_five_here_as_elsewhere(wide, seeds) -> None:
    (finding,) = judged(Exactly("toy-setup", failed("wide", 4), 0), wide([0.5] * seeds)).findings
    assert finding.verdict == "undecided"
    told = f"0 with each of {seeds} seeds: without any spread a verdict takes 5"
    assert finding.reason == told


def test_how_many_epochs_a_run_has_is_no_matter_of_seeds(wide) -> None:
    claim = Exactly("toy-setup", epochs_with_finite_loss("wide"), 4)
    assert judged(claim, wide([0.5])).verdict == "reproduced"


def test_every_run_must_agree(wide) -> None:
    records = wide([0.5, 0.5, 0.5])
    records[1] = dataclasses.replace(records[1], parameters=99)
    records[2] = dataclasses.replace(records[2], parameters=98)
    claim = judged(Exactly("toy-count", parameters("wide"), 100), records)
    assert claim.verdict == "not_reproduced"
    assert claim.findings[0].reason == "98, 99 and not 100"


def test_a_number_between_two_integers_is_neither(make_record) -> None:
    """A median of two counts can be one."""
    records = [
        make_record(recipe(role, "slow"), 0, parameters=count)
        for role, count in (("wide", 100), ("narrow", 101))
    ]
    between = Exactly("toy-count", median_of([parameters("wide"), parameters("narrow")]), 100)
    (finding,) = judged(between, records).findings
    assert (finding.verdict, finding.reason) == ("not_reproduced", "100.5 and not 100")


def test_what_no_seed_changes_still_takes_a_seed_with_every_run(make_record) -> None:
    """Red where it counts as decided, or as too uncertain, though runs alone are missing."""
    records = [make_record(recipe(role, "slow"), s) for s, role in enumerate(("wide", "narrow"))]
    both = difference(parameters("wide"), parameters("narrow"))
    for statement in (Exactly("toy-count", both, 0), Within("toy-count", both, above=-1)):
        claim = judged(statement, records)
        assert claim.undecided_for == "runs are missing"
        assert claim.findings[0].reason == "seeds with every run: 0; error bars need two"
