"""Convolution by the FFT: over the whole signal or block by block, and how much each one rounds.

`theory.convolution.convolve` offers both as methods, checks their input and cuts their output.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from jaxtyping import Inexact, Num
from scipy import fft

Shape = tuple[int, ...]

CACHED_CELLS = 2**14
"""Cells of a transform that the second level of cache holds together with its result."""

_LEAST_CELLS = 32

_BLAS_CELLS = 8192
"""Cells up to which BLAS takes the product of two vectors on the thread that asks for it."""


class NotFiniteError(ValueError):
    """A sample is infinite or NaN, which an FFT would spread over every output."""


def require_finite(*factors: Num[np.ndarray, "..."]) -> None:
    """Raise a `NotFiniteError` if a sample of some factor is infinite or NaN."""
    if not all(np.isfinite(factor).all() for factor in factors):
        raise NotFiniteError(
            "the FFT would spread infinities and NaN over its whole result: use method='direct'"
        )


def all_finite(y: Inexact[np.ndarray, "*m"]) -> bool:
    """Return whether no output is infinite or NaN."""
    # A sum of them or of their squares is finite only if they all are; it may overflow where they
    # do not. That of squares is one call of BLAS: a quarter of the time, but threaded if long.
    total = y.dot(y) if y.ndim == 1 and len(y) <= _BLAS_CELLS else y.sum()
    return cmath.isfinite(total) or bool(np.isfinite(y).all())


def full_shape(x: Num[np.ndarray, "*n"], h: Num[np.ndarray, "*k"]) -> tuple[int, ...]:
    """Return the n + k - 1 cells per axis of the full convolution."""
    return tuple(n + k - 1 for n, k in zip(x.shape, h.shape, strict=True))


def by_fft(
    x: Num[np.ndarray, "*n"], h: Num[np.ndarray, "*k"], *, valid: bool = False
) -> Inexact[np.ndarray, "*m"]:
    """Return the convolution as one product of transforms.

    Parameters
    ----------
    x, h : arrays with the same number of axes
        The factors; integers are transformed in float64.
    valid : bool, optional
        Whether to return only the outputs for which h lies inside x. A circle as long as x is
        enough for these: what wraps round falls into the k - 1 cells before them.

    Returns
    -------
    array of n + k - 1 cells per axis, or of n - k + 1
        The convolution.

    Raises
    ------
    NotFiniteError
        If a sample is infinite or NaN.
    """
    circle = _circle(x.shape, h.shape, x.dtype, h.dtype, valid)
    if circle.size <= 8 * CACHED_CELLS:  # two at once share their twiddles and their call
        pair = np.zeros((2, *circle.cells), circle.dtype)
        pair[0][circle.signal] = x
        pair[1][circle.kernel] = h
        one, other = circle.forward(pair)
    else:
        one, other = (circle.forward(f.astype(circle.dtype, copy=False)) for f in (x, h))
    # frequency zero is the sum of all samples, not finite if one of them is not
    if not (cmath.isfinite(one.item(0)) and cmath.isfinite(other.item(0))):
        require_finite(x, h)
    one *= other
    return circle.inverse(one)[circle.outputs]


def by_overlap_add(x: Num[np.ndarray, "*n"], h: Num[np.ndarray, "*k"]) -> Inexact[np.ndarray, "*m"]:
    """Return the full convolution as the sum of those of the blocks of the larger factor.

    Parameters, returns and raises as `by_fft`, in full.
    """
    if h.size > x.size:
        x, h = h, x
    blocks = _blocks(x.shape, h.shape, x.dtype, h.dtype)
    spectrum = blocks.forward(h.astype(blocks.dtype, copy=False))
    if not cmath.isfinite(spectrum.item(0)):
        require_finite(h)
    y = np.zeros(blocks.outputs, blocks.dtype)
    for start in range(0, x.shape[0], blocks.at_once):
        part = x[start : start + blocks.at_once]
        spectra = blocks.forward(_cut(part, blocks.steps, blocks.dtype))
        if not np.isfinite(spectra[blocks.zero]).all():
            require_finite(part)
        spectra *= spectrum
        joined = _join(blocks.inverse(spectra), blocks.steps)
        target = y[start : start + len(joined)]
        target += joined[tuple(map(slice, target.shape))]  # what hangs over the end is zero
    return y


def fft_roundings(
    x: Num[np.ndarray, "*n"], h: Num[np.ndarray, "*k"], *, valid: bool = False
) -> float:
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
    valid : bool, optional
        As for `by_fft`.

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
    return product_roundings(whole_cells(x.shape if valid else full_shape(x, h)))


def overlap_add_roundings(x: Num[np.ndarray, "*n"], h: Num[np.ndarray, "*k"]) -> float:
    """Return the same for `by_overlap_add`, relative to ``sqrt(2**axes) ‖x‖₂ ‖h‖₂``.

    At most ``2**axes`` blocks meet in one output; the sum of their norms is at most
    ``sqrt(2**axes) ‖x‖``, by the Cauchy-Schwarz inequality, and all but one cost an addition.

    Parameters, returns and references as `fft_roundings`.
    """
    if h.size > x.size:
        x, h = h, x
    return product_roundings(block_cells(h.shape, full_shape(x, h))) + 2**x.ndim - 1


def product_roundings(cells: Sequence[int], terms: int = 1) -> float:
    """Return the weighed roundings of three transforms, and of a product of two of their spectra.

    Parameters
    ----------
    cells : sequence of int
        Cells per axis of each transform.
    terms : int, optional
        How many such products are added up before the inverse transform.
    """
    return 3 * sum(map(_transform_roundings, cells)) + complex_sum_roundings(terms) + 2


def complex_sum_roundings(terms: int) -> float:
    """Return the weighed roundings of a sum of complex products, in any order.

    One product weighs √5. Of more, a library may add up the parts: the real part of n products is a
    sum of 2 n real ones, each rounded up to 2 n times, and so is the imaginary part. The errors of
    both together are at most √2 times those of one, with ``Σ |a| |b|`` for the sum: √8 n.
    """
    return math.sqrt(5) if terms == 1 else math.sqrt(8) * terms


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


def block_cells(taps: Sequence[int], whole: Sequence[int]) -> tuple[int, ...]:
    """Return the cells per axis of the transform of one block.

    The work per sample, F log F / (F - k + 1), is nearly flat around F = 8 k. Blocks beyond
    `CACHED_CELLS` cost more than they save, down to F = 2 k.

    Parameters
    ----------
    taps : sequence of int
        Cells per axis of the shorter factor.
    whole : sequence of int
        Cells per axis for which one transform would be enough.
    """
    most = round(CACHED_CELLS ** (1 / len(taps)))
    blocks = (
        fft.next_fast_len(max(2 * k, min(8 * k, most), _LEAST_CELLS), real=True) for k in taps
    )
    return tuple(map(min, blocks, whole_cells(whole)))


def whole_cells(sizes: Sequence[int]) -> tuple[int, ...]:
    """Cells per axis of one transform for everything: products of 2, 3 and 5 only."""
    return tuple(fft.next_fast_len(size, real=True) for size in sizes)


@dataclass(frozen=True, slots=True)
class _Circle:
    """One transform for everything: its cells, and where the factors and the outputs lie in it."""

    cells: Shape
    size: int
    dtype: np.dtype
    signal: tuple[slice, ...]
    kernel: tuple[slice, ...]
    outputs: tuple[slice, ...]
    forward: Callable[..., np.ndarray]
    inverse: Callable[..., np.ndarray]


@lru_cache(maxsize=4096)
def _circle(n: Shape, k: Shape, x_type: np.dtype, h_type: np.dtype, valid: bool) -> _Circle:
    dtype = np.result_type(x_type, h_type, np.float32)
    full = tuple(a + b - 1 for a, b in zip(n, k, strict=True))
    cells = whole_cells(n if valid else full)
    signal, kernel, outputs = (tuple(map(slice, shape)) for shape in (n, k, full))
    if valid:
        outputs = tuple(slice(b - 1, a) for a, b in zip(n, k, strict=True))
    size, (forward, inverse) = math.prod(cells), _transforms(dtype, cells)
    return _Circle(cells, size, dtype, signal, kernel, outputs, forward, inverse)


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Transforms of blocks that lie `steps` apart, and how many rows of x are done at once."""

    outputs: Shape
    steps: Shape
    at_once: int
    dtype: np.dtype
    zero: tuple[slice | int, ...]
    forward: Callable[..., np.ndarray]
    inverse: Callable[..., np.ndarray]


