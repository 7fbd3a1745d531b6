"""Norms of layers where the ways to get them wrong differ: two directions, no cell that is read."""

from __future__ import annotations

import contextlib
import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from theory import gram_iteration
from theory.gram_iteration import gram_bound
from theory.layer_matrix import input_cells, layer_matrix
from theory.single_precision import single_precision
from theory.spectrum import (
    frequency_response,
    norm_bounds,
    operator_norm,
    reshaped_norm,
    singular_values,
)


def pointwise(*gains: float) -> nn.Conv1d:
    """Multiply each channel by a number of its own."""
    layer = nn.Conv1d(len(gains), len(gains), 1, bias=False, dtype=torch.float64)
    layer.weight.data = torch.diag(torch.tensor(gains, dtype=torch.float64))[:, :, None]
    return layer


def test_a_norm_is_the_largest_gain_and_not_that_of_all_entries_together():
    """Red if the Frobenius norm, here 5, is taken for the largest singular value."""
    layer = pointwise(3, 4)
    assert reshaped_norm(layer) == pytest.approx(4)
    assert operator_norm(layer, 2) == pytest.approx(4)
    assert norm_bounds(layer, 2) == pytest.approx((4, 4))
    assert singular_values(layer, 2).tolist() == pytest.approx([4, 4, 3, 3])


def test_a_layer_that_reads_padding_only_has_no_norm():
    """Red if a cell that no output reads is taken for one that is read."""
    layer = nn.Conv1d(1, 1, 1, stride=5, padding=2, bias=False)
    assert layer(torch.ones(1, 1, 1)).tolist() == [[[0]]]
    assert norm_bounds(layer, 1) == (0, 0)


def test_what_cannot_be_bounded_is_refused():
    conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)
    with pytest.raises(ValueError, match="steps is -1, expected at least 0"):
        gram_bound(conv, 4, steps=-1)
    with pytest.raises(TypeError, match=r"steps is 2\.5, expected an integer"):
        gram_bound(conv, 4, steps=2.5)
    conv.weight.data[0, 0, 1] = torch.inf
    with pytest.raises(ValueError, match="weights are not all finite"):
        gram_bound(conv, 4)
    reflecting = nn.Conv1d(1, 1, 3, padding=1, padding_mode="reflect")
    with pytest.raises(ValueError, match="no convolution on a circle"):
        gram_bound(reflecting, 4)
    with pytest.raises(TypeError, match="complex: half of the spectrum needs real ones"):
        gram_bound(nn.Conv1d(1, 1, 1, dtype=torch.complex64), 4)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_not_finite_have_no_norm(value):
    layer = nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular")
    layer.weight.data[0, 0, 1] = value
    for asked in (norm_bounds, singular_values, operator_norm, gram_bound, frequency_response):
        with pytest.raises(ValueError, match="weights are not all finite"):
            asked(layer, 8)
    with pytest.raises(ValueError, match="weights are not all finite"):
        reshaped_norm(layer)


@pytest.mark.parametrize(
    "asked", [norm_bounds, singular_values, operator_norm, gram_bound, frequency_response]
)
def test_what_is_no_convolution_layer_of_torch_is_refused(asked):
    with pytest.raises(TypeError, match=r"Linear is no Conv1d, Conv2d or Conv3d of torch.nn"):
        asked(nn.Linear(3, 3), 8)
    with pytest.raises(ValueError, match="LazyConv1d has not decided the shape of weight yet"):
        asked(nn.LazyConv1d(1, 3, padding=1, padding_mode="circular"), 8)
    with pytest.raises(ValueError, match="Conv1d has no values in weight, on the meta device"):
        asked(nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular", device="meta"), 8)


@pytest.mark.parametrize(
    "asked",
    [
        norm_bounds,
        singular_values,
        operator_norm,
        gram_bound,
        frequency_response,
        layer_matrix,
        input_cells,
    ],
)
def test_cells_may_be_counted_by_numpy(asked):
    layer = nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular")
    assert np.array_equal(asked(layer, np.int64(8)), asked(layer, 8))


def test_singular_values_become_a_tensor():
    """Red if they have a negative stride, of which torch makes none."""
    values = torch.from_numpy(singular_values(pointwise(1.0, 3.0, 2.0), 1))
    assert torch.allclose(values, torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64))


@pytest.mark.parametrize("scale", [1e-300, 1e-3, 1 / 3, 1.0, 1e300])
def test_the_bounds_on_a_norm_are_rounded_away_from_it(scale):
    """Three equal taps on a circle: the norm is three of them, and the root of three the reshaped.

    Red if the upper bound is a last place short of what it bounds.
    """
    layer = nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular", dtype=torch.float64)
    nn.init.constant_(layer.weight, scale)
    lower, upper = (Fraction(each) for each in norm_bounds(layer, 8))
    tap = Fraction(layer.weight[0, 0, 0].item())
    assert lower**2 <= 3 * tap**2
    assert 3 * tap <= upper <= 3 * tap * (1 + Fraction(1, 10**14))
    assert lower**2 >= 3 * tap**2 * (1 - Fraction(1, 10**14))


