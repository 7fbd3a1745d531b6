"""The audit of maps that are flattened: the law stays where it is undone, and nowhere else."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.audit_modules import Fn
from theory import audit


class Tokens(nn.Module):
    """Cells in a row, each with its channels last, and back."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers to every cell by itself."""
        rows = x.flatten(2).transpose(1, 2)
        return (rows + self.layers(rows)).transpose(1, 2).reshape(x.shape)


FLATTENED: dict[str, nn.Module] = {
    "to a map of rows": Fn(lambda x: x.flatten(2).view(x.shape)),
    "with the channels": Fn(lambda x: x.flatten(1).view(x.shape)),
    "with the columns first": Fn(
        lambda x: x.transpose(2, 3).flatten(2).view(*x.shape[:2], 7, 6).transpose(2, 3)
    ),
    "by einsum": Fn(lambda x: torch.einsum("oc,bchw->bohw", x.new_ones(4, 4), x)),
    "by a product": Fn(lambda x: (x.new_ones(4, 4) @ x.flatten(2)).view(x.shape)),
    "by a convolution of rows": nn.Sequential(
        nn.Flatten(2), nn.Conv1d(4, 4, 1), nn.Unflatten(2, (6, 7))
    ),
    "as tokens": Tokens(nn.LayerNorm(4), nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4)),
}


@pytest.mark.parametrize("name", FLATTENED)
def test_a_flatten_that_is_undone_leaves_the_law(name: str) -> None:
    def facts(pointwise: nn.Module) -> list[Any]:
        before, after = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 2, padding=1)
        row = audit(nn.Sequential(before, pointwise, after), (4, 6, 7)).rows[-1]
        return [row.receptive_field, row.jump, row.start, row.border]

    assert facts(FLATTENED[name]) == facts(nn.Conv2d(4, 4, 1))


@pytest.mark.parametrize(
    "between",
    [
        lambda x: x.flatten(2).view(1, 4, 7, 6),
        lambda x: (x.flatten(2) + x.transpose(2, 3).flatten(2)).view(x.shape),
        lambda x: functional.pad(x.flatten(2)[:, :, 2:], (0, 2)).view(x.shape),
        lambda x: functional.avg_pool1d(x.flatten(2), 3, 1, 1).view(x.shape),
    ],
)
def test_cells_that_come_back_elsewhere_follow_no_law(between: Callable[[Tensor], Tensor]) -> None:
    row = audit(Fn(between), (4, 6, 7)).rows[-1]
    assert (row.jump[1], row.start[1], row.border[1]) == (None, None, None)


def test_a_roll_of_a_flat_map_rolls_its_columns_and_joins_rows() -> None:
    """What leaves a row at its end comes back at the start of the next one."""
    row = audit(Fn(lambda x: x.flatten(2).roll(3, 2).view(x.shape)), (4, 6, 7)).rows[-1]
    assert (row.receptive_field, row.jump, row.start) == ((2, 1), (1, 1), (-1, -3))
    assert row.border == ((1, 0), (3, 0))


def test_cells_in_a_row_have_no_border_and_no_jump() -> None:
    row = audit(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Flatten(1)), (1, 6, 7)).rows[-1]
    assert row.receptive_field == (3, 3)
    assert (row.jump[1], row.start[1], row.border[1]) == (None, None, None)


def test_a_flat_map_is_followed_in_a_few_arrays() -> None:
    """A tuple for each cell would take as much as twenty numbers."""
    audit(nn.Flatten(2), (2, 8, 8))  # what is made once is there already
    tracemalloc.start()
    try:
        audit(nn.Flatten(2), (2, 256, 256))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * 8 * 256**2
