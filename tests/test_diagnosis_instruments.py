"""Faults planted in operators and in the instruments themselves: each has to be caught."""

from __future__ import annotations

import dataclasses
import threading
import tracemalloc
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from tests.operator_table import OPERATORS, assert_replays, circulant, conv
from tests.test_operator_table import test_truth as check_row
from theory import diagnose
from theory.diagnosis import (
    equations,
    equivariance,
    interior,
    linearity,
    primitives,
    responses,
    rounding,
    search,
    structure,
)
from theory.diagnosis.calling import Operator
from theory.diagnosis.isolation import isolated
from theory.diagnosis.windows import least_border, two_windows

if TYPE_CHECKING:
    from collections.abc import Callable


def _mislabelled(monkeypatch: pytest.MonkeyPatch, name: str, table: str) -> None:
    """Plant a fault: put a nonlinear primitive into one of the tables of harmless ones."""
    monkeypatch.setattr(primitives, "NONLINEAR", primitives.NONLINEAR - {name})
    monkeypatch.setattr(primitives, table, getattr(primitives, table) | {name})


@pytest.mark.parametrize(
    ("op", "name"),
    [
        (nn.ReLU(), "relu"),
        (torch.abs, "abs"),
        (lambda x: x.clamp(-1e4, 1e4), "clamp"),
        (torch.round, "round"),
        (lambda x: x**2, "pow"),
    ],
)
@pytest.mark.parametrize("table", ["LINEAR_IN_FIRST", "AFFINE_COMBINATION", "CONSTANT"])
def test_a_wrong_table_of_primitives_is_caught(
    monkeypatch: pytest.MonkeyPatch, op: Callable[..., Any], name: str, table: str
) -> None:
    _mislabelled(monkeypatch, name, table)
    diagnosis = diagnose(op, (8,))
    assert diagnosis.linear.holds is False
    assert diagnosis.affine.holds is False
    assert "table of primitives is wrong" in diagnosis.affine.reason
    assert_replays(diagnosis.affine, op)


@pytest.mark.parametrize("op", [lambda x: x.abs() + 0 * x.roll(1), torch.abs])
def test_one_witness_voids_all_that_a_structure_proves(
    monkeypatch: pytest.MonkeyPatch, op: Callable[..., Any]
) -> None:
    """No witness is found against additivity: what a wrong table proves of it counts for nothing.

    The search for one is cut off, as if there were inputs that it does not know.
    """
    _mislabelled(monkeypatch, "abs", "LINEAR_IN_FIRST")
    attempts = linearity._attempts
    monkeypatch.setattr(
        linearity,
        "_attempts",
        lambda prop, *rest: attempts(prop, *rest) if prop == "homogeneous" else (),
    )
    diagnosis = diagnose(op, (8,))
    assert diagnosis.homogeneous.certainty == "refuted"
    assert diagnosis.additive.certainty == "sampled"
    assert "witness speaks against its proof" in diagnosis.additive.reason
    assert diagnosis.affine.holds is False
    assert diagnosis.shift_equivariant.certainty == "sampled"


def test_a_wrong_claim_of_pointwise_structure_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("theory.diagnosis.structure._is_pointwise", lambda *_: True)
    diagnosis = diagnose(lambda x: torch.relu(x * torch.arange(8)), (8,))
    assert diagnosis.shift_equivariant.holds is False


MUTANTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "one weight differs": lambda x: F.linear(x, circulant(8).double() + _one_at(2, 5)),
    "bias in one cell": lambda x: x.roll(1) + _one_at(3),
    "last cell forgotten": lambda x: torch.cat([x[:-1], 0 * x[-1:]]),
    "off-by-one padding": lambda x: (
        F.pad(x[None], (2, 0), "circular")[0].unfold(0, 3, 1).sum(1) + F.pad(x, (0, 1))[1:]
    ),
    "wrong stride phase in one cell": lambda x: torch.cat([x[0:6:2], x[7:8]]),
}


def _one_at(*cell: int) -> torch.Tensor:
    values = torch.zeros((8,) * len(cell), dtype=torch.float64)
    values[cell] = 1
    return values


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_of_equivariant_operators_are_caught(name: str) -> None:
    diagnosis = diagnose(MUTANTS[name], (8,))
    assert diagnosis.shift_equivariant.holds is False
    assert diagnosis.lti.holds is False
    assert diagnosis.period == (None,)
    assert_replays(diagnosis.shift_equivariant, MUTANTS[name])


def test_the_basis_alone_finds_what_no_other_input_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equivariance.Shifts, "probes", lambda self: iter([np.zeros((2, 8))]))
    found = diagnose(conv(padding_mode="zeros"), (2, 8))
    assert found.shift_equivariant.holds is False
    assert diagnose(conv(stride=2), (2, 8)).period == (2,)


