"""The goals of speed on trial: each says what was measured, whether it is enough, and why not."""

from __future__ import annotations

import importlib
import statistics
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest

pytest.importorskip("sphinx", reason="the docs extra is not installed")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

import bench_results
import goal_outcomes as outcomes
import race_goals
import signal_goals
import speed_goals
import training_goals
from _ext.goals import _stored, ladder_rows
from bench_shares import draw_shares

from experiments.speed import RECIPES, Results
from experiments.statistics import Interval

ROOT = Path(__file__).resolve().parents[1]

SHARES = {"convolutions": 0.4, "matrix products": 0.1, "pooling": 0.3, "copies": 0.2}


def bench(group, *seconds, **facts):
    return {
        "group": group,
        "extra_info": {"device": "cpu", "images": 100, "hardware": "", **facts},
        "stats": {"median": statistics.median(seconds), "data": list(seconds)},
    }


def sources(*benches, race=None, work=1e12, **more):
    known = {"machine_info": {"processor": "a processor", "cpus": 2}}
    results = {"benchmarks": list(benches), **known, **more}
    return outcomes.Sources(results, race or {}, lambda _: work)


def ladder(ratio, gflops=10.0):
    known = {"network": "net", "gflops": gflops}
    return (
        bench("training, net, cpu", ratio, ratio, rung="tutorial loop", **known),
        bench("training, net, cpu", 1.0, 1.0, rung="+ bfloat16", **known),
    )


def product(gflops, precision="bfloat16"):
    return bench("gemm, x", 1.0, gflops=gflops, precision=precision)


def step(way="+ bfloat16", network="net"):
    return bench("step, net, cpu", 1.0, network=network, way=way, shares=SHARES)


# Training


def test_a_goal_that_is_reached_is_said_to_be():
    found = training_goals.training("net", 3.0, sources(*ladder(3.0)))
    assert (found.measured, found.reached) == ("3.00×", True)
    assert not training_goals.training("net", 3.01, sources(*ladder(3.0))).reached


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


def test_times_that_miss_their_goal_do_not_read_as_reaching_it(race):
    race["longer"] = Run(0.84, 0.82, 7.13)
    assert race_goals.fastest(1, 7.1, sources(race=race)).measured == "7.13 s"
    race["longest"] = Run(0.89998, 0.86, 60.0)
    close = race_goals.most_accurate(75, 0.9, sources(race=race))
    assert close.measured == "89.998 ± 0.20 % in 60.0 s (5 seeds)"


def test_the_ratio_is_that_of_rounds_that_took_turns():
    """Red where medians are compared: the machine was slow in two rounds of one, one of another."""
    slow, fast = ladder(2.0)
    slow["stats"]["data"], fast["stats"]["data"] = [2.0, 20.0, 20.0], [1.0, 10.0, 1.0]
    assert training_goals.training("net", 2.0, sources(slow, fast)).measured == "2.00×"


def test_a_goal_beyond_the_machine_is_told_from_one_within():
    beyond = training_goals.training("net", 5.0, sources(*ladder(2.0), product(25.0), step()))
    assert beyond.distance == (
        "The goal needs 50 GFLOP/s, 200% of the fastest product of matrices in bfloat16. By "
        "its profile at most 4.0×: the goal lies beyond."
    )
    within = training_goals.training("net", 5.0, sources(*ladder(2.0), product(100.0), step()))
    assert within.distance == (
        "The goal needs 50 GFLOP/s, 50% of the fastest product of matrices in bfloat16. Of a step "
        "of “+ bfloat16”: convolutions 40%, pooling 30%, copies 20%, matrix products 10%. By its "
        "profile at most 4.0×: the goal lies beyond."
    )
    nearer = training_goals.training("net", 4.0, sources(*ladder(2.0), product(100.0), step()))
    assert nearer.distance.endswith("By its profile at most 4.0×.")


