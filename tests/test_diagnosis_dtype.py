"""The type of number that an operator is asked in: double precision wherever it has that."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from theory import diagnose


class _Hilbert(nn.Module):
    """Quarter of a turn for every frequency, by a complex buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("turn", torch.tensor([0, -1j, -1j, -1j, 0], dtype=torch.complex64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.fft.irfft(torch.fft.rfft(x) * self.turn, n=8)


def test_complex_parameters_keep_their_imaginary_part() -> None:
    """Red where a conversion to real numbers makes this the zero operator."""
    module = _Hilbert()
    diagnosis = diagnose(module, (8,))
    assert diagnosis.lti.holds
    x = torch.zeros(8)
    x[0] = 1
    assert diagnosis.kernel is not None
    assert np.abs(diagnosis.kernel.ravel() - module(x).numpy()).max() < 8 * np.finfo(np.float32).eps
    assert np.abs(diagnosis.kernel).max() > 0.1
    assert module.turn.dtype == torch.complex64


class _NoDouble(nn.Linear):
    def _apply(self, fn: Any, recurse: bool = True) -> nn.Module:
        if fn(torch.zeros(1)).dtype is torch.float64:
            raise TypeError("this device has no float64")
        return super()._apply(fn, recurse)


class _OwnTo(nn.Module):
    """Keeps a tensor that is no buffer, and moves it by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.eye(4)

    def to(self, *args: Any, **options: Any) -> nn.Module:
        super().to(*args, **options)
        self.weight = self.weight.to(*args, **options)
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight


def test_a_module_that_moves_itself_is_asked_in_double_precision() -> None:
    assert diagnose(_OwnTo(), (4,)).dtype == "float64"


def test_a_module_without_double_precision_gets_single() -> None:
    diagnosis = diagnose(_NoDouble(4, 4, bias=False), (4,))
    assert diagnosis.linear.certainty == "proved"


def test_real_weights_and_single_precision() -> None:
    torch.manual_seed(0)
    layer = nn.Sequential(
        nn.Conv1d(2, 3, 3, padding=1, padding_mode="circular", bias=False),
        nn.Conv1d(3, 2, 3, padding=1, padding_mode="circular", bias=False),
    )
    for dtype in (torch.float64, torch.float32):
        diagnosis = diagnose(layer, (2, 8), dtype=dtype)
        assert diagnosis.lti.holds
        assert diagnosis.linear.certainty == "proved"
    witness = diagnose(nn.ReLU(), (8,), dtype=torch.float32).additive.witness
    assert witness is not None
    assert witness.inputs[0].dtype == np.float32


class _SingleOnly(nn.Module):
    """A layer that keeps its weights in a list, where no conversion finds them."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = [torch.tensor([[[1.0, 2.0, 5.0]]])]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv1d(F.pad(x, (1, 1), "circular"), self.weights[0])


def test_a_module_for_single_precision_alone() -> None:
    found = diagnose(_SingleOnly(), (1, 8))
    assert found.lti.holds
    assert found.dtype == "float32"
    assert "float32" in str(found)
    assert diagnose(_SingleOnly(), (1, 8), boundary="interior").border == (1,)


class _HalfInside(nn.Module):
    """Converts its input to the type that its weights were made for, and the output back."""

    def __init__(self, reads: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular", bias=False).half()
        self.reads = reads

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.reads and bool(x.isnan().any()):
            return x
        return self.conv(x.half()).type_as(x)


@pytest.mark.parametrize("reads", [False, True], ids=["graph", "no graph"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_module_of_half_precision_is_asked_in_its_own(dtype: torch.dtype, reads: bool) -> None:
    """Red where the rounding of 16 bits is held against it: that is all it has against it."""
    layer = _HalfInside(reads)
    found = diagnose(layer, (1, 8), dtype=dtype)
    assert found.dtype == str(dtype).removeprefix("torch.")
    assert found.warnings == (
        "it takes neither double nor single precision: asked in its own types, float16",
    )
    assert found.linear.holds is None  # it overflows
    assert "not finite" in found.linear.reason
    assert found.shift_equivariant.holds
    assert layer.conv.weight.dtype is torch.half


def test_a_module_of_half_precision_that_is_nonlinear_is_refuted() -> None:
    layer = nn.Sequential(_HalfInside(reads=False), nn.ReLU())
    witness = diagnose(layer, (1, 8)).additive.witness
    assert witness is not None
    left, right = witness.replay(layer)
    assert np.array_equal(left, witness.left)
    assert np.array_equal(right, witness.right)


def test_what_takes_double_or_single_precision_is_not_warned_about() -> None:
    for layer in (nn.Conv1d(1, 1, 3).half(), _SingleOnly()):
        assert diagnose(layer, (1, 8)).warnings == ()
