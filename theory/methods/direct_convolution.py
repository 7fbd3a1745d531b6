"""Convolution as the sum of its definition, exact wherever the arithmetic of the samples is.

`theory.convolution.convolve` offers it as the method ``direct``, checks its input and cuts its
output. Which loop adds up the products is a matter of speed: every one of them leaves each product
as it is and adds to it at most one product for every further tap.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int, Num, Shaped

Loop = Callable[[np.ndarray, np.ndarray], np.ndarray]

UNROLLED_TAPS = 11
"""Taps up to which `numpy.convolve` keeps a kernel of real floats in registers.

Beyond, it calls BLAS for the dot product of each output, which is slow while kernels are short."""

MOST_RUNS = 4
"""Runs of `UNROLLED_TAPS` taps up to which adding up such kernels beats dot products."""

LEAST_CELLS = 1024
"""Signal from which on the gain is worth a second call."""


def by_sum(
    x: Shaped[np.ndarray, "*n"], h: Shaped[np.ndarray, "*k"], *, valid: bool = False
) -> Shaped[np.ndarray, "*m"]:
    """Return the convolution, term by term.

    Parameters
    ----------
    x, h : arrays with the same number of axes
        The factors; integers in int64.
    valid : bool, optional
        Whether to compute only those n - k + 1 outputs per axis for which h lies inside x.

    Returns
    -------
    array
        All n + k - 1 outputs per axis, or the valid ones.

    Raises
    ------
    ValueError
        If sums of these integers may leave int64.
    """
    return summation(x.shape, h.shape, x.dtype, h.dtype, valid=valid)(x, h)


def summation(
    n: tuple[int, ...],
    k: tuple[int, ...],
    x_type: np.dtype,
    h_type: np.dtype,
    *,
    valid: bool = False,
) -> Loop:
    """Return the loop for factors of these shapes and types, as a function of the factors.

    Parameters
    ----------
    n, k : tuple of int
        Cells per axis.
    x_type, h_type : numpy.dtype
        What the factors hold.
    valid : bool, optional
        As for `by_sum`.
    """
    if len(n) > 1 or "O" in (x_type.kind, h_type.kind):
        loop: Loop = _windows if valid else _tap_by_tap
    elif valid:
        loop = _complex_inside if "c" in (x_type.kind, h_type.kind) else _inside
    elif x_type.kind == h_type.kind == "f":
        loop = _dots if runs(*n, *k) == 1 else _in_runs
    else:
        loop = np.convolve
    if x_type.kind != h_type.kind and "O" in (x_type.kind, h_type.kind):
        return _of_objects(loop)
    return _within_int64(loop) if x_type.kind == h_type.kind == "i" else loop


def correlation(
    n: tuple[int, ...], k: tuple[int, ...], x_type: np.dtype, h_type: np.dtype
) -> Loop | None:
    """Return NumPy's valid cross-correlation, if it is the loop for these shapes and types.

    The sum of a flipped kernel would flip it back: short signals feel both.

    Parameters
    ----------
    n, k, x_type, h_type
        As for `summation`.
    """
    alone = len(n) == 1 and x_type.kind == h_type.kind == "f"
    return np.correlate if alone else None


def runs(n: int, k: int) -> int:
    """Return into how many runs of taps the sum over one axis of n and k real floats is cut."""
    cells, taps = max(n, k), min(n, k)
    if cells < LEAST_CELLS or taps > MOST_RUNS * UNROLLED_TAPS:
        return 1
    return -(-taps // UNROLLED_TAPS)


def _dots(x: Float[np.ndarray, " n"], h: Float[np.ndarray, " k"]) -> Float[np.ndarray, " m"]:
    return np.correlate(x, h[::-1], "full")


def _inside(x: Num[np.ndarray, " n"], h: Num[np.ndarray, " k"]) -> Num[np.ndarray, " m"]:
    return np.correlate(x, h[::-1], "valid")


def _complex_inside(x: Num[np.ndarray, " n"], h: Num[np.ndarray, " k"]) -> Num[np.ndarray, " m"]:
    return np.convolve(x, h, "valid")  # a correlation would conjugate


def _in_runs(x: Float[np.ndarray, " n"], h: Float[np.ndarray, " k"]) -> Float[np.ndarray, " m"]:
    if len(h) > len(x):  # convolution commutes: the taps are those of the shorter factor
        x, h = h, x
    y = np.zeros(len(x) + len(h) - 1, np.result_type(x, h))
    for start in range(0, len(h), UNROLLED_TAPS):
        part = _dots(x, h[start : start + UNROLLED_TAPS])
        y[start : start + len(part)] += part
    return y


def _tap_by_tap(
    x: Shaped[np.ndarray, "*n"], h: Shaped[np.ndarray, "*k"]
) -> Shaped[np.ndarray, "*m"]:
    if h.size > x.size:
        x, h = h, x
    y = np.zeros([n + k - 1 for n, k in zip(x.shape, h.shape, strict=True)], np.result_type(x, h))
    for tap in np.ndindex(h.shape):
        y[window_at(tap, x.shape)] += h[tap] * x
    return y


def _windows(x: Shaped[np.ndarray, "*n"], h: Shaped[np.ndarray, "*k"]) -> Shaped[np.ndarray, "*m"]:
    flipped = np.flip(h)
    y = np.zeros(valid_shape(x.shape, h.shape), np.result_type(x, h))
    if y.size < h.size:  # fewer passes output by output than tap by tap
        for cell in np.ndindex(y.shape):
            y[cell] = (x[window_at(cell, h.shape)] * flipped).sum()
    else:
        for tap in np.ndindex(h.shape):
            y += x[window_at(tap, y.shape)] * flipped[tap]
    return y


def window_at(start: tuple[int, ...], shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return the index of the window of so many cells per axis that starts at a cell."""
    return tuple(slice(s, s + size) for s, size in zip(start, shape, strict=True))


def valid_shape(n: tuple[int, ...], k: tuple[int, ...]) -> tuple[int, ...]:
    """Return the ``n - k + 1`` outputs per axis for which k cells lie inside n."""
    return tuple(a - b + 1 for a, b in zip(n, k, strict=True))


def require_within_int64(x: Shaped[np.ndarray, "..."], h: Shaped[np.ndarray, "..."]) -> None:
    """Raise a ValueError if int64 may be too small for what sums up h, times one x for each cell.

    Factors that are not both integers are left alone.
    """
    if not {x.dtype.kind, h.dtype.kind} <= set("biu"):
        return
    largest = max(abs(int(x.max())), abs(int(x.min()))) * sum(map(abs, h.ravel().tolist()))
    if largest > np.iinfo(np.int64).max:
        raise ValueError(
            f"sums of these integers may reach {largest}, beyond int64: use dtype=object"
        )


def _of_objects(loop: Loop) -> Loop:
    # One integer of Python's times an array of int64 would be int64, and of float32, float32.
    def as_objects(
        x: Shaped[np.ndarray, "*n"], h: Shaped[np.ndarray, "*k"]
    ) -> Shaped[np.ndarray, "*m"]:
        return loop(x.astype(object, copy=False), h.astype(object, copy=False))

    return as_objects


def _within_int64(loop: Loop) -> Loop:
    def checked(x: Int[np.ndarray, "*n"], h: Int[np.ndarray, "*k"]) -> Int[np.ndarray, "*m"]:
        require_within_int64(x, h)  # in every mode an output meets each kernel cell at most once
        return loop(x, h)

    return checked
