"""A failure shows a witness that replays, with the very sides that differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.testing_operators import replayed
from theory import diagnose
from theory.testing import OperatorTests, assert_shift_equivariant
from theory.testing.replaying import Counterexample, sides


def test_the_replay_computes_the_very_sides_of_the_witness() -> None:
    op = nn.Sequential(nn.Conv1d(2, 3, 3, padding=1), nn.GELU())
    witness = diagnose(op, (2, 7)).additive.witness
    assert witness is not None
    names: dict[str, Any] = {"op": op}
    exec(str(Counterexample.of(witness)), names)
    np.testing.assert_array_equal(names["left"], witness.left)
    np.testing.assert_array_equal(names["right"], witness.right)


def test_a_hidden_counter_replays() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls = nn.Buffer(torch.zeros(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return x + self.calls

    class TestCounter(OperatorTests):
        shape = (4,)

        def operator(self) -> nn.Module:
            return Counter()

    with pytest.raises(AssertionError, match="is not deterministic") as failure:
        TestCounter().test_deterministic()
    replayed(failure, op=Counter())


def test_a_shift_by_the_very_period_is_shown() -> None:
    with pytest.raises(AssertionError, match=r"to shifts by 2.*it follows is 4") as failure:
        assert_shift_equivariant(nn.AvgPool1d(4, 4), (1, 8), period=2)
    assert "shift=(1,)" in str(failure.value)  # a shift by 2 is no whole shift of 2 output cells
    block = torch.block_diag(*[torch.arange(16.0).reshape(4, 4)] * 2).double()
    with pytest.raises(AssertionError, match=r"to shifts by 2") as failure:
        assert_shift_equivariant(lambda x: block.to(x) @ x, (8,), period=2)
    assert "shift=(2,), output_shift=(2,)" in str(failure.value)
    replayed(failure, op=lambda x: block.to(x) @ x)


@pytest.mark.parametrize(
    ("arguments", "constants", "message"),
    [
        (("linear", np.ones(2)), {}, "property 'linear' has no equation; known: determin"),
        (("homogeneous", np.ones(2)), {}, "needs its scalar"),
        (("shift_equivariant", np.ones(2)), {}, "needs its shift"),
    ],
)
def test_sides_of_no_equation_are_refused(arguments, constants, message) -> None:
    with pytest.raises(ValueError, match=message):
        sides(torch.relu, *arguments, **constants)
