"""Which random generators an operator holds, and which of all have moved."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from theory.diagnosis.generators import TORCH, Generators, owned

_KINDS: dict[str, tuple[Any, Any]] = {
    "Python": (random.Random(0), random.Random.random),
    "NumPy": (np.random.default_rng(0), np.random.Generator.random),
    "legacy": (np.random.RandomState(0), np.random.RandomState.random),
    "torch": (torch.Generator(), lambda held: torch.rand(1, generator=held)),
}


@pytest.mark.parametrize("kind", _KINDS)
def test_an_attribute_that_is_a_generator_is_another_after_a_draw(kind: str) -> None:
    held, draw = _KINDS[kind]
    op = SimpleNamespace(rng=held, weight=torch.ones(3))
    before = owned(op)
    assert before.keys() == {"rng"}
    assert owned(op) == before
    draw(held)
    assert owned(op) != before


def test_those_of_modules_are_named_by_their_paths() -> None:
    inner = nn.ReLU()
    inner.Xrng = random.Random(0)  # type: ignore[assignment]
    outer = nn.Sequential(inner)
    outer.Xrng = random.Random(1)  # type: ignore[assignment]
    assert owned(outer).keys() == {"Xrng", "0.Xrng"}
    assert owned(inner)["Xrng"] == owned(outer)["0.Xrng"] != owned(outer)["Xrng"]


def test_those_of_the_process_are_no_operators_own() -> None:
    def op(x: torch.Tensor) -> torch.Tensor:
        return x

    op.draw, op.legacy = random.random, np.random.rand  # type: ignore[attr-defined]
    assert owned(op) == {}
    op.draw = random.Random(0).random  # type: ignore[attr-defined]
    assert owned(op).keys() == {"draw"}
    assert owned(torch.relu) == {}  # which has no attributes at all


@pytest.mark.parametrize(
    ("draw", "name"),
    [
        (random.random, "Python's generator"),
        (np.random.rand, "NumPy's global generator"),
        (lambda: torch.rand(1), TORCH),
    ],
)
def test_a_draw_is_seen_until_it_is_undone(draw: Any, name: str) -> None:
    before = Generators.now()
    try:
        assert before.moved() == ()
        draw()
        assert before.moved() == (name,)
    finally:
        before.restore()
    assert before.moved() == ()


def test_those_of_each_gpu_are_kept_where_cuda_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of GPUs that stand for real ones: a state of each, and the second one moves."""
    states = [torch.tensor([1, 2]), torch.tensor([3, 4])]

    def put_back(to: list[torch.Tensor]) -> None:
        states[:] = to

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: list(states))
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", put_back)
    before = Generators.now()
    assert before.moved() == ()
    states[1] = torch.tensor([3, 5])
    assert before.moved() == (TORCH,)
    before.restore()
    assert before.moved() == ()


def test_cuda_is_not_woken_to_ask_for_its_generators(monkeypatch: pytest.MonkeyPatch) -> None:
    def wakes() -> list[torch.Tensor]:
        raise AssertionError("CUDA was not in use")

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", wakes)
    assert Generators.now().moved() == ()