@lru_cache(maxsize=4096)
def _blocks(n: Shape, k: Shape, x_type: np.dtype, h_type: np.dtype) -> _Blocks:
    dtype = np.result_type(x_type, h_type, np.float32)
    full = tuple(a + b - 1 for a, b in zip(n, k, strict=True))
    cells = block_cells(k, full)
    steps = tuple(f - b + 1 for f, b in zip(cells, k, strict=True))
    beside = math.prod(map(_up, n[1:], steps[1:]))  # blocks that lie side by side
    at_once = steps[0] * max(1, 2 * CACHED_CELLS // (math.prod(cells) * beside))
    zero: tuple[slice | int, ...] = (*[slice(None)] * len(n), *[0] * len(n))
    return _Blocks(full, steps, at_once, dtype, zero, *_transforms(dtype, cells))


def _transforms(
    dtype: np.dtype, cells: Shape
) -> tuple[Callable[..., np.ndarray], Callable[..., np.ndarray]]:
    """Transform and back, over the last axes, padded to the cells; half a spectrum if real."""
    real = dtype.kind != "c"
    if len(cells) == 1:  # saves the time that n-dimensional ones take to look at their arguments
        forward, inverse = (fft.rfft, fft.irfft) if real else (fft.fft, fft.ifft)
        return partial(forward, n=cells[0]), partial(inverse, n=cells[0])
    forward, inverse = (fft.rfftn, fft.irfftn) if real else (fft.fftn, fft.ifftn)
    axes = tuple(range(-len(cells), 0))
    return partial(forward, s=cells, axes=axes), partial(inverse, s=cells, axes=axes)


def _cut(
    x: Num[np.ndarray, "*n"], steps: Shape, dtype: np.dtype
) -> Inexact[np.ndarray, "*blocks_steps"]:
    """Cut into blocks: one axis for those along each axis, and then one for the cells of each."""
    counts = tuple(map(_up, x.shape, steps))
    whole = tuple(b * s for b, s in zip(counts, steps, strict=True))
    if x.shape != whole:
        padded = np.zeros(whole, dtype)
        padded[tuple(map(slice, x.shape))] = x
        x = padded
    pairs = [size for pair in zip(counts, steps, strict=True) for size in pair]
    order = (*range(0, 2 * x.ndim, 2), *range(1, 2 * x.ndim, 2))
    return x.astype(dtype, copy=False).reshape(pairs).transpose(order)


def _join(parts: Inexact[np.ndarray, "*blocks_cells"], steps: Shape) -> Inexact[np.ndarray, "*m"]:
    """Add up blocks that lie a step apart along each axis."""
    if len(steps) == 1:
        return _join_along_last(parts, steps[0])
    for axis, step in reversed(list(enumerate(steps))):
        # bring the blocks along an axis next to their cells, and what comes of them back
        joined = _join_along_last(np.moveaxis(parts, axis, -2), step)
        parts = np.moveaxis(joined, -1, axis)
    return parts


def _join_along_last(
    parts: Inexact[np.ndarray, "*others blocks cells"], step: int
) -> Inexact[np.ndarray, "*others m"]:
    *others, count, cells = parts.shape
    reach = _up(cells, step)  # steps that a block covers, the last of them in part
    y = np.zeros((*others, count + reach - 1, step), parts.dtype)
    for at in range(reach):
        piece = parts[..., at * step : (at + 1) * step]
        y[..., at : at + count, : piece.shape[-1]] += piece
    return y.reshape(*others, -1)


def _up(n: int, step: int) -> int:
    return -(-n // step)