class _BatchDependent(nn.Module):
    """Rolls one or two signals; mirrors larger batches."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.roll(1, -1) if len(x) <= 2 else x.flip(-1)


def test_a_batch_that_is_treated_differently_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = diagnose(_BatchDependent(), (8,))
    assert found.lti.holds
    assert found.kernel is not None
    assert found.kernel.tolist() == [0, 1, 0, 0, 0, 0, 0, 0]

    cells = [(cell,) for cell in range(8)]

    def matrix() -> np.ndarray:
        trials = search.Trials(Operator(_BatchDependent(), (8,)), budget=100)
        return np.stack(list(trials.columns(cells)))

    assert np.array_equal(matrix(), np.roll(np.eye(8), 1, axis=1))
    monkeypatch.setattr(responses.Responses, "_add_up", lambda *arguments: True)
    assert np.array_equal(matrix(), np.eye(8)[::-1])


def _no_border(differs: np.ndarray, by: int) -> int | None:
    return 0


def _half_border(differs: np.ndarray, by: int) -> int | None:
    border = least_border(differs, by)
    return None if border is None else border // 2


def _wide_border(differs: np.ndarray, by: int) -> int | None:
    border = least_border(differs, by)
    return None if border is None else border + 1


def _same_windows(signal: np.ndarray, axis: int, by: int) -> tuple[np.ndarray, np.ndarray]:
    x, _ = two_windows(signal, axis, by)
    return x, x


@pytest.mark.parametrize(
    ("where", "what", "fault", "row"),
    [
        (interior, "least_border", _no_border, "zero-padded conv"),
        (interior, "least_border", _half_border, "zero-padded conv"),
        (interior, "least_border", _wide_border, "unpadded conv"),
        (interior, "two_windows", _same_windows, "max pooling"),
        (equations, "shifted", lambda x, by: x, "window"),
        (rounding.Rounding, "bound", lambda *_, **__: np.inf, "softplus"),
        (rounding.Rounding, "excess", lambda *_, **__: 0.0, "ReLU"),
        (linearity, "_SCALARS", (1.0,), "ReLU"),
        (structure, "is_pure", lambda node: False, "negation"),
    ],
)
def test_the_table_of_operators_catches_faults_in_the_instruments(
    where: Any, what: str, fault: Any, row: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, what, fault)
    with pytest.raises(AssertionError):
        check_row(row)


@pytest.mark.parametrize(
    ("row", "lie"),
    [
        ("zero-padded conv", {"interior": (1, 2)}),
        ("zero-padded conv", {"interior": (1, 0)}),
        ("zero-padded conv", {"circle": 1}),
        ("strided circular conv", {"circle": 1}),
        ("strided circular conv", {"interior": (1, 1)}),
        ("median filter", {"homogeneous": False}),
        ("bias", {"linear": True}),
        ("nearest upsampling", {"same_rate": True}),
        ("square", {"affine": True}),
    ],
)
def test_a_wrong_row_is_refused(
    row: str, lie: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OPERATORS, row, dataclasses.replace(OPERATORS[row], **lie))
    with pytest.raises(AssertionError):
        check_row(row)


def test_inputs_are_forgotten_as_well_as_responses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Red if what is remembered is measured by the one number that a sum returns."""
    monkeypatch.setattr(responses, "_REMEMBERED_VALUES", 2**14)
    trials = search.Trials(Operator(torch.sum, (1024,)), budget=1024)
    tracemalloc.start()
    try:
        for cell in range(256):
            trials.column((cell,))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2 * 8 * 2**14


def test_a_shift_that_is_followed_ends_the_search_for_any_shift_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 33 cells out for 32 in: red where every input is compared with all 33 turns."""
    asked = []
    excess = search.Trials.excess
    monkeypatch.setattr(search.Trials, "excess", lambda *args: asked.append(1) or excess(*args))
    found = diagnose(lambda x: np.sort(np.append(x, x.max())), (32,))
    assert found.shift_invariance == "sampled"
    assert len(asked) < 6 * 72  # of 72 inputs


def test_one_thread_at_a_time_is_isolated():
    """Red if two may put back what the other one seeded and silenced."""
    before = torch.get_rng_state(), list(warnings.filters)

    def enter() -> None:
        with isolated(seed=2):
            pass

    with isolated(seed=1):
        other = threading.Thread(target=enter)
        other.start()
        other.join(0.2)
        waits = other.is_alive()
        with isolated(seed=1):
            pass  # the thread that is isolated need not wait for itself
    other.join()
    assert waits
    assert torch.equal(torch.get_rng_state(), before[0])
    assert warnings.filters == before[1]
