"""The instruments of the gradients chapter on trial: planted faults turn its trials red.

A fault stands in for one function that the trials reach; the trial beside it has to fail.
"""

from __future__ import annotations

from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import torch
from scipy import fft
from torch.autograd.gradcheck import GradcheckError

from theory import fast_gradients, gradient_plan, gradient_sums, gradients
from theory import test_dead_relu as dead
from theory import test_dead_relu_training as training
from theory import test_derivative_matrix as matrices
from theory import test_fast_gradients as fast
from theory import test_gradients as chapter
from theory.convolution import convolve, correlate, correlate_channels
from theory.gradients import (
    bias_gradient,
    filter_gradient,
    filter_gradient_bound,
    input_gradient,
)
from theory.signals import integer_signal, rational_signal
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
        (gradient_sums, "derivative_matrix", transposed_derivatives, methods),
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
        training.test_weight_decay_revives_a_dead_filter_exactly_if_it_spares_a_positive_bias,
        training.test_an_earlier_layer_that_learns_from_others_may_revive_the_filter,
    ],
)
def test_trials_of_training_fail_where_nothing_learns(monkeypatch, trial):
    monkeypatch.setattr(torch.optim.SGD, "step", lambda self: None)
    with pytest.raises(AssertionError):
        trial()


# What the trials leave out


def test_exact_numbers_stay_exact_and_narrow_integers_do_not_overflow():
    x, g = rational_signal((2, 5), seed=0), rational_signal((3, 4), seed=1)
    gradient = filter_gradient(x, g)
    assert np.array_equal(gradient, filter_gradient(x, g, method="matrix"))
    assert all(isinstance(entry, Fraction) for entry in gradient.flat)
    narrow = np.full((1, 3), 100, np.int8)
    for method in ("direct", "matrix"):
        assert filter_gradient(narrow, narrow, method=method).tolist() == [[[30_000]]]


@pytest.mark.parametrize("method", ["direct", "matrix"])
def test_sums_beyond_int64_are_refused_and_do_not_wrap(method):
    large = np.array([[2**62]])
    with pytest.raises(ValueError, match="beyond int64: use dtype=object"):
        filter_gradient(large, np.array([[2]]), method=method)
    batch = np.stack([large, large])  # each example alone would do
    assert filter_gradient(batch[:1], np.ones((1, 1, 1), int), batched=True).item() == 2**62
    with pytest.raises(ValueError, match="beyond int64: use dtype=object"):
        filter_gradient(batch, np.ones((2, 1, 1), int), method=method, batched=True)
    exact = filter_gradient(
        batch.astype(object), np.ones((2, 1, 1), object), method=method, batched=True
    )
    assert exact.item() == 2**63
    with pytest.raises(ValueError, match="holds integers beyond int64"):
        filter_gradient(np.array([[2**64 - 1]], np.uint64), np.array([[1]]), method=method)


def test_sums_over_filters_and_channels_do_not_wrap():
    with pytest.raises(ValueError, match="beyond int64"):
        input_gradient(np.full((2, 1, 1), 2**31), np.full((2, 1), 2**31))
    with pytest.raises(ValueError, match="beyond int64"):
        bias_gradient(np.full((1, 2), 2**62))
    with pytest.raises(ValueError, match="beyond int64"):
        correlate_channels(np.full((2, 1), 2**31), np.full((1, 2, 1), 2**31))


def test_a_layer_cross_correlates_unless_told_otherwise():
    """Red if a default becomes the other operation, or a method that floating point cannot hold."""
    x, w, g = np.array([[1, 2, 4]]), np.array([[[1, 10]]]), np.array([[1, 100]])
    assert filter_gradient(x, g).tolist() == [[[201, 402]]]
    assert filter_gradient(x, g).dtype == np.int64
    assert input_gradient(w, g).tolist() == [[1, 110, 1000]]
    assert derivative_matrix(x[0], 2).tolist() == [[1, 2], [2, 4]]


def test_lists_are_arrays_and_a_bias_gradient_of_a_tensor_is_one():
    x, g = [[1, 2, 4]], [[1, 100]]
    assert filter_gradient(x, g).tolist() == [[[201, 402]]]
    assert filter_gradient_bound(x, g).tolist() == [[0]]
    assert input_gradient([[[1, 10]]], g).tolist() == [[1, 110, 1000]]
    assert derivative_matrix(x[0], 2).tolist() == [[1, 2], [2, 4]]
    assert bias_gradient(g).tolist() == [101]
    of_tensor = bias_gradient(torch.tensor(g, dtype=torch.float64))
    assert isinstance(of_tensor, torch.Tensor)
    assert of_tensor.tolist() == [101]


