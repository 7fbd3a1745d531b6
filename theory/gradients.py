"""The gradients of a convolution layer: for its filters, its input and its biases.

The loss sees the layer through ``Σ_i g[i] y[i]``, where g is its gradient for the output y. With
``y[i] = Σ_k x[i + k] w[k]`` this is one sum over i and k; collecting what multiplies ``w[k]``,
``x[n]`` or the bias gives the three gradients. Signals are real, the stride is 1, and only outputs
for which the kernel lies inside the signal are kept (mode ``valid``).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from scipy import fft

from theory.convolution import convolve, correlate, toeplitz_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Shaped

Operation = Literal["cross-correlation", "convolution"]
Method = Literal["direct", "matrix", "fft"]


def filter_gradient(
    x: Shaped[np.ndarray, "channels ..."],
    g: Shaped[np.ndarray, "filters ..."],
    *,
    operation: Operation = "cross-correlation",
    method: Method = "direct",
) -> Shaped[np.ndarray, "filters channels ..."]:
    """Return the gradient for the filters: ``Σ_i g[i] x[i + k]`` for each filter and channel.

    Parameters
    ----------
    x : array of shape (channels, *n)
        The input of the layer. Any commutative ring works as dtype object, but for ``fft``.
    g : array of shape (filters, *m)
        The gradient of the loss for the output.
    operation : {"cross-correlation", "convolution"}, optional
        What the layer computes: ``Σ_k x[i + k] w[k]``, as deep-learning libraries do, or the
        convolution, for which the gradient is flipped along every axis.
    method : {"direct", "matrix", "fft"}, optional
        The sum itself; the product of the transposed `derivative_matrix` with g; or that product
        by the FFT, in the smallest circulant matrix that has the derivative matrix as a block: of
        n cells per axis, rounded up to a size that the FFT likes.

    Returns
    -------
    array of shape (filters, channels, *k)
        The gradient; the kernel has ``k = n - m + 1`` taps per axis.

    Raises
    ------
    ValueError
        If the shapes do not fit together, or operation or method are unknown.
    TypeError
        If an array is complex, or ``fft`` is given dtype object.

    References
    ----------
    Goodfellow, Bengio and Courville, *Deep Learning*, section 9.5, for the sum; Gray, *Toeplitz
    and Circulant Matrices: A Review*, chapter 3, for the FFT.

    Examples
    --------
    >>> filter_gradient(np.array([[1, 2, 4]]), np.array([[1, 10]]))
    array([[[21, 42]]])
    """
    _require_known("operation", operation, get_args(Operation))
    _require_known("method", method, get_args(Method))
    x, g = _real("input", x), _real("output gradient", g)
    if x.ndim != g.ndim or x.ndim < 2 or any(m > n for n, m in _axes(x, g)):
        raise ValueError(
            f"input of shape {x.shape}, output gradient of shape {g.shape}: expected (channels, "
            "*n) and (filters, *m) with m <= n along every axis"
        )
    by_method = {"direct": _by_sum, "matrix": _by_matrix, "fft": _by_fft}
    gradient = by_method[method](x, g)
    return gradient if operation == "cross-correlation" else _flip(gradient)


def input_gradient(
    weight: Shaped[np.ndarray, "filters channels ..."],
    g: Shaped[np.ndarray, "filters ..."],
    *,
    operation: Operation = "cross-correlation",
) -> Shaped[np.ndarray, "channels ..."]:
    """Return the gradient for the input, at every cell that some output reads.

    For a layer that cross-correlates it is the full convolution of g with the kernels, and for one
    that convolves the full cross-correlation, summed over the filters.

    Parameters
    ----------
    weight : array of shape (filters, channels, *k)
        The kernels.
    g : array of shape (filters, *m)
        The gradient of the loss for the output.
    operation : {"cross-correlation", "convolution"}, optional
        What the layer computes.

    Returns
    -------
    array of shape (channels, *n)
        The gradient, of ``n = m + k - 1`` cells per axis.

    Raises
    ------
    ValueError
        If the shapes do not fit together, or the operation is unknown.
    TypeError
        If an array is complex.
    """
    _require_known("operation", operation, get_args(Operation))
    weight, g = _real("weight", weight), _real("output gradient", g)
    if weight.ndim != g.ndim + 1 or g.ndim < 2 or len(weight) != len(g):
        raise ValueError(
            f"weight of shape {weight.shape}, output gradient of shape {g.shape}: expected "
            "(filters, channels, *k) and (filters, *m)"
        )
    spread = convolve if operation == "cross-correlation" else correlate
    channels = weight.shape[1]
    return np.stack(
        [
            sum(spread(part, kernels[c]) for part, kernels in zip(g, weight, strict=True))
            for c in range(channels)
        ]
    )


def bias_gradient(g: Shaped[np.ndarray, "filters ..."]) -> Shaped[np.ndarray, " filters"]:
    """Return the gradient for the biases: each enters all outputs of its filter with slope 1.

    Parameters
    ----------
    g : array of shape (filters, *m)
        The gradient of the loss for the output.

    Returns
    -------
    array of shape (filters,)
        The sum of g over each map.

    Raises
    ------
    ValueError
        If g has no axis besides the filters.
    """
    if g.ndim < 2:
        raise ValueError(f"output gradient of shape {g.shape}: expected (filters, *m)")
    return g.sum(axis=tuple(range(1, g.ndim)))


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
        The input, one channel.
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
        If the kernel does not fit into the signal, or the operation is unknown.
    """
    _require_known("operation", operation, get_args(Operation))
    sizes = tuple(int(size) for size in np.atleast_1d(taps))
    if len(sizes) != x.ndim or not all(0 < k <= n for n, k in zip(x.shape, sizes, strict=True)):
        raise ValueError(
            f"input of shape {x.shape}, kernel of {sizes} taps: expected, for each axis, at least "
            "one tap and no more than there are cells"
        )
    full = toeplitz_matrix(x, sizes)  # the kernel as signal, the signal as its kernel
    inside = tuple(slice(k - 1, n) for n, k in zip(x.shape, sizes, strict=True))
    ends = (n + k - 1 for n, k in zip(x.shape, sizes, strict=True))
    matrix = full.reshape(*ends, -1)[inside].reshape(-1, math.prod(sizes))
    return matrix if operation == "convolution" else matrix[:, ::-1]


