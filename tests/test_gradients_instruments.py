"""The instruments of the gradients chapter on trial: planted faults turn its trials red.

A fault stands in for one function that the trials reach; the trial beside it has to fail.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from scipy import fft
from torch.autograd.gradcheck import GradcheckError

from theory import gradients, structured_matrices
from theory import test_dead_relu as dead
from theory import test_dead_relu_training as training
from theory import test_derivative_matrix as matrices
from theory import test_fast_gradients as fast
from theory import test_gradients as chapter
from theory.gradients import bias_gradient, input_gradient
from theory.methods import fast_gradients
from theory.structured_matrices import derivative_matrix, toeplitz_matrix

by_sum = gradients.by_sum
by_fft = fast_gradients.by_fft
product = fast_gradients._product
windows = fast_gradients._windows
blocked_roundings = fast_gradients.blocked_roundings

# Faults


def flipped_filter_gradient(x, g):
    return np.flip(by_sum(x, g), -1)


def filters_and_channels_swapped(x, g):
    return by_sum(x, g).swapaxes(0, 1)


def gradient_of_the_mean(x, g):
    return by_sum(x, g) / g[0, 0].size


def gradient_of_the_first_example(x, g):
    return by_sum(x[:1], g[:1])


def flip_of_the_last_axis_only(gradient):
    return np.flip(gradient, -1)


def no_flip(gradient):
    return gradient


def input_gradient_of_the_other_operation(weight, g, *, operation="cross-correlation"):
    others = {"cross-correlation": "convolution", "convolution": "cross-correlation"}
    return input_gradient(weight, g, operation=others[operation])


def input_gradient_cut_to_same(weight, g, **options):
    gradient = input_gradient(weight, g, **options)
    gradient[..., 0] = 0
    return gradient


def input_gradient_of_the_first_filter(weight, g, **options):
    return input_gradient(weight[:1], g[:1], **options)


def bias_gradient_of_the_mean(g):
    return bias_gradient(g) / g[0].size


def transposed_derivatives(x, taps):
    return derivative_matrix(x, taps)[::-1]


def hankel_for_both(x, taps, *, operation="cross-correlation"):
    return derivative_matrix(x, taps)


def derivatives_from_one_row_too_early(x, taps, **options):
    return toeplitz_matrix(x, taps)[max(taps - 2, 0) : len(x) - 1]


def fft_without_conjugate(x, g):
    return by_fft(x, np.roll(np.flip(g, -1), 1, -1))


def fft_on_too_small_a_circle(x, g):
    axes = tuple(range(2, x.ndim))
    cells = tuple(max(n - 1, 1) for n in x.shape[2:])
    kept = x[(..., *map(slice, cells))], g[(..., *map(slice, cells))]
    spectra = [fft.fftn(array, cells, axes) for array in kept]
    products = np.einsum("bf...,bc...->fc...", spectra[1].conj(), spectra[0])
    taps = [n - m + 1 for n, m in zip(x.shape[2:], g.shape[2:], strict=True)]
    wrapped = fft.ifftn(products, axes=axes).real
    short = [(0, max(k - c, 0)) for k, c in zip(taps, cells, strict=True)]
    return np.pad(wrapped, [(0, 0), (0, 0), *short])[(..., *map(slice, taps))]


def fft_in_single_precision(x, g):
    return by_fft(x.astype(np.float32), g.astype(np.float32))


def fft_with_one_bad_sample(x, g):
    gradient = by_fft(x, g)
    gradient.flat[0] += 1e-11 * np.linalg.norm(x) * np.linalg.norm(g)
    return gradient


def windows_without_conjugate(x, g, cells):
    return product(x, np.roll(np.flip(g, -1), 1, -1), cells)


def windows_that_start_one_cell_late(factor, size, steps, counts):
    late = np.roll(factor, -1, -1) if size != steps else factor
    return windows(late, size, steps, counts)


def windows_without_the_last(factor, size, steps, counts):
    cut = windows(factor, size, steps, counts).copy()
    cut[:, :, -1] = 0
    return cut


def windows_that_wrap(factor, size, steps, counts):
    """Leave out that the last k - 1 cells of a window belong to the next one, too."""
    return windows(factor, size, size if size != steps else steps, counts)


def bound_of_one_window(x, g):
    return blocked_roundings(x, g)[0] / 1e6, 0


def relu_that_leaks(x):
    return torch.nn.functional.leaky_relu(x, 0.25)


def no_relu(x):
    return x


# Trials, on one case each; of those that hypothesis drives, the function beneath

LAYER = ([(3, 2), (2, 2)], 2, 3)


def by_symbols(operation="cross-correlation"):
    chapter.test_the_gradients_collect_one_sum(operation, (3, 2), (2, 2))


def by_torch():
    chapter.test_the_gradients_are_those_of_torch.hypothesis.inner_test(LAYER, 1)


def dot_test(operation="cross-correlation"):
    chapter.test_the_gradients_pass_the_dot_test.hypothesis.inner_test(operation, LAYER, 1)


def methods():
    trial = fast.test_matrix_and_fft_give_the_gradient.hypothesis.inner_test
    trial("cross-correlation", [(4, 3)], (2, 2, 2), 1)


def rounding():
    trial = fast.test_matrix_and_fft_give_the_gradient.hypothesis.inner_test
    trial("convolution", [(20, 7)], (1, 2, 1), 1)


def cut_into_windows():
    trial = fast.test_matrix_and_fft_give_the_gradient.hypothesis.inner_test
    trial("cross-correlation", [(80, 5)], (1, 2, 1), 1)


def structure():
    matrices.test_hankel_for_cross_correlation_and_toeplitz_for_convolution(5, 3)


def zero_gradients():
    trial = dead.test_torch_finds_zero_gradients_below_zero_and_others_above
    trial.hypothesis.inner_test(torch.sum, [1, 2], [3, -1, 2])


convolution_by_symbols = partial(by_symbols, "convolution")
convolution_dot_test = partial(dot_test, "convolution")
gradcheck = chapter.test_gradcheck_confirms_them_without_rounding
transpose = partial(
    chapter.test_the_input_gradient_multiplies_by_the_transposed_layer, (3, 3), (2, 2)
)
block = fast.test_the_matrix_is_a_block_of_a_circulant_one_and_no_smaller_one_will_do
counted = fast.test_counted_out_the_fft_wins_for_long_filters_and_loses_for_short_ones
factors = dead.test_the_outer_factor_is_not_zero
stays = partial(
    training.test_a_dead_filter_stays_where_it_is_and_that_is_no_optimum,
    partial(torch.optim.SGD, lr=0.5),
)


@pytest.mark.parametrize(
    ("module", "name", "fault", "trial"),
    [
        (gradients, "by_sum", flipped_filter_gradient, by_symbols),
        (gradients, "by_sum", flipped_filter_gradient, by_torch),
        (gradients, "by_sum", flipped_filter_gradient, dot_test),
        (gradients, "by_sum", gradient_of_the_mean, by_torch),
        (gradients, "by_sum", filters_and_channels_swapped, by_torch),
        (gradients, "by_sum", flipped_filter_gradient, counted),
        (gradients, "_flip", no_flip, convolution_by_symbols),
        (gradients, "_flip", flip_of_the_last_axis_only, convolution_dot_test),
        (chapter, "input_gradient", input_gradient_of_the_other_operation, by_symbols),
        (chapter, "input_gradient", input_gradient_of_the_other_operation, dot_test),
        (chapter, "input_gradient", input_gradient_of_the_other_operation, transpose),
        (chapter, "input_gradient", input_gradient_cut_to_same, by_torch),
        (chapter, "input_gradient", input_gradient_of_the_first_filter, by_symbols),
        (chapter, "bias_gradient", bias_gradient_of_the_mean, by_torch),
        (chapter, "bias_gradient", bias_gradient_of_the_mean, by_symbols),
        (structured_matrices, "derivative_matrix", transposed_derivatives, methods),
        (matrices, "derivative_matrix", hankel_for_both, structure),
        (matrices, "derivative_matrix", derivatives_from_one_row_too_early, structure),
        (fast, "derivative_matrix", hankel_for_both, block),
        (gradients, "by_fft", fft_without_conjugate, methods),
        (gradients, "by_fft", fft_on_too_small_a_circle, methods),
        (gradients, "by_fft", fft_in_single_precision, rounding),
        (gradients, "by_fft", fft_with_one_bad_sample, rounding),
        (gradients, "by_blocked_fft", fft_in_single_precision, rounding),
        (gradients, "by_blocked_fft", fft_with_one_bad_sample, rounding),
        (gradients, "blocked_roundings", bound_of_one_window, cut_into_windows),
        (gradients, "by_sum", gradient_of_the_first_example, methods),
        (fast_gradients, "_product", windows_without_conjugate, cut_into_windows),
        (fast_gradients, "_windows", windows_that_start_one_cell_late, cut_into_windows),
        (fast_gradients, "_windows", windows_without_the_last, cut_into_windows),
        (fast_gradients, "_windows", windows_that_wrap, cut_into_windows),
        (torch, "relu", relu_that_leaks, zero_gradients),
        (torch, "relu", no_relu, zero_gradients),
        (torch, "relu", relu_that_leaks, factors),
        (torch, "relu", relu_that_leaks, stays),
    ],
)
def test_a_planted_fault_turns_its_trial_red(monkeypatch, module, name, fault, trial):
    trial()
    monkeypatch.setattr(module, name, fault)
    with pytest.raises(AssertionError):
        trial()


def test_a_wrong_gradient_fails_the_exact_gradcheck(monkeypatch):
    gradcheck()
    monkeypatch.setattr(gradients, "by_sum", lambda x, g: by_sum(x, g) + 1e-12)
    with pytest.raises(GradcheckError):
        gradcheck()


@pytest.mark.parametrize(
    "trial",
    [
        stays,
        partial(training.test_history_goes_on_moving_a_filter_that_has_died, "momentum"),
        training.test_weight_decay_of_a_dead_filter_revives_it_exactly_if_a_positive_bias_is_spared,
        training.test_an_earlier_layer_that_learns_from_others_may_revive_the_filter,
    ],
)
def test_trials_of_training_fail_where_nothing_learns(monkeypatch, trial):
    monkeypatch.setattr(torch.optim.SGD, "step", lambda self: None)
    with pytest.raises(AssertionError):
        trial()
