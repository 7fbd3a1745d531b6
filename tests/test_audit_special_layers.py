"""What layers see that no closed formula of a chain covers: as measured, so in the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.audit_modules import Fn
from tests.seen_cells import in_graph, interval, measured, reached
from theory import audit
from theory.auditing import dependence, reach


class Ones(nn.Sequential):
    """Layers in a row with all weights 1 and no biases."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(*layers)
        for parameter in self.parameters():
            nn.init.ones_(parameter)


def _conv(inputs: int = 1, outputs: int = 1, kernel: int = 3, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, bias=False, **options)


def _first_row_zeroed(x: Tensor) -> Tensor:
    x = x.clone()
    x[:, :, 0] = 0
    return x


def _written_in_place(x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    y[:, :, 2:] = x[:, :, :-2]
    y[:, :, :1].add_(x[:, :, -1:])
    return y


def _sums_twice(x: Tensor) -> Tensor:
    return x.sum(2, keepdim=True).expand(-1, -1, 2, -1)


# Each sees what it sees through something that no closed formula of a chain covers.
SPECIAL: dict[str, Callable[[], nn.Module]] = {
    "transposed": lambda: Ones(nn.ConvTranspose2d(1, 1, 3, 2, 1, bias=False)),
    "transposed with gaps": lambda: Ones(
        nn.ConvTranspose2d(1, 1, 2, 3, output_padding=1, bias=False)
    ),
    "transposed and dilated": lambda: Ones(
        nn.ConvTranspose2d(1, 1, 3, 2, padding=2, dilation=2, bias=False), _conv()
    ),
    "down and up": lambda: Ones(
        _conv(stride=2, padding=1), _conv(padding=1), nn.ConvTranspose2d(1, 1, 2, 2, bias=False)
    ),
    "depthwise": lambda: Ones(_conv(1, 4), _conv(4, 4, groups=4, dilation=2), _conv(4, 1, 1)),
    "grouped branches": lambda: Ones(
        Fn(lambda x: torch.cat([x, functional.avg_pool2d(x, 3, 1, 1)], 1)),
        _conv(2, 2, 1, groups=2),
        Fn(lambda x: x[:, :1]),
    ),
    "shuffled channels": lambda: Ones(
        Fn(lambda x: torch.cat([x, x, functional.max_pool2d(x, 3, 1, 1), x], 1)),
        nn.ChannelShuffle(2),
        Fn(lambda x: x.chunk(2, 1)[0]),
    ),
    "circular padding": lambda: Ones(_conv(padding=1, padding_mode="circular"), _conv()),
    "reflected padding": lambda: Ones(_conv(padding=2, padding_mode="reflect"), _conv()),
    "replicated padding": lambda: Ones(nn.ReplicationPad2d((2, 1, 0, 3)), _conv()),
    "padding as a layer": lambda: Ones(nn.ZeroPad2d((2, 1, 0, 3)), _conv()),
    "cropped": lambda: Ones(nn.ZeroPad2d(-1), _conv()),
    "nearest upsampling": lambda: Ones(nn.Upsample(scale_factor=2), _conv(padding=1)),
    "odd upsampling": lambda: Ones(nn.Upsample(size=(11, 10)), _conv()),
    "bilinear upsampling": lambda: Ones(
        nn.Upsample(scale_factor=2, mode="bilinear"), _conv(padding=1)
    ),
    "aligned upsampling": lambda: Ones(
        nn.Upsample(size=13, mode="bilinear", align_corners=True), _conv()
    ),
    "pixel shuffle": lambda: Ones(_conv(1, 4), nn.PixelShuffle(2), _conv(1, 1)),
    "pixel unshuffle": lambda: Ones(nn.PixelUnshuffle(2), _conv(4, 1, 2)),
    "adaptive pooling": lambda: Ones(_conv(padding=1), nn.AdaptiveAvgPool2d((3, 5))),
    "adaptive max pooling": lambda: Ones(nn.AdaptiveMaxPool2d((4, 1)), _conv(1, 1, 1)),
    "global pooling": lambda: Ones(_conv(), nn.AdaptiveAvgPool2d(1)),
    "ceil mode": lambda: Ones(nn.MaxPool2d(3, 2, ceil_mode=True), _conv(1, 1, 2)),
    "fully connected": lambda: Ones(_conv(stride=3), nn.Flatten(), nn.Linear(4, 3, bias=False)),
    "flattened and back": lambda: Ones(
        _conv(stride=2, padding=1), Fn(lambda x: x.flatten(2).view(x.shape)), _conv()
    ),
    "flattened and turned": lambda: Ones(Fn(lambda x: x.flatten(1).view(-1, 1, 4, 16)), _conv()),
    "part of a flat map": lambda: Ones(_conv(stride=3), nn.Flatten(), Fn(lambda x: x[:, 1:3])),
    "linear along rows": lambda: Ones(nn.Linear(8, 3, bias=False)),
    "squeeze and excite": lambda: Ones(Fn(lambda x: x + x.mean((2, 3), keepdim=True)), _conv()),
    "transposed axes": lambda: Ones(Fn(lambda x: x.transpose(2, 3)), _conv(dilation=2)),
    "axes added": lambda: Ones(Fn(lambda x: x + x.transpose(2, 3)), _conv()),
    "flipped": lambda: Ones(Fn(lambda x: x.flip(2)), _conv(stride=2)),
    "turned by a right angle": lambda: Ones(Fn(lambda x: x.rot90(1, (2, 3))), _conv(dilation=2)),
    "turned upside down": lambda: Ones(Fn(lambda x: x.rot90(2, (2, 3))), _conv(stride=2)),
    "rolled": lambda: Ones(Fn(lambda x: x.roll(3, 2)), _conv()),
    "rows side by side": lambda: Ones(Fn(lambda x: torch.cat([x, x[:, :, :3]], 2)), _conv()),
    "every second row": lambda: Ones(Fn(lambda x: x[:, :, ::2]), _conv()),
    "stacked": lambda: Ones(Fn(lambda x: torch.stack([x, x.roll(1, 3)], 1).sum(1)), _conv()),
    "sums in two rows": lambda: Ones(_conv(), Fn(_sums_twice)),
    "row of zeros": lambda: Ones(Fn(_first_row_zeroed), _conv()),
    "written in place": lambda: Ones(Fn(_written_in_place), _conv()),
    "attention weights": lambda: Ones(Fn(lambda x: x @ x.transpose(2, 3) + x)),
    "normalised": lambda: Ones(_conv(), nn.BatchNorm2d(1, affine=False), nn.Dropout(), nn.ReLU()),
    "normalised by groups": lambda: Ones(
        _conv(1, 4), nn.GroupNorm(2, 4, affine=False), _conv(4, 1)
    ),
    "gated": lambda: Ones(
        Fn(lambda x: torch.cat([x, functional.max_pool2d(x, 3, 1, 1)], 1)), nn.GLU(1), _conv()
    ),
    "gated by other rows": lambda: Ones(_conv(padding=1), nn.GLU(2)),
    "strided window of the map": lambda: Ones(nn.AvgPool2d(8)),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_measured_dependence_is_what_the_graph_reaches(name: str) -> None:
    module, sides = SPECIAL[name](), (8, 8)
    # Where factors multiply, one impulse alone would meet zeros: the background is 1 there.
    # Statistics turn some values below 0, which a positive response alone would not show.
    by_change = name in (
        "attention weights",
        "gated",
        "gated by other rows",
        "normalised by groups",
    )
    sees = (_changed if by_change else measured)(module, *sides)
    output = tuple(sees.shape[1:])
    for axis in (0, 1):
        (found,) = reached(module.float(), (1, *sides), axis + 1)
        others = torch.stack([each.any(1 - axis) for each in sees.reshape(*sides, -1).unbind(-1)])
        expected = [interval(each) for each in others]
        graph = in_graph(found.reach, (1, *output))
        # Along one axis, what matters is where a cell is along the dimensions the axis lies in.
        assert _over_other_cells(graph, found.reach, output) == _over_other_cells(
            expected, found.reach, output
        )
        if found.windows is not None and found.dim is not None:
            _follows_its_law(found, expected, output)


def _changed(module: nn.Module, *shape: int) -> torch.Tensor:
    cells = int(np.prod(shape))
    impulses = torch.eye(cells, dtype=torch.float64).reshape(cells, 1, *shape)
    with torch.no_grad():
        module = module.double().eval()
        return module(impulses + 1) != module(torch.ones(1, 1, *shape, dtype=torch.float64))


def _over_other_cells(
    intervals: list[tuple[int, int] | None], bounds: reach.Reach, output: tuple[int, ...]
) -> list[tuple[int, int] | None]:
    """Return the hulls over the dimensions along which a reach is said to be all the same."""
    never = 10**6
    pairs = np.array([each or (never, -1) for each in intervals]).reshape(*output, 2)
    same = tuple(d for d, n in enumerate(bounds.shape[2:]) if n == 1)
    first, last = pairs[..., 0].min(same), pairs[..., 1].max(same)
    hulls = zip(first.ravel().tolist(), last.ravel().tolist(), strict=True)
    return [(a, b) if a <= b else None for a, b in hulls]


def _follows_its_law(
    found: dependence.Dependence,
    expected: list[tuple[int, int] | None],
    output: tuple[int, ...],
) -> None:
    """Windows hold what is seen, and are what is seen wherever no edge is touched."""
    assert found.windows is not None
    assert found.dim is not None
    pairs = np.array([each or (10**6, -1) for each in expected]).reshape(*output, 2)
    others = tuple(d for d in range(len(output)) if d != found.dim - 1)
    crossed = tuple(d for d in range(found.reach.ndim - 1) if d != found.dim)
    touched = found.reach[2].min(crossed) < 0
    first, last = pairs[..., 0].min(others), pairs[..., 1].max(others)
    inside = 0
    for cell, edge in enumerate(np.broadcast_to(touched, first.shape)):
        window = found.windows.at(cell)
        if not edge and window is not None and 0 <= window[0] <= window[1] < 8:
            inside += window == (first[cell], last[cell])
    assert inside > 0, "the law holds somewhere"


@pytest.mark.parametrize(
    ("name", "size", "jump", "start"),
    [
        ("down and up", 7, 1, -3),
        ("circular padding", 5, 1, -1),
        ("nearest upsampling", 2, "1/2", -1),
        ("bilinear upsampling", 3, "1/2", -1),
        ("aligned upsampling", 4, "7/12", 0),
        ("flattened and back", 7, 2, -1),
        ("transposed", 2, "1/2", 0),
        ("pixel unshuffle", 4, 2, 0),
        ("every second row", 5, 2, 0),
    ],
)
def test_windows_that_take_turns_have_the_mean_jump(
    name: str, size: int, jump: int | str, start: int
) -> None:
    row = audit(SPECIAL[name](), (1, 8, 8)).rows[-1].to_dict()
    assert (row["receptive_field"][0], row["jump"][0], row["start"][0]) == (size, jump, start)


@pytest.mark.parametrize(
    ("layer", "size", "jump"),
    [
        (nn.Conv1d(8, 8, 1), 8, None),
        (nn.Conv1d(8, 6, 3, padding=1), 8, None),
        (nn.Conv1d(8, 8, 1, groups=2), 4, None),
        (nn.Conv1d(8, 16, 1, groups=8), 1, None),
        (nn.Conv1d(8, 8, 3, padding=1, groups=8), 1, 1),
        (nn.ConvTranspose1d(8, 8, 2, stride=2), 8, None),
        (nn.ConvTranspose1d(8, 8, 2, stride=2, groups=8), 1, 1),
    ],
)
def test_a_convolution_mixes_cells_that_stand_for_its_channels(
    layer: nn.Module, size: int, jump: int | None
) -> None:
    """As in networks that mix tokens by a convolution, whose channels are then the tokens."""

    def tokens(x: Tensor, layer: nn.Module) -> Tensor:
        return layer(x.transpose(1, 2)).transpose(1, 2)

    row = audit(Fn(tokens, layer), (4, 8)).rows[-1]
    assert (row.receptive_field, row.jump) == ((size,), (jump,))


@pytest.mark.parametrize(("channels", "side", "factor"), [(2, 8, 2), (4, 16, 2), (1, 16, 4)])
def test_patches_in_the_channels_move_by_their_side(channels: int, side: int, factor: int) -> None:
    """Also where channels are as many as rows, and their cells seem to move along them."""
    unshuffle, shape = nn.PixelUnshuffle(factor), (channels, side, side)
    for pad in (0, 1):
        blur = nn.AvgPool2d(2 * pad + 1, 1, pad)
        row = audit(nn.Sequential(blur, unshuffle), shape).rows[-1]
        assert (row.receptive_field, row.jump) == ((factor + 2 * pad,) * 2, (factor,) * 2)
        assert (row.start, row.border) == ((-pad,) * 2, ((pad, pad),) * 2)


def _stacked_with_zeros(x: Tensor) -> Tensor:
    x = torch.stack([x, torch.zeros_like(x)], -1).flatten(-2)
    return torch.stack([x, torch.zeros_like(x)], -2).flatten(2, 3)


def _padded_cell_by_cell(x: Tensor) -> Tensor:
    x = functional.pad(x[:, :, :, None, :, None], (0, 1, 0, 0, 0, 1))
    return x.flatten(4).flatten(2, 3)


@pytest.mark.parametrize("stuffed", [_stacked_with_zeros, _padded_cell_by_cell])
def test_zeros_between_cells_see_nothing(stuffed: Callable[[Tensor], Tensor]) -> None:
    """As in the upsampling of a network that filters among zeros, by hand or by a layer."""
    by_layer = nn.ConvTranspose2d(1, 1, 1, stride=2, output_padding=1)
    facts = []
    for up in (Fn(stuffed), by_layer):
        row = audit(nn.Sequential(up, nn.Conv2d(1, 1, 4, padding=2)), (1, 8, 8)).rows[-1]
        facts.append((row.receptive_field, row.jump, row.start, row.border))
    assert facts[0] == facts[1]
    assert facts[0][0] == (2, 2)


def test_the_border_along_an_axis_is_not_that_along_another() -> None:
    """Cells that differ along an axis are padded along it, and see what they saw along others."""

    def half(x: Tensor) -> Tensor:
        return torch.cat([x[..., :4], torch.zeros_like(x[..., 4:])], -1)

    (*_, row) = audit(nn.Sequential(Fn(half), nn.Conv2d(1, 1, 3, padding=1)), (1, 8, 8)).rows
    assert (row.start[0], row.border[0]) == (-1, (1, 1))
    resized = nn.Upsample(scale_factor=2, mode="bilinear")
    (*_, row) = audit(nn.Sequential(Fn(half), resized), (1, 8, 8)).rows
    assert row.border[0] == (1, 1)
    (*_, row) = audit(nn.Sequential(Fn(half), nn.ZeroPad2d((2, 2, 1, 1))), (1, 8, 8)).rows
    assert row.border[0] == (1, 1)


def test_complex_numbers_see_what_real_ones_do() -> None:
    for depth in (1, 2, 3):
        found = []
        for dtype in (torch.float32, torch.complex64):
            layers = [
                nn.Conv1d(1, 2, 3, stride=2, padding=1, dtype=dtype),
                nn.Linear(8, 5, dtype=dtype),
                nn.Conv1d(2, 1, 3, dtype=dtype),
            ]
            made = Fn(lambda x, dtype=dtype: x.to(dtype))
            facts = audit(nn.Sequential(made, *layers[:depth], Fn(torch.abs)), (1, 16))
            row = facts.rows[-1]
            found.append((row.output_shape, row.receptive_field, row.jump, row.start, row.border))
            assert not any("unknown" in each for each in facts.warnings)
        assert found[0] == found[1]


@pytest.mark.parametrize(
    "cells",
    [
        lambda x: torch.view_as_real(torch.complex(x, x)),
        lambda x: torch.view_as_complex(torch.stack([x, x], -1)),
        lambda x: functional.embedding(x.long(), torch.ones(9, 4)),
    ],
)
def test_the_parts_of_a_number_and_the_row_of_an_index_see_their_own_cell(
    cells: Callable[[Tensor], Tensor],
) -> None:
    def network(x: Tensor, before: nn.Module) -> Tensor:
        return cells(before(x))

    facts = audit(Fn(network, nn.Conv1d(1, 1, 3, stride=2, padding=1)), (1, 16))
    assert facts.rows[-1].receptive_field == (3,)
    assert (facts.rows[-1].jump, facts.rows[-1].border) == ((2,), ((1, 0),))
    assert not any("cost" in warning for warning in facts.warnings)
