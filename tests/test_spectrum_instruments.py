"""The spectrum of layers on trial: planted faults turn its trials red, bad input is refused.

A fault stands in for one function that the trials reach; the trial beside it has to fail.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from theory import spectrum
from theory import test_spectrum as chapter
from theory.layer_matrix import weights
from theory.spectrum import (
    frequency_response,
    norm_bounds,
    operator_norm,
    reshaped_norm,
    singular_values,
)

around = spectrum._around


# Faults


def _repeated(layer, shape, times):
    values = np.linalg.svd(frequency_response(layer, shape), compute_uv=False)
    values = np.repeat(values, times(values.shape[len(shape) - 1]), axis=len(shape) - 1)
    return np.sort(values, axis=None)[::-1]


def half_the_spectrum(layer, shape):
    return _repeated(layer, shape, lambda half: [1] * half)


def all_of_the_half_spectrum_twice(layer, shape):
    return _repeated(layer, shape, lambda half: [2] * half)


def one_frequency_for_another(layer, shape):
    """As many values as it should be, the zero frequency twice and the last but one once."""
    return _repeated(layer, shape, lambda half: [2, *[2] * (half - 3), 1, 1])


def in_ascending_order(layer, shape):
    return singular_values(layer, shape)[::-1]


def squares(layer, shape):
    return singular_values(layer, shape) ** 2


def conjugate_response(layer, shape):
    return frequency_response(layer, shape).conj()


def unitary_response(layer, shape):
    response = frequency_response(layer, shape)
    return response / np.sqrt(np.prod(shape))


def kernels_with_axes_swapped(layer):
    return weights(layer).swapaxes(-1, -2)


def kernels_of_the_first_filter(layer):
    return np.broadcast_to(weights(layer)[:1], weights(layer).shape)


def kernels_in_half_the_digits(layer):
    return weights(layer) * (1 + 2.0**-26)


def without_phases(table, n, stride):
    cells = around(table, n, stride)
    return np.concatenate([cells[..., :1], np.zeros_like(cells[..., 1:])], axis=-1)


def phases_before_strides(table, n, stride):
    taps, outputs, phases = around(table, n, stride).shape
    return around(table, n, stride).reshape(taps, phases, outputs).swapaxes(1, 2)


def without_dilation(table, n, stride):
    steps = np.arange(table.shape[1])
    return around((table[:, :1] + steps) % n, n, stride)


def without_padding(table, n, stride):
    return around((table - table[0, 0]) % n, n, stride)


def norm_of_the_layer(layer):
    return operator_norm(layer, (4, 4)[: weights(layer).ndim - 2])


def bounds_by_all_groups_together(layer, shape):
    lower, upper = norm_bounds(layer, shape)
    return reshaped_norm(layer), upper * reshaped_norm(layer) / lower


def upper_bound_by_the_taps_of_one_axis(layer, shape):
    lower, upper = norm_bounds(layer, shape)
    return lower, upper / np.sqrt(max(layer.kernel_size))


def lower_bound_twice_as_high(layer, shape):
    lower, upper = norm_bounds(layer, shape)
    return 2 * lower, upper


def patches_that_wrap(table):
    return True


# Trials, on one case each; of those that hypothesis drives, the function beneath


def dense(shape=(4, 6), widths=(1, 2, 2), dilation=1, strided=False):
    trial = chapter.test_the_singular_values_of_a_layer_are_those_of_its_frequencies
    trial.hypothesis.inner_test(shape, widths, dilation, strided, seed=1)


def dense_strided():
    dense(shape=(4, 6), strided=True)


def dense_dilated():
    dense(shape=(5, 4), dilation=2)


def dense_in_groups():
    dense(shape=(6,), widths=(2, 1, 2))


def response():
    trial = chapter.test_at_each_frequency_a_layer_is_a_matrix_from_channels_to_filters
    trial.hypothesis.inner_test((4, 6), groups=2, seed=1)


def bounds(taps=3):
    trial = chapter.test_the_norm_of_a_layer_lies_between_the_bounds
    trial.hypothesis.inner_test("zeros", (2, 1, 2), (taps, 1, 1, taps // 2), axes=2, seed=1)


def bounds_of_one_tap():
    bounds(taps=1)


def room():
    chapter.test_without_room_for_a_patch_there_is_no_lower_bound("circular")


def normalised():
    chapter.test_with_spectral_norm_a_layer_has_a_norm_of_up_to_the_root_of_its_taps(
        torch.nn.utils.parametrizations.spectral_norm
    )


known = chapter.test_layers_whose_singular_values_are_known_exactly
met = chapter.test_both_bounds_are_met
smallest = chapter.test_the_smallest_layers_whose_norm_spectral_norm_misses_in_either_direction


@pytest.mark.parametrize(
    ("module", "name", "fault", "trial"),
    [
        (chapter, "singular_values", half_the_spectrum, dense),
        (chapter, "singular_values", all_of_the_half_spectrum_twice, dense),
        (chapter, "singular_values", one_frequency_for_another, dense),
        (chapter, "singular_values", in_ascending_order, dense),
        (chapter, "singular_values", squares, known),
        (chapter, "frequency_response", conjugate_response, response),
        (spectrum, "frequency_response", unitary_response, dense),
        (spectrum, "weights", kernels_with_axes_swapped, dense),
        (spectrum, "weights", kernels_with_axes_swapped, response),
        (spectrum, "weights", kernels_of_the_first_filter, dense),
        (spectrum, "weights", kernels_of_the_first_filter, dense_in_groups),
        (spectrum, "weights", kernels_in_half_the_digits, dense),
        (spectrum, "weights", kernels_in_half_the_digits, response),
        (spectrum, "_around", without_phases, dense_strided),
        (spectrum, "_around", phases_before_strides, dense_strided),
        (spectrum, "_around", without_dilation, dense_dilated),
        (spectrum, "_around", without_padding, response),
        (chapter, "reshaped_norm", norm_of_the_layer, normalised),
        (chapter, "reshaped_norm", norm_of_the_layer, smallest),
        (chapter, "norm_bounds", bounds_by_all_groups_together, bounds_of_one_tap),
        (chapter, "norm_bounds", upper_bound_by_the_taps_of_one_axis, bounds),
        (chapter, "norm_bounds", lower_bound_twice_as_high, met),
        (spectrum, "_has_whole_patch", patches_that_wrap, room),
    ],
)
def test_a_planted_fault_turns_its_trial_red(monkeypatch, module, name, fault, trial):
    trial()
    monkeypatch.setattr(module, name, fault)
    with pytest.raises(AssertionError):
        trial()


# Bad input


def test_complex_weights_are_refused():
    layer = nn.Conv1d(1, 1, 1, bias=False, dtype=torch.complex64)
    with pytest.raises(TypeError, match="complex: half of the spectrum needs real ones"):
        singular_values(layer, 4)


@pytest.mark.parametrize(
    ("options", "n"),
    [
        ({"padding": 1}, 4),
        ({"padding": 1, "padding_mode": "reflect"}, 4),
        ({"padding": 0, "padding_mode": "circular"}, 4),
        ({"padding": 2, "padding_mode": "circular"}, 4),
        ({"padding": 1, "padding_mode": "circular", "stride": 2}, 5),
    ],
)
def test_a_layer_that_is_no_convolution_on_a_circle_is_refused(options, n):
    with pytest.raises(ValueError, match="no convolution on a circle: expected circular padding"):
        singular_values(nn.Conv1d(1, 1, 3, **options), n)
