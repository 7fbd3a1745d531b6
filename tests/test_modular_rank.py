"""The rank modulo a prime is exact for integers of any type, and anything else is refused."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import sympy

from theory.modular_rank import rank_modulo

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("rank", range(5))
def test_the_rank_is_that_of_the_rationals(rank: int) -> None:
    rng = np.random.default_rng(rank)
    matrix = rng.integers(-5, 6, (6, rank)) @ rng.integers(-5, 6, (rank, 4))
    assert rank_modulo(matrix) == sympy.Matrix(matrix).rank() == rank
    assert rank_modulo(matrix.astype(float)) == rank
    assert rank_modulo(np.diag([3, 5, 1]), prime=3) == 2
    assert rank_modulo(np.array([[1, 1], [1, -1]]), prime=2) == 1


def test_a_rank_takes_integers_of_any_type_and_size() -> None:
    """Red if the entries are brought into int64 before they are reduced, or the modulus wraps."""
    assert rank_modulo(np.array([[1, 2**63], [1, 2]], np.uint64)) == 1  # 2**62 is 1
    assert rank_modulo(np.array([[2**70, 0], [0, 1]], dtype=object)) == 2
    assert rank_modulo(np.array([[2**70 + 1, 1], [2**70, 1]], dtype=object)) == 2
    for dtype in (np.int64, np.uint64):  # float64 takes the rows for equal
        assert rank_modulo(np.array([[2**53 + 1, 1], [2**53, 1]], dtype)) == 2
    assert rank_modulo(np.array([[1e300, 1], [0, 1]])) == 2
    assert rank_modulo(np.array([[127, 0], [0, -128]], np.int8)) == 2
    assert rank_modulo(np.array([[200, 0], [0, 100]], np.uint8)) == 2
    assert rank_modulo(np.eye(2, dtype=np.float16)) == rank_modulo(np.eye(2, dtype=bool)) == 2
    assert rank_modulo(np.array([[Fraction(2), 1], [4, 2]], dtype=object)) == 1
    assert rank_modulo(np.diag([6, 7]), np.int8(7)) == 1  # type: ignore[arg-type]
    assert rank_modulo(np.diag([-1.0, -7.0]), 7) == 1
    assert rank_modulo(np.zeros((0, 3), int)) == 0


@pytest.mark.parametrize("prime", [-7, 0, 1, 4, 2**31, 3037000507, 2**61 - 1])
def test_a_rank_is_modulo_a_small_prime(prime: int) -> None:
    """3037000507 is the smallest prime whose square does not fit into int64."""
    with pytest.raises(ValueError, match=f"prime is {prime}, expected a prime number below"):
        rank_modulo(np.eye(2, dtype=int), prime)


def test_the_largest_modulus_is_allowed() -> None:
    """Red if a product leaves int64: the second row is the first times the last residue but one."""
    prime = 3037000493
    row = np.array([prime - 1, prime - 2])
    assert rank_modulo(np.stack([row, row * (prime - 1) % prime]), prime) == 1
    assert rank_modulo(np.array([[prime - 1, prime - 2], [prime - 2, prime - 1]]), prime) == 2


@pytest.mark.parametrize(
    "entry", [0.5, np.nan, np.inf, Fraction(1, 2), None, sympy.Symbol("x")], ids=str
)
def test_a_rank_needs_integers(entry: Any) -> None:
    with pytest.raises(ValueError, match="integer entries"):
        rank_modulo(np.array([[entry]]))


MASKED = np.ma.masked_array([[1.0, 2.0]], [[False, True]])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: rank_modulo(np.array([1, 2])), ValueError, r"matrix has shape \(2,\), expected"),
        (lambda: rank_modulo(np.zeros((2, 2, 2))), ValueError, "expected rows and columns"),
        (lambda: rank_modulo(np.array([["1"]])), TypeError, "matrix holds <U1 entries"),
        (lambda: rank_modulo(np.array([[1j]])), TypeError, "matrix holds complex128 entries"),
        (lambda: rank_modulo(MASKED), TypeError, "matrix is a masked array: fill in"),
        (lambda: rank_modulo(np.eye(1), True), TypeError, "prime is True, expected an integer"),
        (lambda: rank_modulo(np.eye(1), 7.0), TypeError, r"prime is 7\.0, expected an integer"),
    ],
)
def test_what_has_no_rank_is_refused(
    call: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()
