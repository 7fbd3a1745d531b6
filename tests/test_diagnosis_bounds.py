"""The bound on rounding errors, put together by hand for two channels of two cells."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from theory.diagnosis.rounding import Rounding, exceeding, gamma

UNIT, SMALLEST = 2.0**-24, 2.0**-149
CHANNELS = Rounding(4, UNIT, np.array([[2.0], [8.0]]), np.array([[1.0], [0.0]]), SMALLEST, (-1,))
GAMMA = 32 * UNIT / (1 - 32 * UNIT)
UNDERFLOW = 16 * SMALLEST  # of one response
ZERO = np.zeros((2, 2))


def test_gamma_is_higham_s() -> None:
    assert gamma(3, 2.0**-10) == 3 / (2**10 - 3)
    assert gamma(2**10, 2.0**-10) == math.inf
    assert gamma(2**11, 2.0**-10) == math.inf
    assert gamma(2**10 - 1, 2.0**-10) == 2**10 - 1


def _bound(left: np.ndarray, right: np.ndarray = ZERO) -> list[float]:
    return list(CHANNELS.bound(left, right, norm=3, responses=2).ravel())


def _allowed(*products: float) -> list[float]:
    return [GAMMA * each + 2 * UNDERFLOW for each in products]


def test_each_channel_is_bounded_by_its_own_gain_and_offset() -> None:
    small = np.array([[0.5, 0.25], [0.3, -0.2]])
    assert _bound(small) == _bound(ZERO, small) == _allowed(2 * 3 + 1 * 2, 8 * 3)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_channel_takes_its_share_of_what_is_beyond_the_gain_of_all(sign: int) -> None:
    """Of 1000.5, all but 8 * 3 + 1 * 2 is beyond; the first channel has a quarter of the gain."""
    loud = np.array([[0.5, 0.25], [0.3, sign * 1000.5]])
    expected = _allowed((1000.5 - 26) / 4, 1000.5)
    assert _bound(loud) == _bound(ZERO, loud) == _bound(loud, loud / 2) == expected
    assert _bound(np.array([[9.5, 0], [0, 0]])) == _allowed(9.5, 24)


def test_values_that_are_not_finite_count_for_nothing() -> None:
    odd = np.array([[np.inf, 0.5], [np.nan, 1000.5]])
    assert _bound(odd) == _allowed((1000.5 - 26) / 4, 1000.5)


def test_a_gain_of_zero_has_no_shares() -> None:
    silent = dataclasses.replace(CHANNELS, gain=np.zeros((2, 1)), offset=np.zeros((2, 1)))
    found = silent.bound(np.array([[3.5, 0], [0, 0]]), ZERO, norm=3, responses=2)
    assert found.ravel().tolist() == _allowed(3.5, 3.5)


def test_integers_of_few_bits_are_exact_and_no_others() -> None:
    """At 10 bits, integers up to 4 have 8 bits to spare inside."""
    whole = Rounding(1, 2.0**-10, 1.0, 1.0, 0.0)
    integers, halves = np.array([1.0, 2.0]), np.array([1.0, 2.5])
    assert whole.bound(integers, integers, 3, 1).tolist() == [0]
    assert whole.bound(integers, integers, 3.25, 1).tolist() != [0]
    assert whole.bound(integers, 3 * integers, 3, 1).tolist() != [0]
    for sides in [(halves, integers), (integers, halves)]:
        assert whole.bound(*sides, 3, 1).tolist() != [0]
    assert whole.excess(integers, integers + 1, 3, 1) == math.inf
    assert whole.excess(np.array([1, 2]), np.array([1, 3]), 3, 1) == math.inf


def test_a_difference_is_measured_in_bounds() -> None:
    left = np.array([[0.5, 0.25], [0.3, -0.2]])
    right = left.copy()
    assert CHANNELS.excess(left, right, 3, 2) == 0
    right[0, 1] += _allowed(8)[0] * 3
    right[1, 0] += _allowed(24)[0] * 2
    assert CHANNELS.excess(left, right, 3, 2) == pytest.approx(3)
    assert CHANNELS.excess(right, left, 3, 2) == pytest.approx(3)
    second = np.array([[False, False], [True, True]])
    assert CHANNELS.excess(left, right, 3, 2, second) == pytest.approx(2)


def test_of_what_is_not_finite_nothing_is_said_unless_it_is_left_out() -> None:
    left = np.array([[np.nan, 0.25], [0.3, -0.2]])
    assert CHANNELS.excess(left, left, 3, 2) == 0
    assert math.isnan(CHANNELS.excess(left, ZERO, 3, 2))
    assert math.isnan(CHANNELS.excess(ZERO, left, 3, 2))
    assert CHANNELS.excess(ZERO, left, 3, 2, ~np.isnan(left)) > 1


def test_what_has_to_be_zero_is_exceeded_infinitely() -> None:
    assert exceeding(np.array([0.0, 3.0]), np.array([0.0, 2.0])) == 1.5
    assert exceeding(np.array([1e-300, 3.0]), np.array([0.0, 2.0])) == math.inf
    assert exceeding(np.array([1.0, 3.0]), np.array([2.0])) == 1.5
    assert exceeding(np.zeros(2), np.zeros(2)) == 0
    assert exceeding(np.zeros(0), np.zeros(0)) == 0


def test_a_bound_is_shared_along_axes_or_by_all() -> None:
    cells = Rounding(
        4, UNIT, np.array([[2.0, 3], [8, 4]]), np.array([[1.0, 0], [5, 6]]), SMALLEST, ()
    )
    rows = cells.along((-1,))
    assert (rows.gain.tolist(), rows.offset.tolist()) == ([[3], [8]], [[1], [6]])  # type: ignore[union-attr]
    assert rows.axes == (-1,)
    assert rows.of_the_whole == Rounding(4, UNIT, 8.0, 6.0, SMALLEST)
    assert (cells.largest_gain, cells.largest_offset) == (8, 6)
    scalars = Rounding(4, UNIT, 2.0, 1.0, SMALLEST).along((-2, -1))
    assert (scalars.gain, scalars.offset, scalars.axes) == (2, 1, (-2, -1))
    nothing = Rounding(4, UNIT, np.zeros((0, 1)), np.zeros((0, 1)), SMALLEST, ())
    assert (nothing.largest_gain, nothing.largest_offset) == (0, 0)
    assert nothing.along((-2, -1)).gain.tolist() == [[0]]  # type: ignore[union-attr]


@pytest.mark.parametrize(("cells", "stages"), [(1, 1), (2, 2), (8, 4), (9, 5)])
def test_a_transform_rounds_once_in_each_stage(cells: int, stages: int) -> None:
    rounding = Rounding(cells, UNIT, 1.0, 0.0, SMALLEST)
    assert rounding.share_of_transforms == stages / cells
    expected = np.array([3.0, 5]) * gamma(8 * stages, UNIT)
    assert np.array_equal(rounding.of_transforms(np.array([3.0, 5])), expected)


def test_single_precision_is_that_of_torch() -> None:
    double = Rounding(4, 2.0**-53, 2.0, 1.0, 2.0**-1074)
    assert double.in_single_precision() == Rounding(4, UNIT, 2.0, 1.0, SMALLEST)


def test_a_precision_is_too_coarse_from_where_rounding_is_as_large_as_the_values() -> None:
    """Eight roundings for each cell: 64 of them at 7 bits are gamma = 1."""
    assert Rounding(8, 2.0**-7, 1.0, 0.0, 0.0).relative == 1
    assert Rounding(8, 2.0**-7, 1.0, 0.0, 0.0).too_coarse
    assert not Rounding(7, 2.0**-7, 1.0, 0.0, 0.0).too_coarse
    assert Rounding(100, 2.0**-7, 1.0, 0.0, 0.0).too_coarse
