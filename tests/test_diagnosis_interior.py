"""The search for shifts in the interior: as complete as trying every pair of shifts, in fewer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import scipy.signal
import torch
from torch import nn

from tests.operator_table import OPERATORS, NoTensor, dense
from theory import Finding, diagnose
from theory.diagnosis.calling import Operator
from theory.diagnosis.equivariance import Shifts, Step
from theory.diagnosis.interior import Interior
from theory.diagnosis.isolation import isolated
from theory.diagnosis.search import BUDGET, Trials
from theory.diagnosis.windows import two_windows

if TYPE_CHECKING:
    from collections.abc import Callable


def _by_trying_everything(search: Interior, axis: int, start: int = 1) -> Any:
    """Compare all cells for every shift of the input and every shift of the output."""
    n, m = search._operator.shape[axis], search._operator.output_shape[axis]
    if n == 1:
        return Step(1, 1, 0)
    for by in range(start, n // 2 + 1):
        differs = {to: np.zeros(m, dtype=bool) for to in range(1, m // 2 + 1)}
        for signal in search._signals(axis, by):
            x, moved = two_windows(signal, axis, by)
            for to in list(differs):
                differs[to] |= search._unlike_on(x, moved, axis, to).reshape(-1, m).any(axis=0)
                if _border(differs[to], to) is None:
                    del differs[to]
            if not differs:
                break
        steps = [Step(by, to, _border(differs[to], to)) for to in differs]  # type: ignore[arg-type]
        if steps:
            return min(steps, key=lambda step: (step.border, abs(step.output_by * n - by * m)))
    return None


def _border(differs: np.ndarray, by: int) -> int | None:
    m = len(differs)
    border = max((min(m - i, i - by + 1) for i in np.flatnonzero(differs)), default=0)
    return int(border) if m - 2 * border >= 2 * by else None


_UNKNOWN = Finding(None, "undecided", "not asked")

_BLIND = torch.ones(12, dtype=torch.float64)
_BLIND[4:8] = 0
_NAN = torch.ones(12, dtype=torch.float64)
_NAN[6] = torch.nan

_SEARCHED: dict[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
    **{
        name: (row.make(row.shapes[-1]), row.shapes[-1])
        for name, row in OPERATORS.items()
        if len(row.shapes[-1]) < 4
    },
    "ramp": (lambda x: x * torch.linspace(1, 2, 12), (12,)),
    "faint ramp": (lambda x: x * torch.linspace(1, 1 + 1e-14, 12), (12,)),
    "reals": (dense(torch.linspace(-1, 1, 84).cos().reshape(7, 12), bias=0.1), (12,)),
    "blind in the middle": (lambda x: x * _BLIND * torch.linspace(1, 2, 12), (12,)),
    "NaN in the middle": (lambda x: x * _NAN, (12,)),
    "infinite": (NoTensor(lambda x: np.where(x > 1, np.inf, x)), (12,)),
    "raises": (NoTensor(lambda x: x if abs(x).max() < 1e3 else x[:0]), (11,)),
    "every third": (lambda x: x.repeat_interleave(2)[::3], (11,)),
    "zeros between": (lambda x: torch.stack([x, 0 * x], -1).flatten(), (9,)),
    "constant": (lambda x: 0 * x + 1, (8,)),
    "complex": (lambda x: torch.fft.fft(x), (10,)),
}


@pytest.mark.parametrize("name", _SEARCHED)
def test_the_search_finds_what_trying_everything_finds(name: str) -> None:
    """On the same signals, too: the generator of the random ones is left in the same state."""
    op, shape = _SEARCHED[name]
    with isolated(seed=0):
        trials = Trials(Operator(op, shape), BUDGET)
        if trials.operator.output_spatial_shape is None:
            pytest.skip("its output has no axis that a shift could move along")
        for axis in trials.operator.axes:
            found = []
            for step in (Interior._step, _by_trying_everything):
                rng = np.random.default_rng(0)
                search = Interior(Shifts(trials, _UNKNOWN, False, False, rng))
                found.append([step(search, axis), step(search, axis, 2), rng.integers(2**62)])
            assert found[0] == found[1]


@pytest.mark.parametrize("n", [48, 49])
@pytest.mark.parametrize(
    "make",
    [lambda n: lambda x: x * torch.linspace(1, 2, n), lambda n: nn.Linear(n, 48)],
    ids=["ramp", "FC"],
)
def test_where_nothing_is_followed_one_cell_rules_a_shift_out(
    make: Callable[[int], Callable[..., Any]], n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Red where all cells are compared for every pair of shifts, n**2 / 4 times n of them."""
    compared = []
    unlike = Interior._unlike
    monkeypatch.setattr(Interior, "_unlike", lambda *args: compared.append(1) or unlike(*args))
    assert diagnose(make(n), (n,), boundary="interior").period == (None,)
    assert len(compared) < n


