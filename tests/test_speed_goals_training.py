"""Goals of training: single runs, fleets and layouts are held against the tutorial's loop."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="the docs extra is not installed")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

import training_goals
from _ext.goals import ladder_rows

from tests.timed_benches import bench, ladder, product, sources, step, together


def test_a_goal_that_is_reached_is_said_to_be():
    found = training_goals.training("net", 3.0, sources(*ladder(3.0)))
    assert (found.measured, found.reached) == ("3.00×", True)
    assert not training_goals.training("net", 3.01, sources(*ladder(3.0))).reached


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
