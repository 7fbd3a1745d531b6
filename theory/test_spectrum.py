"""Chapter 1, spectrum: the singular values of a layer, and the norm that spectral_norm divides by.

On a circle the Fourier transform splits a layer into one small matrix a frequency, whose singular
values are the layer's. The weight reshaped to filters x (channels * taps) has another norm r: with
enough room for one patch the layer's norm lies between r and r times the root of the number of
times that a cell is read, and both ends are met. So dividing by r does not make a layer of norm 1:
it leaves a norm of up to the root of the number of taps, or, where patches do not fit or groups
share the norm, of less than 1. Gram iteration bounds the norm itself, as closely as one likes.

What passing does not prove. Exact values are shown for the cases that are solved by hand; elsewhere
two computations in floating point agree within the sum of their error bounds. The bounds take it
for granted that LAPACK's transformations are orthogonal to rounding, operation by operation.
Singular values for zero padding are only bounded, by those of a larger circle.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations

from theory.gram_iteration import gram_bound
from theory.layer_matrix import layer_matrix, weights
from theory.methods.fast_convolution import complex_sum_roundings, fft_roundings
from theory.signals import integer_signal
from theory.spectrum import (
    frequency_response,
    norm_bounds,
    operator_norm,
    reshaped_norm,
    singular_values,
)
from theory.structured_matrices import circulant_matrix

if TYPE_CHECKING:
    from collections.abc import Callable

    from theory.layer_matrix import ConvLayer

seeds = st.integers(0, 2**16)
UNIT = float(np.finfo(np.float64).eps) / 2
SINGLE = float(np.finfo(np.float32).eps) / 2
CONV: dict[int, Callable[..., ConvLayer]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


def layer_of(weight: np.ndarray, **options: Any) -> ConvLayer:
    """Return a layer of torch without bias, on a circle where nothing else is said."""
    filters, seen, *kernel = weight.shape
    options = {"padding_mode": "circular", "dtype": torch.float64, "bias": False} | options
    conv = CONV[len(kernel)](seen * options.get("groups", 1), filters, tuple(kernel), **options)
    conv.weight.data = torch.from_numpy(weight.astype(float))
    return conv


def taps(*values: float) -> np.ndarray:
    """Return a weight of one filter, one channel and one axis."""
    return np.array([[values]], dtype=float)


def decomposition_error(matrix: np.ndarray) -> float:
    """Bound the error of each singular value that LAPACK returns for a matrix.

    Values alone take 4 m n^2 operations (Golub and Van Loan, *Matrix Computations*, 4th ed., figure
    8.6.1), of weight √5 where products are complex. Each rounding changes a matrix of the same
    Frobenius norm by a unit at most, and singular values no more than that (Weyl).
    """
    large, small = max(matrix.shape[-2:]), min(matrix.shape[-2:])
    operations = 4 * math.sqrt(5) * large * small**2
    return math.expm1(operations * UNIT) * float(np.linalg.norm(matrix))


def transform_error(conv: ConvLayer, shape: tuple[int, ...]) -> float:
    """Bound the error of all matrices of `frequency_response` together, in the Frobenius norm.

    A wave is off by less than 12 units, and a complex sum of k products by less than 3 k, relative
    to the sum of their magnitudes, axis by axis. By the Cauchy-Schwarz inequality that sum is at
    most the root of the number of taps times the norm of the weights that it is made of.
    """
    roundings = sum(12 + 3 * k for k in conv.kernel_size)
    frequencies = math.prod(n // s for n, s in zip(shape, conv.stride, strict=True))
    magnitudes = math.sqrt(frequencies * math.prod(conv.kernel_size))
    return math.expm1(roundings * UNIT) * magnitudes * float(np.linalg.norm(weights(conv)))


def error_bound(conv: ConvLayer, shape: tuple[int, ...]) -> float:
    """Bound how far each of `singular_values` may lie from the layer's.

    Each of the small matrices, that err by `transform_error`, is decomposed by itself.
    """
    response = frequency_response(conv, shape)
    blocks = response.reshape(-1, *response.shape[-2:])
    return transform_error(conv, shape) + max(map(decomposition_error, blocks))


def reshaped_error(conv: ConvLayer) -> float:
    """Bound the error of `reshaped_norm`."""
    return decomposition_error(weights(conv).reshape(conv.out_channels, -1))


def bounds_error(conv: ConvLayer) -> float:
    """Bound by how much `norm_bounds`, but for its factor, may exceed or miss the reshaped norm.

    It errs like that norm, which is at most that of all entries, and then makes room for as much.
    """
    return 2 * reshaped_error(conv) + 16 * UNIT * float(np.linalg.norm(weights(conv)))


# The singular values of a layer on a circle


@settings(max_examples=40)
@given(
    st.sampled_from([(1,), (2,), (6,), (15,), (2, 3), (4, 6), (5, 4), (2, 2, 4), (3, 2, 2)]),
    st.tuples(*[st.integers(1, 2)] * 3),
    st.integers(1, 2),
    st.booleans(),
    seeds,
)
def test_the_singular_values_of_a_layer_are_those_of_its_frequencies(
    shape: tuple[int, ...], widths: tuple[int, int, int], dilation: int, strided: bool, seed: int
) -> None:
    groups, channels, filters = widths
    stride = tuple(2 if strided and n % 2 == 0 else 1 for n in shape)
    dilation = dilation if min(shape) > 1 else 1  # circular padding repeats a cell once
    weight = integer_signal((groups * filters, channels, *(3,) * len(shape)), seed=seed)
    conv = layer_of(weight, padding=dilation, dilation=dilation, stride=stride, groups=groups)
    matrix = layer_matrix(conv, shape)
    dense = np.linalg.svd(matrix, compute_uv=False)
    values = singular_values(conv, shape)
    assert values.shape == dense.shape
    error = np.abs(values - dense).max()
    assert error <= error_bound(conv, shape) + decomposition_error(matrix)
    assert operator_norm(conv, shape) == values[0]


def test_layers_whose_singular_values_are_known_exactly() -> None:
    # |1 + 2 i^f| at the four frequencies of a circle of four cells.
    pair = layer_of(taps(1, 2), padding="same")
    error = np.abs(singular_values(pair, 4) - [3, math.sqrt(5), math.sqrt(5), 1]).max()
    assert error <= error_bound(pair, (4,))
    # 2 - 2 cos(π f / 2) for each axis, added up.
    laplacian = layer_of(np.array([[[[0, -1, 0], [-1, 4, -1], [0, -1, 0]]]]), padding=1)
    sums = sorted((p + q for p in (0, 2, 2, 4) for q in (0, 2, 2, 4)), reverse=True)
    error = np.abs(singular_values(laplacian, (4, 4)) - sums).max()
    assert error <= error_bound(laplacian, (4, 4))


@settings(max_examples=40)
@given(st.sampled_from([(5,), (8,), (4, 6), (3, 5)]), st.integers(1, 2), seeds)
def test_at_each_frequency_a_layer_is_a_matrix_from_channels_to_filters(
    shape: tuple[int, ...], groups: int, seed: int
) -> None:
    """On the operator itself: torch's output, transformed, is the response times the input's."""
    weight = integer_signal((2 * groups, 3, *(3,) * len(shape)), seed=seed)
    conv = layer_of(weight, padding=1, groups=groups)
    x = integer_signal((3 * groups, *shape), seed=seed + 1)
    with torch.no_grad():
        y = conv(torch.from_numpy(x)).numpy()
    axes = tuple(range(2, 2 + len(shape)))
    given_, made = (
        np.moveaxis(np.fft.rfftn(a.reshape(groups, -1, *shape), axes=axes), (0, 1), (-2, -1))
        for a in (x, y)
    )
    product = np.einsum("...gfc,...gc->...gf", frequency_response(conv, shape), given_)
    # A transform and a product of 3 terms on one side, a transform on the other; each relative to
    # the norm of what it holds, all below that of weight and input over all frequencies.
    roundings = 2 * fft_roundings(np.zeros(shape), np.zeros((1,) * len(shape)))
    roundings += complex_sum_roundings(3)
    transformed = math.sqrt(math.prod(shape)) * np.linalg.norm(x)
    norm = math.sqrt(math.prod(shape)) * np.linalg.norm(weight) * transformed
    bound = math.expm1(roundings * UNIT) * norm + transform_error(conv, shape) * transformed
    assert np.abs(product - made).max() <= bound


def test_the_circulant_matrix_has_the_transform_of_its_kernel_as_eigenvalues() -> None:
    n, kernel = 8, integer_signal(8, seed=4)
    transform = np.fft.fft(np.eye(n)) / math.sqrt(n)
    diagonal = transform @ circulant_matrix(kernel, n) @ transform.conj().T
    eigenvalues = np.fft.fft(kernel)
    # Two products with n terms each, of entries that are right to 2 units, and one transform.
    roundings = 2 * (complex_sum_roundings(n) + 2) + fft_roundings(kernel, kernel[:1])
    bound = math.expm1(roundings * UNIT) * n * np.linalg.norm(kernel)
    assert np.abs(diagonal - np.diag(eigenvalues)).max() <= bound


def test_zero_padding_stretches_no_more_than_a_circle_with_room_for_the_kernel() -> None:
    """A zero-padded layer is a block of the matrix on the larger circle, whose values bound it."""
    n, weight = 6, integer_signal((2, 3, 5), seed=5)
    padded = layer_matrix(layer_of(weight, padding=2, padding_mode="zeros"), n)
    circle = layer_of(weight, padding=2)
    block = layer_matrix(circle, n + 4).reshape(2, n + 4, 3, n + 4)[:, :n, :, :n]
    assert np.array_equal(block.reshape(2 * n, 3 * n), padded)
    values = np.linalg.svd(padded, compute_uv=False)
    larger = singular_values(circle, n + 4)
    assert (values < larger[: len(values)]).all()
    # The circle of its own size bounds nothing: [1, -1, 0] on one cell is -1, and 1 - 1 on Z_1.
    alone = layer_of(taps(1, -1, 0), padding=1, padding_mode="zeros")
    assert layer_matrix(alone, 1).tolist() == [[-1]]
    assert operator_norm(layer_of(taps(1, -1, 0), padding=1), 1) == 0


# What spectral_norm measures


@pytest.mark.parametrize("spectral_norm", [parametrizations.spectral_norm, nn.utils.spectral_norm])
def test_with_spectral_norm_a_layer_has_a_norm_of_up_to_the_root_of_its_taps(
    spectral_norm: Callable[[nn.Module], nn.Module],
) -> None:
    """Nine ones: reshaped they have norm 3, which it divides by; the layer has norm 9."""
    conv, shape = layer_of(np.ones((1, 1, 3, 3)), padding=1), (4, 4)
    assert abs(reshaped_norm(conv) - 3) <= reshaped_error(conv)
    assert abs(operator_norm(conv, shape) - 9) <= error_bound(conv, shape)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        spectral_norm(conv)
    constant = torch.ones(1, 1, *shape, dtype=torch.float64)
    with torch.no_grad():
        output = conv(constant)
    # With one filter the power iteration is at its end at once, after four sums over nine taps.
    iteration = math.expm1(4 * 2 * 9 * UNIT)
    assert abs(reshaped_norm(conv) - 1) <= reshaped_error(conv) + iteration
    assert abs(operator_norm(conv, shape) - 3) <= error_bound(conv, shape) + 3 * iteration
    assert (output / constant - 3).abs().max() <= 3 * (iteration + math.expm1(9 * UNIT))


def test_the_smallest_layers_whose_norm_spectral_norm_misses_in_either_direction() -> None:
    # Too little: two taps on two cells, each of which is read twice.
    ones = layer_of(taps(1, 1), padding="same")
    assert abs(reshaped_norm(ones) - math.sqrt(2)) <= reshaped_error(ones)
    assert abs(operator_norm(ones, 2) - 2) <= error_bound(ones, (2,))
    # Too much, as the kernel wraps onto itself or hangs over the end: two taps on one cell.
    opposite = layer_of(taps(1, -1), padding="same")
    assert operator_norm(opposite, 1) == 0 < 1.4 < reshaped_norm(opposite)
    hanging = layer_of(taps(1, 1), padding="same", padding_mode="zeros")
    assert layer_matrix(hanging, 1).tolist() == [[1]]
    assert reshaped_norm(hanging) > 1.4
    # Too much, with room for the kernel: two groups, each the identity, are the identity.
    groups = layer_of(np.ones((2, 1, 1)), groups=2)
    assert np.array_equal(layer_matrix(groups, 1), np.eye(2))
    assert operator_norm(groups, 1) == 1 < 1.4 < reshaped_norm(groups)
    # Right, where no two patches share a cell: a single tap, or a stride as long as the kernel.
    apart = layer_of(taps(3, 4), stride=2)
    assert abs(reshaped_norm(apart) - 5) <= reshaped_error(apart)
    assert abs(operator_norm(apart, 6) - 5) <= error_bound(apart, (6,))


@settings(max_examples=40)
@given(
    st.sampled_from(["zeros", "circular", "reflect", "replicate"]),
    st.tuples(*[st.integers(1, 2)] * 3),
    st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 2), st.integers(0, 1)),
    st.integers(1, 2),
    seeds,
)
def test_the_norm_of_a_layer_lies_between_the_bounds(
    mode: str,
    widths: tuple[int, int, int],
    geometry: tuple[int, int, int, int],
    axes: int,
    seed: int,
) -> None:
    groups, channels, filters = widths
    k, stride, dilation, padding = geometry
    weight = integer_signal((groups * filters, channels, *(k,) * axes), seed=seed) + 10
    options = {"stride": stride, "dilation": dilation, "padding": padding, "groups": groups}
    conv = layer_of(weight, padding_mode=mode, **options)
    shape = (7, 8)[:axes]  # room for a whole patch of any of these kernels
    matrix = layer_matrix(conv, shape)
    lower, upper = norm_bounds(conv, shape)
    assert 0 < lower <= upper
    slack = decomposition_error(matrix)  # the bounds have room for rounding of their own
    assert lower - slack <= np.linalg.norm(matrix, 2) <= upper + slack


def test_both_bounds_are_met() -> None:
    single = layer_of(taps(0, 2, 0), padding=1)
    assert reshaped_norm(single) == 2
    assert 0 <= 2 - norm_bounds(single, 6)[0] <= bounds_error(single)
    assert abs(operator_norm(single, 6) - 2) <= error_bound(single, (6,))
    # Ones on a constant signal. At stride 2 a cell is read once or twice, at stride 1 three times.
    for stride, reads in ((1, 3), (2, 2), (3, 1)):
        ones = layer_of(np.ones((1, 1, 3)), padding=1, stride=stride)
        upper = norm_bounds(ones, 6)[1]
        assert abs(upper - reshaped_norm(ones) * math.sqrt(reads)) <= 3 * bounds_error(ones)
        norm = np.linalg.norm(layer_matrix(ones, 6), 2)
        slack = 3 * bounds_error(ones) + decomposition_error(layer_matrix(ones, 6))
        assert bool(abs(norm - upper) <= slack) is (stride != 2)


@pytest.mark.parametrize("mode", ["zeros", "circular"])
def test_without_room_for_a_patch_there_is_no_lower_bound(mode: str) -> None:
    conv = layer_of(taps(1, -1, 0), padding=1, padding_mode=mode)
    assert norm_bounds(conv, 2)[0] == 0
    assert abs(norm_bounds(conv, 3)[0] - reshaped_norm(conv)) <= bounds_error(conv)


# The norm, bounded by Gram iteration


def gram_roundings(conv: ConvLayer, rank: int) -> float:
    """Bound what `gram_bound` adds for rounding, relative to the norm.

    A product with sums of 2 m terms errs by √8 m u relative to the square of the Frobenius norm,
    which is at most the rank times that of the norm, and 4 times more than is known of it. Half of
    that is left by the root, and all later steps together add no more than the first. The last norm
    is a root of 2 m n squares, and each matrix was rounded to begin with.
    """
    widths = conv.out_channels // conv.groups, conv.in_channels // conv.groups
    n, m = sorted([widths[0], widths[1] * math.prod(conv.stride)])
    return math.expm1((12 * rank * m + 2 * m * n + 12) * SINGLE)


@settings(max_examples=40)
@given(
    st.sampled_from(["zeros", "circular"]),
    st.sampled_from([(1,), (4,), (7,), (4, 6), (5, 3)]),
    st.tuples(*[st.integers(1, 3)] * 3),
    st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 2)),
    st.integers(0, 7),
    seeds,
)
def test_gram_iteration_bounds_the_norm_of_a_layer(
    mode: str,
    shape: tuple[int, ...],
    widths: tuple[int, int, int],
    geometry: tuple[int, int, int],
    steps: int,
    seed: int,
) -> None:
    groups, channels, filters = widths
    k, most, dilation = geometry
    circular = mode == "circular"
    if circular:  # what keeps a circle whole
        k, dilation = k | 1, min(dilation, *shape)
    stride = tuple(most if n % most == 0 else 1 for n in shape)
    extent = dilation * (k - 1) + 1
    weight = integer_signal((groups * filters, channels, *(k,) * len(shape)), seed=seed)
    options = {"stride": stride, "dilation": dilation, "groups": groups}
    conv = layer_of(weight, padding=extent // 2, padding_mode=mode, **options)
    matrix = layer_matrix(conv, shape)
    norm = float(np.linalg.norm(matrix, 2))
    bound = gram_bound(conv, shape, steps=steps)
    assert bound >= norm - decomposition_error(matrix)
    if circular:
        rank = min(filters, channels * math.prod(stride))
        overstated = rank ** (2.0 ** -(steps + 1)) * (1 + gram_roundings(conv, rank))
        assert bound <= (norm + decomposition_error(matrix)) * overstated + error_bound(conv, shape)


@pytest.mark.parametrize("steps", range(7))
@pytest.mark.parametrize("gain", [3.0, 2.0**-120, 3 * 2.0**120])
def test_the_bound_overstates_equal_values_by_a_root_of_their_number(
    steps: int, gain: float
) -> None:
    """Each step takes the root of the factor; no step takes the numbers out of their range."""
    channels = 5
    conv = layer_of(gain * np.eye(channels)[:, :, None])
    exact = channels ** (2.0 ** -(steps + 1))
    bound = gram_bound(conv, 4, steps=steps) / gain
    assert exact <= bound <= exact * (1 + gram_roundings(conv, channels))
    assert gram_roundings(conv, channels) < 3e-5 < channels ** (2.0**-8) - 1


def test_the_products_stay_in_range_however_far_the_norm_exceeds_the_weights() -> None:
    ones = layer_of(np.ones((8, 8, 3, 3)), padding=1)
    for steps in (0, 1, 6, 10):  # 72 ** 64 is beyond single precision, 72 ** 1024 beyond double
        assert 72 <= gram_bound(ones, (4, 4), steps=steps) <= 72 * (1 + gram_roundings(ones, 1))


def test_the_bound_converges_quadratically_where_one_value_stands_out() -> None:
    """Of 1 and s it makes ``(1 + s ** 2p) ** (1 / 2p)`` with p = 2 ** steps: s ** p is squared."""
    conv = layer_of(np.diag([1.0, 0.75])[:, :, None])
    for steps in range(6):
        p = 2.0**steps
        exact = (1 + 0.75 ** (2 * p)) ** (1 / (2 * p))
        bound = gram_bound(conv, 4, steps=steps)
        assert exact <= bound <= exact * (1 + gram_roundings(conv, 2))


def test_a_larger_circle_is_needed_to_bound_a_layer_that_is_padded_with_zeros() -> None:
    alone = layer_of(taps(1, -1, 0), padding=1, padding_mode="zeros")
    assert gram_bound(alone, 1) >= np.linalg.norm(layer_matrix(alone, 1), 2) == 1
    assert gram_bound(layer_of(taps(1, -1, 0), padding=1), 1) < 1e-14
    # Without padding as well: two taps on two cells, read once.
    valid = layer_of(taps(3, 4), padding_mode="zeros")
    assert gram_bound(valid, 2) >= np.linalg.norm(layer_matrix(valid, 2), 2)
    assert gram_bound(layer_of(np.zeros((2, 1, 3))), 5) == 0