def _by_sum(x: np.ndarray, g: np.ndarray) -> np.ndarray:
    return np.stack([[correlate(c, part, mode="valid") for c in x] for part in g])


def _by_matrix(x: np.ndarray, g: np.ndarray) -> np.ndarray:
    taps, maps = _taps(x, g), g.reshape(len(g), -1)
    by_channel = [maps @ derivative_matrix(c, taps) for c in x]
    return np.stack(by_channel, axis=1).reshape(len(g), len(x), *taps)


def _by_fft(x: np.ndarray, g: np.ndarray) -> np.ndarray:
    if "O" in (x.dtype.kind, g.dtype.kind):
        raise TypeError("the FFT is not exact: use method='direct' for arrays of dtype object")
    axes = tuple(range(1, x.ndim))
    cells = tuple(fft.next_fast_len(n, real=True) for n in x.shape[1:])
    spectra = fft.rfftn(x, cells, axes), fft.rfftn(g, cells, axes)
    products = np.conj(spectra[1])[:, None] * spectra[0][None]
    wrapped = fft.irfftn(products, cells, tuple(axis + 1 for axis in axes))
    # i + k < n for every lag k that is kept: nothing has wrapped round into these cells.
    return wrapped[(..., *(slice(k) for k in _taps(x, g)))]


def _taps(x: np.ndarray, g: np.ndarray) -> tuple[int, ...]:
    return tuple(n - m + 1 for n, m in _axes(x, g))


def _axes(x: np.ndarray, g: np.ndarray) -> list[tuple[int, int]]:
    return list(zip(x.shape[1:], g.shape[1:], strict=True))


def _flip(gradient: np.ndarray) -> np.ndarray:
    return np.flip(gradient, tuple(range(2, gradient.ndim)))


def _real(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "biufO":
        raise TypeError(f"the {name} holds {array.dtype} entries: expected real numbers")
    if array.size == 0:
        raise ValueError(f"the {name} has shape {array.shape}: expected at least one cell")
    return array.astype(np.int64) if array.dtype.kind in "biu" else array


def _require_known(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"unknown {name} {value!r}; known: {', '.join(known)}")
