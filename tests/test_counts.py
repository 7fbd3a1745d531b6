"""Counts become integers of Python, and what counts nothing is refused by its name."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from theory.counts import as_count, as_integer


@pytest.mark.parametrize(
    "given",
    [-3, np.int8(-3), np.int64(-3), np.array(-3), torch.tensor(-3)],
    ids=["Python", "int8", "int64", "array", "tensor"],
)
def test_an_integer_of_any_type_becomes_one_of_python(given: Any) -> None:
    for integer in (as_integer("cells", given), as_count("cells", given, -3)):
        assert (integer, type(integer)) == (-3, int)


def test_an_integer_may_be_of_any_size() -> None:
    assert as_integer("cells", np.uint64(2**64 - 1)) == 2**64 - 1
    assert as_count("cells", 2**100) == 2**100


@pytest.mark.parametrize(
    "given",
    [True, False, np.True_, torch.tensor(True), 2.0, np.float64(2), Fraction(2), "2", [2], None],
    ids=repr,
)
def test_what_is_no_integer_is_refused(given: Any) -> None:
    """Red if a whole float is an integer, or a truth value is 0 or 1."""
    for law in (as_integer, as_count):
        with pytest.raises(TypeError) as caught:
            law("cells", given)
        assert str(caught.value) == f"cells is {given!r}, expected an integer"


def test_a_count_is_at_least_one_unless_told_otherwise() -> None:
    assert as_count("cells", 1) == 1
    with pytest.raises(ValueError, match=r"^cells is 0, expected at least 1$"):
        as_count("cells", 0)
    assert as_count("cells", 0, 0) == 0
    with pytest.raises(ValueError, match=r"^cells is 4, expected at least 5$"):
        as_count("cells", np.uint8(4), 5)
