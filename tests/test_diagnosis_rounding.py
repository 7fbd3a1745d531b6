"""Rounding refutes nothing, and what differs by more is never called exhausted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from theory import diagnose

if TYPE_CHECKING:
    from collections.abc import Callable

    from theory.diagnosis.equations import Boundary


def test_weights_that_no_tried_impulse_meets_do_not_refute_what_is_linear() -> None:
    """Two of eight weights are 1e12/3 and cancel: the rounding errors are theirs, not the sum's."""
    weights = np.ones(8)
    weights[2], weights[3] = 1e12 / 3, -1e12 / 3
    found = diagnose(lambda x: np.array([x @ weights]), (8,), batched=False).linear
    assert found.holds


def _faint_beside(x: torch.Tensor) -> torch.Tensor:
    """In the channel that rolls, each cell also has its own, tiny weight."""
    return x.roll(1) + 1e-15 * x * torch.arange(len(x))


@pytest.mark.parametrize("boundary", ["circular", "interior"])
def test_what_drowns_beside_a_large_value_is_never_called_exhausted(boundary: Boundary) -> None:
    found = diagnose(_faint_beside, (12,), boundary=boundary)
    assert found.lti.certainty == "sampled"
    assert "too faint" in found.shift_equivariant.reason
    follows = diagnose(
        lambda x: torch.stack([x, 1e-15 * x * torch.ones(12)]), (12,), boundary=boundary
    )
    assert follows.lti.certainty == "exhausted"


_ONES = torch.ones(3, 1, 1, 1)
_ONE_MISSING = torch.ones(8, dtype=torch.float64)
_ONE_MISSING[3] = 0


@pytest.mark.parametrize("boundary", ["circular", "interior"])
@pytest.mark.parametrize(
    ("op", "shape", "dtype"),
    [
        (
            lambda x: F.conv2d(x[None], _ONES, groups=3)[0] * torch.linspace(1, 1.004, 24),
            (3, 24, 24),
            torch.float32,
        ),
        (lambda x: x * torch.linspace(1, 1.001, 1024), (1024,), torch.float32),
        (lambda x: x * torch.linspace(1, 1.001, 1024).repeat(2, 1).T, (1024, 2), torch.float32),
        (lambda x: 1e15 * x + torch.roll(x, 1) * _ONE_MISSING, (8,), torch.float64),
        (lambda x: 1e17 * x + torch.roll(x, 1) * _ONE_MISSING, (8,), torch.float64),
    ],
    ids=["convolution", "weights", "along one axis", "beside 1e15", "beside 1e17"],
)
def test_what_differs_by_more_than_rounding_is_never_called_exhausted(
    op: Callable[..., Any], shape: tuple[int, ...], dtype: torch.dtype, boundary: Boundary
) -> None:
    found = diagnose(op, shape, dtype=dtype, boundary=boundary, axes=range(-min(len(shape), 2), 0))
    assert found.shift_equivariant.certainty in ("sampled", "refuted")
    assert found.lti.certainty in ("sampled", "refuted")
    # Along the first of two axes the shift is followed indeed.
    assert "exhausted" not in found.shift_equivariant.reason or "none)" in (
        found.shift_equivariant.reason
    )


def test_invariance_is_not_called_exhausted_either() -> None:
    weights = torch.linspace(1, 1.001, 1024)
    found = diagnose(lambda x: (x * weights).sum(0, keepdim=True), (1024,), dtype=torch.float32)
    assert "exhausted" not in found.shift_equivariant.reason


def test_a_period_that_only_a_basis_finds_is_confirmed_as_well() -> None:
    """Odd and even cells differ in one cell's weight alone, which no probe meets by itself."""
    weights = torch.ones(64, dtype=torch.float64)
    weights[1::2] = 1 + 2**-8
    weights[40] = 1 + 1e-14
    assert "exhausted" not in diagnose(lambda x: x * weights, (64,)).shift_equivariant.reason
    weights[40] = 1
    assert "2 (exhausted)" in diagnose(lambda x: x * weights, (64,)).shift_equivariant.reason


@pytest.mark.parametrize("boundary", ["circular", "interior"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_alone_keeps_nothing_from_being_exhausted(
    dtype: torch.dtype, boundary: Boundary
) -> None:
    """An FFT's zeros are none, and the sums of two layers may be added in any order."""
    kernel = torch.tensor([0.1, 0.7, 0.3] + [0.0] * 61, dtype=torch.float64)

    def by_fft(x: torch.Tensor) -> torch.Tensor:
        return torch.fft.irfft(torch.fft.rfft(x) * torch.fft.rfft(kernel.to(x.dtype)), 64)

    assert diagnose(by_fft, (64,), dtype=dtype).lti.certainty == "exhausted"
    torch.manual_seed(0)
    layers = nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1, bias=False) for _ in range(2)))
    if boundary == "circular":
        for layer in layers:
            layer.padding_mode = "circular"
            layer._reversed_padding_repeated_twice = [1, 1, 1, 1]
    found = diagnose(layers, (3, 12, 12), dtype=dtype, boundary=boundary)
    assert found.lti.certainty == "exhausted"


def test_amplified_rounding_is_not_blamed_on_the_tables_alone() -> None:
    found = diagnose(lambda x: (1e10 * x + x.roll(1)) - 1e10 * x, (8,))
    assert found.linear.holds is False
    assert "rounding is amplified" in found.additive.reason


def _rounded(x: torch.Tensor) -> torch.Tensor:
    return x.relu().bfloat16()


class _Autocast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return self.conv(x).relu()


@pytest.mark.parametrize("boundary", ["circular", "interior"])
@pytest.mark.parametrize(
    ("op", "shape", "dtype"),
    [(_rounded, (64,), torch.float64), (_Autocast(), (1, 64), torch.float32)],
    ids=["cast", "autocast"],
)
def test_where_rounding_swallows_everything_nothing_is_concluded(
    op: Callable[..., Any], shape: tuple[int, ...], dtype: torch.dtype, boundary: Boundary
) -> None:
    diagnosis = diagnose(op, shape, dtype=dtype, boundary=boundary)
    for finding in (diagnosis.linear, diagnosis.affine, diagnosis.shift_equivariant, diagnosis.lti):
        assert finding.holds is None
        assert "64 cells are too many for its precision" in finding.reason
    assert diagnosis.period == diagnosis.border == (None,)


def test_on_a_few_cells_the_same_precision_still_refutes() -> None:
    assert diagnose(_rounded, (2,)).additive.certainty == "refuted"
