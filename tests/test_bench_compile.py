"""The bench of compiled steps on trial: it refuses to time one that computes something else."""

from __future__ import annotations

import importlib
from dataclasses import replace

import pytest
import torch

bench_compile = importlib.import_module("benches.bench_compile")

NETWORK = "3-filters"

# what traces the step uses parts of torch that warn
pytestmark = pytest.mark.filterwarnings("ignore")


def _traced(step):
    return torch.compile(step, backend="aot_eager")


def _without_update(step):
    """Return a step that finds the loss of the weights that it leaves as they are."""
    first = []

    def same(batch, target):
        first.append(step(batch, target) if not first else first[0])
        return first[0]

    return same


def _loss(compiled):
    return bench_compile._training(NETWORK, "cpu", 4, compiled)()


def test_a_compiled_step_is_held_against_the_engines():
    expected = _loss(lambda step: step)
    assert bench_compile._fault(NETWORK, _loss(_traced), expected, 4) is None
    fault = bench_compile._fault(NETWORK, _loss(_without_update), expected, 4)
    assert fault.startswith("compiled, 3-filters reaches a mean loss of")


def test_what_compiling_takes_is_no_part_of_the_times(monkeypatch):
    first_and_next = iter([1.0, 60.0, 0.25, 0.5])  # of each, as it is and compiled
    probed = bench_compile.probe
    monkeypatch.setattr(
        bench_compile,
        "probe",
        lambda call, device: replace(probed(call, device), seconds=next(first_and_next)),
    )
    ways = bench_compile._ways.__wrapped__(NETWORK, "cpu", "smoke")
    assert ways[bench_compile.EAGER].setup_seconds == 0.75
    assert ways[bench_compile.COMPILED].setup_seconds == 59.5
    assert all(len(way.timed.seconds) == bench_compile.ROUNDS["smoke"] for way in ways.values())
    assert all(max(way.timed.seconds) < 59 for way in ways.values())


@pytest.mark.parametrize(
    ("named", "there", "found"),
    [
        (None, {"g++"}, "g++"),
        (None, {"clang++"}, "clang++"),
        (None, set(), None),
        ("icpx", {"g++"}, None),
        ("icpx", {"g++", "icpx"}, "icpx"),
    ],
)
def test_the_compiler_that_is_named_counts(monkeypatch, named, there, found):
    monkeypatch.delenv("CXX", raising=False)
    if named:
        monkeypatch.setenv("CXX", named)
    monkeypatch.setattr(bench_compile.shutil, "which", lambda name: name if name in there else None)
    assert bench_compile._compiler() == found
