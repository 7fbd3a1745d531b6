"""Goals of speed: each is stated, has an outcome, and reads as reached only where it is."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="the docs extra is not installed")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

import bench_results
import goal_outcomes as outcomes
import race_goals
import signal_goals
import speed_goals
import training_goals
from _ext.goals import _stored

from experiments.speed import RECIPES, Results
from tests.timed_benches import chooser, ladder, method, sources, together

ROOT = Path(__file__).resolve().parents[1]


def test_a_figure_that_misses_its_goal_does_not_read_as_reaching_it():
    missed = training_goals.training("net", 3.0, sources(*ladder(2.997)))
    assert (missed.measured, missed.reached) == ("2.997×", False)
    crews = together("fleet", "crew", "8 rates", 997), *ladder(1.0)
    assert training_goals.fleet("net", 10, sources(*crews)).measured == "9.97× (8 rates)"
    crews = together("fleet", "crew", "8 rates", 999_999, seconds=1000), *ladder(1.0)
    assert training_goals.fleet("net", 10, sources(*crews)).measured == "9.99999× (8 rates)"
    found = sources(method("peer", 1.0), chooser(1.052))
    assert signal_goals.choosing("convolution", max, 1.05, found).measured == "1.052 over 1 size"
    run = sources(scale="default", seconds=241.0, whole=True, machine_info={"cpus": 2})
    assert outcomes.default_run(240, run).measured == "4.02 minutes"


def test_only_a_default_run_says_how_long_a_default_run_takes():
    def took(seconds, scale="default", whole=True, cpus=2):
        run = sources(scale=scale, seconds=seconds, whole=whole, machine_info={"cpus": cpus})
        return outcomes.default_run(240, run)

    assert took(200.0) == outcomes.Outcome("3.3 minutes", True)
    assert took(245.0) == outcomes.Outcome("4.1 minutes", False, "It takes 5 s too long.")
    assert took(200.0, scale="full") is None
    assert took(200.0, whole=False) is None
    assert took(200.0, cpus=16) is None


def test_every_goal_of_a_gpu_says_that_it_needs_one_and_every_other_is_measured():
    for goals in speed_goals.GOALS.values():
        for goal in goals:
            assert (goal.need == "") == (goal.outcome is not speed_goals.Goal.outcome), goal.what
            assert goal.outcome(goal.aim, sources()) is None


def test_every_goal_without_a_need_has_an_outcome_in_the_stored_run():
    results = bench_results.load(ROOT / "docs" / "results" / "bench.json")
    store = ROOT / "docs" / "results"
    names = {entry.settings: name for name, entry in RECIPES.items()}
    race = {}
    for result in Results(store).all():
        race.setdefault(names[result.settings], []).append(result)
    stored = outcomes.Sources(results, race, lambda _: 1e12)
    for goals in speed_goals.GOALS.values():
        for goal in goals:
            assert goal.need or goal.outcome(goal.aim, stored) is not None, goal.what


def test_the_names_that_goals_ask_for_are_those_of_the_benches():
    step, rungs, workload, layouts = (
        importlib.import_module(f"benches.{name}")
        for name in ("bench_step", "ladder", "workload", "bench_layouts")
    )
    assert training_goals.TUTORIAL == layouts.TUTORIAL
    assert training_goals.TUTORIAL in rungs.LADDER
    assert set(training_goals.LAST_RUNGS.values()) <= rungs.LADDER.keys()
    assert training_goals.FLEET == step.FLEET
    assert tuple(step.RACE) == race_goals.RACE_STEPS
    assert tuple(workload.NETWORKS) == speed_goals.NETWORKS
    assert [*speed_goals.LADDER] == [*rungs.LADDER]
    assert speed_goals._BY_HAND.keys() <= workload.NETWORKS.keys()


def test_goals_are_shown_before_there_is_a_run(tmp_path):
    unmeasured = outcomes.Sources(_stored(tmp_path / "none.json"), {}, lambda _: 1e12)
    for goals in speed_goals.GOALS.values():
        assert [goal.outcome(goal.aim, unmeasured) for goal in goals] == [None] * len(goals)


def test_an_aim_is_said_in_its_unit():
    said = {
        goal.what: goal.said(goal.aim) for goals in speed_goals.GOALS.values() for goal in goals
    }
    assert said["batch-norm"] == "3.71×"
    assert said["batch-norm, as the engine lays it out"] == "3.71×"
    assert said["all singular values, 64 to 64 channels, 32×32"] == "75 ms"
    assert said["a default run on two cores"] == "4 minutes"
    assert said["accuracy above which the whole interval lies, 6 views"] == "80.26 %"
    assert said["training until the whole interval lies above that, 1 view"] == "6 s"
