"""Goals of the race: which recipe counts, and what the machine would have to do."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest

pytest.importorskip("sphinx", reason="the docs extra is not installed")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

import goal_outcomes as outcomes
import race_goals

from experiments.speed import WHOLE, Settings
from experiments.statistics import Interval
from tests.timed_benches import product, sources, step


class Run(NamedTuple):
    """A recipe of the race with a single result, which is itself."""

    six: float
    one: float
    seconds: float
    seeds: int = 5
    settings: Settings = WHOLE
    machine = ("a processor", 2)

    def __iter__(self):
        yield self

    def __getitem__(self, index):
        return [self][index]


@pytest.fixture
def race(monkeypatch):
    """Let a recipe's summary be made up: mean of six views and of one, seconds."""

    def summary(results, views):
        mean = results.six if views == 6 else results.one
        return SimpleNamespace(
            mean=mean,
            seeds=results.seeds,
            interval=Interval(mean - 0.002, mean + 0.002),
            median_seconds=results.seconds,
            above=lambda target: mean > target,
        )

    monkeypatch.setattr(race_goals, "summary", summary)
    return {
        name: Run(six, one, seconds)
        for name, six, one, seconds in (
            ("whole", 0.81, 0.79, 10.0),
            ("epochs-4", 0.84, 0.82, 30.0),
            ("longest", 0.87, 0.86, 60.0),
            ("beyond", 0.95, 0.94, 100.0),
        )
    }


def test_the_race_is_above_its_target_or_not(race):
    assert race_goals.race(6, 0.8026, sources(race=race)) == outcomes.Outcome(
        "81.00 ± 0.20 % in 10.0 s (5 seeds)", True
    )
    assert not race_goals.race(1, 0.8026, sources(race=race)).reached
    assert race_goals.race(6, 0.8026, sources()) is None


def test_times_that_miss_their_goal_do_not_read_as_reaching_it(race):
    race["epochs-4"] = Run(0.84, 0.82, 7.13)
    assert race_goals.fastest(1, 7.1, sources(race=race)).measured == "7.13 s"
    race["longest"] = Run(0.89998, 0.86, 60.0)
    close = race_goals.most_accurate(75, 0.9, sources(race=race))
    assert close.measured == "89.998 ± 0.20 % in 60.0 s (5 seeds)"


def test_with_one_view_the_fastest_recipe_above_the_target_counts(race):
    race["too few"] = Run(0.99, 0.99, 1.0, seeds=4)
    found = race_goals.fastest(1, 6, sources(product(500.0), race=race, work=6e12))
    assert (found.measured, found.reached) == ("30.0 s", False)
    assert found.distance == (
        "Of recipes with 5 seeds or more, the fastest above is “epochs 4”. It would have to run at "
        "1,000 GFLOP/s, 200% of the fastest product of matrices in bfloat16."
    )
    assert race_goals.fastest(1, 30, sources(race=race)).reached


def test_the_profile_of_the_race_says_where_its_time_goes(race):
    steps = step("full-size images", "race"), step("half-size images", "race")
    of = "convolutions 40%, pooling 30%, copies 20%, matrix products 10%."
    for found in (
        race_goals.fastest(1, 6, sources(*steps, race=race)),
        race_goals.most_accurate(75, 0.9, sources(*steps, race=race)),
    ):
        assert found.distance.endswith(
            f" Of a step of “full-size images”: {of} Of a step of “half-size images”: {of}"
        )


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"epochs": 4.0}, {"full-size images", "half-size images"}),
        ({"small": 0.0}, {"full-size images"}),
        ({"precision": "float32"}, set()),
    ],
)
def test_the_profile_of_another_recipe_is_not_shown(race, change, shown):
    """Red where steps on small images are said to be part of a recipe that has none."""
    race["longest"] = Run(0.87, 0.86, 60.0, settings=replace(WHOLE, **change))
    steps = step("full-size images", "race"), step("half-size images", "race")
    found = race_goals.most_accurate(75, 0.9, sources(*steps, race=race))
    assert {way for way in race_goals.RACE_STEPS if way in found.distance} == shown


def test_the_most_accurate_recipe_within_the_time_counts(race):
    found = race_goals.most_accurate(75, 0.9, sources(product(500.0), race=race, work=6e12))
    assert (found.measured, found.reached) == ("87.00 ± 0.20 % in 60.0 s (5 seeds)", False)
    assert found.distance == (
        "3.0 points are missing. It ran at 100 GFLOP/s, 20% of the fastest product of matrices in "
        "bfloat16."
    )
    assert race_goals.most_accurate(100, 0.9, sources(race=race)).reached


def test_the_race_is_held_against_products_on_its_own_processor_only(race):
    elsewhere = sources(product(500.0), race=race, machine_info={"processor": "another", "cpus": 2})
    assert race_goals.fastest(1, 6, elsewhere).distance.endswith("at 167 GFLOP/s.")
