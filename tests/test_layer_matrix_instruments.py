"""The matrix of a layer and its border on trial: planted faults turn the trials red.

A fault stands in for one function that the trials reach; the trial beside it has to fail.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from theory import layer_matrix as module
from theory import test_boundary as boundary
from theory import test_convolution_layers as layers
from theory.layer_matrix import OUTSIDE, input_cells, layer_matrix, weights

padding_of = module._padding
padded = module._padded


# Faults


def flipped_weights(layer):
    return np.flip(weights(layer), -1)


def weights_with_axes_swapped(layer):
    return weights(layer).swapaxes(-1, -2)


def filters_and_channels_swapped(layer):
    return weights(layer).swapaxes(0, 1)


def matrix_of_the_adjoint(layer, shape):
    return layer_matrix(layer, shape).T


def every_filter_sees_every_group(layer, shape):
    blocks = np.split(layer_matrix(layer, shape), layer.groups, axis=1)
    return np.tile(sum(blocks), layer.groups)


def without_dilation(layer, shape):
    dilation = max(layer.dilation)
    return [t[:, :1] + (t - t[:, :1]) // dilation for t in input_cells(layer, shape)]


def stride_from_the_end(layer, shape):
    tables = zip(input_cells(layer, shape), shape, strict=True)
    return [table - table[-1, -1] + n - 1 for table, n in tables]


def padding_at_the_start(layer, axis):
    return sum(padding_of(layer, axis)), 0


def larger_half_first(layer, axis):
    return padding_of(layer, axis)[::-1]


def padding_off_by_one(layer, axis):
    before, after = padding_of(layer, axis)
    return max(before - 1, 0), after + min(before, 1)


def always(mode):
    return lambda cells, before, after, _: padded(cells, before, after, mode)


def reflection_that_repeats_the_end(cells, before, after, mode):
    if mode != "reflect":
        return padded(cells, before, after, mode)
    return np.pad(cells, (before, after), "symmetric")


def padding_that_is_the_last_cell(cells, before, after, mode):
    return padded(cells, before, after, mode) % len(cells)


# Trials, on one case each


def torch_layer(mode):
    trial = layers.test_the_matrix_of_a_layer_is_what_torch_does_to_every_impulse
    axes = [(5, 3, 2, 1, 1), (4, 3, 1, 2, 2)]
    trial.hypothesis.inner_test(axes, (2, 1, 2), mode, seed=1)


def square_layer():
    trial = layers.test_the_matrix_of_a_layer_is_what_torch_does_to_every_impulse
    trial.hypothesis.inner_test([(4, 2, 1, 1, 0)], (1, 2, 2), "zeros", seed=1)


def same_padding():
    layers.test_the_matrix_of_a_layer_with_named_padding("same", (2,), "zeros")


def border(mode="zeros"):
    boundary.test_only_in_the_border_does_a_padded_layer_differ_from_the_circle(mode, 3, 1)


zeros, circular, reflect, replicate = (
    partial(torch_layer, mode) for mode in ("zeros", "circular", "reflect", "replicate")
)
structure = layers.test_stride_keeps_rows_dilation_spreads_taps_and_groups_leave_blocks_of_zeros
frame = boundary.test_in_two_dimensions_the_border_is_a_frame
window = boundary.test_a_zero_padded_layer_is_a_window_on_the_convolution_on_z
smallest = boundary.test_the_smallest_stacks_that_differ_from_one_convolution


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(
    ("planted", "name", "fault", "trial"),
    [
        (module, "weights", flipped_weights, zeros),
        (module, "weights", weights_with_axes_swapped, zeros),
        (module, "weights", filters_and_channels_swapped, square_layer),
        (layers, "layer_matrix", every_filter_sees_every_group, zeros),
        (layers, "layer_matrix", every_filter_sees_every_group, structure),
        (module, "input_cells", without_dilation, zeros),
        (module, "input_cells", stride_from_the_end, zeros),
        (module, "_padding", padding_at_the_start, zeros),
        (module, "_padding", padding_off_by_one, zeros),
        (module, "_padding", larger_half_first, same_padding),
        (module, "_padded", always("zeros"), circular),
        (module, "_padded", always("circular"), zeros),
        (module, "_padded", always("replicate"), reflect),
        (module, "_padded", always("reflect"), replicate),
        (module, "_padded", reflection_that_repeats_the_end, reflect),
        (module, "_padded", padding_that_is_the_last_cell, zeros),
        (module, "_padded", always("circular"), border),
        (module, "_padded", always("zeros"), window),
        (module, "_padding", padding_off_by_one, border),
        (module, "_padding", padding_off_by_one, smallest),
        (module, "_padded", padding_that_is_the_last_cell, frame),
        (boundary, "layer_matrix", matrix_of_the_adjoint, window),
    ],
)
def test_a_planted_fault_turns_its_trial_red(monkeypatch, planted, name, fault, trial):
    trial()
    monkeypatch.setattr(planted, name, fault)
    with pytest.raises(AssertionError):
        trial()


# What the trials leave out


def test_the_bias_is_left_out():
    layer = nn.Conv1d(1, 1, 1).double()
    layer.weight.data.fill_(2)
    layer.bias.data.fill_(5)
    assert layer_matrix(layer, 2).tolist() == [[2, 0], [0, 2]]


def test_kernels_are_a_copy_whatever_the_precision_of_the_layer():
    layer = nn.Conv1d(1, 1, 3, dtype=torch.float64)
    before = layer.weight.detach().clone()
    weights(layer)[:] = 7
    assert torch.equal(layer.weight, before)


def test_single_precision_and_complex_weights_keep_their_values():
    single = nn.Conv1d(1, 1, 1, bias=False)
    single.weight.data.fill_(0.1)
    assert layer_matrix(single, 1).tolist() == [[float(np.float32(0.1))]]
    spinning = nn.Conv1d(1, 1, 1, bias=False, dtype=torch.complex64)
    spinning.weight.data.fill_(1 + 2j)
    assert layer_matrix(spinning, 2).tolist() == [[1 + 2j, 0], [0, 1 + 2j]]


def test_cells_outside_are_marked():
    (table,) = input_cells(nn.Conv1d(1, 1, 1, padding=1), 1)
    assert table.tolist() == [[OUTSIDE], [0], [OUTSIDE]]


# Bad input

CIRCULAR = {"padding": 3, "padding_mode": "circular"}
REFLECT = {"padding": 2, "padding_mode": "reflect"}


@pytest.mark.parametrize(
    ("layer", "shape", "error", "message"),
    [
        (nn.Linear(2, 2), 2, TypeError, "Linear is no Conv1d, Conv2d or Conv3d"),
        (nn.ConvTranspose1d(1, 1, 2), 2, TypeError, "ConvTranspose1d is no Conv1d"),
        (nn.Conv2d(1, 1, 2), 4, ValueError, "expected 2 axes"),
        (nn.Conv1d(1, 1, 2), (1, 4), ValueError, "expected 1 axes"),
        (nn.Conv1d(1, 1, 2), 4.0, TypeError, "4.0 given per axis: expected an integer"),
        (nn.Conv1d(1, 1, 2), 0, ValueError, "at least one cell"),
        (nn.Conv1d(1, 1, 3, dilation=2), 4, ValueError, "spans 5 cells, the padded input 4"),
        (nn.Conv1d(1, 1, 3, **CIRCULAR), 2, ValueError, "repeats at most 2 of 2 cells"),
        (nn.Conv1d(1, 1, 3, **REFLECT), 2, ValueError, "repeats at most 1 of 2 cells"),
        (nn.Conv1d(1, 1, 2, stride=0), 4, ValueError, "stride is 0, expected at least 1"),
        (nn.Conv1d(1, 1, 2, dilation=0), 4, ValueError, "dilation is 0, expected at least 1"),
        (nn.Conv1d(1, 1, 2, padding=-1), 4, ValueError, "padding is -1, expected at least 0"),
        (nn.Conv1d(1, 1, 3, device="meta"), 4, ValueError, "Conv1d has no values in weight, on"),
    ],
)
def test_bad_input_is_refused_by_name(layer, shape, error, message):
    with pytest.raises(error, match=message):
        layer_matrix(layer, shape)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_a_layer_of_nothing_is_refused():
    with pytest.raises(ValueError, match="kernel is 0, expected at least 1"):
        layer_matrix(nn.Conv1d(1, 1, 0), 4)
    for channels in [(0, 2), (2, 0)]:
        with pytest.raises(ValueError, match=r"Conv1d has no weights, their shape is \("):
            layer_matrix(nn.Conv1d(*channels, 1), 4)


def test_sparse_weights_are_refused():
    layer = nn.Conv1d(1, 1, 2)
    layer.weight = nn.Parameter(layer.weight.data.to_sparse())
    with pytest.raises(ValueError, match="Conv1d has a sparse weight: make it dense"):
        layer_matrix(layer, 4)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_not_finite_have_no_matrix(value):
    """Red if what is not finite spreads to where the matrix is zero."""
    layer = nn.Conv1d(1, 1, 2)
    layer.weight.data[0, 0, 0] = value
    with pytest.raises(ValueError, match="weights are not all finite: it has neither matrix"):
        layer_matrix(layer, 3)


def test_what_needs_no_weights_is_answered_without():
    layer = nn.Conv1d(1, 1, 2, device="meta")
    assert [table.tolist() for table in input_cells(layer, 3)] == [[[0, 1], [1, 2]]]