def test_truth_values_and_unsigned_integers_count_as_integers():
    steps = np.array([[True, True, False]])
    assert filter_gradient(steps, steps[:, :2]).tolist() == [[[2, 1]]]
    assert input_gradient(np.array([[[200]]], np.uint8), steps).tolist() == [[200, 200, 0]]


@pytest.mark.parametrize("sizes", [((61,), (7,)), ((31, 17), (5, 17)), ((97,), (97,))])
def test_the_fft_tells_integers_apart_at_awkward_sizes(sizes):
    """Primes, which the transform rounds up; one tap and as many taps as cells."""
    n, m = sizes
    x, g = integer_signal((2, *n), seed=0), integer_signal((3, *m), seed=1)
    error = filter_gradient(x, g, method="fft") - filter_gradient(x, g)
    assert np.abs(error).max() < 1e-9


METHODS = ("direct", "fft", "blocked-fft", "auto")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("operation", ["cross-correlation", "convolution"])
@pytest.mark.parametrize("types", [("f8", "f8"), ("f4", "f4"), ("f4", "f8"), ("i4", "f8")])
@pytest.mark.parametrize(("n", "m"), [((70,), (60,)), ((3000,), (2500,)), ((9, 7), (4, 7))])
def test_one_channel_and_one_filter_alone_are_as_among_others(method, operation, types, n, m):
    """Red if the short way for these differs from the one for many; the samples are integers."""
    x, g = integer_signal((2, *n), seed=0), integer_signal((3, *m), seed=1)
    x, g = (each.astype(held) for each, held in zip((x, g), types, strict=True))
    options = {"operation": operation, "method": method}
    among = filter_gradient(x, g, **options)[:1, :1]
    bound = filter_gradient_bound(x[:1], g[:1], method=method).item()
    alone = filter_gradient(x[:1], g[:1], **options)
    assert (alone.shape, alone.dtype) == (among.shape, among.dtype)
    assert np.abs(alone - among).max() <= 2 * bound
    if method == "direct":
        assert np.array_equal(alone, among)
    in_a_batch = filter_gradient(x[None, :1], g[None, :1], batched=True, **options)
    assert np.array_equal(alone, in_a_batch)


def test_what_shapes_and_types_decide_is_decided_once(monkeypatch):
    x, g = integer_signal((1, 97), seed=0), integer_signal((1, 61), seed=1)
    filter_gradient(x, g, method="auto")
    monkeypatch.setattr(gradient_plan, "require_real", lambda *_: pytest.fail("decided again"))
    filter_gradient(x, g, method="auto")
    with pytest.raises(pytest.fail.Exception):
        filter_gradient(x[:, :96], g, method="auto")


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(
    ("n", "m"),
    [((20_000,), (19_990,)), ((300, 40), (290, 37)), ((70,), (3,)), ((9, 4, 5), (7, 4, 2))],
)
def test_arrays_and_tensors_keep_to_one_bound_in_their_own_precision(n, m, precision):
    """Red if windows, axes or types differ; 20 000 cells are more than go in at once."""
    x, g = integer_signal((2, 2, *n), seed=0), integer_signal((2, 3, *m), seed=1)
    exact = filter_gradient(x, g, batched=True)
    narrow = x.astype(precision), g.astype(precision)
    for method in METHODS:
        bound = filter_gradient_bound(*narrow, method=method, batched=True)
        array = filter_gradient(*narrow, method=method, batched=True)
        tensors = map(torch.from_numpy, narrow)
        tensor = filter_gradient(*tensors, method=method, batched=True)
        assert array.dtype == precision
        assert tensor.dtype == getattr(torch, precision)
        for gradient in (array, tensor.numpy()):
            error = np.abs(gradient - exact).max(tuple(range(2, exact.ndim)))
            assert (error <= bound).all(), method


@pytest.mark.parametrize("scale", [2.0**-600, 2.0**600])
def test_squares_that_leave_the_range_do_not_take_the_bound_along(scale):
    """Red if a channel of another scale decides for all, too."""
    x, g = integer_signal((2, 20), seed=0), integer_signal((3, 18), seed=1)
    by_channel = np.array([[scale], [1.0]])
    scaled = filter_gradient_bound(x * by_channel, g / scale)
    assert scaled == pytest.approx(filter_gradient_bound(x, g) * by_channel.T / scale, rel=1e-13)


