"""Layers that are other layers: dense as convolution and back, and average pooling as convolution.

Each function writes down the weights of a layer that does the work of another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Shaped

from theory.arrays import as_array, require_numbers, widened
from theory.counts import as_count
from theory.geometry import Layer, output_size
from theory.signals import cells_per_axis


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
