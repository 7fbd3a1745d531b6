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
from tests.seen_cells import interval, measured
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


def test_a_row_that_is_written_over_another_is_a_border() -> None:
    def write(x: Tensor) -> Tensor:
        y = x.clone()
        y[:, :, 0] = x[:, :, 1]
        return y

    row = audit(Fn(write), (4, 6, 7)).rows[-1]
    assert (row.receptive_field, row.jump, row.start) == ((1, 1), (1, 1), (0, 0))
    assert row.border == ((1, 0), (0, 0))


def test_a_map_whose_cells_all_touch_an_edge_keeps_its_border_when_it_is_moved() -> None:
    moved = [Fn(lambda x: x.permute(0, 2, 3, 1)), Fn(lambda x: x.permute(0, 3, 1, 2))]
    rows = audit(nn.Sequential(nn.Conv2d(3, 2, 9, padding=4), *moved), (3, 4, 5)).rows
    assert [row.border for row in rows] == [((4, 4), (5, 5))] * 3


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

    The cells beyond the ends are made: what is not 0 when they alone are 1 hangs over. Inside is
    the stretch without any such cell that holds most of those that see something.
    """
    beyond = layer.kernel_size[0] * layer.dilation[0]
    first = beyond * layer.stride[0]
    mask = torch.ones(1, 1, cells + 2 * beyond)
    mask[..., beyond:-beyond] = 0
    with torch.no_grad():
        hangs = (layer(mask)[0, 0, first : first + outputs] > 0).tolist()
        sees = (layer(1 - mask)[0, 0, first : first + outputs] > 0).tolist()
    stretches = [
        (sum(sees[a:b]), b - a, -a, b)
        for a in range(outputs)
        for b in range(a + 1, outputs + 1)
        if not any(hangs[a:b])
    ]
    seeing, _, start, end = max(stretches, default=(0, 0, 0, 0))
    if seeing:
        return -start, outputs - end
    there = [o for o in range(outputs) if hangs[o]]
    return max(there, default=-1) + 1, outputs - min(there, default=outputs)


def test_cells_that_see_nothing_do_not_end_the_border_of_a_transposed_convolution() -> None:
    cells, layers, outputs = 12, [], []
    grid = product(range(1, 5), range(1, 4), range(3), range(1, 5), range(3))
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
    expected = map(_measured_border, layers, [cells] * len(layers), outputs)
    assert borders == list(expected)
    assert {(0, 0), (0, 2), (1, 3), (5, 5)} <= set(borders)


def test_no_cell_inside_the_border_touches_an_edge_where_such_cells_stand_apart() -> None:
    """Output 4 reads the cells 2 and -1, though output 3 reads 1 and no edge."""
    layer = nn.ConvTranspose1d(1, 1, 3, stride=2, dilation=3)
    assert audit(layer, (1, 12)).rows[0].border == ((5, 5),)
    network = nn.Sequential(
        nn.Conv1d(1, 1, 1, padding=2, padding_mode="circular", bias=False),
        nn.Conv1d(1, 1, 2, bias=False),
        nn.ConvTranspose1d(1, 1, 4, stride=3, padding=1, dilation=2, bias=False),
    )
    for weight in network.parameters():
        nn.init.ones_(weight)
    row = audit(network, (1, 20)).rows[-1]
    (before, after), (size,) = row.border[0], row.receptive_field
    seen = [interval(each) for each in measured(network, 20)[:, 0].T]
    wide = [o for o, each in enumerate(seen) if each and each[1] - each[0] + 1 > size]
    assert max(o for o in wide if o < 35) + 1 == before == 9
    assert len(seen) - min(o for o in wide if o > 35) == after == 9


@pytest.mark.parametrize("crop", [nn.ConstantPad1d((-1, 0), 0.0), Fn(lambda x: x[..., 1:])])
def test_padding_that_crops_frames_leaves_behind_what_their_first_cells_see(
    crop: nn.Module,
) -> None:
    frames = Fn(lambda x: x.unfold(2, 3, 2).flatten(0, 1))
    row = audit(nn.Sequential(nn.Conv1d(1, 1, 3, padding=1), frames, crop), (1, 9)).rows[-1]
    assert (row.receptive_field, row.jump, row.start) == ((4,), (2,), (0,))
    assert row.border == ((0, 1),)
