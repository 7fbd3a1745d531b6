"""Peers in turns on trial: who may not take part says why, and the others are timed alike."""

from __future__ import annotations

import importlib
from dataclasses import replace

import pytest

from theory.methods.costs import SHIPPED

peers = importlib.import_module("benches.peers")
pace = importlib.import_module("benches.pace")
probe = importlib.import_module("benches.probe")
rank_test = importlib.import_module("benches.rank_test")
comparison = importlib.import_module("benches.comparison")


@pytest.fixture(autouse=True)
def no_warm_calls(monkeypatch):
    """Let what a call takes be made up."""
    monkeypatch.setattr(peers.Entrant, "warm_seconds", lambda each: each.first.seconds)


def entrant(call, seconds=0.01):
    return peers.Entrant(call, probe.Probe(None, seconds, 7))


def test_peers_take_turns_as_often_as_each_other():
    order = []
    field = peers.Field(
        "ab",
        lambda name: entrant(lambda: order.append(name), {"a": 0.01, "b": 0.02}[name]),
        budget=0.15,
    )
    rounds = ["".join(order[first : first + 2]) for first in range(0, len(order), 2)]
    assert len(rounds) == 10  # of 0.03 s each, which is what 2 budgets of 0.15 s pay for
    assert set(rounds) <= {"ab", "ba"}
    assert len(field["a"].seconds) == len(field["b"].seconds) == 10
    assert field["a"].peak_memory_bytes == 7


def test_short_calls_are_repeated_in_a_round_and_the_time_is_that_of_one(monkeypatch):
    calls = []
    monkeypatch.setattr(peers, "take_turns", lambda calls, **_: _made(calls))
    field = peers.Field("a", lambda _: entrant(lambda: calls.append(1), 0.0002), 1.0)
    assert len(calls) == 5
    assert field["a"].seconds == [0.2]


def _made(calls):
    for call in calls.values():
        call()
    return {name: [1.0] for name in calls}


def test_the_fewest_rounds_can_be_compared_and_without_a_budget_one_is_made():
    assert 2 * rank_test.smallest_p_value(9, 9) < comparison.SIGNIFICANCE / 1000
    for budget, rounds in ((1e-9, 9), (None, 1)):
        field = peers.Field("a", lambda _: entrant(lambda: None), budget)
        assert len(field["a"].seconds) == rounds


def test_who_may_not_take_part_says_why_and_stops_no_one_else():
    def enter(name):
        if name == "slow":
            pytest.skip("one call takes an hour")
        if name == "broken":
            raise ZeroDivisionError
        assert name != "wrong", "wrong is off by 1"
        return entrant(lambda: None)

    field = peers.Field(("wrong", "slow", "broken", "right"), enter, None)
    assert len(field["right"].seconds) == 1
    with pytest.raises(AssertionError, match="wrong is off by 1"):
        field["wrong"]
    with pytest.raises(pytest.skip.Exception, match="an hour"):
        field["slow"]
    with pytest.raises(ZeroDivisionError):
        field["broken"]


def test_how_often_a_call_is_repeated_is_told_by_a_warm_one(monkeypatch):
    monkeypatch.undo()
    warm = iter([0.003, 0.001, 0.002])
    monkeypatch.setattr(peers, "probe", lambda _: probe.Probe(None, next(warm), None))
    assert entrant(None, 0.009).warm_seconds() == 0.001
    assert entrant(None, 0.02).warm_seconds() == 0.02  # no call is made again


def test_what_is_chosen_by_the_costs_in_use_is_told_from_what_the_shipped_ones_choose(monkeypatch):
    dear = replace(SHIPPED, call=1.0)
    names = {SHIPPED: "direct", dear: "fft"}
    monkeypatch.setattr(peers, "machine_costs", lambda: dear)
    assert peers.choices(names.__getitem__) == {
        "chosen": "fft",
        "chosen_as_shipped": "direct",
        "costs": "of this machine",
    }
    monkeypatch.setattr(peers, "machine_costs", lambda: SHIPPED)
    assert peers.choices(names.__getitem__)["costs"] == "shipped"


def test_a_budget_pays_for_rounds_that_can_be_compared_and_for_no_more_than_are_of_use():
    found = [pace.rounds_within(0.5, seconds) for seconds in (1.0, 0.025, 1e-6)]
    assert found == [9, 20, 50]
    assert pace.rounds_within(0.0, 1.0) == 1


def test_ours_chooses_at_the_first_call_of_a_size_and_scipys_at_every_call(monkeypatch):
    """Red where what the benches say of remembered choices is no longer so."""
    chosen = []

    def counted(module, name):
        choose = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda *given, **more: (chosen.append(name), choose(*given, **more))[1]
        )

    plans = importlib.import_module("theory.methods.convolution_plan")
    scipys = importlib.import_module("scipy.signal._signaltools")
    counted(plans, "fastest_convolution")
    counted(scipys, "choose_conv_method")
    plans.plan.cache_clear()
    bench = importlib.import_module("benches.bench_convolution")
    signal, kernel = bench._factors(64, 8)
    for name in ("theory auto", "scipy convolve auto"):
        call = bench.METHODS[name].prepare(signal, kernel)
        call()
        call()
    assert chosen == ["fastest_convolution", *["choose_conv_method"] * 2]
