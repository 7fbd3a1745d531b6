"""The instruments of chapter 1 on trial: planted faults turn its trials red, bad input is refused.

A fault stands in for one function that the trials reach; the trial beside it has to fail.
"""

from __future__ import annotations

import numpy as np
import pytest
import z3
from scipy import fft

from theory import structured_matrices
from theory import test_convolution as chapter
from theory import test_convolution_layers as stacked
from theory import test_convolution_lti as lti
from theory.convolution import convolve, correlate, correlate_channels, rounding_bound
from theory.methods import convolution_plan, fast_convolution
from theory.methods.convolution_plan import plan, summation, window
from theory.signals import impulse, integer_signal, shift
from theory.structured_matrices import circulant_matrix, toeplitz_matrix

by_fft = fast_convolution.by_fft
by_overlap_add = fast_convolution.by_overlap_add


# Faults


def flipped_kernel(x, h, **options):
    return convolve(x, np.flip(h), **options)


def transposed_kernel(x, h, **options):
    return correlate(x, h.T, **options)


def same_from_half(n, k, mode):
    return (k // 2, n) if mode == "same" else window(n, k, mode)


def valid_from_one_too_early(n, k, mode):
    return (max(k - 2, 0), n - k + 1) if mode == "valid" else window(n, k, mode)


def wrap_that_loses_the_tail(y, shape):
    return y[tuple(map(slice, shape))]


def correlation_without_conjugate(x, h, **options):
    return correlate(x, np.conj(h), **options)


def correlation_that_forgets_its_origin(x, h, **options):
    return convolve(x, np.conj(np.flip(h)), **options)


def toeplitz_of_the_flipped_kernel(h, shape, **options):
    return toeplitz_matrix(np.flip(h), shape, **options)


def toeplitz_that_wraps(h, shape, **options):
    return circulant_matrix(h, shape)


def transposed_circulant(h, shape):
    return circulant_matrix(h, shape).T


def circulant_in_column_order(h, shape):
    return circulant_matrix(h.T, shape[::-1])


def zero_filled_shift(x, by):
    return shift(x, by, boundary="zero")


def fft_without_padding(x, h):
    spectrum = fft.fftn(x) * fft.fftn(h, x.shape)
    y = np.zeros(fast_convolution.full_shape(x, h), spectrum.dtype)
    y[tuple(map(slice, x.shape))] = fft.ifftn(spectrum)
    return y


def overlap_add_that_drops_the_last_tail(x, h):
    y = by_overlap_add(x, h)
    y[x.shape[0] :] = 0
    return y


def fft_with_one_bad_sample(x, h):
    y = by_fft(x, h)
    y.flat[0] += 1e-12 * np.linalg.norm(x) * np.linalg.norm(h)
    return y


def fft_in_half_the_digits(x, h):
    return by_fft(x.astype(np.float32), h.astype(np.float32))


def sum_in_half_the_digits(*shapes_and_types, **options):
    add_up = summation(*shapes_and_types, **options)

    def in_half_the_digits(x, h):
        narrow = (a.astype(np.float32) if a.dtype == np.float64 else a for a in (x, h))
        return add_up(*narrow)

    return in_half_the_digits


def padding_at_one_end(x, weight, *, padding, groups):
    ends = [(2 * padding, 0)] * (x.ndim - 1)
    return correlate_channels(np.pad(x, [(0, 0), *ends]), weight, groups=groups)


def groups_dealt_in_turn(x, weight, *, padding, groups):
    dealt = np.arange(len(x)).reshape(-1, groups).T.ravel()
    return correlate_channels(x[dealt], weight, padding=padding, groups=groups)


def layer_that_convolves(x, weight, **options):
    return correlate_channels(x, np.flip(weight, tuple(range(2, weight.ndim))), **options)


@pytest.fixture
def forgotten_plans():
    """Leave behind no plan that a fault has been part of."""
    yield
    plan.cache_clear()


# Trials, on one case each; of those that hypothesis drives, the function beneath


def definition():
    chapter.test_convolve_is_its_defining_sum((4,), (2,))


def cross_correlation():
    chapter.test_cross_correlation_is_convolution_with_the_flipped_conjugated_kernel(2)


def commutant():
    lti.test_the_matrices_that_commute_with_the_cyclic_shifts_are_the_span_of_their_powers((3,))


def matrices():
    chapter.test_matrix_and_sum_are_the_same_operator.hypothesis.inner_test([4, 3], seed=1)


def fft_rounding(method="fft"):
    trial = chapter.test_the_fft_computes_the_same_up_to_its_rounding_bound
    trial.hypothesis.inner_test(method, "full", [40], np.float64, seed=1)


def overlap_add_rounding():
    fft_rounding("overlap-add")


def direct_rounding():
    chapter.test_the_direct_sum_stays_within_its_rounding_bound.hypothesis.inner_test(6, 4, seed=1)


def layers():
    trial = stacked.test_a_torch_layer_sums_the_cross_correlations_of_its_channels
    trial.hypothesis.inner_test([(4, 3), (3, 2)], (2, 2, 2), padding=1, seed=1)


def torch_on_even_kernels():
    chapter.test_for_even_kernels_same_of_torch_lies_one_cell_after_same_of_scipy(2)


def polynomials():
    chapter.test_convolution_is_the_product_of_polynomials(3, 2)


def exact_transforms():
    chapter.test_transforms_modulo_a_prime_multiply_exactly(4, prime=5, root=2)


def fourier_transforms():
    chapter.test_discrete_fourier_transforms_multiply.hypothesis.inner_test([8, 2], seed=1)


def composition():
    trial = stacked.test_two_layers_without_padding_between_are_one_with_the_convolved_kernels
    trial.hypothesis.inner_test([(3, 2)], (1, 2, 1), dilation=2, stride=1, seed=1)


lengths = chapter.test_full_has_n_plus_k_minus_one_outputs_and_same_the_n_in_the_middle
two_correlations = (
    stacked.test_two_cross_correlations_are_one_by_the_convolved_kernels_not_the_correlated_ones
)
not_a_ring = chapter.test_cross_correlation_neither_commutes_nor_associates
printed_example = chapter.test_the_printed_example_is_a_cross_correlation
impulse_response = lti.test_the_impulse_response_is_the_kernel
stack = stacked.test_a_stack_of_convolution_layers_is_one_linear_operation


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(
    ("module", "name", "fault", "trial"),
    [
        (chapter, "convolve", flipped_kernel, definition),
        (chapter, "convolve", flipped_kernel, printed_example),
        (lti, "convolve", flipped_kernel, impulse_response),
        (chapter, "correlate", transposed_kernel, printed_example),
        (convolution_plan, "window", same_from_half, definition),
        (structured_matrices, "window", valid_from_one_too_early, matrices),
        (convolution_plan, "window", same_from_half, lengths),
        (convolution_plan, "window", same_from_half, torch_on_even_kernels),
        (convolution_plan, "wrap", wrap_that_loses_the_tail, definition),
        (convolution_plan, "wrap", wrap_that_loses_the_tail, exact_transforms),
        (convolution_plan, "wrap", wrap_that_loses_the_tail, fourier_transforms),
        (chapter, "convolve", flipped_kernel, polynomials),
        (chapter, "correlate", correlation_without_conjugate, fourier_transforms),
        (chapter, "correlate", correlation_that_forgets_its_origin, fourier_transforms),
        (chapter, "correlate", convolve, not_a_ring),
        (stacked, "convolve", correlate, composition),
        (stacked, "convolve", correlate, two_correlations),
        (chapter, "correlate", correlation_without_conjugate, cross_correlation),
        (chapter, "correlate", correlation_that_forgets_its_origin, cross_correlation),
        (chapter, "toeplitz_matrix", toeplitz_of_the_flipped_kernel, matrices),
        (stacked, "toeplitz_matrix", toeplitz_that_wraps, stack),
        (chapter, "circulant_matrix", transposed_circulant, matrices),
        (chapter, "circulant_matrix", circulant_in_column_order, matrices),
        (lti, "shift", zero_filled_shift, commutant),
        (convolution_plan, "by_fft", fft_without_padding, fft_rounding),
        (convolution_plan, "by_fft", fft_with_one_bad_sample, fft_rounding),
        (convolution_plan, "by_fft", fft_in_half_the_digits, fft_rounding),
        (
            convolution_plan,
            "by_overlap_add",
            overlap_add_that_drops_the_last_tail,
            overlap_add_rounding,
        ),
        (convolution_plan, "summation", sum_in_half_the_digits, direct_rounding),
        (stacked, "correlate_channels", padding_at_one_end, layers),
        (stacked, "correlate_channels", groups_dealt_in_turn, layers),
        (stacked, "correlate_channels", layer_that_convolves, layers),
    ],
)
def test_a_planted_fault_turns_its_trial_red(
    monkeypatch, forgotten_plans, module, name, fault, trial
):
    trial()
    monkeypatch.setattr(module, name, fault)
    plan.cache_clear()
    with pytest.raises(AssertionError):
        trial()


def test_a_step_that_the_solver_cannot_decide_is_neither_proved_nor_refuted(monkeypatch):
    monkeypatch.setattr(z3.Solver, "check", lambda self: z3.unknown)
    with pytest.raises(RuntimeError, match="could not decide"):
        lti.test_on_z_shift_equivariance_leaves_only_the_difference_of_the_indices()
    with pytest.raises(RuntimeError, match="could not decide"):
        lti.follows(z3.Int("a") >= 0)


# What the trials leave out


def test_integers_are_computed_in_int64_whatever_their_width():
    narrow = np.array([127, 127], np.int8)
    assert convolve(narrow, narrow).tolist() == [16129, 32258, 16129]
    assert convolve(np.array([True, True]), np.array([True])).dtype == np.int64


def test_what_may_overflow_int64_is_refused_and_exact_as_objects():
    large = np.array([2**40, -(2**40)])
    with pytest.raises(ValueError, match="beyond int64: use dtype=object"):
        convolve(large, large)
    with pytest.raises(ValueError, match="beyond int64: use dtype=object"):
        convolve(np.array([2**63], np.uint64), np.array([1]))
    assert convolve(large.astype(object), large).tolist() == [2**80, -(2**81), 2**80]


def test_nan_stays_where_the_kernel_carries_it():
    x = integer_signal(7, seed=0)
    x[3] = np.nan
    assert np.flatnonzero(np.isnan(convolve(x, np.array([1.0, 0.0])))).tolist() == [3, 4]


@pytest.mark.parametrize("method", ["fft", "overlap-add"])
@pytest.mark.parametrize("shapes", [((40_000,), (31,)), ((31,), (40_000,)), ((90, 500), (7, 3))])
def test_blocks_of_every_kind_join_up(method, shapes):
    x, h = (integer_signal(shape, seed=s) for s, shape in enumerate(shapes))
    error = np.abs(convolve(x, h, method=method) - convolve(x, h)).max()
    assert 0 < error <= rounding_bound(x, h, method=method) < 0.5  # integers can be told apart


def test_a_long_kernel_wraps_more_than_once():
    x, h = np.array([1, 10]), np.array([1, 2, 3, 4, 5])
    assert convolve(x, h, mode="circular").tolist() == [9 + 60, 6 + 90]
    assert (circulant_matrix(h, 2) @ x).tolist() == [9 + 60, 6 + 90]
    for method in ("fft", "overlap-add"):
        error = np.abs(convolve(x, h, mode="circular", method=method) - [69, 96]).max()
        assert error <= rounding_bound(x, h, mode="circular", method=method)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, bool])
