"""The bench of the race's steps on trial: it refuses to time what does not learn."""

from __future__ import annotations

import importlib
import itertools

import pytest

bench = importlib.import_module("benches.bench_time_to_accuracy")


def test_the_engine_learns():
    assert bench._learns.__wrapped__(bench.ENGINE_NAME, "cpu")


@pytest.mark.parametrize("losses", [[2.3, 2.2999999], [2.3, 2.2, 2.3], [2.3, float("nan")]])
def test_an_engine_whose_loss_only_wavers_does_not_learn(monkeypatch, losses):
    told = itertools.chain(losses, itertools.repeat(losses[-1]))
    monkeypatch.setattr(bench, "_engine", lambda *_: lambda: next(told))
    assert not bench._learns.__wrapped__(bench.ENGINE_NAME, "cpu")
