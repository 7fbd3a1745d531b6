"""What the bounds on rounding of all methods share: types, conversions and norms of factors."""

from __future__ import annotations

import numpy as np

from theory.arrays import computed_type


def rounded_type(*factors: np.ndarray) -> np.dtype:
    """Return in which type the products of some factors are; objects that meet floats become such.

    It is a type of floats if and only if the products round.
    """
    types = [computed_type(factor.dtype) for factor in factors]
    kinds = {each.kind for each in types}
    if "O" not in kinds or not kinds & {"f", "c"}:
        return np.result_type(*types)
    return np.result_type(np.float64, *(each for each in types if each.kind != "O"))


def conversion_roundings(factor: np.ndarray, dtype: np.dtype) -> int:
    """Return whether a factor rounds as it becomes floats of a type: 0 or 1.

    Integers do that if they are too large, and objects may.
    """
    if factor.dtype.kind not in "iu":
        return int(factor.dtype.kind == "O")
    largest = max(abs(int(factor.max())), abs(int(factor.min())))
    return int(largest > 2 / float(np.finfo(dtype).eps))


def norm(factor: np.ndarray, axes: tuple[int, ...] | None = None) -> np.ndarray:
    """Return the 2-norm of a factor over some axes, by default all of them.

    Each is scaled by a power of 2 meanwhile, so that no square leaves the range.
    """
    axes = tuple(range(factor.ndim)) if axes is None else axes
    magnitudes = np.abs(factor.astype(np.result_type(factor, np.float64))).astype(np.float64)
    _, exponents = np.frexp(magnitudes.max(axes, keepdims=True))
    squares = np.ldexp(magnitudes, -exponents) ** 2
    return np.ldexp(np.sqrt(squares.sum(axes)), exponents.squeeze(axes))