@pytest.mark.parametrize(
    ("dtype", "weight"), [(torch.float64, 1.0), (torch.complex128, math.sqrt(5))], ids=str
)
def test_the_bounds_on_a_norm_leave_room_for_the_operations_that_find_it(dtype, weight):
    """A single gain of 1 is found exactly, and yet bounded as loosely as norms of its shape.

    Beyond the error of ``4 * 5 * 3**2`` operations there are 8 units for the roundings of the
    bounds themselves. Here these are three, at most a unit each, and the fourth is for what is of
    second order. Red if operations are counted wrong, complex ones as real, or a bound is rounded
    towards the norm.
    """
    layer = nn.Conv1d(5, 3, 1, bias=False, dtype=dtype)
    nn.init.zeros_(layer.weight)
    layer.weight.data[0, 0, 0] = 1
    assert reshaped_norm(layer) == 1
    unit = Fraction(1, 2**53)
    error = Fraction(4 * 5 * 3**2 * weight * math.sqrt(3)) * unit
    lower, upper = (Fraction(each) for each in norm_bounds(layer, 4))
    for room in (1 - lower * (1 + error), upper * (1 - error) - 1):
        assert (8 - 4) * unit <= room <= (8 + 4) * unit


# Single precision


@pytest.fixture(
    params=[
        lambda: torch.set_float32_matmul_precision("medium"),
        lambda: torch.set_float32_matmul_precision("high"),
        lambda: setattr(torch.backends.mkldnn.matmul, "fp32_precision", "bf16"),
        lambda: setattr(torch.backends.cuda.matmul, "fp32_precision", "tf32"),
        lambda: setattr(torch.backends, "fp32_precision", "tf32"),
    ],
    ids=["medium", "high", "cpu", "gpu", "all"],
)
def shorter(request, allowed):
    """Allow shorter factors, in each way that torch knows."""
    before = allowed()
    request.param()
    assert allowed() != before


@pytest.mark.parametrize("fails", [False, True])
def test_products_of_the_gram_bound_are_in_single_precision_whatever_is_allowed(
    monkeypatch, shorter, fails, allowed
):
    """Red where a caller who allows shorter factors gets a bound that rounding may undercut."""
    layer, seen, before = nn.Conv1d(2, 2, 3), [], allowed()
    computed = gram_iteration._norm_bounds

    def recorded(*arguments):
        seen.append(allowed())
        if fails:
            raise MemoryError
        return computed(*arguments)

    monkeypatch.setattr(gram_iteration, "_norm_bounds", recorded)
    with pytest.raises(MemoryError) if fails else contextlib.nullcontext():
        gram_bound(layer, 8)
    assert allowed() == before
    assert seen
    assert all(each == ["ieee"] * 6 for each in seen)


def test_the_gram_bound_is_the_same_within_an_autocast():
    layer = nn.Conv1d(2, 2, 3)
    with torch.autocast("cpu", torch.bfloat16):
        found = gram_bound(layer, 8)
    assert found == gram_bound(layer, 8)


def test_what_is_set_for_all_of_torch_is_heeded_after_single_precision_as_before(allowed):
    """Red if a library is left with a setting of its own that it did not have."""
    before = allowed()
    torch.backends.fp32_precision = "tf32"
    with single_precision():
        assert torch.get_float32_matmul_precision() == "highest"
    assert allowed() == ["tf32"] * 6
    torch.backends.fp32_precision = "none"
    assert allowed() == before
    assert torch.backends.cudnn.allow_tf32


def test_that_torch_gives_up_a_setting_is_no_warning_of_single_precision(monkeypatch):
    """PyTorch 2.9 warns where the setting is read: what is an error here is noise to users."""

    def announced() -> str:
        warnings.warn("Please use the new API settings to control TF32 behavior", stacklevel=1)
        return "highest"

    monkeypatch.setattr(torch, "get_float32_matmul_precision", announced)
    with single_precision():
        pass


@pytest.mark.parametrize("overall", ["highest", "high", "medium"])
def test_what_is_set_for_all_products_is_read_after_single_precision_as_before(overall, allowed):
    torch.set_float32_matmul_precision(overall)
    before = allowed()
    with single_precision():
        assert torch.get_float32_matmul_precision() == "highest"
    assert torch.get_float32_matmul_precision() == overall
    assert allowed() == before


@pytest.mark.parametrize("tf32", [False, True])
def test_what_is_set_for_all_convolutions_is_read_after_single_precision_as_before(tf32, allowed):
    torch.backends.cudnn.allow_tf32 = tf32
    before = allowed()
    with single_precision():
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32 == tf32
    assert allowed() == before


def test_singular_values_do_not_depend_on_what_float32_is_allowed(shorter):
    """They are worked out in double precision, of which nothing is cut."""
    conv = nn.Conv1d(3, 3, 3, padding=1, padding_mode="circular")
    torch.nn.init.constant_(conv.weight, 1 + 2.0**-20)
    assert operator_norm(conv, 4) == pytest.approx(9 * (1 + 2.0**-20), rel=1e-12)


def test_one_axis_without_a_whole_patch_leaves_no_lower_bound() -> None:
    """Two taps that wrap onto the one cell of an axis cancel there: the layer is zero."""
    layer = nn.Conv2d(1, 1, (2, 1), padding="same", padding_mode="circular", bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, -1]).view(1, 1, 2, 1))
    lower, upper = norm_bounds(layer, (1, 3))
    assert lower == 0 == operator_norm(layer, (1, 3)) <= upper
