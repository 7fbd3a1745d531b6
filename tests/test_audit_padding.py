"""The audit of padding, by a layer or by hand: how far windows hang over the edge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.audit_modules import Fn
from theory import audit, diagnose


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("kernel", [3, 5])
def test_circular_padding_hangs_over_the_edge_as_zero_padding_does(axes: int, kernel: int) -> None:
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]

    def rows(mode: str) -> list[tuple[Any, ...]]:
        layers = [kind(1, 1, kernel, padding=kernel // 2, padding_mode=mode) for _ in range(2)]
        facts = audit(nn.Sequential(*layers), (1, *(12, 16, 14)[:axes]))
        return [(row.receptive_field, row.jump, row.start, row.border) for row in facts.rows]

    width, reach = (kernel,) * axes, (-(kernel // 2),) * axes
    assert rows("circular") == rows("zeros")
    assert rows("circular")[0] == (width, (1,) * axes, reach, ((kernel // 2,) * 2,) * axes)


@pytest.mark.parametrize(
    "pad",
    [
        lambda x: functional.pad(x, (2, 1), mode="circular"),
        lambda x: torch.cat([x[..., -2:], x, x[..., :1]], -1),
        lambda x: torch.cat([x[..., :2].flip(-1), x, x[..., -1:]], -1),
        lambda x: torch.cat([torch.zeros(1, 1, 2), x, torch.zeros(1, 1, 1)], -1),
        nn.ConstantPad1d((2, 1), 0.0),
    ],
)
def test_padding_by_hand_is_padding(pad: Callable[[Tensor], Tensor]) -> None:
    row = audit(nn.Sequential(Fn(pad), nn.Conv1d(1, 1, 3)), (1, 16)).rows[-1]
    assert (row.receptive_field, row.jump, row.start) == ((3,), (1,), (-2,))
    assert row.border == ((2, 1),)


def test_the_parts_of_a_map_side_by_side_have_no_edge() -> None:
    row = audit(Fn(lambda x: torch.cat([x[..., :11], x[..., 11:]], -1)), (1, 16)).rows[-1]
    assert (row.jump, row.border) == ((1,), ((0, 0),))


def test_what_circular_padding_brings_from_the_other_end_is_a_border() -> None:
    """The same border as `diagnose` measures in the interior."""
    layer = nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular")
    (row,) = audit(layer, (1, 8, 8)).rows
    assert row.border == ((1, 1), (1, 1))
    assert diagnose(layer, (1, 8, 8), boundary="interior").border == (1, 1)
