"""Which cells see an end, cell by cell: the window of a middle cell, moved, reaches beyond it."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from theory.diagnosis.equivariance import Step
from theory.diagnosis.reach import (
    NOWHERE,
    Reach,
    Rows,
    outer_inside,
    pooled,
    unexplained,
    weights_of,
)


@st.composite
def _reaches(draw: Any) -> tuple[Reach, Step, int, int]:
    n, m = draw(st.integers(2, 12)), draw(st.integers(2, 12))
    by, to = draw(st.integers(1, n // 2)), draw(st.integers(1, m // 2))
    places = st.lists(st.integers(-2, n + 1), min_size=2 * to, max_size=2 * to)
    first, length = np.array([draw(places)]), np.array([draw(places)]) + 2
    read_from, read_to = draw(st.integers(0, n - 1)), draw(st.integers(0, n - 1))
    reach = Reach(first, first + length, np.array([[read_from]]), np.array([[read_to]]))
    return reach, Step(by, to), n, m


@given(_reaches())
def test_a_cell_sees_no_end_if_its_window_lies_within_what_is_read(
    drawn: tuple[Reach, Step, int, int],
) -> None:
    """Of two windows that a middle one is moved to, the one of an output cell is asked alone."""
    reach, step, n, m = drawn
    half, to = m // 2, step.output_by
    part = step.by if to > step.by else 0
    read_from, read_to = int(reach.read_from.item()), int(reach.read_to.item())
    for cell, inside in enumerate(reach.inside(step, n, m)[0]):
        steps = -(-(half - cell) // to) if cell < half else -((cell - half) // to + 1)
        middle = cell + steps * to - (half - to)
        first, last = (seen[0, middle] - steps * step.by for seen in (reach.first, reach.last))
        if cell < half:
            expected = first >= part and not first < read_from <= last
        else:
            expected = last < n - part and not first <= read_to < last
        assert inside == expected, cell


def test_a_window_of_three_cells_sees_an_end_from_the_first_and_the_last_cell_alone() -> None:
    reach = Reach(np.array([1, 2]), np.array([3, 4]), np.array([0]), np.array([6]))
    assert reach.inside(Step(1, 1), 7, 7).tolist() == [False, True, True, True, True, True, False]


@given(st.integers(2, 9).flatmap(lambda m: st.tuples(st.just(m), st.integers(1, m - 1))), st.data())
def test_a_difference_is_unexplained_if_the_cell_nearer_to_an_end_sees_none(
    size: tuple[int, int], data: Any
) -> None:
    m, to = size
    flags = st.lists(st.booleans(), min_size=m, max_size=m)
    differs, inside = np.array([data.draw(flags)]), np.array([data.draw(flags)])
    found = unexplained(differs, inside, to)
    assert not found[:, :to].any()
    for i in range(to, m):
        nearer = i - to if (i - to) + 1 <= m - i else i
        assert found[0, i] == (differs[0, i] and inside[0, nearer])
        assert outer_inside(inside, to)[0, i - to] == inside[0, nearer]


def test_other_axes_that_are_shifted_are_pooled() -> None:
    values = np.random.default_rng(0).permutation(2 * 3 * 4).reshape(2, 3, 4)
    assert np.array_equal(pooled(values, -1, (-2, -1)), values.max(1, keepdims=True))
    expected = np.moveaxis(values.max(2, keepdims=True), 1, -1)
    assert np.array_equal(pooled(values, -2, (-2, -1)), expected)
    assert np.array_equal(pooled(values, -1, (-1,)), values)


def test_a_weight_is_what_an_impulse_adds_and_infinite_where_one_side_is_not_finite() -> None:
    zero = np.array([1.0, 1.0, np.nan, np.inf, np.nan])
    response = np.array([3.0, np.inf, 2.0, np.inf, np.nan])
    assert weights_of(response, zero).tolist() == [2, np.inf, np.inf, 0, 0]
    assert weights_of(np.array([-3.0]), np.array([1.0])).tolist() == [4]


def _rows(matrix: np.ndarray, to: int, bound: float = 0.0) -> Reach:
    """Return what the middle of m outputs sees of n inputs, from the weights of each input."""
    n, m = matrix.shape
    rows = Rows(np.zeros(m), n, -1, {-1: to})
    for at in range(n):
        rows.add(at, matrix[at], np.array([bound]))
    return rows.reach()


@given(st.integers(1, 6), st.integers(2, 6), st.data())
def test_a_row_is_seen_from_its_first_to_its_last_weight(n: int, m: int, data: Any) -> None:
    to = data.draw(st.integers(1, m // 2))
    cells = data.draw(st.sets(st.tuples(st.integers(0, n - 1), st.integers(0, m - 1))))
    matrix = np.zeros((n, m))
    for cell in cells:
        matrix[cell] = 1
    reach = _rows(matrix, to)
    half = m // 2
    for at, row in enumerate(matrix.T[half - to : half + to]):
        seen = np.flatnonzero(row)
        assert reach.first[at] == (seen[0] if len(seen) else NOWHERE)
        assert reach.last[at] == (seen[-1] if len(seen) else n - 1 - NOWHERE)
    read = sorted(i for i, _ in cells)
    assert reach.read_from.item() == (read[0] if read else NOWHERE)
    assert reach.read_to.item() == (read[-1] if read else n - 1 - NOWHERE)


@pytest.mark.parametrize("flipped", [False, True])
def test_weights_that_fade_are_seen_while_what_lies_beyond_adds_up(flipped: bool) -> None:
    """16 times the sum of 1, 2, 4 and 8 units is beyond a bound of 100 from the third one on."""
    weights = np.array([1.0, 2, 4, 8, 1000, 0])
    matrix = np.tile(weights[::-1] if flipped else weights, (2, 1)).T
    reach = _rows(matrix, 1, bound=100)
    if flipped:
        assert (reach.first.tolist(), reach.last.tolist()) == ([1, 1], [3, 3])
        assert (reach.read_from.item(), reach.read_to.item()) == (1, 1)
    else:
        assert (reach.first.tolist(), reach.last.tolist()) == ([2, 2], [4, 4])
        assert (reach.read_from.item(), reach.read_to.item()) == (4, 4)


def test_a_sum_that_is_the_bound_is_rounding() -> None:
    assert _rows(np.full((1, 2), 2.0), 1, bound=32).first.tolist() == [NOWHERE] * 2
    assert _rows(np.full((1, 2), 2.0), 1, bound=31).first.tolist() == [0] * 2
    assert _rows(np.full((1, 2), 2.0), 1, bound=2).read_from.item() == NOWHERE
    assert _rows(np.full((1, 2), 2.0), 1, bound=1).read_from.item() == 0


def test_the_largest_bound_of_all_responses_counts() -> None:
    rows = Rows(np.zeros(2), 2, -1, {-1: 1})
    rows.add(0, np.full(2, 2.0), np.array([40.0]))
    rows.add(1, np.full(2, 9.0), np.array([1.0]))
    assert rows.reach().first.tolist() == [1, 1]


def test_channels_have_rows_of_their_own_and_a_plane_is_seen_through_its_middle() -> None:
    """Along the width of 4 x 6 outputs, only the two middle rows count; all do where none follows.

    What is read, any output reads.
    """
    zero = np.zeros((2, 4, 6))
    bound = np.zeros((2, 1, 1))
    weights = zero.copy()
    weights[0, 1, 2] = weights[1, 0, 3] = 1  # one in a middle row, one beside
    for to, second in (({-2: 1, -1: 1}, NOWHERE), ({-2: None, -1: 1}, 0)):
        rows = Rows(zero, 5, -1, to)  # type: ignore[arg-type]
        rows.add(3, weights, bound)
        rows.add(0, np.arange(2)[:, None, None] * weights, bound)
        reach = rows.reach()
        assert reach.first.shape == (2, 1, 2)
        assert reach.first[0, 0].tolist() == [3, NOWHERE]
        assert reach.first[1, 0].tolist() == [NOWHERE, second]
        assert reach.read_from.ravel().tolist() == [3, 0]
        assert reach.read_to.ravel().tolist() == [3, 3]
