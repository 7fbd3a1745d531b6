"""Layouts: of made-up rates the one is chosen that finishes the missing runs soonest."""

from __future__ import annotations

from dataclasses import replace

import pytest
from torch import nn

from experiments import datasets
from experiments.fleet import architecture, networks
from experiments.layout import Layout, candidates, choice, schedule
from experiments.layout.rates import fleet_holds
from experiments.recipe import Optimizer
from tests.toy_layouts import FC, GAP, LONG, TABLE, Bench, planned

pytestmark = pytest.mark.usefixtures("rates_file")  # and not the user's


@pytest.mark.parametrize(
    ("missing", "expected"),
    [(8, "2x1x4"), (4, "2x1x2"), (3, "1x2x1"), (2, "2x1x1"), (1, "1x2x1")],
)
def test_what_finishes_the_missing_runs_soonest_is_chosen(tmp_path, missing, expected):
    """Three runs take two rounds of two processes, which 1.31 times the speed does not make up."""
    bench = Bench({"1x1x1": 7e3} | TABLE)
    assert set(bench.choose(planned(tmp_path, FC, seeds=missing))) == {expected}


@pytest.mark.parametrize("missing", [1, 2, 3, 7, 8, 100])
@pytest.mark.parametrize("cores", [1, 2, 6, 8])
def test_no_layout_needs_more_cores_or_runs_than_there_are(tmp_path, cores, missing):
    """Red where a limit is forgotten: here more of everything is faster."""
    bench = Bench(lambda _, layout: 1e3 * layout.workers * layout.threads * layout.fleet**2)
    bench.choose(planned(tmp_path, FC, seeds=missing), cores)
    asked = [tuple(map(int, name.split("x"))) for name in bench.asked]
    assert all(workers * threads <= cores for workers, threads, _ in asked)
    assert all(workers * size <= missing for workers, _, size in asked)
    assert len(set(asked)) == len(asked)
    powers = {1, 2, 4, 8, cores}
    assert {threads for _, threads, _ in asked} == {each for each in powers if each <= cores}
    assert max(size for *_, size in asked) == max(k for k in (1, 2, 4, 8) if k <= missing)


def test_a_smaller_fleet_in_the_end_takes_its_time_too(tmp_path):
    """Five runs are fleets of 2, 2 and 1 in two processes: 4 / 1.4 + 2 / 1.31 > 5 / 1.18."""
    bench = Bench(TABLE | {"1x2x1": 1.18e4, "2x1x2": 1.4e4})
    assert set(bench.choose(planned(tmp_path, FC, seeds=5))) == {"1x2x1"}


def test_no_fleet_is_larger_than_its_architecture_has_runs(tmp_path):
    bench = Bench(lambda _, layout: 1e4 * layout.fleet)
    bench.choose(planned(tmp_path, FC, GAP, seeds=2), cores=1)
    assert bench.asked == ["1x1x1", "1x1x2"] * 2


@pytest.mark.parametrize(("gain", "size"), [(1.04, 1), (1.06, 8)])
def test_a_larger_fleet_has_to_gain_enough(tmp_path, gain, size):
    bench = Bench(lambda _, layout: 1e3 * gain ** (layout.fleet.bit_length() - 1))
    assert bench.choose(planned(tmp_path, FC, seeds=8), cores=1) == [f"1x1x{size}"] * 8


def test_a_fleet_of_slow_networks_is_not_measured(tmp_path):
    bench = Bench(lambda recipe, _: recipe.batch / 0.6)
    bench.choose(planned(tmp_path, FC, seeds=8))
    assert bench.asked == ["1x2x1", "2x1x1"]


def test_a_network_that_no_fleet_holds_is_measured_alone(tmp_path, monkeypatch):
    recipe, data = architecture(FC), datasets.load("digits")
    assert fleet_holds(recipe, data)
    monkeypatch.delitem(networks._FUSED, nn.Linear)
    assert not fleet_holds(recipe, data)
    bench = Bench(TABLE)
    bench.choose(planned(tmp_path, FC, seeds=8))
    assert bench.asked == ["1x2x1", "2x1x1"]


