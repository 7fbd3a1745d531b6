"""The filter gradient by the FFT: on one circle or window by window, for arrays and for tensors.

`theory.gradients.filter_gradient` offers both as methods, checks their input and flips their
output. A window of F cells holds whole patches of k taps for F - k + 1 outputs, and what it adds to
the gradient is one product of transforms. Transforms are linear: the products of all windows are
added up, and a single inverse transform brings their sum back.
"""

from __future__ import annotations

import math
from string import ascii_lowercase
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Complex, Float
from numpy.lib.stride_tricks import sliding_window_view
from scipy import fft
from torch.nn import functional

from theory.methods.direct_convolution import valid_shape
from theory.methods.fast_convolution import (
    CACHED_CELLS,
    block_cells,
    product_roundings,
    require_finite,
    whole_cells,
)

Array = TypeVar("Array", np.ndarray, torch.Tensor)
Shape = tuple[int, ...]

_CELLS_ON_A_GPU = 2**24
"""Cells to transform at once where there are many cores to feed rather than a cache to stay in."""


def by_fft(
    x: Float[Array, "batch channels *n"], g: Float[Array, "batch filters *m"]
) -> Float[Array, "filters channels *k"]:
    """Return the filter gradient as one product of transforms, on a circle of at least n cells.

    Parameters
    ----------
    x : array or tensor of shape (batch, channels, *n)
        The input of the layer; integers are transformed in float64.
    g : array or tensor of shape (batch, filters, *m)
        The gradient of the loss for its output, of the same library and device.

    Returns
    -------
    array or tensor of shape (filters, channels, *k)
        The sum over the batch, with ``k = n - m + 1`` taps per axis.

    Raises
    ------
    NotFiniteError
        If a sample is infinite or NaN.
    """
    cells = whole_cells(x.shape[2:])
    # i + k < n for every lag k that is kept: nothing has wrapped round into these cells.
    return _inverse(_product(x, g, cells), cells, valid_shape(x.shape[2:], g.shape[2:]))


