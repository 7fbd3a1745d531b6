"""The tools of exhaustion find all shifts that answer, the smallest period and every signal."""

from __future__ import annotations

from functools import partial

import torch

from theory.exhaustion import answering_shifts, grid, period, shift
from theory.operators import strided_pool


def test_answering_shifts_finds_all_and_only_those_that_answer() -> None:
    basis = list(torch.eye(4))
    assert answering_shifts(partial(shift, by=1), 1, basis) == {1}
    assert answering_shifts(lambda x: x.flip(0), 1, basis) == {3}
    assert answering_shifts(lambda x: 0 * x, 1, basis) == {0, 1, 2, 3}
    assert answering_shifts(lambda x: x.cumsum(0), 1, basis) == set()


def test_the_period_is_the_smallest_shift_answered_in_proportion() -> None:
    basis = list(torch.eye(12))
    every_third = torch.tensor([1.0, 0, 0] * 4)
    assert period(lambda x: x, basis) == 1
    assert period(lambda x: x * every_third, basis) == 3
    assert period(partial(strided_pool, stride=4), basis) == 4
    assert period(lambda x: x.flip(0), basis) == 6
    assert period(lambda x: x.cumsum(0), basis) is None


def test_a_grid_holds_every_signal_once() -> None:
    signals = {tuple(x.tolist()) for x in grid(3, (0, 1))}
    assert len(signals) == len(grid(3, (0, 1))) == 8
    assert (1, 0, 1) in signals
