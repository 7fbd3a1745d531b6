"""The matrices of a convolution: of the kernel, for a signal, and of a signal, for the taps.

Each is constant along diagonals: a Toeplitz matrix on the line, a circulant one on the circle. In
two dimensions it is doubly blocked, blocks of such matrices in such an arrangement.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Shaped

from theory.arguments import require_known
from theory.arrays import as_array, require_numbers, widened
from theory.methods.convolution_plan import Operation, window, wrap
from theory.methods.direct_convolution import require_within_int64, valid_shape
from theory.signals import per_axis


def toeplitz_matrix(
    h: Shaped[np.ndarray, "*k"],
    shape: int | Sequence[int],
    *,
    mode: Literal["full", "same", "valid"] = "full",
) -> Shaped[np.ndarray, "outputs inputs"]:
    """Return the matrix T with ``T @ x.ravel() == convolve(x, h, mode=mode).ravel()``.

    Its entries are ``T[i, j] = h[i - j]``, from row 0 on in mode ``full``: constant along each
    diagonal. In two dimensions it is doubly blocked: a Toeplitz arrangement of Toeplitz blocks.

    Parameters
    ----------
    h : array
        The kernel. Booleans and integers become int64, halves float32.
    shape : int or sequence of int
        Cells per axis of the signals that T applies to, in row-major order.
    mode : {"full", "same", "valid"}, optional
        Which outputs, as for `convolve`.

    Returns
    -------
    array of shape (outputs, inputs)
        The matrix.

    Raises
    ------
    ValueError
        If shape and kernel do not fit together, the mode is unknown, or integers leave int64.
    TypeError
        If the kernel does not hold numbers or is masked, a tensor is known to autograd, or a number
        of cells is no integer.
    """
    h = _numbers("kernel", h)
    shape = _shape_for(h, shape)
    require_known("mode", mode, ("full", "same", "valid"))
    lags = []
    for n, k in zip(shape, h.shape, strict=True):
        start, size = window(n, k, mode)
        if size < 1:
            raise ValueError(f"mode 'valid': kernel {h.shape} does not fit into signals of {shape}")
        lag = start + np.arange(size)[:, None] - np.arange(n)
        lags.append(np.where((lag >= 0) & (lag < k), lag, k))  # cell k is the zero outside
    # Not np.pad: its zeros are NumPy's also among objects, and sums that begin with one wrap.
    padded = np.zeros(np.add(h.shape, 1), h.dtype)
    padded[tuple(map(slice, h.shape))] = h
    return _by_lags(padded, lags)


def circulant_matrix(
    h: Shaped[np.ndarray, "*k"], shape: int | Sequence[int]
) -> Shaped[np.ndarray, "cells cells"]:
    """Return the matrix C with ``C @ x.ravel() == convolve(x, h, mode="circular").ravel()``.

    Its entries are ``C[i, j] = h[(i - j) mod n]``: each column is the one before it, moved down by
    one cell. In two dimensions it is doubly blocked: a circulant arrangement of circulant blocks.

    Parameters
    ----------
    h : array
        The kernel; where it is longer than the signal it wraps around and adds up. Booleans and
        integers become int64, halves float32.
    shape : int or sequence of int
        Cells per axis of the signals that C applies to, in row-major order.

    Returns
    -------
    array of shape (cells, cells)
        The matrix.

    Raises
    ------
    ValueError
        If shape and kernel do not fit together, or integers may leave int64.
    TypeError
        As `toeplitz_matrix`.

    References
    ----------
    R. M. Gray, *Toeplitz and Circulant Matrices: A Review*, chapter 3.
    """
    h = _numbers("kernel", h)
    shape = _shape_for(h, shape)
    require_within_int64(np.ones(1, np.int64), h)
    lags = [(np.arange(n)[:, None] - np.arange(n)) % n for n in shape]
    return _by_lags(wrap(h, shape), lags)


def derivative_matrix(
    x: Shaped[np.ndarray, "*n"],
    taps: int | Sequence[int],
    *,
    operation: Operation = "cross-correlation",
) -> Shaped[np.ndarray, "outputs taps"]:
    """Return the derivatives of all outputs for all taps of one kernel, the matrix D with y = D w.

    Its entries are ``x[i + k]``, constant along each antidiagonal (a Hankel matrix), where the
    layer cross-correlates. Where it convolves, the columns come in the opposite order, and the
    entries are constant along each diagonal (a Toeplitz matrix). In two dimensions it is doubly
    blocked in the same way.

    Parameters
    ----------
    x : array
        The input, one channel. Booleans and integers become int64, halves float32.
    taps : int or sequence of int
        Taps per axis of the kernel, in row-major order.
    operation : {"cross-correlation", "convolution"}, optional
        What the layer computes.

    Returns
    -------
    array of shape (outputs, taps)
        The matrix.

    Raises
    ------
    ValueError
        If the kernel does not fit into the signal, the operation is unknown, or integers leave
        int64.
    TypeError
        If the input does not hold numbers or is masked, a tensor is known to autograd, or a number
        of taps is no integer.
    """
    require_known("operation", operation, get_args(Operation))
    x, sizes = _numbers("input", x), per_axis(taps)
    if len(sizes) != x.ndim or not all(0 < k <= n for n, k in zip(x.shape, sizes, strict=True)):
        raise ValueError(
            f"input of shape {x.shape}, kernel of {sizes} taps: expected, for each axis, at least "
            "one tap and no more than there are cells"
        )
    full = toeplitz_matrix(x, sizes)  # the kernel as signal, the signal as its kernel
    inside = tuple(slice(k - 1, n) for n, k in zip(x.shape, sizes, strict=True))
    ends = (n + k - 1 for n, k in zip(x.shape, sizes, strict=True))
    matrix = full.reshape(*ends, -1)[inside].reshape(-1, math.prod(sizes))
    if operation == "convolution":
        return matrix
    return matrix[:, ::-1].copy()  # of negative strides torch would make no tensor


def gradient_by_matrix(
    x: Shaped[np.ndarray, "batch channels *n"], g: Shaped[np.ndarray, "batch filters *m"]
) -> Shaped[np.ndarray, "filters channels *k"]:
    """Return a filter gradient as products of the transposed derivative matrices with its slopes.

    `theory.gradients.filter_gradient` offers it as the method ``matrix``, and checks its input.

    Parameters
    ----------
    x : array of shape (batch, channels, *n)
        The input of a layer that cross-correlates; integers in int64.
    g : array of shape (batch, filters, *m)
        The gradient of the loss for its output.

    Returns
    -------
    array of shape (filters, channels, *k)
        The sum over the batch, with ``k = n - m + 1`` taps per axis.
    """
    taps, maps = valid_shape(x.shape[2:], g.shape[2:]), g.reshape(*g.shape[:2], -1)
    by_channel = [
        sum(m @ derivative_matrix(n, taps) for m, n in zip(maps, x[:, c], strict=True))
        for c in range(x.shape[1])
    ]
    return np.stack(by_channel, axis=1).reshape(g.shape[1], x.shape[1], *taps)


def _numbers(name: str, values: Any) -> Shaped[np.ndarray, "..."]:
    """Return what is given as an array in its `computed_type`; refuse by name what holds none."""
    array = as_array(f"the {name}", values)
    require_numbers(name, array.dtype)
    return widened(name, array)


def _by_lags(
    values: Shaped[np.ndarray, "*k"], lags: Sequence[Shaped[np.ndarray, "_rows _columns"]]
) -> Shaped[np.ndarray, "outputs inputs"]:
    """Matrix of the values at one table of lags per axis, cells of all axes in row-major order."""
    axes = len(lags)
    tables = []
    for axis, lag in enumerate(lags):
        shape = [1] * (2 * axes)
        shape[axis], shape[axes + axis] = lag.shape
        tables.append(lag.reshape(shape))
    return values[tuple(tables)].reshape(math.prod(len(lag) for lag in lags), -1)


def _shape_for(h: np.ndarray, shape: int | Sequence[int]) -> tuple[int, ...]:
    sizes = per_axis(shape)
    if len(sizes) != h.ndim or h.size == 0 or min(sizes, default=0) < 1:
        raise ValueError(
            f"kernel of shape {h.shape}, signals of shape {sizes}: expected as many axes, and at "
            "least one cell along each"
        )
    return sizes
