"""The largest value that an operator holds at zero, its constants included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from tests.operator_table import conv
from theory.diagnosis.calling import Operator
from theory.diagnosis.tracing import trace
from theory.diagnosis.values import largest_at_zero

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (lambda x: (x + 3) - 3, 3),
        (lambda x: (x - 5) * 0.25 + 1.25, 5),
        (lambda x: x + (1e8 * torch.ones(4) - 1e8), 0),
        (lambda x: torch.stack((x + 2, x - 7)).sort().values.sum(0), 7),
        (lambda x: torch.fft.fft(x + 2), 8),
        (lambda x: torch.log(x).clamp(-3, 3), 3),
        (lambda x: (x - 9 > 0) * 1.0 + 20, 20),
        (lambda x: (x.long() + 1000 > 5) * 1.0, 1),
        (lambda x: torch.log(x).clamp(-0.5, 0.5), 0.5),
    ],
    ids=[
        *("sum", "first", "constants", "stacked", "complex", "infinite", "truth values"),
        *("whole numbers", "infinite and small"),
    ],
)
def test_the_largest_value_at_zero(op: Callable[..., Any], expected: float) -> None:
    zero = torch.zeros(4, dtype=torch.float64)
    graph = trace(Operator(op, (4,)), [zero.numpy()])
    assert largest_at_zero(graph, zero) == expected


def test_the_largest_value_before_an_error() -> None:
    graph = trace(Operator(lambda x: torch.ones(4)[(x + 3).long() - 3], (4,)), [np.zeros(4)])
    assert largest_at_zero(graph, torch.zeros(4, dtype=torch.float64)) == 3
    assert largest_at_zero(graph, torch.full((4,), 9.0, dtype=torch.float64)) == 12


def test_memory_that_was_never_written_is_not_held() -> None:
    """Circular padding copies into memory as it was found, here that of the numbers given back."""
    graph = trace(Operator(conv(), (2, 8)), [np.zeros((2, 8))])
    assert "empty" in str(graph)
    for _ in range(8):
        found = [torch.full((1, 2, 10), 1e5, dtype=torch.float64) for _ in range(64)]
        del found
        assert largest_at_zero(graph, torch.zeros(1, 2, 8, dtype=torch.float64)) == 0