def test_matrices_of_narrow_integers_multiply_as_the_convolution_does(dtype):
    """Red if int8 overflows, or booleans add up to True."""
    h, x = np.array([100, 100, 100]).astype(dtype), np.array([100, 1]).astype(dtype)
    assert (toeplitz_matrix(h, 2) @ x).tolist() == convolve(x, h).tolist()
    assert (circulant_matrix(h, 2) @ x).tolist() == convolve(x, h, mode="circular").tolist()


def test_single_precision_stays_single():
    x = integer_signal(20, seed=0, dtype=np.float32)
    for method in ("direct", "fft", "overlap-add"):
        assert convolve(x, x, method=method).dtype == np.float32
    assert rounding_bound(x, x) > 2**28 * rounding_bound(x.astype(float), x.astype(float))


def test_integers_and_exact_objects_have_no_rounding():
    x = integer_signal(5, seed=0, dtype=np.int64)
    assert rounding_bound(x, x) == rounding_bound(x.astype(object), x) == 0
    assert rounding_bound(x, x, method="fft") > 0


def test_lists_are_arrays():
    x, h = [1, 2, 3], [1, -1]
    assert convolve(x, h).tolist() == (toeplitz_matrix(h, 3) @ x).tolist() == [1, 1, 1, -3]
    assert (circulant_matrix(h, 3) @ x).tolist() == [-2, 1, 1]
    assert correlate_channels([x], [[h]]).tolist() == [[-1, -1]]


