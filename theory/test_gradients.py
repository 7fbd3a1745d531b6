"""Chapter 3, gradients: the three gradients of a convolution layer are one sum, collected thrice.

The loss changes by ``Σ_i Σ_k g[i] x[i + k] w[k]`` to first order, where g is its gradient for the
output. What multiplies ``w[k]`` is the filter gradient, a valid cross-correlation of input and g;
what multiplies ``x[n]`` is the input gradient, a full convolution of g and the kernel (for a layer
that convolves, a full cross-correlation). Each output holds the bias once: its gradient is Σ g.

What passing does not prove: stride 1, no dilation and no padding; real signals. With symbols the
sizes are small ones, and equality with torch is equality on integers at the shapes that are tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from theory.convolution import correlate_channels
from theory.gradients import (
    Operation,
    bias_gradient,
    filter_gradient,
    input_gradient,
)
from theory.signals import integer_signal
from theory.structured_matrices import toeplitz_matrix

seeds = st.integers(0, 2**16)
operations = get_args(Operation)
layers = st.tuples(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3)), min_size=1, max_size=3),
    st.integers(1, 3),
    st.integers(1, 3),
)


@dataclass(frozen=True)
class Layer:
    """Integer input, weight and output gradient of a layer, small enough for exact sums."""

    x: np.ndarray
    weight: np.ndarray
    g: np.ndarray

    @classmethod
    def draw(cls, sizes: tuple[list[tuple[int, int]], int, int], seed: int) -> Layer:
        """Draw a layer of some (outputs, taps) per axis, channels and filters."""
        axes, channels, filters = sizes
        outputs, taps = zip(*axes, strict=True)
        inputs = [m + k - 1 for m, k in axes]
        return cls(
            integer_signal((channels, *inputs), seed=seed),
            integer_signal((filters, channels, *taps), seed=seed + 1),
            integer_signal((filters, *outputs), seed=seed + 2),
        )

    def output(self, operation: Operation) -> np.ndarray:
        """Return what the layer computes, without bias."""
        taps = tuple(range(2, self.weight.ndim))
        flipped = np.flip(self.weight, taps) if operation == "convolution" else self.weight
        return correlate_channels(self.x, flipped)

    def gradients(self, operation: Operation) -> list[np.ndarray]:
        """Return the gradients for filters, input and biases."""
        return [
            filter_gradient(self.x, self.g, operation=operation),
            input_gradient(self.weight, self.g, operation=operation),
            bias_gradient(self.g),
        ]


def equal(left: np.ndarray, right: np.ndarray) -> bool:
    """Return whether two symbolic arrays agree as polynomials."""
    if left.shape != right.shape:
        return False
    return all(sp.expand(p - q) == 0 for p, q in zip(left.flat, right.flat, strict=True))


def symbols(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return an array of real symbols."""
    return sp.symarray(name, shape, real=True)


@pytest.mark.parametrize("operation", operations)
@pytest.mark.parametrize(("n", "k"), [((1,), (1,)), ((4,), (2,)), ((3,), (3,)), ((3, 2), (2, 1))])
def test_the_gradients_collect_one_sum(
    operation: Operation, n: tuple[int, ...], k: tuple[int, ...]
) -> None:
    """With symbols for everything: differentiate Σ g y, where y is the layer cell by cell."""
    channels, filters = 2, 2
    layer = Layer(
        symbols("x", (channels, *n)),
        symbols("w", (filters, channels, *k)),
        symbols("g", (filters, *(a - b + 1 for a, b in zip(n, k, strict=True)))),
    )
    biases = symbols("b", (filters,))
    terms = []
    for f, *cell in np.ndindex(layer.g.shape):
        y = biases[f]
        for c, *tap in np.ndindex(channels, *k):
            lag = tap if operation == "cross-correlation" else np.subtract(k, 1) - tap
            y += layer.weight[(f, c, *tap)] * layer.x[(c, *np.add(cell, lag))]
        terms.append(layer.g[(f, *cell)] * y)
    loss = sp.expand(sum(terms))
    differentiate = np.frompyfunc(lambda symbol: sp.diff(loss, symbol), 1, 1)
    for gradient, symbol in zip(
        layer.gradients(operation), (layer.weight, layer.x, biases), strict=True
    ):
        assert equal(gradient, differentiate(symbol))


@settings(max_examples=30)
@given(layers, seeds)
def test_the_gradients_are_those_of_torch(
    sizes: tuple[list[tuple[int, int]], int, int], seed: int
) -> None:
    layer = Layer.draw(sizes, seed)
    conv = (functional.conv1d, functional.conv2d, functional.conv3d)[len(sizes[0]) - 1]
    x, weight, g = map(torch.from_numpy, (layer.x, layer.weight, layer.g))
    bias = torch.zeros(len(weight), dtype=torch.float64)
    for tensor in (weight, x, bias):
        tensor.requires_grad_()
    by_torch = torch.autograd.grad(conv(x[None], weight, bias)[0], (weight, x, bias), g)
    for gradient, expected in zip(layer.gradients("cross-correlation"), by_torch, strict=True):
        assert np.array_equal(gradient, expected.numpy())


@settings(max_examples=30)
@given(st.sampled_from(operations), layers, seeds)
def test_the_gradients_pass_the_dot_test(
    operation: Operation, sizes: tuple[list[tuple[int, int]], int, int], seed: int
) -> None:
    """<g, J v> = <J' g, v> for the layer as a linear map of its filters, and of its input."""
    layer = Layer.draw(sizes, seed)
    for_filters, for_input, _ = layer.gradients(operation)
    pairing = (layer.g * layer.output(operation)).sum()
    assert pairing == (for_filters * layer.weight).sum() == (for_input * layer.x).sum()


def test_gradcheck_confirms_them_without_rounding() -> None:
    """The layer is linear in each argument: a step of 1 gives the exact difference quotient."""

    class OurLayer(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x, weight)
            return torch.from_numpy(correlate_channels(x.numpy(), weight.numpy()))

        @staticmethod
        def backward(ctx: Any, *gs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            x, weight = (saved.numpy() for saved in ctx.saved_tensors)
            g = gs[0].numpy()
            return torch.from_numpy(input_gradient(weight, g)), torch.from_numpy(
                filter_gradient(x, g)
            )

    layer = Layer.draw(([(2, 2), (3, 1)], 2, 2), seed=1)
    inputs = [torch.from_numpy(array).requires_grad_() for array in (layer.x, layer.weight)]
    assert torch.autograd.gradcheck(OurLayer.apply, inputs, eps=1.0, atol=0, rtol=0)


@pytest.mark.parametrize(("shape", "k"), [((3,), (2,)), ((4,), (4,)), ((3, 3), (2, 2))])
def test_the_input_gradient_multiplies_by_the_transposed_layer(
    shape: tuple[int, ...], k: tuple[int, ...]
) -> None:
    """The transpose of a valid convolution is full: it reaches every cell, also at the border."""
    kernel = symbols("w", k)
    layer = toeplitz_matrix(kernel, shape, mode="valid")
    g = symbols("g", tuple(n - taps + 1 for n, taps in zip(shape, k, strict=True)))
    gradient = input_gradient(kernel[None, None], g[None], operation="convolution")
    assert equal(gradient.ravel(), layer.T @ g.ravel())
