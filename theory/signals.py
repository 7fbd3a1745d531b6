"""Signals to try operators on: impulses, shifts of any number of axes, exact random samples.

A signal is a numpy array with one axis per coordinate; cell 0 is the origin. Every signal made here
is exact: integers (also when stored as float64) or `fractions.Fraction` entries.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal, get_args

import numpy as np
from jaxtyping import Shaped
from numpy.typing import DTypeLike

from theory.arguments import require_known
from theory.arrays import as_array
from theory.counts import as_count, as_integer

Ends = Literal["circular", "zero"]
"""What becomes of a signal at its ends when it is shifted."""


def impulse(
    shape: int | Sequence[int],
    at: int | Sequence[int] | None = None,
    *,
    dtype: DTypeLike = np.float64,
) -> Shaped[np.ndarray, "*shape"]:
    """Return the unit impulse: 1 in one cell, 0 elsewhere.

    Parameters
    ----------
    shape : int or sequence of int
        Cells per axis.
    at : int or sequence of int, optional
        The cell that holds the 1, one index per axis, counted from 0; the origin if left out.
    dtype : dtype, optional
        Type of the samples; ``object`` gives Python integers.

    Returns
    -------
    array of the given shape
        The impulse.

    Raises
    ------
    TypeError
        If `dtype` is none of numbers, or shape or cell are not of integers.
    ValueError
        If an axis has no cell, or `at` is not a cell of the shape.
    """
    shape = cells_per_axis(shape)
    cell = (0,) * len(shape) if at is None else per_axis(at)
    if len(cell) != len(shape) or not all(0 <= i < n for i, n in zip(cell, shape, strict=True)):
        raise ValueError(f"at={at} is not a cell of shape {shape}: give 0 <= index < size per axis")
    if np.dtype(dtype).kind not in "biufcO":
        raise TypeError(f"{np.dtype(dtype)} does not hold 0 and 1: give a dtype of numbers")
    signal = np.zeros(shape, dtype)
    signal[cell] = 1
    return signal


def shift(
    x: Shaped[np.ndarray, "*shape"],
    by: int | Sequence[int],
    *,
    boundary: Ends = "circular",
) -> Shaped[np.ndarray, "*shape"]:
    """Return the signal translated towards higher indices: ``shift(x, t)[i] == x[i - t]``.

    Parameters
    ----------
    x : array
        The signal. Axes before the last ``len(by)`` (batch, channels) stay in place.
    by : int or sequence of int
        Offset in cells for each of the last axes, of either sign; an int moves the last axis.
    boundary : {"circular", "zero"}, optional
        Whether what leaves at one end comes in at the other (signals on Z_n), or is lost and zeros
        come in (a window on signals of finite support on Z).

    Returns
    -------
    array
        A new array of the shape and type of `x`.

    Raises
    ------
    TypeError
        If the signal is no array, or an offset no integer.
    ValueError
        If there are more offsets than axes or none, or the boundary is unknown.
    """
    x, offsets = as_array("signal", x), per_axis(by)
    if not 1 <= len(offsets) <= x.ndim:
        raise ValueError(f"{len(offsets)} offsets for a signal of {x.ndim} axes: one per axis")
    require_known("boundary", boundary, get_args(Ends))
    axes = range(x.ndim - len(offsets), x.ndim)
    shifted = np.roll(x, offsets, tuple(axes))
    if boundary == "zero":
        for axis, offset in zip(axes, offsets, strict=True):
            came_in = slice(None, offset) if offset >= 0 else slice(offset, None)
            shifted[(slice(None),) * axis + (came_in,)] = 0
    return shifted


def integer_signal(
    shape: int | Sequence[int], *, seed: int, bound: int = 9, dtype: DTypeLike = np.float64
) -> Shaped[np.ndarray, "*shape"]:
    """Return random integers between ``-bound`` and ``bound``, stored as `dtype`.

    Stored as float64, sums of products of such samples are exact as long as they stay below 2**53,
    so that whatever computes with them can be compared by equality.

    Parameters
    ----------
    shape : int or sequence of int
        Cells per axis.
    seed : int
        Seed of the generator; the same seed gives the same signal.
    bound : int, optional
        Largest magnitude.
    dtype : dtype, optional
        Type of the samples.

    Returns
    -------
    array of the given shape
        The signal.

    Raises
    ------
    TypeError
        If shape, seed or bound are not of integers.
    ValueError
        If an axis has no cell, seed or bound are negative, the bound is beyond int64, or `dtype`
        does not hold all these integers.
    """
    bound = as_integer("bound", bound)
    drawn = _random_integers(_generator(seed), shape, -bound, bound)
    if not _holds(np.dtype(dtype), bound):
        raise ValueError(
            f"{np.dtype(dtype)} does not hold the integers from {-bound} to {bound}: give a wider "
            "dtype, or a smaller bound"
        )
    return drawn.astype(dtype)


def rational_signal(
    shape: int | Sequence[int], *, seed: int, bound: int = 9
) -> Shaped[np.ndarray, "*shape"]:
    """Return random fractions with numerators up to ±bound and denominators up to bound.

    Parameters
    ----------
    shape : int or sequence of int
        Cells per axis.
    seed : int
        Seed of the generator; the same seed gives the same signal.
    bound : int, optional
        Largest magnitude of numerator and denominator.

    Returns
    -------
    array of `fractions.Fraction`, dtype object
        The signal.

    Raises
    ------
    TypeError
        If shape, seed or bound are not of integers.
    ValueError
        If an axis has no cell, the seed is negative, or the bound is below 1 or beyond int64.
    """
    bound = as_integer("bound", bound)
    rng = _generator(seed)
    numerators = _random_integers(rng, shape, -bound, bound).astype(object)
    denominators = _random_integers(rng, shape, 1, bound).astype(object)
    return np.frompyfunc(Fraction, 2, 1)(numerators, denominators)


def per_axis(value: int | Sequence[int]) -> tuple[int, ...]:
    """Return what is given for one axis, or for each of several, as a tuple.

    Parameters
    ----------
    value : int or sequence of int
        What is given; an int is for a single axis.

    Returns
    -------
    tuple of int
        One for each axis.

    Raises
    ------
    TypeError
        If something else than an integer is among it; True and False are none.
    """
    try:
        # Another type would make True a 1. Not np.array: it warns of tensors, which cannot copy.
        given = np.atleast_1d(np.asarray(value, dtype=object))
        if not any(isinstance(each, bool) for each in given):
            return tuple(map(operator.index, given))
    except (TypeError, ValueError):  # ValueError: the sequence is ragged
        pass
    raise TypeError(f"{value!r} given per axis: expected an integer for each")


def cells_per_axis(shape: int | Sequence[int]) -> tuple[int, ...]:
    """Return a shape that has cells as a tuple.

    Parameters
    ----------
    shape : int or sequence of int
        Cells per axis; an int is for a single axis.

    Returns
    -------
    tuple of int
        One for each axis.

    Raises
    ------
    TypeError
        As `per_axis`.
    ValueError
        If there is no axis, or an axis has no cell.
    """
    sizes = per_axis(shape)
    if not sizes or min(sizes) < 1:
        raise ValueError(f"shape {shape} has no cell: give at least one axis of at least one cell")
    return sizes


def _holds(dtype: np.dtype, bound: int) -> bool:
    """Return whether a type holds every integer up to a bound, of either sign, exactly."""
    if dtype.kind in "iu":
        return bool(np.iinfo(dtype).min <= -bound and bound <= np.iinfo(dtype).max)
    if dtype.kind in "fc":
        return bound <= 2 / float(np.finfo(dtype).eps)
    return dtype.kind == "O"


def _generator(seed: int) -> np.random.Generator:
    """Return a generator from a seed: of None it would draw anew each time."""
    return np.random.default_rng(as_count("seed", seed, 0))


def _random_integers(
    rng: np.random.Generator, shape: int | Sequence[int], low: int, high: int
) -> Shaped[np.ndarray, "*shape"]:
    if low > high:
        raise ValueError(f"no integer lies between {low} and {high}: give a larger bound")
    if high > np.iinfo(np.int64).max:
        raise ValueError(f"bound is {high}, beyond int64: give a smaller one")
    return rng.integers(low, high, cells_per_axis(shape), endpoint=True)
