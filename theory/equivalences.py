"""Layers that are other layers: dense as convolution and back, pooling as convolution, and sums.

Whatever is affine is one matrix and one offset; the functions here compute them, say how large
their rank can be, and write down the weights of a layer that does the work of another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from jaxtyping import Float, Float64, Int, Shaped

from theory.arrays import as_array, require_numbers, widened
from theory.counts import as_count
from theory.diagnosis.isolation import isolated, private_copy
from theory.diagnosis.rounding import Rounding
from theory.geometry import Layer, output_size
from theory.parameters import conv_parameters
from theory.signals import cells_per_axis, integer_signal


@dataclass(frozen=True, eq=False)
class AffineMap:
    """The map ``x -> matrix @ x + offset`` of flattened signals.

    Attributes
    ----------
    matrix : array of shape (outputs, inputs)
        The linear part.
    offset : array of shape (outputs,)
        The answer to the zero signal.
    """

    matrix: Float64[np.ndarray, "outputs inputs"]
    offset: Float64[np.ndarray, " outputs"]

    def __call__(self, x: Shaped[np.ndarray, "..."]) -> Float64[np.ndarray, " outputs"]:
        """Return the flattened output for one signal of any shape.

        Raises
        ------
        TypeError
            If the signal is no array.
        ValueError
            If it has another number of values than the matrix has columns.
        """
        x = as_array("x", x).ravel()
        if len(x) != self.matrix.shape[1]:
            raise ValueError(f"x has {len(x)} values, expected {self.matrix.shape[1]}")
        return self.matrix @ x + self.offset


def affine_map(op: Callable[[torch.Tensor], torch.Tensor], shape: Sequence[int]) -> AffineMap:
    """Read off the one affine map that a network without nonlinearities is.

    An affine map is known from its answers to the zero signal and to the impulses. Its answers to a
    few further signals are compared, so that a nonlinearity does not pass; whether `op` is affine
    everywhere, and to the last bit, they do not say: ask `theory.diagnose`.

    Parameters
    ----------
    op : callable
        A network in the mode that it is in, as for `theory.diagnose`: in training mode dropout and
        batch normalisation are not affine, in evaluation mode they are. A copy of a module, in
        double precision, is called twice with a batch; the module stays as it was. A plain function
        is called as it is, with tensors in double precision. What it raises itself passes.
    shape : sequence of int
        Shape of one input, without batch.

    Returns
    -------
    AffineMap
        Matrix and offset, exact where the network's arithmetic is (integer weights, say).

    Raises
    ------
    TypeError
        If the shape is not of integers, or the answers are no tensor of floats.
    ValueError
        If the shape has no cell, the module cannot be copied, or has no values yet; or the answers
        are not one for each input, not finite, or those of no affine map.
    """
    shape = cells_per_axis(shape)
    size = math.prod(shape)
    signals = np.concatenate([np.zeros((1, size)), np.eye(size)])
    # From zero again, of either sign, and not in one batch: it may be normalised by its own values.
    drawn = integer_signal((_FURTHER, size), seed=0)
    further = np.concatenate([np.zeros((1, size)), drawn, -drawn])
    with isolated(seed=0):
        private = private_copy(op, type(op).__name__, torch.float64)
        answers, others = (_answers(private, each, shape) for each in (signals, further))
    if not np.isfinite(answers).all():
        raise ValueError("the network's answers are not all finite: they tell no affine map")
    found = AffineMap((answers[1:] - answers[0]).T, answers[0])
    expected = further @ found.matrix.T + found.offset
    # In double precision much deeper networks than the bound knows of round less than it allows.
    type_ = np.finfo(np.result_type(answers.real, np.float16))
    coarsest = max(float(type_.eps), float(np.finfo(np.float32).eps)) / 2
    gain, offset = (np.abs(each).max(initial=0.0) for each in (found.matrix, found.offset))
    rounding = Rounding(size, coarsest, float(gain), float(offset), float(type_.smallest_subnormal))
    for x, left, right in zip(further, others, expected, strict=True):
        norm = 2 * float(np.abs(x).sum())
        if not rounding.excess(left, right, norm, responses=2 + norm) <= 1:
            raise ValueError(
                "the network is not affine: its answers to zero and to the impulses do not give "
                "the one to a further signal; take out what is not linear, and where it is dropout "
                "or batch normalisation in training mode, call eval() first"
            )
    return found


_FURTHER = 8
"""Signals of either sign, beside those that an affine map is known from, that it has to answer."""


def _answers(
    op: Callable[[torch.Tensor], torch.Tensor],
    signals: Float64[np.ndarray, "signals cells"],
    shape: tuple[int, ...],
) -> Shaped[np.ndarray, "signals values"]:
    """Return the flattened answers to some flattened signals, from one call."""
    answered = op(torch.tensor(signals).reshape(-1, *shape))
    if not isinstance(answered, torch.Tensor):
        raise TypeError(f"the network answers with a {type(answered).__name__}, expected a tensor")
    answers = as_array("the network's answer", answered)
    if answers.dtype.kind not in "fc":
        raise TypeError(f"the network answers in {answers.dtype}, expected double precision")
    if answers.shape[:1] != (len(signals),):
        raise ValueError(
            f"the network answers {len(signals)} inputs in shape {answers.shape}: expected as many "
            "outputs along the first axis"
        )
    return answers.reshape(len(signals), -1)


def dense_from_convolution(
    weight: Shaped[np.ndarray, "filters channels *k"],
    shape: Sequence[int],
    *,
    stride: int = 1,
    padding: int = 0,
) -> Shaped[np.ndarray, "outputs inputs"]:
    """Write a convolution layer (a cross-correlation) as the matrix of a fully connected layer.

    Of a layer of torch, `theory.layer_matrix.layer_matrix` writes it, and knows dilation, groups,
    the padding modes and an own stride and padding for each axis. This one takes bare kernels, of
    any type of numbers.

    Parameters
    ----------
    weight : array of shape (filters, channels, *k)
        The layer's kernels. Booleans and integers become int64, halves float32.
    shape : sequence of int
        Shape of the input without its channels, ``*n``.
    stride, padding : int, optional
        Of the layer, the same on every axis.

    Returns
    -------
    array of shape (filters * prod(m), channels * prod(n))
        The matrix between row-major flattened maps, ``m = (n + 2 padding - k) // stride + 1``.

    Raises
    ------
    TypeError
        If the weight does not hold numbers or is masked, a tensor is known to autograd, or a size
        is no integer.
    ValueError
        If the weight is empty or has other axes than the shape, the kernel does not fit into the
        padded input, or integers leave int64.
    """
    weight, shape = as_array("weight", weight), cells_per_axis(shape)
    require_numbers("weight", weight.dtype)
    weight = widened("weight", weight)
    if weight.ndim != 2 + len(shape) or weight.size == 0:
        raise ValueError(
            f"weight of shape {weight.shape} on an input of shape {shape}: expected filters, "
            "channels and a kernel with as many axes, none of them empty"
        )
    filters, channels, *kernel = weight.shape
    layers = [Layer(k, stride, padding) for k in kernel]
    m = [output_size(n, layer) for n, layer in zip(shape, layers, strict=True)]
    stride, padding = layers[0].stride, layers[0].padding
    matrix = np.zeros((filters, *m, channels, *shape), weight.dtype)
    for out in np.ndindex(*m):
        for tap in np.ndindex(*kernel):
            seen = tuple(o * stride - padding + t for o, t in zip(out, tap, strict=True))
            if all(0 <= cell < n for cell, n in zip(seen, shape, strict=True)):
                matrix[(slice(None), *out, slice(None), *seen)] = weight[(..., *tap)]
    return matrix.reshape(filters * math.prod(m), -1)


def convolution_from_dense(
    matrix: Shaped[np.ndarray, "outputs inputs"], shape: Sequence[int]
) -> Shaped[np.ndarray, "outputs channels *n"]:
    """Write a fully connected layer on a flattened map as kernels that cover the whole map.

    Parameters
    ----------
    matrix : array of shape (outputs, channels * prod(n))
        The layer's weights, for maps that are flattened in row-major order.
    shape : sequence of int
        Shape of the map with its channels, ``(channels, *n)``.

    Returns
    -------
    array of shape (outputs, channels, *n)
        One kernel for each output, for a cross-correlation without padding: a copy of the weights.

    Raises
    ------
    TypeError
        If the matrix is no array, or the shape not of integers.
    ValueError
        If the matrix does not have a column for each cell of the map.
    """
    matrix, shape = as_array("matrix", matrix), cells_per_axis(shape)
    if matrix.ndim != 2 or matrix.shape[1] != math.prod(shape):
        raise ValueError(
            f"matrix of shape {matrix.shape} on maps of shape {shape}: expected two axes, and "
            f"{math.prod(shape)} columns"
        )
    return matrix.reshape(len(matrix), *shape).copy()


def averaging_weight(channels: int, size: int, axes: int = 2) -> Float[np.ndarray, "c 1 *k"]:
    """Return the kernels with which a convolution of `channels` groups is average pooling.

    The stride and padding of the pool are those of the convolution; padded zeros count.

    Raises
    ------
    TypeError, ValueError
        If a count is not an integer, or below 1.
    """
    channels, size, axes = (
        as_count(name, value)
        for name, value in (("channels", channels), ("size", size), ("axes", axes))
    )
    return np.full((channels, 1, *(size,) * axes), 1 / size**axes)


def rank_bound(filters: int, channels: int, kernel: int, side: int) -> int:
    """Bound the rank of a convolution layer without padding on square images, for all its weights.

    Of one filter more than there are channels, the kernels satisfy a relation: as polynomials, the
    cofactors of their matrix annihilate its columns, and so do all multiples of the cofactors. Each
    multiple that fits into the output is one dependent row. Kernels whose cofactors all vanish are
    limits of others, and a limit has no larger rank.

    Parameters
    ----------
    filters, channels : int
        Maps out and in.
    kernel, side : int
        Sides of kernels and images.

    Returns
    -------
    int
        The smallest of the number of inputs and the number of outputs, less dependent ones.

    Raises
    ------
    TypeError
        If a count is not an integer.
    ValueError
        If a count is below 1, or the kernel does not fit the image.
    """
    filters, channels = as_count("filters", filters), as_count("channels", channels)
    kernel, side = as_count("kernel", kernel), as_count("side", side)
    out = side - kernel + 1
    if out < 1:
        raise ValueError(
            f"a kernel of side {kernel} does not fit an image of side {side}: take a smaller one"
        )
    relations = max(out - channels * (kernel - 1), 0) ** 2 if filters == channels + 1 else 0
    return min(channels * side**2, filters * out**2 - relations)


def class_dimension_bound(filters: int) -> int:
    """Bound the dimension of what a linear network on CIFAR-10 computes, by its first layer.

    That layer is a convolution with kernels of side 5, without padding. Whatever follows it, each
    class weighs the image by a vector in its row space: the weights of the convolution choose the
    space, then each class a vector in it.

    Parameters
    ----------
    filters : int
        Of the convolution.

    Returns
    -------
    int
        An upper bound; less than 30720, the dimension of all linear maps from images to classes, if
        the network cannot compute every one.

    Raises
    ------
    TypeError, ValueError
        If the number of filters is not an integer, or below 1.
    """
    classes, channels, side, kernel = 10, 3, 32, 5
    free = classes * rank_bound(filters, channels, kernel, side)
    chosen = conv_parameters(channels, filters, kernel, bias=False)
    return min(classes * channels * side**2, free + chosen)


def sum_head(base: int = 10) -> tuple[Int[np.ndarray, "sums digits"], Int[np.ndarray, " sums"]]:
    """Return weights and biases of a linear layer that adds two digits, given as one-hot vectors.

    The score of the sum k is ``2k (a + b) - k²``, which is ``(a + b)² - (k - a - b)²``: largest,
    by at least 1, for the true sum.

    Parameters
    ----------
    base : int, optional
        Number of different digits.

    Returns
    -------
    weight : array of shape (2 base - 1, 2 base)
        For the two one-hot vectors, one behind the other.
    bias : array of shape (2 base - 1,)
        One for each sum.

    Raises
    ------
    TypeError, ValueError
        If the number of digits is not an integer, or below 1.
    """
    base = as_count("base", base)
    sums = np.arange(2 * base - 1)
    digits = np.tile(np.arange(base), 2)
    return 2 * np.outer(sums, digits), -(sums**2)


def pairs_of_digits(
    codes: Shaped[np.ndarray, "base features"],
) -> tuple[Shaped[np.ndarray, "pairs twice"], Int[np.ndarray, " pairs"]]:
    """List all pairs of digits, as two codes one behind the other, with the sums of the digits.

    Raises
    ------
    TypeError
        If the codes are no array.
    ValueError
        If they are not one row for each digit.
    """
    codes = as_array("codes", codes)
    if codes.ndim != 2 or len(codes) == 0:
        raise ValueError(f"codes has shape {codes.shape}, expected one row for each digit")
    pairs = list(product(range(len(codes)), repeat=2))
    return np.stack([np.concatenate([codes[a], codes[b]]) for a, b in pairs]), np.sum(pairs, 1)