def test_the_convolutions_alone_are_those_of_the_network_in_the_better_order():
    rates = (("net", 30.0), ("net", 40.0), ("other", 90.0))
    layers = [
        bench("layer, x", 1.0, network=network, gflops=rate, precision="bfloat16")
        for network, rate in rates
    ]
    found = training_goals.training("net", 5.0, sources(*ladder(2.0), product(25.0), *layers))
    assert found.distance.endswith("in bfloat16. The convolutions alone reach 40.")


def test_without_bfloat16_units_nothing_is_said_of_the_last_rung():
    assert training_goals.training("net", 5.0, sources(ladder(2.0)[0])) is None


def together(question, fact, name, images, seconds=1.0, **facts):
    known = {"network": "net", fact: name, "images": images}
    return bench(f"{question}, x", *[seconds] * 3, **known, **facts)


def laid_out(name, images, precision="float32", members=1, seeds=1):
    facts = {"precision": precision, "members": members, "seeds": seeds, "gflops": 10.0}
    return together("layouts", "layout", name, images, **facts)


def test_the_fastest_fleet_counts_for_each_of_its_members():
    crews = (
        together("fleet", "crew", "alone", 1600),
        together("fleet", "crew", "2 rates", 200),
        together("fleet", "crew", "8 rates", 1600, seconds=4.0),
    )
    found = training_goals.fleet(
        "net", 10, sources(*crews, *ladder(2.0), product(200.0, "float32"))
    )
    assert found.measured == "8.00× (8 rates)"
    assert found.distance.startswith("The goal needs 100 GFLOP/s, 50% of the fastest product")
    assert training_goals.fleet("net", 10, sources(crews[0], *ladder(2.0))) is None
    assert training_goals.fleet("net", 10, sources(*crews)) is None


def test_fleets_on_each_core_are_fleets_too():
    layouts = (
        laid_out("tutorial loop", 100),
        laid_out("a run on each core", 2000),
        laid_out("a fleet of 16 rates on each core", 1060, members=16),
    )
    crew = together("fleet", "crew", "8 rates", 450)
    found = training_goals.fleet("net", 10, sources(crew, *layouts, *ladder(2.0)))
    assert (found.measured, found.reached) == ("10.60× (a fleet of 16 rates on each core)", True)
    found = training_goals.fleet("net", 10, sources(crew, *layouts[:2], *ladder(2.0)))
    assert found.measured == "9.00× (8 rates)"


def test_the_fastest_layout_is_held_against_the_loop_that_took_turns_with_it():
    """Red where the loop of the ladder counts, which was timed in another moment."""
    loop = laid_out("tutorial loop", 100)
    layout = laid_out("a run on each core, bfloat16", 300, precision="bfloat16")
    loop["stats"]["data"], layout["stats"]["data"] = [1.0, 3.0, 3.0], [1.0, 3.0, 1.0]
    others = laid_out("a run on each core", 90), *ladder(1.0)
    found = training_goals.layout("net", 3, sources(loop, layout, *others))
    assert (found.measured, found.reached) == ("3.00× (a run on each core, bfloat16)", True)
    missed = training_goals.layout("net", 4, sources(loop, layout, *others, product(80.0)))
    assert missed.distance == (
        "The goal needs 40 GFLOP/s, 50% of the fastest product of matrices in bfloat16."
    )


def test_a_layout_that_the_engine_does_not_choose_among_is_not_how_it_lays_runs_out():
    layouts = laid_out("tutorial loop", 100), laid_out("a run on each core", 250)
    rates = laid_out("a fleet of 16 rates on each core", 1060, members=16)
    assert training_goals.layout("net", 3, sources(*layouts, rates)).measured.startswith(
        "2.50× (a run"
    )


def test_an_older_run_has_layouts_in_float32_and_says_so():
    layouts = (
        together("layouts", "layout", "one run on all cores", 100),
        together("layouts", "layout", "a run on each core", 150),
    )
    found = training_goals.layout("net", 3, sources(*layouts, *ladder(2.0)))
    assert (found.measured, found.reached) == ("3.00× (a run on each core)", True)
    assert found.distance == (
        "The stored run has no layout in bfloat16. Its layouts took no turns with the loop."
    )


# Signals