@pytest.mark.parametrize(("epochs", "expected"), [(1, "1x2x1"), (LONG, "2x1x1")])
def test_short_runs_do_not_wait_for_processes(tmp_path, epochs, expected):
    bench = Bench(lambda _, layout: 1e4 * layout.workers / layout.fleet)
    assert bench.choose(planned(tmp_path, replace(FC, epochs=epochs), seeds=2)) == [expected] * 2


def test_single_runs_of_several_networks_fill_the_processes_together(tmp_path):
    """Red where each architecture is looked at by itself."""
    assert Bench(TABLE).choose(planned(tmp_path, FC, GAP)) == ["2x1x1"] * 2


def test_one_network_changes_its_layout_where_that_saves_time_for_all(tmp_path):
    """Neither one layout for all nor the fastest for each is best.

    Both fast in 2x1x1, but the long run alone would leave one process idle: on all cores it is
    done sooner, and the short ones share the processes.
    """
    long = replace(GAP, epochs=LONG)
    short = replace(FC, epochs=LONG)

    def rate(recipe, layout):
        return 1.31e4 if layout.workers == 2 else 1e4 if layout.threads == 2 else 7e3

    runs = [*planned(tmp_path, short, seeds=4), *planned(tmp_path, long, seeds=1)]
    assert Bench(rate).choose(runs) == ["2x1x1"] * 4 + ["1x2x1"]


@pytest.mark.parametrize(
    ("changes", "images"),
    [
        ({}, 3 * 1347),
        ({"examples": 100}, 3 * 100),
        ({"validation": 37}, 3 * 1310),
        ({"steps": 7, "batch": 10}, 3 * 70),
    ],
    ids=str,
)
def test_a_run_sees_so_many_images(changes, images):
    recipe = replace(FC, epochs=3, **changes)
    assert choice._images_seen(recipe, datasets.load("digits")) == images


def test_each_network_has_its_own_layout(tmp_path):
    def rate(recipe, layout):
        best = Layout(1, 2) if recipe.network == "conv-gap" else Layout(2, 1, 4)
        return 1e4 if layout == best else 1e3 * layout.fleet

    assert Bench(rate).choose(planned(tmp_path, FC, GAP, seeds=8)) == ["2x1x4", "1x2x1"] * 8


def test_recipes_of_one_architecture_are_measured_once(tmp_path):
    faster = replace(FC, name="conv-fc-fast.adam", optimizer=Optimizer("adam", 0.01))
    bench = Bench(TABLE)
    assert bench.choose(planned(tmp_path, FC, faster, seeds=2)) == ["2x1x2"] * 4
    assert len(set(bench.asked)) == len(bench.asked)
    assert bench.said == [
        "conv-fc.adam and 1 more: 2 processes of 1 thread with fleets of 2, "
        "2.00 times one run on all cores (20,000 images/s)"
    ]


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (2, "2 processes of 1 thread, 1.31 times one run on all cores (13,100 images/s)"),
        (3, "one run on all cores (10,000 images/s)"),
    ],
)
def test_what_was_chosen_is_said(tmp_path, missing, said):
    bench = Bench(TABLE)
    bench.choose(planned(tmp_path, FC, seeds=missing))
    assert bench.said == [f"conv-fc.adam: {said}"]


@pytest.mark.parametrize(("alone", "last"), [(50.0, 0.2), (20.0, 0.4)])
def test_the_last_fleet_takes_no_longer_than_its_members_or_a_full_one(alone, last):
    """Five runs in fleets of four: the fifth trains alone, or as slowly as a full fleet."""
    rates = {Layout(1, 1, 4): 100.0, Layout(1, 1): alone}
    group = schedule.Group([None] * 5, 10, rates)
    assert group.batches(Layout(1, 1, 4)) == pytest.approx([0.4, last])


@pytest.mark.parametrize(("rate", "measured"), [(30.0, 1), (50.0, 2)])
def test_a_step_is_long_if_all_processes_take_long_for_one_each(rate, measured):
    """Two processes with batches of 10: at 30 images a second a step of both takes 0.67 s."""
    asked = []

    def found(layout):
        asked.append(layout)
        return rate

    candidates._worth_it(10, 2, 8, 2, found)
    assert len([layout for layout in asked if layout.workers == 2]) == measured
