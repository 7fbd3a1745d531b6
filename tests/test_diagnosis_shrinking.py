"""Inputs that break a law are made as small as the law's breach lets them be, and no smaller."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from theory.diagnosis.shrinking import shrunk

if TYPE_CHECKING:
    from collections.abc import Callable

N = 8  # blocks of 8, 4, 2 and 1: thirds of them would leave out the single cells

needed_cells = st.sets(st.tuples(st.integers(0, 1), st.integers(0, N - 1)))


def _filled() -> tuple[np.ndarray, np.ndarray]:
    return np.arange(40.0, 40 + N), -np.arange(7.0, 7 + N)


@given(needed_cells, st.integers(1, 7))
def test_what_is_left_is_what_is_needed_at_the_least_magnitude(
    needed: set[tuple[int, int]], least: int
) -> None:
    given_inputs = _filled()

    def accept(inputs: tuple[np.ndarray, ...]) -> bool:
        return all(abs(inputs[which][cell]) >= least for which, cell in needed)

    expected = tuple(np.zeros(N) for _ in range(2))
    for which, cell in needed:
        expected[which][cell] = least * (1, -1)[which]
    assert np.array_equal(shrunk(given_inputs, accept), expected)
    assert np.array_equal(given_inputs, _filled()), "the inputs themselves were changed"


@given(needed_cells, st.integers(0, 2**32 - 1))
def test_no_step_goes_beyond_what_is_accepted(needed: set[tuple[int, int]], seed: int) -> None:
    """Whatever is accepted, by a rule or by chance: what is returned has been, or was given."""
    rng = np.random.default_rng(seed)
    accepted = [_filled()]

    def accept(inputs: tuple[np.ndarray, ...]) -> bool:
        if any(not inputs[which][cell] for which, cell in needed) or rng.random() < 0.5:
            return False
        accepted.append(inputs)
        return True

    found = shrunk(accepted[0], accept)
    assert any(np.array_equal(found, each) for each in accepted)


@pytest.mark.parametrize("cell", [0, 5, N - 1])
def test_a_cell_is_zeroed_in_all_inputs_at_once(cell: int) -> None:
    """As long as the two cancel, which no change of one of them alone leaves them to do."""
    x = np.arange(40.0, 40 + N)

    def accept(inputs: tuple[np.ndarray, ...]) -> bool:
        return np.array_equal(inputs[0], -inputs[1]) and inputs[0][cell] != 0

    left, right = shrunk((x, -x), accept)
    assert np.flatnonzero(left).tolist() == np.flatnonzero(right).tolist() == [cell]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("value", "enough", "expected"),
    [
        (9.0, lambda size: True, 0),
        (9.0, lambda size: size >= 1, 1),
        (9.0, lambda size: size > 8, 9),
        (37.5, lambda size: size >= 37.25, 37.5),
        (0.5, lambda size: size > 0, 0.5),
        (1.0, lambda size: size > 0, 1),
        (1.5, lambda size: size > 0, 1),
        (2.0**20, lambda size: size >= 12_345, 12_345),
        (2.0, lambda size: size > 1, 2),
    ],
)
def test_a_magnitude_becomes_the_smallest_integer_of_its_sign(
    value: float, enough: Callable[[float], bool], expected: float, sign: int
) -> None:
    (found,) = shrunk(
        (np.array([[0.0, sign * value]]),), lambda inputs: enough(abs(inputs[0].sum()))
    )
    assert found.tolist() == [[0, sign * expected]]
    assert np.signbit(found).any() == (sign * expected < 0), "a zero with a sign"


def test_what_goes_from_one_of_two_inputs_leaves_a_zero_without_a_sign() -> None:
    left, right = shrunk((-np.ones(1), np.ones(1)), lambda inputs: bool(inputs[1].all()))
    assert (left, right) == (0, 1)
    assert not np.signbit(left)


def test_blocks_are_halved_so_that_few_questions_find_one_cell_of_many() -> None:
    asked = []

    def accept(inputs: tuple[np.ndarray, ...]) -> bool:
        asked.append(inputs)
        return bool(inputs[0][700])

    (found,) = shrunk((np.ones(1000),), accept)
    assert np.flatnonzero(found).tolist() == [700]
    assert len(asked) <= 3 * 10  # about two halves for each of 10 blocks


def test_what_is_small_already_is_not_asked_for() -> None:
    def accept(inputs: tuple[np.ndarray, ...]) -> bool:
        raise AssertionError(inputs)

    (found,) = shrunk((np.zeros((2, 3)),), accept)
    assert np.array_equal(found, np.zeros((2, 3)))
