"""Convolution by the FFT: over the whole signal or block by block, and how much each one rounds.

`theory.convolution.convolve` offers both as methods, checks their input and cuts their output.
"""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Inexact, Num


def full_shape(x: Num[np.ndarray, "*n"], h: Num[np.ndarray, "*k"]) -> tuple[int, ...]:
    """Return the n + k - 1 cells per axis of the full convolution."""
    return tuple(n + k - 1 for n, k in zip(x.shape, h.shape, strict=True))


def by_fft(x: Num[np.ndarray, "*n"], h: Num[np.ndarray, "*k"]) -> Inexact[np.ndarray, "*m"]:
    """Return the full convolution as one product of transforms.

    Parameters
    ----------
    x, h : arrays with the same number of axes
        The factors; integers are transformed in float64.

    Returns
    -------
    array of n + k - 1 cells per axis
        The convolution.

    Raises
    ------
    ValueError
        If a sample is infinite or NaN.
    """
    forward, inverse = _transforms(x, h)
    cells = _whole_cells(x, h)
    y = inverse(forward(x, cells) * forward(h, cells), cells)
    return y[tuple(map(slice, full_shape(x, h)))]


def by_overlap_add(x: Num[np.ndarray, "*n"], h: Num[np.ndarray, "*k"]) -> Inexact[np.ndarray, "*m"]:
    """Return the full convolution as the sum of those of the blocks of the larger factor.

    Parameters, returns and raises as `by_fft`.
    """
    if h.size > x.size:
        x, h = h, x
    forward, inverse = _transforms(x, h)
    cells = _block_cells(x, h)
    spectrum = forward(h, cells)
    steps = [f - k + 1 for f, k in zip(cells, h.shape, strict=True)]
    y = np.zeros(full_shape(x, h), np.result_type(x, h, np.float32))
    for corner in product(*(range(0, n, s) for n, s in zip(x.shape, steps, strict=True))):
        block = x[tuple(slice(c, c + s) for c, s in zip(corner, steps, strict=True))]
        target = y[tuple(slice(c, c + f) for c, f in zip(corner, cells, strict=True))]
        part = inverse(forward(block, cells) * spectrum, cells)
        target += part[tuple(map(slice, target.shape))]  # what hangs over the end is zero
    return y


def fft_roundings(x: Num[np.ndarray, "*n"], h: Num[np.ndarray, "*k"]) -> float:
    """Return the roundings in one output of `by_fft`, weighed by size relative to ``‖x‖₂ ‖h‖₂``.

    An addition weighs 1 and a complex product √5. In the forward transforms each stage is a
    multiple of an isometry, so that relative errors in the 2-norm add up over the stages; in the
    inverse one, of F cells, they add up along each path from input to output, and
    ``Σ |X| |H| / F <= ‖x‖ ‖h‖``. To three transforms come the product of the spectra and, for the
    factor 1 / F, two roundings.

    Parameters
    ----------
    x, h : arrays with the same number of axes
        The factors; only their shapes matter.

    Returns
    -------
    float
        The number m for which the error is at most ``(exp(m u) - 1) ‖x‖₂ ‖h‖₂``, u being the unit
        roundoff.

    References
    ----------
    C. Percival, Rapid multiplication modulo the sum and difference of highly composite numbers,
    Math. Comp. 72 (2003), theorem 5.1, for radix 2. R. Brent, C. Percival and P. Zimmermann, Error
    bounds on complex floating-point multiplication, Math. Comp. 76 (2007), for √5.
    """
    return _product_roundings(_whole_cells(x, h))


def overlap_add_roundings(x: Num[np.ndarray, "*n"], h: Num[np.ndarray, "*k"]) -> float:
    """Return the same for `by_overlap_add`, relative to ``sqrt(2**axes) ‖x‖₂ ‖h‖₂``.

    At most ``2**axes`` blocks meet in one output; the sum of their norms is at most
    ``sqrt(2**axes) ‖x‖``, by the Cauchy-Schwarz inequality, and all but one cost an addition.

    Parameters, returns and references as `fft_roundings`.
    """
    if h.size > x.size:
        x, h = h, x
    return _product_roundings(_block_cells(x, h)) + 2**x.ndim - 1


def _product_roundings(cells: tuple[int, ...]) -> float:
    return 3 * sum(map(_transform_roundings, cells)) + math.sqrt(5) + 2


def _transform_roundings(cells: int) -> float:
    """Weighed roundings along one axis of a transform, all stages together.

    A butterfly of radix 2 is one addition. One of radix r = 3 or 5 takes at most r + 2 operations
    in a row, on terms that add up to √2 Σ |x_j|, which is at most sqrt(2 r) times the norm of its
    outputs. After each comes a product with a twiddle factor: √5 for the product and 2 for a table
    that is right to one unit in the last place. Radices 4 and 8 do the work of two and three stages
    of radix 2 with fewer products.
    """
    total = 0.0
    for radix, butterfly in {2: 1.0, 3: 5 * math.sqrt(6), 5: 7 * math.sqrt(10)}.items():
        while cells % radix == 0:
            cells //= radix
            total += butterfly + math.sqrt(5) + 2
    return total


def _whole_cells(x: np.ndarray, h: np.ndarray) -> tuple[int, ...]:
    """Cells per axis of one transform for everything: products of 2, 3 and 5 only."""
    return tuple(fft.next_fast_len(size, real=True) for size in full_shape(x, h))


def _block_cells(x: np.ndarray, h: np.ndarray) -> tuple[int, ...]:
    """Cells per axis of the transform of one block.

    The work per sample, F log F / (F - k + 1), is nearly flat around F = 8 k; but below about 4096
    cells a block, Python's own time per block outweighs it.
    """
    least = round(4096 ** (1 / x.ndim))
    blocks = (fft.next_fast_len(max(8 * k, least), real=True) for k in h.shape)
    return tuple(map(min, blocks, _whole_cells(x, h)))


def _transforms(
    x: np.ndarray, h: np.ndarray
) -> tuple[Callable[..., np.ndarray], Callable[..., np.ndarray]]:
    if not (np.isfinite(x).all() and np.isfinite(h).all()):
        raise ValueError(
            "the FFT would spread infinities and NaN over every output: use method='direct'"
        )
    if np.result_type(x, h).kind == "c":
        return fft.fftn, fft.ifftn
    return fft.rfftn, fft.irfftn