def method(name, *seconds, samples=64, taps=3, algorithm="fft", **facts):
    return bench(
        "convolution, n",
        *seconds,
        method=name,
        algorithm=algorithm,
        precision="float64",
        samples=samples,
        taps=taps,
        **facts,
    )


def chooser(*seconds, shipped="fft", **facts):
    return method(
        "theory auto", *seconds, algorithm="auto", chosen="fft", chosen_as_shipped=shipped, **facts
    )


def test_choosing_is_held_against_the_fastest_of_all_at_each_size():
    found = sources(
        *(method("peer", 1.0), chooser(1.2), method("theory fft", 1.1)),
        *(method("peer", 2.0, taps=9), chooser(2.0, taps=9), method("theory fft", 2.0, taps=9)),
    )
    median = signal_goals.choosing("convolution", statistics.median, 1.05, found)
    worst = signal_goals.choosing("convolution", max, 1.5, found)
    assert (median.measured, median.reached) == ("1.100 over 2 sizes", False)
    assert (worst.measured, worst.reached) == ("1.200 over 2 sizes", True)
    assert worst.distance == "Worst with 64 samples and 3 taps."
    assert median.distance == "At most 1.05 at 1 of 2 sizes."


def test_what_the_shipped_costs_choose_is_another_method_or_the_same():
    peers = method("peer", 1.0), method("theory fft", 1.1), method("theory direct", 3.0)
    same = signal_goals.shipped("convolution", 1.25, sources(*peers, chooser(1.2)))
    other = signal_goals.shipped(
        "convolution", 1.25, sources(*peers, chooser(1.2, shipped="direct"))
    )
    absent = signal_goals.shipped(
        "convolution", 1.25, sources(*peers, chooser(1.2, shipped="overlap-add"))
    )
    assert (same.measured, same.reached) == ("1.200 over 1 size", True)
    assert (other.measured, other.reached) == ("3.000 over 1 size", False)
    assert (absent.measured, absent.reached) == ("not measured at every size", False)


def test_blocks_are_held_against_one_transform_and_both_against_a_peer():
    def gradient(name, seconds):
        return bench("filter gradient, n", seconds, method=name, samples=2**16, taps=128)

    found = sources(
        gradient("theory fft", 3.0),
        gradient("theory blocked-fft", 1.0),
        gradient("scipy matmul_toeplitz", 4.0),
    )
    outcome = signal_goals.blocked(2**16, 128, 3, found)
    assert (outcome.measured, outcome.reached) == ("3.00×", True)
    # 3 transforms of 2^16 cells, against 2 * 73 + 1 of 1,024 that move on by 897
    saved = 3 * 2**16 * 16 / (147 * 1024 * 10)
    assert f"are {saved:.1f} times less work" in outcome.distance
    assert "product takes 4.00 times as long as the blocks" in outcome.distance
    assert signal_goals.blocked(128, 3, 3, found) is None


def test_one_gradient_is_timed_beside_those_of_others():
    def gradient(name, library, seconds):
        facts = {"method": name, "library": library, "samples": 64, "taps": 3}
        return bench("filter gradient, n", seconds, **facts)

    own = gradient("theory fft", "theory", 1e-4)
    found = sources(own, gradient("autograd", "PyTorch", 0.0144))
    outcome = signal_goals.gradient("theory fft", 64, 3, 58e-6, found)
    assert (outcome.measured, outcome.reached) == ("100 µs", False)
    assert signal_goals.gradient("theory fft", 64, 3, 99.8e-6, found).measured == "100.0 µs"
    assert outcome.distance == "In the same run: autograd 14,400 µs."
    assert signal_goals.gradient("theory fft", 64, 3, 58e-6, sources(own)) is None


