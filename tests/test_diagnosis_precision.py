"""Operators that compute in a coarser precision than that of their inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
import scipy.signal
import torch
from torch import nn

from theory.diagnosis import diagnose
from theory.diagnosis.equations import Boundary
from theory.testing import (
    assert_adjoint,
    assert_linear,
    assert_same_operator,
    assert_shift_equivariant,
    sides,
)
from theory.testing.adjointness import adjointness
from theory.testing.sameness import sameness

ADVICE = (
    "of the size of single-precision rounding: give dtype float32 if values inside or weights were "
    "computed in that"
)


def _circular(channels_in: int, channels_out: int) -> nn.Conv1d:
    torch.manual_seed(0)
    return nn.Conv1d(channels_in, channels_out, 3, padding=1, padding_mode="circular", bias=False)


class _SpectralConv(nn.Module):
    """The layer of a Fourier neural operator as it is published, with its complex64 buffer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weights = nn.Parameter(torch.rand(2, 2, 5, dtype=torch.cfloat) / 4)
        self.skip = nn.Conv1d(2, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spectrum = torch.fft.rfft(x)
        out = torch.zeros(x.shape[0], 2, x.shape[-1] // 2 + 1, dtype=torch.cfloat)
        out[:, :, :5] = torch.einsum("bix,iox->box", spectrum[:, :, :5], self.weights)
        return nn.functional.gelu(torch.fft.irfft(out, n=x.shape[-1]) + self.skip(x))


class _SingleInside(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = _circular(1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x).float().type_as(x)


_SCALES = np.random.default_rng(0).uniform(1, 2, 16).astype(np.float32)


def _single_in_numpy(x: np.ndarray) -> np.ndarray:
    """Move by one cell, and round in single precision, in each cell in another way."""
    moved = np.roll(x, 1).astype(np.float32)
    return (moved * _SCALES * (1 / _SCALES)).astype(x.dtype)


@pytest.mark.parametrize("boundary", ["circular", "interior"])
def test_single_precision_inside_refutes_nothing(boundary: Boundary) -> None:
    assert diagnose(_SpectralConv(), (2, 16)).shift_equivariant.holds
    found = diagnose(_SingleInside(), (1, 16), boundary=boundary)
    assert found.lti.holds
    assert found.linear.certainty == "sampled"


def test_nor_in_the_other_asserts() -> None:
    layer = _SingleInside()
    weight = layer.conv.weight.detach().double()

    def back(y: torch.Tensor) -> torch.Tensor:
        wrapped = torch.cat([y[..., -1:], y, y[..., :1]], -1)
        return torch.conv1d(wrapped, weight.flip(-1))

    assert_adjoint(layer, back, (1, 8))
    assert_same_operator(layer, layer.conv, (1, 8))
    halved = nn.Sequential(_SingleInside(), nn.AvgPool1d(2))
    assert_shift_equivariant(halved, (1, 8), period=2)


class _RoundedOnAGPU(nn.Module):
    """A convolution that cuts its factors to TF32 where torch is told that it may.

    On a GPU it may from the start, and a test of its numbers keeps the graph from telling more.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = _circular(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if bool(x.isnan().any()):
            return x
        kind: Any = torch.backends.cudnn.conv
        factors = [nn.functional.pad(x, (1, 1), mode="circular"), self.conv.weight]
        if kind.fp32_precision == "tf32":
            bits = [each.contiguous().view(torch.int32) + 2**12 for each in factors]
            factors = [(each >> 13 << 13).view(torch.float32) for each in bits]
        return nn.functional.conv1d(*factors)


def test_single_precision_is_judged_without_tf32(allowed: Callable[[], list[str]]) -> None:
    """Red where the bound on rounding, that of single precision, meets shorter factors."""
    layer, before = _RoundedOnAGPU(), allowed()
    assert before[4] == "tf32"
    x = torch.full((1, 2, 8), 1 + 2**-20)
    assert not torch.equal(layer(x), layer.conv(x))
    found = diagnose(layer, (2, 8), dtype=torch.float32)
    assert found.linear.holds
    assert found.linear.certainty == "sampled"
    assert_same_operator(layer, layer.conv, (2, 8), dtype=torch.float32)
    y = np.random.default_rng(0).uniform(1, 2, (2, 2, 8)).astype(np.float32)
    left, right = sides(layer, "additive", *y)
    assert np.allclose(left, right, rtol=1e-5, atol=1e-6)
    assert allowed() == before


def test_single_precision_is_judged_without_the_autocast_of_the_caller() -> None:
    """Red where a diagnosis in a training loop loses a proof, or has a rounded kernel."""
    layer, x = _circular(2, 2), torch.full((1, 2, 8), 1 + 2**-20)
    alone = diagnose(layer, (2, 8), dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
        assert str(diagnose(layer, (2, 8), dtype=torch.float32)) == str(alone)
        assert layer(x).dtype == torch.bfloat16, "the caller's autocast goes on"
    assert alone.linear.certainty == "proved"


def _constant_in_single(x: torch.Tensor) -> torch.Tensor:
    return x * torch.tensor(0.5) + 1e-9 * torch.sin(x)


@pytest.mark.parametrize(
    "op", [lambda x: x + 1e-9 * torch.sin(x), _constant_in_single], ids=["double", "constant"]
)
def test_a_nonlinearity_fainter_than_single_precision_is_found(op: Callable[..., Any]) -> None:
    """A constant in single precision rounds nothing that depends on the input."""
    found = diagnose(op, (1, 8))
    assert found.linear.holds is False
    assert ADVICE not in str(found)


@pytest.mark.parametrize("boundary", ["circular", "interior"])
def test_without_a_graph_the_reason_says_what_it_may_be(boundary: Boundary) -> None:
    found = diagnose(_single_in_numpy, (16,), boundary=boundary)
    assert found.lti.holds is False
    for name in ("additive", "linear", "affine", "shift_equivariant", "lti"):
        assert found.findings[name].holds is False
        assert ADVICE in found.findings[name].reason
    with pytest.raises(AssertionError, match=ADVICE):
        assert_linear(_single_in_numpy, (16,), boundary=boundary)
    assert diagnose(_single_in_numpy, (16,), boundary=boundary, dtype=torch.float32).lti.holds


def test_a_large_violation_is_not_excused() -> None:
    assert ADVICE not in str(diagnose(lambda x: np.clip(x, 0, None), (8,)))


_SECTIONS = scipy.signal.butter(2, 0.3, output="sos")


def _recursive(x: np.ndarray) -> np.ndarray:
    """Filter in double precision; what comes in at one end fades to 1e-9 at the other one."""
    return scipy.signal.sosfilt(_SECTIONS, x)


def test_a_clear_violation_is_preferred_to_a_faint_one() -> None:
    """Red where the first impulse, whose response has faded when it meets the end, is shown."""
    shift = diagnose(_recursive, (32,)).shift_equivariant
    assert ADVICE not in shift.reason
    assert shift.witness is not None
    assert np.abs(shift.witness.left - shift.witness.right).max() > 1e-5  # and not 2.4e-9
    assert diagnose(_recursive, (32,), dtype=torch.float32).shift_equivariant.holds is False


def _clear_along_the_last_axis(x: np.ndarray) -> np.ndarray:
    """Mirrors along the last of two axes; along the first, single precision alone speaks."""
    return x[:, ::-1] * (1 + 1e-9 * np.arange(4)[:, None])


def test_so_is_a_clear_violation_along_another_axis() -> None:
    for boundary in get_args(Boundary):
        found = diagnose(_clear_along_the_last_axis, (4, 4), axes=(0, 1), boundary=boundary)
        assert found.period[0] is None
        assert found.shift_equivariant.holds is False
        assert ADVICE not in found.shift_equivariant.reason


def test_a_clear_violation_stays_clear_when_it_is_made_small() -> None:
    """One cell is off by 1e-9, another one by 1: red where the first is left of both."""
    weights = np.ones(8)
    weights[0], weights[5] = 1 + 1e-9, 2
    found = diagnose(lambda x: np.abs(x) * weights, (8,)).shift_equivariant
    assert ADVICE not in found.reason
    assert found.witness is not None
    assert np.abs(found.witness.left - found.witness.right).max() >= 1


def test_what_fades_from_the_ends_is_not_taken_for_rounding() -> None:
    """In single precision it has faded after 15 cells: advice to ask in that would mislead."""
    shift = diagnose(_recursive, (64,), boundary="interior").shift_equivariant
    assert shift.holds is False
    assert ADVICE not in shift.reason
    assert shift.reason.endswith("; faint in the middle: longer inputs may leave a border")
    assert diagnose(_recursive, (256,), boundary="interior").lti.holds


def _recursive_in_single(x: np.ndarray) -> np.ndarray:
    single = x.astype(np.float32)
    return scipy.signal.lfilter(np.float32([1]), np.float32([1, -0.5]), single).astype(x.dtype)


def test_what_fades_in_single_precision_may_leave_a_border_in_that() -> None:
    """Red where only longer inputs are advised, though linearity says what it is computed in."""
    found = diagnose(_recursive_in_single, (64,), boundary="interior")
    assert found.affine.reason.endswith(ADVICE)
    assert found.shift_equivariant.reason.endswith(
        "longer inputs may leave a border, or dtype float32 if values inside or weights were "
        "computed in that"
    )
    single = diagnose(_recursive_in_single, (64,), boundary="interior", dtype=torch.float32)
    assert single.lti.holds
    assert single.border == (13,)
    longer = diagnose(_recursive_in_single, (256,), boundary="interior")
    assert longer.shift_equivariant.holds


def _faintly_bent(x: np.ndarray) -> np.ndarray:
    return x + 1e-9 * np.sin(x) + np.where(x > 1e5, x, 0)


def test_a_clear_violation_of_linearity_is_preferred_as_well() -> None:
    found = diagnose(_faintly_bent, (8,))
    for name in ("additive", "homogeneous", "linear", "affine"):
        assert found.findings[name].holds is False
        assert ADVICE not in found.findings[name].reason


def test_weights_that_were_fused_in_single_precision_differ_by_its_rounding() -> None:
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(3, 4, 3).eval(), nn.BatchNorm2d(4).eval()
    norm.running_mean.uniform_(-1, 1)  # type: ignore[union-attr]
    norm.running_var.uniform_(1, 2)  # type: ignore[union-attr]
    fused = torch.nn.utils.fuse_conv_bn_eval(conv, norm)
    pair = nn.Sequential(conv, norm).eval(), fused
    reason = sameness(*pair, (3, 6, 6)).finding.reason
    assert reason.endswith(ADVICE)
    assert_same_operator(*pair, (3, 6, 6), dtype=torch.float32)
    other = nn.Conv2d(3, 4, 3)
    assert "rounding" not in sameness(pair[0], other, (3, 6, 6)).finding.reason


def test_what_two_operators_do_differently_is_shown_where_it_is_clear() -> None:
    weights = np.ones(8)
    weights[0], weights[5] = 1 + 1e-9, 2
    told_apart = sameness(lambda x: x * weights, lambda x: x * 1.0, (8,))
    transposed = adjointness(lambda x: x * weights, lambda y: y * 1.0, (8,))
    for agreement in (told_apart, transposed):
        assert ADVICE not in agreement.finding.reason
        assert agreement.counterexample is not None
        assert np.abs(agreement.counterexample.left - agreement.counterexample.right).max() >= 1
