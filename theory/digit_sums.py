"""The sum of two digits as a linear layer computes it, from one-hot vectors or from other codes."""

from __future__ import annotations

from itertools import product

import numpy as np
from jaxtyping import Int, Shaped

from theory.arrays import as_array
from theory.counts import as_count


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