def test_what_rounds_as_it_becomes_floats_counts_for_the_bound():
    large, floats = np.array([[2**53 + 1]]), np.array([[1 + 2.0**-40]])
    exact = (2**53 + 1) * Fraction(floats.item())
    for x in (large, large.astype(object)):
        error = Fraction(filter_gradient(x, floats).item()) - exact
        assert abs(error) <= Fraction(filter_gradient_bound(x, floats).item())
        assert filter_gradient_bound(x, floats) > filter_gradient_bound(x.astype(float), floats)
        assert filter_gradient_bound(x, np.array([[1]])) == 0


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("method", METHODS)
def test_as_many_windows_at_once_as_a_gpu_takes_add_up_to_the_same(monkeypatch, method, device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("PyTorch finds no GPU")
    on_a_gpu = fast_gradients._cells_at_once(torch.empty(0, device="meta"))
    assert on_a_gpu == fast_gradients._CELLS_ON_A_GPU > fast_gradients._cells_at_once(np.empty(0))
    monkeypatch.setattr(fast_gradients, "_cells_at_once", lambda _: on_a_gpu)
    x, g = integer_signal((2, 2, 20_000), seed=0), integer_signal((2, 3, 19_990), seed=1)
    exact = filter_gradient(x, g, batched=True)
    bound = filter_gradient_bound(x, g, method=method, batched=True)
    tensors = (torch.from_numpy(each).to(device) for each in (x, g))
    found = filter_gradient(*tensors, method=method, batched=True)
    assert found.device.type == device
    assert (np.abs(found.cpu().numpy() - exact).max(axis=2) <= bound).all()


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("method", METHODS)
def test_tensors_keep_to_their_bound_whatever_torch_may_cut_short(monkeypatch, method, device):
    """Of factors of 21 bits TF32 leaves 11. Red on any machine: what is allowed is looked at."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("PyTorch finds no GPU")
    seen = []

    def looked_at(product, *arguments):
        seen.append(torch.get_float32_matmul_precision())
        return product(*arguments)

    monkeypatch.setattr(torch, "einsum", partial(looked_at, torch.einsum))
    monkeypatch.setattr(torch.Tensor, "__matmul__", lambda *both: looked_at(torch.matmul, *both))
    sizes = (2, 2, 90), (2, 3, 70)
    x, g = (integer_signal(n, seed=s, bound=2**20, dtype=np.int64) for s, n in enumerate(sizes))
    exact = filter_gradient(x, g, batched=True)
    factors = [torch.from_numpy(each).to(device, torch.float32) for each in (x, g)]
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        found = filter_gradient(*factors, method=method, batched=True)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert set(seen) == {"highest"}
    bound = filter_gradient_bound(*factors, method=method, batched=True)
    assert (np.abs(found.cpu().numpy() - exact).max(axis=2) <= bound).all()


def test_the_bound_of_a_tensor_is_that_of_its_array():
    x, g = integer_signal((2, 90), seed=0), integer_signal((1, 80), seed=1)
    for method in ("direct", "fft", "blocked-fft"):
        of_arrays = filter_gradient_bound(x, g, method=method)
        of_tensors = filter_gradient_bound(*map(torch.from_numpy, (x, g)), method=method)
        assert np.array_equal(of_arrays, of_tensors)
        assert of_arrays.shape == (1, 2)
    whole = x.astype(np.int64), g.astype(np.int64)
    assert not filter_gradient_bound(*whole, method="auto").any()
    assert filter_gradient_bound(*whole, method="fft").all()


def test_roundings_count_the_windows_and_how_many_meet():
    """80 outputs of 5 taps: windows of 40 cells, 36 apart, of which two meet at most."""
    roundings, meet = blocked_roundings((3, 1, 84), (3, 1, 80))
    assert roundings == fast_gradients.product_roundings((40,), 3 * 3)
    assert meet == 2
    assert fast_gradients.fft_gradient_roundings((3, 1, 84), (3, 1, 80)) == (
        fast_gradients.product_roundings((90,), 3)
    )


def test_the_choice_is_the_sum_where_that_is_exact():
    x, g = integer_signal((1, 3000), seed=0, dtype=np.int64), np.ones((1, 1500), np.int64)
    assert filter_gradient(x, g, method="auto").dtype == np.int64
    assert filter_gradient(x.astype(object)[:, :9], g[:, :5], method="auto").dtype == object


def test_a_flip_reaches_tensors_too():
    x, g = torch.tensor([[1.0, 2, 4]]), torch.tensor([[1.0, 10]])
    gradient = filter_gradient(x, g, operation="convolution")
    assert gradient.tolist() == [[[42, 21]]]


def test_the_loss_falls_along_the_filter_gradient():
    """Half the squared output falls by the squared norm of the gradient, to first order."""
    x, w = np.array([1.0, 2, -1]), np.array([3.0, 1])
    y = correlate(x, w, mode="valid")
    gradient = filter_gradient(x[None], y[None])[0, 0]
    step = 2.0**-20
    moved = correlate(x, w - step * gradient, mode="valid")
    fall = ((y**2).sum() - (moved**2).sum()) / 2
    second_order = (correlate(x, gradient, mode="valid") ** 2).sum() / 2
    assert fall == step * (gradient**2).sum() - step**2 * second_order


def test_a_convolution_that_is_composed_twice_has_full_gradients():
    kernel, g = np.array([1, 2]), np.array([1, 0, 3])
    assert np.array_equal(input_gradient(kernel[None, None], g[None])[0], convolve(g, kernel))


# Bad input

X = np.ones((1, 3))
T = torch.ones((1, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: filter_gradient(X, np.ones((1, 4))), ValueError, "with m <= n along every axis"),
        (lambda: filter_gradient(X, np.ones((1, 2, 2))), ValueError, r"expected \(channels, \*n\)"),
        (lambda: filter_gradient(X[0], X[0]), ValueError, r"expected \(channels, \*n\)"),
        (lambda: filter_gradient(X, X, method="fast"), ValueError, "unknown method 'fast'; known"),
        (lambda: filter_gradient(X, X, operation="conv"), ValueError, "unknown operation 'conv'"),
        (lambda: filter_gradient(X * 1j, X), TypeError, "the input holds complex128 entries"),
        (lambda: filter_gradient(X, X * 1j), TypeError, "the output gradient holds complex128"),
        (lambda: filter_gradient(X[:0], X), ValueError, "the input has shape"),
        (lambda: filter_gradient(X, X[:0]), ValueError, "the output gradient has shape"),
        (lambda: filter_gradient(X.astype(object), X, method="fft"), TypeError, "not exact"),
        (
            lambda: filter_gradient(X.astype(object), X, method="blocked-fft"),
            TypeError,
            "not exact",
        ),
        (
            lambda: filter_gradient(T, X),
            TypeError,
            "the input is a Tensor and the output gradient a",
        ),
        (lambda: filter_gradient(T, T, method="matrix"), TypeError, "another method for tensors"),
        (lambda: filter_gradient(T.int(), T), TypeError, "the input holds torch.int32 entries"),
        (lambda: filter_gradient(T, T.half()), TypeError, "output gradient holds torch.float16"),
        (lambda: filter_gradient(T[:0], T), ValueError, r"the input has shape \(0, 3\)"),
        (
            lambda: filter_gradient(X[None], X[[0, 0]][:, None], batched=True),
            ValueError,
            r"input of shape \(1, 1, 3\), .* \(2, 1, 3\): expected \(batch, channels, \*n\)",
        ),
        (lambda: filter_gradient(X, X.astype(object), method="fft"), TypeError, "not exact"),
        (lambda: input_gradient(X[None], X[[0, 0]]), ValueError, r"expected \(filters, channels"),
        (lambda: input_gradient(X, X), ValueError, r"expected \(filters, channels"),
        (lambda: input_gradient(X, X[:, 0]), ValueError, r"expected \(filters, channels"),
        (lambda: input_gradient(X[None, None], X), ValueError, r"expected \(filters, channels"),
        (
            lambda: input_gradient(X[None], X * 1j),
            TypeError,
            "the output gradient holds complex128",
        ),
        (lambda: input_gradient(X[None] * 1j, X), TypeError, "the weight holds complex128"),
        (lambda: input_gradient(X[None], X, operation="full"), ValueError, "unknown operation"),
        (lambda: input_gradient(T[None], T), TypeError, r"from arrays: give weight\.numpy"),
        (lambda: bias_gradient(X * 1j), TypeError, "the output gradient holds complex128"),
        (lambda: bias_gradient(T.half()), TypeError, "the output gradient holds torch.float16"),
        (lambda: bias_gradient(X[:0]), ValueError, "the output gradient has shape"),
        (lambda: bias_gradient(X[0]), ValueError, r"expected \(filters, \*m\)"),
        (lambda: derivative_matrix(X[0], 4), ValueError, "no more than there are cells"),
        (lambda: derivative_matrix(X[0], 0), ValueError, "at least one tap"),
        (lambda: derivative_matrix(X[0], 2.7), TypeError, "2.7 given per axis: expected an int"),
        (lambda: derivative_matrix(X[0], (1, 1)), ValueError, "for each axis"),
        (lambda: derivative_matrix(X[0], 1, operation="x"), ValueError, "unknown operation 'x'"),
    ],
)
def test_bad_input_is_refused_by_name(call, error, message):
    with pytest.raises(error, match=message):
        call()