# Bad input

X = np.arange(3.0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: convolve(np.zeros(0), X), ValueError, r"the signal has shape \(0,\)"),
        (lambda: convolve(X, np.array(2.0)), ValueError, r"the kernel has shape \(\)"),
        (lambda: convolve(X, np.eye(2)), ValueError, "1 axes and the kernel 2"),
        (lambda: convolve(X, np.array(["a"])), TypeError, "the kernel holds <U1 entries"),
        (lambda: convolve(X, X, mode="wrap"), ValueError, "unknown mode 'wrap'; known: full, same"),
        (lambda: convolve(X, X, method="fast"), ValueError, "unknown method 'fast'; known: direct"),
        (lambda: convolve(X, X, mode=["full"]), ValueError, r"unknown mode \['full'\]; known: f"),
        (lambda: convolve(X, X, mode=np.array("full")), ValueError, r"unknown mode array\('full'"),
        (lambda: correlate(X, X, method={}), ValueError, "unknown method {}; known: direct, fft"),
        (lambda: correlate(X, X, mode=None), ValueError, "unknown mode None; known: full, same"),
        (lambda: rounding_bound(X, X, method=[]), ValueError, r"unknown method \[\]; known: dir"),
        (lambda: toeplitz_matrix(X, 4, mode=["full"]), ValueError, r"unknown mode \['full'\]"),
        (lambda: convolve(X[:2], X, mode="valid"), ValueError, "kernel that fits into the signal"),
        (lambda: correlate(X[:2], X, mode="valid"), ValueError, "kernel that fits into the signal"),
        (lambda: convolve(X, X * np.nan, method="fft"), ValueError, "method='direct'"),
        (lambda: convolve(X, X + np.inf, method="overlap-add"), ValueError, "method='direct'"),
        (lambda: convolve(X.astype(object), X, method="fft"), TypeError, "not exact"),
        (lambda: rounding_bound(X.astype(object), X, method="fft"), TypeError, "not exact"),
        (lambda: rounding_bound(X, X, method="fast"), ValueError, "unknown method 'fast'"),
        (lambda: toeplitz_matrix(X, 2, mode="valid"), ValueError, "does not fit into signals"),
        (lambda: toeplitz_matrix(X, 4, mode="circular"), ValueError, "known: full, same, valid"),
        (lambda: toeplitz_matrix(X, 4.5), TypeError, "4.5 given per axis: expected an integer"),
        (lambda: toeplitz_matrix(X, (4, 4)), ValueError, "as many axes"),
        (lambda: circulant_matrix(X, 0), ValueError, "at least one cell"),
        (lambda: correlate_channels(X[None], X[None, None], groups=2), ValueError, "do not fit"),
        (lambda: correlate_channels(X[None], X[None]), ValueError, r"expected \(channels, \*n\)"),
        (lambda: correlate_channels(np.ones((0, 4)), np.ones((2, 0, 3))), ValueError, "one cell"),
        (lambda: correlate_channels(np.ones((1, 4)), np.ones((0, 1, 3))), ValueError, "one cell"),
        (lambda: circulant_matrix([2**62] * 2, 1), ValueError, "beyond int64"),
        (lambda: correlate_channels(X[None], np.ones((1, 1, 4))), ValueError, "fits into the sig"),
    ],
)
def test_bad_input_is_refused_by_name(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_impulses_of_any_kind_are_accepted_as_signals():
    for dtype in (bool, np.uint8, np.int32, np.float32, complex, object):
        assert convolve(impulse(2, at=1, dtype=dtype), np.array([5])).tolist() == [0, 5]
