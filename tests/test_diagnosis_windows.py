"""Two windows on one signal are the input and the input moved; pairs of cells make a border."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from theory.diagnosis.windows import (
    cells_along,
    least_border,
    moved_cell,
    nearer_first,
    two_windows,
    widths,
)


@pytest.mark.parametrize("axis", [-1, -2, -3])
@pytest.mark.parametrize("by", [1, 2])
def test_the_second_window_is_the_first_one_moved_in_from_the_start(axis: int, by: int) -> None:
    signal = np.random.default_rng(0).permutation(6**3).reshape(6, 6, 6)
    x, moved = two_windows(signal, axis, by)
    n = 6 - by
    assert x.shape[axis] == moved.shape[axis] == n
    assert np.array_equal(cells_along(moved, axis, by, n), cells_along(x, axis, 0, n - by))
    assert np.array_equal(x, np.take(signal, range(by, 6), axis))
    assert np.array_equal(moved, np.take(signal, range(n), axis))


def test_a_cell_is_moved_along_one_axis_alone() -> None:
    assert moved_cell((1, 2, 3), -1, 4) == (1, 2, 7)
    assert moved_cell((1, 2, 3), -2, -4) == (1, -2, 3)
    assert moved_cell((1, 2, 3), -3, 1) == (2, 2, 3)


def _pairs(m: int, by: int) -> range:
    return range(by, m)


sizes = st.integers(2, 9).flatmap(lambda m: st.tuples(st.just(m), st.integers(1, m - 1)))


@given(sizes, st.data())
def test_the_border_is_the_least_that_leaves_out_all_pairs_that_differ(
    size: tuple[int, int], data: Any
) -> None:
    """From the definition: cells i - by and i are left out if one of them is in the border."""
    m, by = size
    differing = data.draw(st.sets(st.sampled_from(_pairs(m, by))))
    differs = np.isin(np.arange(m), list(differing))

    def leaves_out(border: int) -> bool:
        return all(i - by < border or i >= m - border for i in differing)

    least = next(border for border in range(m + 1) if leaves_out(border))
    first, last = widths(differs, by)
    assert max(first, last) == least
    assert leaves_out(least)
    assert all(i - by < first or i >= m - last for i in differing)
    left = len([i for i in range(m) if least <= i < m - least])
    assert least_border(differs, by) == (least if left >= 2 * by else None)


@given(sizes)
def test_a_pair_is_counted_to_the_end_that_leaves_it_out_sooner(size: tuple[int, int]) -> None:
    m, by = size
    cells = np.array(_pairs(m, by))
    to_first, to_last = cells - by + 1, m - cells
    assert np.array_equal(nearer_first(cells, m, by), to_first <= to_last)
    for i in cells:
        alone = np.arange(m) == i
        expected = (to_first[i - by], 0) if to_first[i - by] <= to_last[i - by] else (0, m - i)
        assert widths(alone, by) == expected