def test_singular_values_are_timed_for_the_layer_of_the_goal():
    def values(name, seconds, channels=64):
        return bench("spectrum, x", seconds, method=name, channels=channels, cells=1024)

    found = sources(
        values("theory", 0.1),
        values("theory", 0.001, channels=4),
        values("theory, one thread", 0.18),
        values("full spectrum, NumPy", 0.4),
        values("half spectrum, NumPy", 0.15),
    )
    outcome = signal_goals.spectrum(0.075, found)
    assert outcome.measured == "100 ms"
    assert outcome.distance == (
        "1.5 times as fast as the fastest peer (half spectrum, NumPy). One thread takes 180 ms, so "
        "two at twice its rate would take 90 ms."
    )
    assert not outcome.reached
    assert signal_goals.spectrum(0.1, found).reached
    assert signal_goals.spectrum(0.0998, found).measured == "100.0 ms"


# The race and the benches


class Run(NamedTuple):
    """A recipe of the race with a single result, which is itself."""

    six: float
    one: float
    seconds: float
    seeds: int = 5
    machine = ("a processor", 2)

    def __iter__(self):
        yield self


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
            ("longer", 0.84, 0.82, 30.0),
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


def test_with_one_view_the_fastest_recipe_above_the_target_counts(race):
    race["too few"] = Run(0.99, 0.99, 1.0, seeds=4)
    found = race_goals.fastest(1, 6, sources(product(500.0), race=race, work=6e12))
    assert (found.measured, found.reached) == ("30.0 s", False)
    assert found.distance == (
        "Of recipes with 5 seeds or more, the fastest above would have to run at 1,000 GFLOP/s, "
        "200% of the fastest product of matrices in bfloat16."
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


def test_the_most_accurate_recipe_within_the_time_counts(race):
    found = race_goals.most_accurate(75, 0.9, sources(product(500.0), race=race, work=6e12))
    assert (found.measured, found.reached) == ("87.00 ± 0.20 % in 60.0 s (5 seeds)", False)
    assert found.distance == (
        "3.0 points are missing. It ran at 100 GFLOP/s, 20% of the fastest product of matrices in "
        "bfloat16."
    )
    assert race_goals.most_accurate(100, 0.9, sources(race=race)).reached


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


def test_facts_that_an_older_run_lacks_are_named():
    stale = chooser(1.2)
    del stale["extra_info"]["chosen_as_shipped"]
    with pytest.raises(ValueError, match="lack the fact 'chosen_as_shipped'"):
        signal_goals.shipped("convolution", 1.25, sources(stale))


def test_a_layer_that_was_timed_without_peers_says_nothing():
    ours = [
        bench("spectrum, x", 1.0, method=name, channels=64, cells=1024)
        for name in ("theory", "theory, one thread")
    ]
    assert signal_goals.spectrum(0.075, sources(*ours)) is None


def test_the_race_is_held_against_products_on_its_own_processor_only(race):
    elsewhere = sources(product(500.0), race=race, machine_info={"processor": "another", "cpus": 2})
    assert race_goals.fastest(1, 6, elsewhere).distance.endswith("at 167 GFLOP/s.")


def test_the_ladder_stands_beside_that_of_the_goals():
    known = {"network": "3-filters"}
    loop = bench("training, x", 0.5, 0.5, rung="tutorial loop", **known)
    rung = bench("training, x", 0.2, 0.25, rung="+ bfloat16", **known)
    shares = step(network="3-filters")
    rows = ladder_rows({"benchmarks": [loop, rung]})
    assert [row[0] for row in rows][:2] == ["tutorial loop (images/s)", "resident bytes"]
    assert rows[0][1:3] == ["200 (6,905)", "– (3,297)"]
    assert rows[1][1] == "– (2.30×)"
    assert rows[-1][1] == "2.25× (2.69×)"
    last = ladder_rows({"benchmarks": [loop, rung, shares]})[-1]
    assert last[0] == "the last, were all free but convolutions and products"
    assert last[1:3] == ["4.5×", "–"]


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


def test_the_bars_of_a_step_add_up_to_the_whole():
    figure = draw_shares([step(), step(network="other")])
    (axes,) = figure.axes
    ends = {}
    for bar in axes.patches:
        row = round(bar.get_y() + bar.get_height() / 2)
        ends[row] = max(ends.get(row, 0), bar.get_x() + bar.get_width())
    assert ends == pytest.approx({0: 1.0, 1: 1.0})
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(SHARES)
