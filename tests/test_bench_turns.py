"""What benches time takes turns, and nothing around a round is timed."""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib

import pytest


def test_rungs_take_turns_and_are_reported_on_a_clock_of_their_own():
    turns = importlib.import_module("benches.turns")
    order: list[str] = []
    calls = {name: functools.partial(order.append, name) for name in ("a", "b", "c")}
    seconds = turns.take_turns(calls, rounds=9, device="cpu")
    rounds = ["".join(order[first : first + 3]) for first in range(0, len(order), 3)]
    assert {"".join(sorted(each)) for each in rounds} == {"abc"}
    assert len(set(rounds)) > 3  # whoever comes after its like does so in some rounds only
    assert {name: len(times) for name, times in seconds.items()} == dict.fromkeys("abc", 9)

    clock = turns.Replay()
    call, measured = clock.replayed([0.25, 0.5]), []
    for _ in range(2):
        started = clock()
        call()
        measured.append(clock() - started)
    assert measured == [0.25, 0.5]
    with pytest.raises(StopIteration):  # no third round was measured
        call()


def test_what_surrounds_a_round_is_not_timed(monkeypatch):
    turns = importlib.import_module("benches.turns")
    now = [0.0]
    monkeypatch.setattr(turns.time, "perf_counter", lambda: now[0])

    def work(seconds):
        now[0] += seconds

    @contextlib.contextmanager
    def around():
        work(10)
        yield
        work(100)

    calls = {name: functools.partial(work, 1) for name in "ab"}
    seconds = turns.take_turns(calls, rounds=2, device="cpu", around={"b": around})
    assert seconds == {"a": [1, 1], "b": [1, 1]}
    assert now[0] == 2 * (1 + 111)


def test_no_garbage_is_collected_in_anyones_turn():
    """Red where whoever comes next pays for what another one left."""
    turns = importlib.import_module("benches.turns")
    running, collected = [], []

    def littering():
        running.append(1)
        for _ in range(10_000):
            ring = []
            ring.append(ring)
        running.pop()

    def heard(phase, _):
        collected.extend(running if phase == "start" else [])

    gc.callbacks.append(heard)
    try:
        turns.take_turns({"a": littering, "b": littering}, rounds=2, device="cpu")
        assert not collected
        assert gc.isenabled()
        littering()
        assert collected
    finally:
        gc.callbacks.remove(heard)
