"""The spectrum of layers on trial: planted faults turn its trials red, bad input is refused.

A fault stands in for one function that the trials reach; the trial beside it has to fail.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from theory import gram_iteration, spectrum
from theory import test_spectrum as chapter
from theory.frequencies import Axis, Frequencies
from theory.gram_iteration import gram_bound
from theory.layer_matrix import weights
from theory.spectrum import (
    frequency_response,
    norm_bounds,
    operator_norm,
    reshaped_norm,
    singular_values,
)

axis_of = spectrum._axis
waves, matrices, occurrences = Axis.waves, Frequencies.matrices, Frequencies.occurrences
norm_bounds_of_matrices = gram_iteration._norm_bounds
axes_with_room = gram_iteration._axes_with_room


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


def unitary_matrices(self, stretch):
    return matrices(self, stretch) / np.sqrt(np.prod([axis.outputs for axis in self._axes]))


def opposites_of_the_own_plane_twice(self, stretch):
    return np.maximum(occurrences(self, stretch), 1)


def every_frequency_once(self, stretch):
    return np.minimum(occurrences(self, stretch), 1)


def kernels_with_axes_swapped(layer):
    return weights(layer).swapaxes(-1, -2)


def kernels_of_the_first_filter(layer):
    return np.repeat(weights(layer)[:1], len(weights(layer)), axis=0)


def kernels_in_half_the_digits(layer):
    return weights(layer) * (1 + 2.0**-26)


def without_phases(self, frequencies):
    made = waves(self, frequencies)
    made[:, 1:] = 0
    return made


def phases_before_strides(self, frequencies):
    swapped = Axis(self.cells, self.stride, self.outputs)
    made = waves(swapped, range(self.stride)).swapaxes(0, 1)
    return np.resize(made, (len(frequencies), self.stride, len(self.cells)))


def without_dilation(table, n, stride):
    axis = axis_of(table, n, stride)
    return Axis((axis.cells[0] + np.arange(len(axis.cells))) % n, axis.outputs, stride)


def without_padding(table, n, stride):
    axis = axis_of(table, n, stride)
    return Axis((axis.cells - axis.cells[0]) % n, axis.outputs, stride)


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


def one_step_less(layer, shape, *, steps=6):
    return gram_bound(layer, shape, steps=max(0, steps - 1))


def one_step_more(layer, shape, *, steps=6):
    return gram_bound(layer, shape, steps=steps + 1)


def a_little_below(layer, shape, *, steps=6):
    return gram_bound(layer, shape, steps=steps) * (1 - 1e-5)


def bound_of_the_reshaped_weight(layer, shape, *, steps=6):
    return reshaped_norm(layer)


def without_rescaling(matrices, steps):
    for _ in range(steps):
        matrices = matrices.mH @ matrices
    return torch.linalg.matrix_norm(matrices).double().numpy() ** (0.5**steps)


def without_roots(matrices, steps):
    return norm_bounds_of_matrices(matrices, steps) ** (2**steps)


def frequencies_on_average(matrices, steps):
    return norm_bounds_of_matrices(matrices, steps).mean(keepdims=True)


def real_parts_only(matrices, steps):
    return norm_bounds_of_matrices(matrices.real.to(torch.complex128), steps)


def a_circle_of_its_own_size(layer, shape):
    axes = axes_with_room(layer, shape)
    sizes = np.atleast_1d(shape)
    return [
        Axis(a.cells, max(1, n // a.stride), a.stride) for a, n in zip(axes, sizes, strict=True)
    ]


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


def gram(mode="circular", shape=(4, 6), stride=1, dilation=1, steps=4):
    trial = chapter.test_gram_iteration_bounds_the_norm_of_a_layer
    trial.hypothesis.inner_test(mode, shape, (2, 3, 2), (3, stride, dilation), steps, seed=1)


def gram_strided():
    gram(stride=2)


def gram_with_zeros():
    chapter.test_a_larger_circle_is_needed_to_bound_a_layer_that_is_padded_with_zeros()


def gram_of_equal_values():
    for steps in range(7):
        trial = chapter.test_the_bound_overstates_equal_values_by_a_root_of_their_number
        trial(steps, 3.0)


def room():
    chapter.test_without_room_for_a_patch_there_is_no_lower_bound("circular")


def normalised():
    chapter.test_with_spectral_norm_a_layer_has_a_norm_of_up_to_the_root_of_its_taps(
        torch.nn.utils.parametrizations.spectral_norm
    )


in_range = chapter.test_the_products_stay_in_range_however_far_the_norm_exceeds_the_weights
quadratic = chapter.test_the_bound_converges_quadratically_where_one_value_stands_out
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
        (Frequencies, "matrices", unitary_matrices, dense),
        (Frequencies, "matrices", unitary_matrices, response),
        (Frequencies, "occurrences", opposites_of_the_own_plane_twice, dense),
        (Frequencies, "occurrences", every_frequency_once, dense),
        (spectrum, "finite_weights", kernels_with_axes_swapped, dense),
        (spectrum, "finite_weights", kernels_with_axes_swapped, response),
        (spectrum, "finite_weights", kernels_of_the_first_filter, dense),
        (spectrum, "finite_weights", kernels_of_the_first_filter, dense_in_groups),
        (spectrum, "finite_weights", kernels_in_half_the_digits, dense),
        (spectrum, "finite_weights", kernels_in_half_the_digits, response),
        (Axis, "waves", without_phases, dense_strided),
        (Axis, "waves", without_phases, gram_strided),
        (Axis, "waves", phases_before_strides, dense_strided),
        (spectrum, "_axis", without_dilation, dense_dilated),
        (spectrum, "_axis", without_padding, response),
        (chapter, "reshaped_norm", norm_of_the_layer, normalised),
        (chapter, "reshaped_norm", norm_of_the_layer, smallest),
        (chapter, "norm_bounds", bounds_by_all_groups_together, bounds_of_one_tap),
        (chapter, "norm_bounds", upper_bound_by_the_taps_of_one_axis, bounds),
        (chapter, "norm_bounds", lower_bound_twice_as_high, met),
        (spectrum, "_has_whole_patch", patches_that_wrap, room),
        (chapter, "gram_bound", one_step_less, gram_of_equal_values),
        (chapter, "gram_bound", one_step_less, quadratic),
        (chapter, "gram_bound", one_step_more, gram_of_equal_values),
        (chapter, "gram_bound", a_little_below, gram_of_equal_values),
        (chapter, "gram_bound", a_little_below, in_range),
        (chapter, "gram_bound", bound_of_the_reshaped_weight, gram),
        (gram_iteration, "UNIT_SINGLE", 0.0, gram_of_equal_values),
        (gram_iteration, "_norm_bounds", without_rescaling, in_range),
        (gram_iteration, "_norm_bounds", without_roots, gram),
        (gram_iteration, "_norm_bounds", frequencies_on_average, gram),
        (gram_iteration, "_norm_bounds", real_parts_only, gram),
        (gram_iteration, "_axes_with_room", a_circle_of_its_own_size, gram_with_zeros),
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
