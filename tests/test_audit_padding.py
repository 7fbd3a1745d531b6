"""The audit of padding, by a layer or by hand: how far windows hang over the edge."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
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


@pytest.mark.parametrize("steps", [1, 3])
def test_a_roll_has_the_law_of_the_same_slices_side_by_side(steps: int) -> None:
    def blurred(x: Tensor, left: Tensor, right: Tensor) -> Tensor:
        return (left + 2 * x + right) / 4

    def rolled(x: Tensor) -> Tensor:
        return blurred(x, x.roll(-steps, -1), torch.roll(x, steps, -1))

    def sliced(x: Tensor) -> Tensor:
        left = torch.cat([x[..., steps:], x[..., :steps]], -1)
        return blurred(x, left, torch.cat([x[..., -steps:], x[..., :-steps]], -1))

    for channels in (1, 3):
        for before in (nn.Identity(), nn.Conv1d(channels, channels, 3, padding=1)):
            rows = [
                audit(nn.Sequential(before, Fn(function)), (channels, 64)).rows[-1]
                for function in (rolled, sliced)
            ]
            facts = [(row.receptive_field, row.jump, row.start, row.border) for row in rows]
            assert facts[0] == facts[1]
            padded = isinstance(before, nn.Conv1d)
            size, edge = 2 * steps + 1 + 2 * padded, steps + padded
            assert facts[0] == ((size,), (1,), (-edge,), ((edge, edge),))


def test_what_a_roll_brings_from_the_other_end_is_a_border_along_its_own_axes() -> None:
    def border(function: Callable[[Tensor], Tensor]) -> Any:
        return audit(Fn(function), (2, 8, 9)).rows[-1].border

    assert border(lambda x: x.roll((2, -1), (2, 3))) == ((2, 0), (0, 1))
    assert border(lambda x: x.roll(5, 2)) == ((0, 3), (0, 0))
    assert border(lambda x: x.roll(1, 1)) == ((0, 0), (0, 0))  # channels have no edge
    assert border(lambda x: x.roll(8, 2)) == ((0, 0), (0, 0))


def _measured_border(layer: nn.ConvTranspose1d, cells: int, outputs: int) -> tuple[int, int]:
    """Return the border of a transposed convolution whose weights are 1, by its own outputs.

    The cells beyond the ends are made: what is not 0 when they alone are 1 hangs over. The border
    at an end is up to the last such cell before the first one whose whole window lies inside.
    """
    beyond = layer.kernel_size[0] * layer.dilation[0]
    first = beyond * layer.stride[0]
    mask = torch.ones(1, 1, cells + 2 * beyond)
    mask[..., beyond:-beyond] = 0
    with torch.no_grad():
        hangs = (layer(mask)[0, 0, first : first + outputs] > 0).tolist()
        sees = (layer(1 - mask)[0, 0, first : first + outputs] > 0).tolist()

    def at_the_start(hangs: list[bool], sees: list[bool]) -> int:
        inside = [o for o in range(outputs) if sees[o] and not hangs[o]]
        return 1 + max((o for o in range(min(inside, default=outputs)) if hangs[o]), default=-1)

    return at_the_start(hangs, sees), at_the_start(hangs[::-1], sees[::-1])


def test_cells_that_see_nothing_do_not_end_the_border_of_a_transposed_convolution() -> None:
    cells, layers, outputs = 6, [], []
    grid = product(range(1, 5), range(1, 4), range(3), range(1, 3), range(3))
    for kernel, stride, padding, dilation, more in grid:
        size = (cells - 1) * stride - 2 * padding + dilation * (kernel - 1) + more + 1
        if more < max(stride, dilation) and size > 1:
            sizes = (kernel, stride, padding, more)
            layers.append(nn.ConvTranspose1d(1, 1, *sizes, bias=False, dilation=dilation))
            outputs.append(size)
            nn.init.ones_(layers[-1].weight)
    rows = audit(Fn(lambda x, *layers: [layer(x) for layer in layers], *layers), (1, cells)).rows
    assert [row.output_shape for row in rows] == [(1, size) for size in outputs]
    borders = [row.border[0] for row in rows]
    measured = map(_measured_border, layers, [cells] * len(layers), outputs)
    assert borders == list(measured)
    assert {(0, 0), (1, 0), (4, 4)} <= set(borders)
