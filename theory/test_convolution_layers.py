"""Chapter 1, layers: what Conv1d, Conv2d and Conv3d of torch compute, and what two of them compute.

A layer sums cross-correlations over its channels. Its matrix is doubly blocked Toeplitz, with rows
left out by the stride, bands pulled apart by the dilation, blocks of zeros between groups, and
circulant on a circle. Two layers in a row are one: linear always, and a convolution while no
padding comes between them; ``test_boundary`` says what becomes of that at the border.

What passing does not prove. A matrix is compared with torch on every impulse, so equality is
equality of the two linear maps, at the sizes, strides, dilations, groups and padding modes that are
drawn, with integer weights in double precision; so is the composition of layers.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from theory.affine_map import affine_map
from theory.convolution import convolve, correlate, correlate_channels
from theory.geometry import Layer, receptive_field
from theory.layer_matrix import layer_matrix, weights
from theory.ledger import settles
from theory.signals import integer_signal
from theory.structured_matrices import circulant_matrix, toeplitz_matrix

if TYPE_CHECKING:
    from collections.abc import Callable

    from theory.layer_matrix import ConvLayer

seeds = st.integers(0, 2**16)
CONV: dict[int, Callable[..., ConvLayer]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}

a, b = sp.symbols("a b")


def integer_layer(
    channels: int, filters: int, kernel: tuple[int, ...], *, seed: int, **options: Any
) -> ConvLayer:
    """Return a layer of torch in double precision with random integers as weights, and no bias."""
    layer = CONV[len(kernel)](channels, filters, kernel, bias=False, dtype=torch.float64, **options)
    weight = integer_signal(tuple(layer.weight.shape), seed=seed)
    layer.weight.data = torch.from_numpy(weight)
    return layer


# One layer


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(1, 3)), min_size=1, max_size=3),
    st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 2)),
    st.integers(0, 2),
    seeds,
)
def test_a_torch_layer_sums_the_cross_correlations_of_its_channels(
    axes: list[tuple[int, int]], widths: tuple[int, int, int], padding: int, seed: int
) -> None:
    groups, channels, filters = widths
    sizes = [max(n, k - 2 * padding) for n, k in axes]
    signal = integer_signal((groups * channels, *sizes), seed=seed)
    kernel = tuple(k for _, k in axes)
    layer = integer_layer(
        groups * channels, groups * filters, kernel, seed=seed + 1, padding=padding, groups=groups
    )
    with torch.no_grad():
        by_torch = layer(torch.from_numpy(signal)).numpy()
    by_sum = correlate_channels(signal, weights(layer), padding=padding, groups=groups)
    assert np.array_equal(by_torch, by_sum)


@settles("tp1-cnn-q1-depth-one", verdict="holds", certainty="sampled")
@pytest.mark.parametrize(("channels", "kernel", "cells"), [(1, 2, 3), (2, 1, 2), (3, 2, 3)])
def test_one_filter_adds_its_channels_into_one_map(channels: int, kernel: int, cells: int) -> None:
    """Both sides are linear in signal and weight: equality on all pairs of impulses is equality."""
    signals = np.eye(channels * cells**2).reshape(-1, channels, cells, cells)
    weights = np.eye(channels * kernel**2).reshape(-1, channels, kernel, kernel)
    by_torch = functional.conv2d(torch.from_numpy(signals), torch.from_numpy(weights)).numpy()
    for (s, signal), (w, weight) in itertools.product(enumerate(signals), enumerate(weights)):
        maps = [correlate(c, w_c, mode="valid") for c, w_c in zip(signal, weight, strict=True)]
        one_map = np.sum(maps, axis=0)
        assert one_map.shape == (cells - kernel + 1,) * 2
        assert np.array_equal(one_map, by_torch[s, w])


# The matrix of a layer


@st.composite
def geometries(draw: st.DrawFn) -> list[tuple[int, ...]]:
    """Draw input cells, kernel, stride, dilation and padding of each axis, so that they fit."""
    axes: list[tuple[int, ...]] = []
    count = draw(st.integers(1, 3))
    for _ in range(count):
        cells = draw(st.integers(3, 6 - count))
        padding = draw(st.integers(0, 2))
        dilation = draw(st.integers(1, 2))
        kernel = draw(st.integers(1, (cells + 2 * padding - 1) // dilation + 1))
        axes.append((cells, min(kernel, 3), draw(st.integers(1, 3)), dilation, padding))
    return axes


@settings(max_examples=40)
@given(
    geometries(),
    st.tuples(*[st.integers(1, 2)] * 3),
    st.sampled_from(["zeros", "circular", "reflect", "replicate"]),
    seeds,
)
def test_the_matrix_of_a_layer_is_what_torch_does_to_every_impulse(
    axes: list[tuple[int, ...]], widths: tuple[int, int, int], mode: str, seed: int
) -> None:
    shape, kernel, stride, dilation, padding = zip(*axes, strict=True)
    groups, channels, filters = widths
    options = {"stride": stride, "dilation": dilation, "padding": padding, "groups": groups}
    layer = integer_layer(
        groups * channels, groups * filters, kernel, seed=seed, padding_mode=mode, **options
    )
    by_torch = affine_map(layer, (groups * channels, *shape)).matrix
    assert np.array_equal(layer_matrix(layer, shape), by_torch)


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # that it copies: only of speed
@pytest.mark.parametrize("mode", ["zeros", "circular", "reflect", "replicate"])
@pytest.mark.parametrize("kernel", [(2,), (3, 4), (4, 2)])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_the_matrix_of_a_layer_with_named_padding(
    padding: str, kernel: tuple[int, ...], mode: str
) -> None:
    shape = (5, 6)[: len(kernel)]
    layer = integer_layer(1, 2, kernel, seed=1, padding=padding, padding_mode=mode)
    assert np.array_equal(layer_matrix(layer, shape), affine_map(layer, (1, *shape)).matrix)


@pytest.mark.parametrize("shape", [(5,), (4, 5), (3, 4, 3)])
def test_the_matrix_is_doubly_blocked_toeplitz_and_circulant_on_a_circle(
    shape: tuple[int, ...],
) -> None:
    kernel = (3,) * len(shape)
    modes: tuple[Literal["valid", "same", "full"], ...] = ("valid", "same", "full")
    for padding, mode in enumerate(modes):
        layer = integer_layer(1, 1, kernel, seed=2, padding=padding)
        taps = np.flip(weights(layer)[0, 0])
        assert np.array_equal(layer_matrix(layer, shape), toeplitz_matrix(taps, shape, mode=mode))
    layer = integer_layer(1, 1, kernel, seed=2, padding=1, padding_mode="circular")
    on_circle = np.zeros(shape)  # output 0 reads cells -1, 0 and 1 along each axis
    for tap in np.ndindex(kernel):
        cell = tuple((1 - t) % n for t, n in zip(tap, shape, strict=True))
        on_circle[cell] += weights(layer)[(0, 0, *tap)]
    assert np.array_equal(layer_matrix(layer, shape), circulant_matrix(on_circle, shape))


def test_stride_keeps_rows_dilation_spreads_taps_and_groups_leave_blocks_of_zeros() -> None:
    n, weight = 7, integer_signal((2, 2, 2), seed=3)

    def matrix(**options: Any) -> np.ndarray:
        layer = integer_layer(2, 2, (2,), seed=3, **options)
        return layer_matrix(layer, n).reshape(2, -1, 2, n)

    plain = matrix()
    assert np.array_equal(matrix(stride=3), plain[:, ::3])
    holes = np.zeros((2, 2, 4))
    holes[..., ::3] = weight
    spread = nn.Conv1d(2, 2, 4, bias=False, dtype=torch.float64)
    spread.weight.data = torch.from_numpy(holes)
    assert np.array_equal(matrix(dilation=3), layer_matrix(spread, n).reshape(2, -1, 2, n))
    alone = [toeplitz_matrix(taps[::-1], n, mode="valid") for taps in weight.reshape(4, 2)]
    assert np.array_equal(plain, np.array(alone).reshape(2, 2, n - 1, n).swapaxes(1, 2))
    in_groups = matrix(groups=2)
    assert not in_groups[0, :, 1].any()
    assert not in_groups[1, :, 0].any()
    assert in_groups[0, :, 0].any()
    assert in_groups[1, :, 1].any()


# Two layers


@settles(
    "nn4i-2023-a1-q2-conv-stack",
    verdict="holds_if",
    certainty="proved",
    condition="The layers have no bias: with biases the stack is one affine operation, which is "
    "not linear.",
)
def test_a_stack_of_convolution_layers_is_one_linear_operation() -> None:
    inputs, hidden, outputs = sp.symbols("inputs hidden outputs", integer=True, positive=True)
    first = sp.MatrixSymbol("T1", hidden, inputs)
    second = sp.MatrixSymbol("T2", outputs, hidden)
    u, v = (sp.MatrixSymbol(name, inputs, 1) for name in "uv")

    def stack(signal: sp.MatrixExpr) -> sp.MatrixExpr:
        return second * (first * signal)

    def biased(signal: sp.MatrixExpr) -> sp.MatrixExpr:
        return second * (first * signal + sp.MatrixSymbol("c", hidden, 1))

    assert sp.expand(stack(a * u + b * v) - a * stack(u) - b * stack(v)).doit().is_ZeroMatrix
    assert stack(u).doit() == (second * first) * u
    nothing = sp.ZeroMatrix(inputs, 1)
    assert stack(nothing).doit().is_ZeroMatrix
    assert not biased(nothing).doit().is_ZeroMatrix
    # Without a border the one operation is itself a convolution, with the convolved kernel;
    signal, p, q = (sp.symarray(name, size) for name, size in (("x", 4), ("p", 2), ("q", 3)))
    in_a_row, at_once = convolve(convolve(signal, p), q), convolve(signal, convolve(p, q))
    assert all(sp.expand(left - right) == 0 for left, right in zip(in_a_row, at_once, strict=True))
    # with zero padding it need not be: the border forgets what left it between the layers, so that
    # one cell's weight for itself is no longer the same in the middle as at the border.
    layer = toeplitz_matrix(np.ones(3), 3, mode="same")
    assert np.diag(layer @ layer).tolist() == [2, 3, 2]


def one_kernel(first: np.ndarray, second: np.ndarray, spread: int) -> np.ndarray:
    """Return the kernels of two layers in a row: convolutions, summed over the channels between.

    The second layer's taps come to lie `spread` input cells apart.
    """
    filters, between, *taps = second.shape
    holes = np.zeros((filters, between, *(spread * (k - 1) + 1 for k in taps)))
    holes[(slice(None), slice(None), *[slice(None, None, spread)] * len(taps))] = second
    kernels = [
        [sum(map(convolve, first[:, channel], taps)) for channel in range(first.shape[1])]
        for taps in holes
    ]
    return np.array(kernels)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=2),
    st.tuples(*[st.integers(1, 2)] * 3),
    st.integers(1, 3),
    st.integers(1, 2),
    seeds,
)
def test_two_layers_without_padding_between_are_one_with_the_convolved_kernels(
    taps: list[tuple[int, int]],
    widths: tuple[int, int, int],
    dilation: int,
    stride: int,
    seed: int,
) -> None:
    """The kernel has k1 + (k2 - 1) * dilation taps, times the first layer's stride in between."""
    k1, k2 = (tuple(k) for k in zip(*taps, strict=True))
    channels, between, filters = widths
    first = integer_layer(channels, between, k1, seed=seed, stride=stride)
    second = integer_layer(between, filters, k2, seed=seed + 1, dilation=dilation, stride=2)
    weight = one_kernel(weights(first), weights(second), stride * dilation)
    for axis, (size1, size2) in enumerate(taps):
        seen = receptive_field([Layer(size1, stride), Layer(size2, 2, dilation=dilation)])
        size = size1 + (size2 - 1) * dilation * stride
        assert weight.shape[2 + axis] == size == seen.size
    once = integer_layer(channels, filters, weight.shape[2:], seed=0, stride=2 * stride)
    once.weight.data = torch.from_numpy(weight)
    shape = tuple(size + 3 for size in weight.shape[2:])
    in_a_row = affine_map(nn.Sequential(first, second), (channels, *shape)).matrix
    assert np.array_equal(in_a_row, layer_matrix(once, shape))


def test_two_cross_correlations_are_one_by_the_convolved_kernels_not_the_correlated_ones() -> None:
    signal, first, second = np.array([0, 0, 1, 0, 0]), np.array([1, 0]), np.array([1, 2])
    in_a_row = correlate(correlate(signal, first, mode="valid"), second, mode="valid")
    assert in_a_row.tolist() == correlate(signal, convolve(first, second), mode="valid").tolist()
    assert in_a_row.tolist() != correlate(signal, correlate(first, second), mode="valid").tolist()
