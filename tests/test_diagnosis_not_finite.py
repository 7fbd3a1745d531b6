"""Errors, overflow, underflow and NaN refute no more than they show."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from tests.operator_table import assert_replays
from theory import diagnose
from theory.testing import assert_shift_equivariant

if TYPE_CHECKING:
    from collections.abc import Callable

    from theory.diagnosis.equations import Boundary


def _raises_on_negatives(x: np.ndarray) -> np.ndarray:
    if np.asarray(x).min() < 0:
        raise RuntimeError("no negatives")
    return 2 * x


def test_raising_on_some_inputs_leaves_it_undecided() -> None:
    diagnosis = diagnose(_raises_on_negatives, (8,))
    assert diagnosis.linear.holds is None
    assert diagnosis.linear.certainty == "undecided"
    assert "no negatives" in diagnosis.additive.reason
    assert diagnosis.shift_equivariant.holds is None
    assert diagnosis.kernel is None


def _raises_on_large_and_is_nan_in_a_cell(x: np.ndarray) -> np.ndarray:
    if abs(x).max() > 1e5:
        raise ValueError("too large")
    return np.where(np.arange(6) == 2, np.nan, x)


def test_one_nan_beside_finite_values_does_not_stand_for_an_error() -> None:
    diagnosis = diagnose(_raises_on_large_and_is_nan_in_a_cell, (6,))
    assert diagnosis.shift_equivariant.holds is False


@pytest.mark.parametrize("op", [torch.log, torch.exp, torch.reciprocal, np.sqrt])
def test_values_that_are_not_finite(op: Callable[..., Any]) -> None:
    diagnosis = diagnose(op, (8,))
    assert diagnosis.linear.holds is False
    assert diagnosis.shift_equivariant.holds
    assert_replays(diagnosis.linear, op)
    json.dumps(diagnosis.to_dict(), allow_nan=False)


@pytest.mark.parametrize("boundary", ["circular", "interior"])
@pytest.mark.parametrize(
    "weight", [1 / torch.arange(8.0), torch.tensor([1.0, 1, 1, float("nan"), 1, 1, 1, 1])]
)
def test_a_cell_that_is_never_finite_does_not_follow_shifts(
    boundary: Boundary, weight: torch.Tensor
) -> None:
    diagnosis = diagnose(lambda x: x * weight.to(x.dtype), (8,), boundary=boundary)
    assert diagnosis.shift_equivariant.holds is False
    assert diagnosis.lti.holds is not True
    witness = diagnosis.shift_equivariant.witness
    if boundary == "circular":
        assert witness is not None
        assert not np.array_equal(np.isfinite(witness.left), np.isfinite(witness.right))


def test_an_overflow_inside_a_transform_refutes_nothing() -> None:
    """Behind exp(1e4) cell 0 is infinite and the others NaN; after a shift all of them are NaN."""
    kernel = np.fft.rfft([1, 0.5, 0.25], 8)
    diagnosis = diagnose(lambda x: np.fft.irfft(np.fft.rfft(np.exp(x)) * kernel, 8), (8,))
    assert diagnosis.shift_equivariant.holds


def test_a_constant_nan_is_undecided() -> None:
    diagnosis = diagnose(lambda x: x * float("nan"), (8,))
    assert diagnosis.linear.holds is None
    assert "not finite" in diagnosis.additive.reason


@pytest.mark.parametrize(
    ("scale", "dtype"), [(1e-310, torch.float64), (3e-320, torch.float64), (1e-41, torch.float32)]
)
def test_underflow_refutes_nothing(scale: float, dtype: torch.dtype) -> None:
    found = diagnose(lambda x: x * scale, (8,), dtype=dtype)
    assert found.linear.certainty == "proved"
    assert found.shift_equivariant.certainty == "proved"
    kernel = torch.tensor([[[1.0, 2.0, 5.0]]], dtype=dtype) * scale
    sums = diagnose(lambda x: F.conv1d(x[None], kernel)[0], (1, 8), dtype=dtype)
    assert sums.linear.certainty == "proved"
    assert diagnose(lambda x: x.relu() * 1e-300, (8,)).linear.certainty == "refuted"


def test_what_is_never_finite_follows_no_shifts() -> None:
    """Every NaN meets another one, of a zero-padded layer as well."""
    layer = nn.Conv1d(1, 1, 3, padding=1)
    nn.init.constant_(layer.weight, float("nan"))
    boundaries: tuple[Boundary, ...] = ("circular", "interior")
    for boundary in boundaries:
        found = diagnose(layer, (1, 8), boundary=boundary)
        assert found.shift_equivariant.holds is None
        assert "no output that was tried has a finite value" in found.shift_equivariant.reason
        assert (found.period, found.border) == ((None,), (None,))
        assert found.period_certainty == "undecided"
        lines = dict(line.split() for line in str(found).splitlines() if len(line.split()) == 2)
        assert lines["period"] == lines.get("border", "?") == "?"


def _pools_without_negatives(x: np.ndarray) -> np.ndarray:
    if x.min() < 0:
        raise RuntimeError("no negatives")
    return x.reshape(4, 2).max(1)


def test_inputs_without_an_output_leave_the_period_undecided() -> None:
    """Red where the same errors leave shifts by one cell undecided, and not those by two."""
    found = diagnose(_pools_without_negatives, (8,))
    assert found.shift_equivariant.holds is False
    assert found.shift_equivariant.reason.startswith("a shift by 1 is no whole shift")
    assert "the period is not known: on an input" in found.shift_equivariant.reason
    assert (found.period, found.period_certainty) == ((None,), "undecided")
    with pytest.raises(AssertionError, match=r"could not be decided.*no negatives"):
        assert_shift_equivariant(_pools_without_negatives, (8,), period=2)