def _every_cell_sees_an_end(reason: str) -> bool:
    return reason.endswith(
        "what enters in the middle reaches an end: longer inputs, if taken, may leave a border"
    )


def _halved(x: np.ndarray) -> np.ndarray:
    """Keep every other cell of what a filter of half a band leaves: ten cells see each end."""
    return scipy.signal.resample_poly(x, 1, 2)


@pytest.mark.parametrize(("short", "long"), [(32, 64), (33, 65)])
def test_where_every_cell_sees_an_end_longer_inputs_are_advised(short: int, long: int) -> None:
    found = diagnose(_halved, (short,), boundary="interior")
    assert (found.shift_equivariant.certainty, found.period) == ("refuted", (None,))
    assert _every_cell_sees_an_end(found.shift_equivariant.reason)
    longer = diagnose(_halved, (long,), boundary="interior")
    assert (longer.period, longer.border) == ((2,), (10,))
    assert not _every_cell_sees_an_end(longer.shift_equivariant.reason)


def test_longer_inputs_are_not_advised_where_some_cell_sees_no_end() -> None:
    """It is its own taps that differ from cell to cell, as they would on longer inputs."""

    def tapered(x: torch.Tensor) -> torch.Tensor:
        return (x + x.roll(1)) * torch.linspace(1, 2, x.shape[-1])

    found = diagnose(tapered, (16,), boundary="interior").shift_equivariant
    assert found.certainty == "refuted"
    assert not _every_cell_sees_an_end(found.reason)


def _every_eighth(x: torch.Tensor) -> torch.Tensor:
    return x * (torch.arange(x.shape[-1]) % 8 == 0)


def test_the_search_along_an_axis_keeps_to_the_budget_and_says_where_it_ended() -> None:
    """Each shift before the period is ruled out by a signal or more; one shift is always tried."""
    whole = diagnose(_every_eighth, (64,), boundary="interior")
    assert (whole.period, whole.period_certainty) == ((8,), "exhausted")
    assert "budget" not in whole.shift_equivariant.reason
    frugal = diagnose(_every_eighth, (64,), boundary="interior", budget=1)
    assert (frugal.period, frugal.period_certainty) == ((None,), "undecided")
    assert frugal.shift_equivariant.holds is False
    assert frugal.shift_equivariant.reason == (
        "f(shift x) is no shift of f(x) in the interior; the budget ended before shifts by 2 cells "
        "or more along axis -1 were tried"
    )


def test_each_axis_has_the_budget_to_itself() -> None:
    """The rows follow a shift by 1, which leaves nothing out; the columns alone are cut short."""
    frugal = diagnose(_every_eighth, (5, 64), axes=(0, 1), boundary="interior", budget=1)
    assert (frugal.period, frugal.period_certainty) == ((1, None), "undecided")
    assert "along axis -1 " in frugal.shift_equivariant.reason
    assert "along axis -2 " not in frugal.shift_equivariant.reason


def test_a_basis_that_speaks_against_a_shift_counts_as_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a basis against it each shift here would be taken: none of the signals differs."""
    monkeypatch.setattr(Interior, "_borders_on_basis", lambda *_: {-1: None})
    tried = []
    step = Interior._step
    monkeypatch.setattr(Interior, "_step", lambda *args: tried.append(1) or step(*args))
    found = diagnose(nn.Conv1d(1, 1, 1), (1, 512), boundary="interior", budget=2000)
    assert found.period == (None,)
    assert len(tried) <= 2000 // 512 + 2  # the first is free, and the last finds nothing left
