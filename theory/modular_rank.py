"""The rank of an integer matrix modulo a prime, which bounds its rank from below, exactly."""

from __future__ import annotations

import numpy as np
from jaxtyping import Num
from sympy import isprime

from theory.arrays import as_array
from theory.counts import as_integer


def rank_modulo(matrix: Num[np.ndarray, "m n"], prime: int = 2**31 - 1) -> int:
    """Return the rank of an integer matrix modulo a prime: never more than its rank.

    Rows that depend on each other over the rationals do so modulo the prime, so that a full rank
    found here is proved, in integers throughout.

    Parameters
    ----------
    matrix : array of shape (m, n)
        Integer-valued, of any type.
    prime : int, optional
        The modulus, below 2**31.5 so that products stay in int64.

    Raises
    ------
    TypeError
        If the matrix is no array of real numbers, or the modulus no integer.
    ValueError
        If an entry is not an integer, there are not two axes, or the modulus is not such a prime.

    Examples
    --------
    >>> rank_modulo(np.array([[1, 2], [2, 4]]))
    1
    """
    prime = as_integer("prime", prime)
    if prime**2 >= 2**63 or not isprime(prime):
        raise ValueError(f"prime is {prime}, expected a prime number below 2**31.5")
    given = as_array("matrix", matrix)
    if given.dtype.kind not in "biufO":
        raise TypeError(f"matrix holds {given.dtype} entries, expected integers")
    if given.ndim != 2:
        raise ValueError(f"matrix has shape {given.shape}, expected rows and columns")
    entries = given.astype(_exact_type(given.dtype))
    if not _whole(entries):
        raise ValueError("rank_modulo needs integer entries: scale the matrix to integers first")
    rows = (entries % prime).astype(np.int64)
    rank = 0
    for column in range(rows.shape[1]):
        candidates = rank + np.flatnonzero(rows[rank:, column])
        if not len(candidates):
            continue
        rows[[rank, candidates[0]]] = rows[[candidates[0], rank]]
        pivot = rows[rank] * pow(int(rows[rank, column]), -1, prime) % prime
        below = rows[rank + 1 :]
        below -= below[:, column, None] * pivot % prime
        below %= prime
        rank += 1
        if rank == len(rows):
            break
    return rank


def _exact_type(dtype: np.dtype) -> np.dtype:
    """Return a type that holds the entries of a matrix as well as the modulus."""
    if dtype.kind in "fO":
        return np.result_type(dtype, np.float64)
    return np.dtype(np.uint64 if dtype.kind == "u" else np.int64)


def _whole(entries: Num[np.ndarray, "m n"]) -> bool:
    try:
        with np.errstate(invalid="ignore"):  # infinity leaves NaN, which is not 0
            return bool(np.all(entries % 1 == 0))
    except TypeError:  # an object that is no number
        return False