def by_blocked_fft(
    x: Float[Array, "batch channels *n"], g: Float[Array, "batch filters *m"]
) -> Float[Array, "filters channels *k"]:
    """Return the filter gradient as the sum of those of windows, added up as transforms.

    Parameters, returns and raises as `by_fft`.
    """
    taps, outputs = valid_shape(x.shape[2:], g.shape[2:]), g.shape[2:]
    cells = block_cells(taps, x.shape[2:])
    steps = tuple(f - k + 1 for f, k in zip(cells, taps, strict=True))
    row = math.prod(map(_up, outputs[1:], steps[1:])) * math.prod(cells) * x.shape[0] * x.shape[1]
    at_once = steps[0] * max(1, _cells_at_once(x) // row)
    total: Any = 0
    for start in range(0, outputs[0], at_once):
        part = g[:, :, start : start + at_once]
        seen = x[:, :, start : start + at_once + taps[0] - 1]
        counts = tuple(map(_up, part.shape[2:], steps))
        of_x, of_g = (
            _windows(each, size, steps, counts) for each, size in ((seen, cells), (part, steps))
        )
        total = total + _product(of_x, of_g, cells)
    return _inverse(total, cells, taps)


def fft_gradient_roundings(x: Shape) -> float:
    """Return the roundings in one tap of `by_fft`, weighed as `fft_roundings` does.

    Parameters
    ----------
    x : tuple of int
        The shape ``(batch, channels, *n)`` of the signal: the circle is as long, whatever the taps.

    Returns
    -------
    float
        The number r for which the error is at most ``(exp(r u) - 1) ‖x‖₂ ‖g‖₂``, with the norms of
        a channel and a filter over the batch, and the unit roundoff u. It is `product_roundings`
        of as many products as there are examples, whose norms multiply to no more than this by the
        Cauchy-Schwarz inequality.
    """
    return product_roundings(whole_cells(x[2:]), x[0])


def blocked_roundings(x: Shape, g: Shape) -> tuple[float, float]:
    """Return the same for `by_blocked_fft`, relative to ``√c ‖x‖₂ ‖g‖₂``, and c.

    The windows are added up like the examples of a batch. Their outputs are apart, but a cell of
    the input lies in up to c of them, so that the norms of all windows make up ``sqrt(c) ‖x‖₂``.

    Parameters
    ----------
    x, g : tuple of int
        The shapes ``(batch, channels, *n)`` and ``(batch, filters, *m)`` of the factors.
    """
    taps = valid_shape(x[2:], g[2:])
    cells = block_cells(taps, x[2:])
    steps = [f - k + 1 for f, k in zip(cells, taps, strict=True)]
    counts = list(map(_up, g[2:], steps))
    meet = math.prod(
        min(count, _up(f, s)) for count, f, s in zip(counts, cells, steps, strict=True)
    )
    return product_roundings(cells, x[0] * math.prod(counts)), meet


def summed_products(
    of_x: Complex[Array, "batch channels ..."],
    of_g: Complex[Array, "batch filters ..."],
    axes: int,
) -> Complex[Array, "filters channels ..."]:
    """Return the products of transforms for each filter and channel, added up over all others.

    Parameters
    ----------
    of_x, of_g : array or tensor of shape (batch, channels or filters, *windows, *frequencies)
        The transforms; those of g are conjugated.
    axes : int
        How many axes are frequencies.

    Returns
    -------
    array or tensor of shape (filters, channels, *frequencies)
        The sums over batch and windows.
    """
    library: Any = torch if isinstance(of_x, torch.Tensor) else np
    if library is np and of_x.shape[1] * of_g.shape[1] > 1:  # for NumPy these are two things
        return _by_frequency(of_x, of_g, axes)
    letters = ascii_lowercase[3 : of_x.ndim + 1]
    sums: Array = library.einsum(f"ab{letters},ac{letters}->bc{letters[-axes:]}", of_g.conj(), of_x)
    return sums


def to_numpy(factor: np.ndarray | torch.Tensor) -> np.ndarray:
    """Return a tensor, wherever it is and whatever records it, as an array; an array as it is."""
    return factor.numpy(force=True) if isinstance(factor, torch.Tensor) else factor


def _product(x: Array, g: Array, cells: Shape) -> Array:
    """Multiply the transforms, over the last axes, of each channel and filter; add up the rest."""
    library: Any = torch if isinstance(x, torch.Tensor) else np
    transforms: Any = torch.fft if isinstance(x, torch.Tensor) else fft
    last = tuple(range(-len(cells), 0))
    of_g, of_x = (transforms.rfftn(factor, cells, last) for factor in (g, x))
    # frequency zero is real, the sum of all samples, and not finite if one of them is not
    zeros = (spectrum.real[(..., *[0] * len(cells))] for spectrum in (of_g, of_x))
    if not all(library.isfinite(each).all() for each in zeros):
        require_finite(*map(to_numpy, (x, g)))
    return summed_products(of_x, of_g, len(cells))


def _by_frequency(of_x: Any, of_g: Any, axes: int) -> Any:
    """Multiply arrays as matrices, one product for each frequency."""
    whole = of_x.ndim
    order = (*range(whole - axes, whole), 1, 0, *range(2, whole - axes))
    x, g = (each.transpose(order) for each in (of_x, of_g))
    x, g = (each.reshape(*each.shape[: axes + 1], -1) for each in (x, g))
    return np.moveaxis(g.conj() @ x.swapaxes(-1, -2), (-2, -1), (0, 1))


def _inverse(spectrum: Array, cells: Shape, taps: Shape) -> Array:
    transforms: Any = torch.fft if isinstance(spectrum, torch.Tensor) else fft
    last = tuple(range(-len(cells), 0))
    return transforms.irfftn(spectrum, cells, last)[(..., *map(slice, taps))]


def _windows(factor: Any, size: Shape, steps: Shape, counts: Shape) -> Any:
    """View as (batch, channels, *counts, *size), with zeros after the end."""
    whole = [(c - 1) * step + s for c, step, s in zip(counts, steps, size, strict=True)]
    missing = [w - n for w, n in zip(whole, factor.shape[2:], strict=True)]
    if isinstance(factor, torch.Tensor):
        if any(missing):  # torch counts axes from the last one
            factor = functional.pad(factor, [end for m in missing[::-1] for end in (0, m)])
        for axis, (s, step) in enumerate(zip(size, steps, strict=True), start=2):
            factor = factor.unfold(axis, s, step)
        return factor
    if any(missing):
        padded: Any = np.zeros((*factor.shape[:2], *whole), factor.dtype)
        padded[(..., *map(slice, factor.shape[2:]))] = factor
        factor = padded
    windows = sliding_window_view(factor, size, tuple(range(2, factor.ndim)))
    return windows[(slice(None), slice(None), *(slice(None, None, step) for step in steps))]


def _cells_at_once(x: np.ndarray | torch.Tensor) -> int:
    if isinstance(x, torch.Tensor) and x.device.type != "cpu":
        return _CELLS_ON_A_GPU
    # Fewer pay for more calls; from twice as many on, each call waits for fresh pages of memory.
    return 4 * CACHED_CELLS


def _up(n: int, step: int) -> int:
    return -(-n // step)
