"""What of random changes to all values inside reaches the output: between half and all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from theory.diagnosis.amplification import Amplification, amplification
from theory.diagnosis.calling import Operator
from theory.diagnosis.isolation import isolated
from theory.diagnosis.tracing import trace

if TYPE_CHECKING:
    from collections.abc import Callable

_TWOS = torch.full((4,), 2.0, dtype=torch.float64)


def _amplified(op: Callable[..., Any], n: int = 4) -> Amplification | None:
    with isolated(seed=0):
        operator = Operator(op, (n,))
        return amplification(operator, trace(operator, [np.zeros(n)]))


def _known(op: Callable[..., Any], n: int = 4) -> tuple[np.ndarray, np.ndarray]:
    found = _amplified(op, n)
    assert found is not None
    return found.at_ones, found.at_zero


def _within(values: np.ndarray, low: float, high: float) -> bool:
    return bool((low <= values).all() and (values <= high).all())


def test_an_input_that_is_returned_is_changed_once_in_every_cell() -> None:
    at_ones, at_zero = _known(lambda x: x, 1000)
    assert _within(at_ones, 0.5, 1)
    assert at_ones.min() < 0.7
    assert at_ones.max() > 0.99
    assert not at_zero.any()
    assert at_ones.shape == at_zero.shape == (1000,)


def test_changes_have_both_signs_so_that_a_sum_takes_in_few_of_them() -> None:
    at_ones, _ = _known(torch.sum, 10_000)
    assert 10 < at_ones < 1000


@pytest.mark.parametrize(
    ("op", "low", "high"),
    [
        (lambda x: (x + 1000) - 1000, 400, 1002.1),
        (lambda x: x + (_TWOS - 1000), 400, 1002.1),
        (lambda x: torch.log1p(x + 1000).expm1() - 1000, 400, 10_000),
    ],
    ids=["comes and goes", "is left", "inside"],
)
def test_a_constant_changes_with_what_it_is_added_to(
    op: Callable[..., Any], low: float, high: float
) -> None:
    """The size of what is inside counts, not of what leaves it: 1000, though zero comes out."""
    for found in _known(op):
        assert _within(found, low, high)


def test_constants_and_whole_numbers_stay_as_they_are() -> None:
    assert not any(each.any() for each in _known(lambda x: _TWOS * 3))
    assert not any(each.any() for each in _known(lambda x: (x + 1 / 2).long()))
    at_ones, _ = _known(lambda x: x.sign())  # a change to x itself leaves its sign
    assert _within(at_ones, 0.5, 1)


def test_what_is_kept_apart_is_not_mixed() -> None:
    at_ones, at_zero = _known(lambda x: torch.stack([x, 1000 * x + 8]))
    assert _within(at_ones[0], 0.1, 2.1)
    assert _within(at_ones[1], 400, 4000)
    assert not at_zero[0].any()
    assert _within(at_zero[1], 0.1, 16.1)


def test_several_values_at_once_and_complex_ones_are_changed_in_each_part() -> None:
    at_ones, _ = _known(lambda x: (4 * x).split(2)[1])
    assert _within(at_ones, 0.5, 16.1)
    at_ones, _ = _known(lambda x: x.to(torch.complex128).imag)  # the parts have one magnitude
    assert _within(at_ones, 0.2, 1.1)
    at_ones, _ = _known(lambda x: torch.view_as_real(1j * x.to(torch.complex128)))
    assert _within(at_ones, 0.5, 5)


def test_an_output_that_is_not_finite_tells_nothing() -> None:
    assert _amplified(lambda x: 1 / x) is None
    assert _amplified(torch.log) is None
    assert _amplified(lambda x: 1 / (x.abs() - 1)) is None
    assert _amplified(lambda x: _TWOS[(4 * x).long()]) is None  # cells that are not there


def test_the_same_is_found_each_time() -> None:
    first, second = (_known(lambda x: x.cumsum(0) + 1) for _ in range(2))
    assert all(map(np.array_equal, first, second))
