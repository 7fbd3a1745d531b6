"""Rare and faint departures from a property are found, and looks prove nothing linear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from tests.operator_table import NoTensor, assert_replays, circulant, dense
from theory import diagnose

if TYPE_CHECKING:
    from collections.abc import Callable


def _branch(x: torch.Tensor) -> torch.Tensor:
    return x if x.sum() > 1000 else 2 * x


def _conv_and_a_little_square(x: torch.Tensor) -> torch.Tensor:
    kernel = torch.tensor([[[1.0, 2.0, 3.0]]], dtype=x.dtype)
    return F.conv1d(F.pad(x, (1, 1), "circular"), kernel) + 1e-6 * x**2


@pytest.mark.parametrize(
    "op",
    [
        _branch,
        _conv_and_a_little_square,
        lambda x: x.clamp(-1e4, 1e4),
        NoTensor(lambda x: np.clip(x, -1e4, 1e4)),
        lambda x: torch.from_numpy(np.clip(x.numpy(), -1e4, 1e4)),
        lambda x: torch.tensor([min(v, 1e4) for v in x.flatten().tolist()]).double().view(x.shape),
        lambda x: x + 1e-9 * torch.sin(x),
        lambda x: torch.where(x == 3, 0, x),
    ],
    ids=["branch", "square", "clamp", "numpy", "numpy inside", "tolist", "sine", "hole at 3"],
)
def test_rare_and_faint_nonlinearity_is_found(op: Callable[..., Any]) -> None:
    diagnosis = diagnose(op, (1, 8))
    assert diagnosis.deterministic.holds
    assert diagnosis.linear.holds is False
    assert diagnosis.affine.holds is False
    assert_replays(diagnosis.linear, op)


def test_a_nonlinear_spelling_of_the_identity_is_never_called_proved() -> None:
    diagnosis = diagnose(lambda x: torch.relu(x) - torch.relu(-x), (8,))
    assert diagnosis.linear.holds
    assert diagnosis.linear.certainty == "sampled"
    assert "relu is nonlinear" in diagnosis.additive.reason
    assert diagnosis.lti.certainty == "sampled"


def test_an_output_of_varying_shape() -> None:
    diagnosis = diagnose(lambda x: x[x > 0], (8,))
    assert diagnosis.linear.holds is not True
    assert diagnosis.lti.holds is not True


def test_equivariance_to_even_shifts_only() -> None:
    """Nonlinear, so that no basis helps; odd shifts exchange two different functions."""

    def alternating(x: torch.Tensor) -> torch.Tensor:
        return torch.where(torch.arange(8) % 2 == 0, x.relu(), 0.75 * x.relu())

    found = diagnose(alternating, (8,))
    assert found.shift_equivariant.holds is False
    assert found.period == (2,)
    assert_replays(found.shift_equivariant, alternating)


def test_faint_is_not_zero() -> None:
    """Weights near zero count like any other: what matters is their size against each other."""
    assert diagnose(lambda x: 1e-9 * x.relu(), (8,)).linear.holds is False
    assert diagnose(dense(1e-9 * circulant(8, 8)), (8,)).lti.holds is False
    assert diagnose(dense(1e-9 * circulant(8)), (8,)).lti.holds
    nearly = dense(circulant(8))
    with torch.no_grad():
        nearly.weight[2, 5] += 2**-10
    assert diagnose(nearly, (8,)).lti.holds is False


def test_bits_that_are_read_as_another_number_are_not_called_linear() -> None:
    """Two singles in a row are the bits of a double, here one that is too small to show."""

    def reinterpreted(x: torch.Tensor) -> torch.Tensor:
        return x[::2].double() + 1e-250 * x.view(torch.float64)

    found = diagnose(reinterpreted, (8,), dtype=torch.float32)
    assert found.linear.certainty != "proved"
    assert "view is nonlinear" in found.additive.reason


@pytest.mark.parametrize(
    "op",
    [
        lambda x: torch.where((x > 0.1) & (x < 0.2), 0, x),
        lambda x: x.clamp(-1e16, 1e16),
        lambda x: torch.where(x.abs() < 1e-6, 0, x),
    ],
    ids=["hole", "distant clamp", "dead zone"],
)
def test_what_is_zero_at_zero_and_not_linear_is_not_affine(op: Callable[..., Any]) -> None:
    diagnosis = diagnose(op, (8,))
    assert diagnosis.linear.holds is False
    assert diagnosis.affine.holds is False
    assert_replays(diagnosis.affine, op)


def test_a_grid_between_values_of_the_input_is_no_constant() -> None:
    def grid(x: torch.Tensor) -> torch.Tensor:
        return x + 1e-15 * torch.linspace(x[0], x[1], 8).abs()

    assert diagnose(grid, (8,)).linear.certainty == "sampled"
