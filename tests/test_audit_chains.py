"""Filters, padding and copies before a stride: what the audit says of them, against measurement."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.audit_modules import Fn
from theory import audit

Mode = Literal["zeros", "reflect", "replicate", "circular"]
MODES: tuple[Mode, ...] = ("zeros", "reflect", "replicate", "circular")
PADS: dict[Mode, Callable[[int], nn.Module]] = {
    "zeros": lambda n: nn.ZeroPad1d((n, n)),
    "reflect": lambda n: nn.ReflectionPad1d((n, n)),
    "replicate": lambda n: nn.ReplicationPad1d((n, n)),
    "circular": lambda n: nn.CircularPad1d((n, n)),
}
WORDS = {
    "gaps": "the windows leave gaps in",
    "end": "the windows stop before the end in",
    "aliases": "the stride aliases in",
}


def told(network: nn.Module, shape: tuple[int, ...]) -> set[str]:
    """Return what an audit warns of."""
    warnings = " ".join(audit(network, shape).warnings)
    return {key for key, words in WORDS.items() if words in warnings}


def _positive(network: nn.Module) -> nn.Module:
    """Return a copy with all weights 1, in which nothing cancels."""
    network = copy.deepcopy(network).double()
    for parameter in network.parameters():
        nn.init.ones_(parameter)
    return network


def unread(network: nn.Module, shape: tuple[int, ...]) -> bool:
    """Whether there are input cells on which no output depends: measured by gradients."""
    x = torch.ones(1, *shape, dtype=torch.float64, requires_grad=True)
    _positive(network)(x).sum().backward()
    assert x.grad is not None
    return bool((x.grad == 0).any())


def folds(network: nn.Module, channels: int, jump: int, outputs: int = 1, cells: int = 96) -> bool:
    """Whether some frequency k / jump becomes the frequency 0 of the outputs in the middle.

    As many of them are averaged as the period of their windows has.
    """
    network = copy.deepcopy(network).double()
    place = torch.arange(cells, dtype=torch.float64)
    with torch.no_grad():
        offset = network(torch.zeros(1, channels, cells, dtype=torch.float64))
        for k, channel in np.ndindex(jump - 1, channels):
            waves = 2 * math.pi * (k + 1) / jump * place
            passed = []
            for wave in (waves.cos(), waves.sin()):
                x = torch.zeros(1, channels, cells, dtype=torch.float64)
                x[0, channel] = wave
                response = (network(x) - offset)[0]
                middle = response.shape[1] // 2
                passed.append(response[:, middle : middle + outputs].mean(1).abs().max())
            # Weights are rounded to float32, here at most 1 each, and their products are not.
            if max(passed) > 2**-20:
                return True
    return False


def _mode(rng: np.random.Generator) -> Mode:
    return MODES[int(rng.integers(len(MODES)))]


def _conv(*taps: float, **options: Any) -> nn.Conv1d:
    layer = nn.Conv1d(1, 1, len(taps), bias=False, **options)
    layer.weight.data = torch.tensor([[taps]])
    return layer


@pytest.mark.parametrize("mode", MODES)
def test_a_padding_that_pads_nothing_changes_no_warning(mode: Mode) -> None:
    network = nn.Sequential(nn.AvgPool1d(3, 1), nn.Conv1d(1, 1, 2, stride=3, padding_mode=mode))
    assert not unread(network, (1, 13))
    assert told(network, (1, 13)) == set()
    assert told(nn.Sequential(nn.AvgPool1d(3, 1), PADS[mode](0), nn.AvgPool1d(1, 3)), (1, 12)) == (
        {"end"} if unread(nn.AvgPool1d(3, 3), (1, 12)) else set()
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("by_hand", [True, False])
def test_filters_act_through_padding(mode: Mode, width: int, by_hand: bool) -> None:
    blur = nn.Sequential(_conv(0.5, 0.5), nn.Identity(), _conv(0.25, 0.5, 0.25, padding=1))
    strided: nn.Module
    if by_hand:
        strided = nn.Sequential(PADS[mode](width), _conv(1.0, stride=2))
    else:
        strided = _conv(1.0, stride=2, padding=width, padding_mode=mode)
    for cells in (9, 10, 16):
        for filters in (blur, blur[0]):
            network = nn.Sequential(filters, strided)
            expected = {"end"} if unread(network, (1, cells)) else set()
            assert told(network, (1, cells)) == expected
    assert "gaps" in told(nn.Sequential(_conv(1.0), strided), (1, 16))


def test_filters_act_through_padding_of_images() -> None:
    columns = nn.Conv2d(1, 1, 1, stride=2, padding=1, padding_mode="circular", bias=False)
    nn.init.ones_(columns.weight)
    for mode in MODES:
        blur = nn.Conv2d(1, 1, 2, padding=1, padding_mode=mode, bias=False)
        nn.init.constant_(blur.weight, 0.25)
        assert told(nn.Sequential(blur, columns), (1, 8, 9)) == set()
    rows = nn.Sequential(nn.AvgPool2d((2, 1), 1), nn.ZeroPad2d((0, 1, 1, 0)), columns)
    assert told(rows, (1, 8, 8)) == {"gaps", "aliases"}


@pytest.mark.parametrize(
    "between",
    [
        lambda x: x.flip(-1),
        lambda x: x.roll(1, 1),
        lambda x: torch.cat([x, x.relu()], -1),
        lambda x: x.reshape(1, 1, -1),
        lambda x: functional.interpolate(x, scale_factor=1.5),
    ],
)
def test_a_filter_does_not_act_through_what_rearranges(between: Any) -> None:
    blur = nn.Conv1d(2, 2, 2, bias=False)
    last = nn.LazyConv1d(1, 1, stride=2, bias=False)
    network = nn.Sequential(blur, Fn(between), last).eval()
    network(torch.zeros(1, 2, 9))
    nn.init.ones_(blur.weight)
    nn.init.ones_(last.weight)
    assert "aliases" in told(network, (2, 9))


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("stride", [2, 3, 4, 6])
@pytest.mark.parametrize("taps", [(1.0,), (1.0, 2.0), (0.5, 0.0, 0.5, 0.0), (1.0, 1.0, 1.0)])
def test_strides_behind_copies_alias_only_where_something_folds(
    factor: int, stride: int, taps: tuple[float, ...]
) -> None:
    common = math.gcd(factor, stride)
    network = nn.Sequential(nn.Upsample(scale_factor=factor), _conv(*taps, stride=stride))
    warnings = told(network, (1, 25))
    assert bool(warnings & {"gaps", "end"}) is unread(network, (1, 25))
    aliases = folds(network, 1, stride // common, factor // common)
    assert ("aliases" in warnings) is aliases
    if stride == factor:
        pool = nn.Sequential(nn.Upsample(scale_factor=factor), nn.MaxPool1d(len(taps), stride))
        assert told(pool, (1, 25)) == set()


@pytest.mark.parametrize(
    ("copies", "stride"),
    [
        (nn.Upsample(scale_factor=2), 2),
        (nn.Upsample(scale_factor=2, mode="nearest-exact"), 2),
        (nn.Upsample(scale_factor=4), 2),
        (nn.Sequential(nn.Upsample(scale_factor=2), nn.ReflectionPad1d(1)), 2),
        (nn.Sequential(nn.Upsample(scale_factor=2), nn.CircularPad1d((1, 3))), 2),
        (Fn(lambda x: x.repeat_interleave(3, -1)), 3),
        (Fn(lambda x: x[..., None].expand(-1, -1, -1, 2).reshape(1, 2, -1)), 2),
        (Fn(lambda x: torch.stack([x, x], -1).flatten(2)), 2),
        (Fn(lambda x: x.mean(-1, keepdim=True).expand(-1, -1, 9)), 2),
        (Fn(lambda x: x[..., [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7]]), 2),
    ],
)
def test_a_stride_that_only_undoes_copies_gets_no_warning(copies: nn.Module, stride: int) -> None:
    for layer in (
        nn.Conv1d(2, 2, 1, stride, bias=False),
        nn.MaxPool1d(1, stride),
        nn.MaxPool1d(stride),
    ):
        network = nn.Sequential(copies, layer)
        assert not unread(network, (2, 8))
        assert told(network, (2, 8)) == set()


def test_copies_of_other_cells_are_no_reason_for_silence() -> None:
    for copies in (
        Fn(lambda x: x.repeat(1, 1, 2)),
        nn.Upsample(scale_factor=1.5),
        Fn(lambda x: torch.cat([functional.interpolate(x, scale_factor=2), x.repeat(1, 1, 2)], 1)),
        Fn(lambda x: x[:, [1, 0]]),
        nn.ConstantPad1d((20, 20), 0.0),
    ):
        assert "aliases" in told(nn.Sequential(copies, nn.MaxPool1d(2)), (2, 8))
    turned = Fn(lambda x: functional.interpolate(x, scale_factor=(2, 1)).transpose(2, 3))
    assert told(nn.Sequential(turned, nn.MaxPool2d((1, 2))), (1, 8, 8)) == set()
    assert told(nn.Sequential(turned, nn.MaxPool2d((2, 1))), (1, 8, 8)) == {"aliases"}


def _grouped(weights: list[list[list[float]]], groups: int, stride: int = 1) -> nn.Conv1d:
    weight = torch.tensor(weights)
    outputs, inputs, taps = weight.shape
    layer = nn.Conv1d(inputs * groups, outputs, taps, stride, groups=groups, bias=False)
    layer.weight.data = weight
    return layer


def test_what_one_filter_lets_through_in_a_channel_the_next_may_stop() -> None:
    blur, keep = [0.5, 0.5], [1.0, 0.0]
    for layers, aliases in (
        ([_grouped([[blur], [keep]], 2), _grouped([[keep], [blur]], 2, 2)], False),
        ([_grouped([[blur], [keep]], 2), _grouped([[blur], [keep]], 2, 2)], True),
        # Two copies that pass it with opposite signs cancel where they are added.
        ([_grouped([[[1.0, 0.0]], [[0.0, 1.0]]], 1), _grouped([[[1.0], [1.0]]], 1, 2)], False),
        ([_grouped([[[1.0, 0.0]], [[0.0, 1.0]]], 2), _grouped([[[1.0], [1.0]]], 1, 2)], True),
    ):
        channels = layers[0].in_channels
        assert ("aliases" in told(nn.Sequential(*layers), (channels, 9))) is aliases
        assert folds(nn.Sequential(*layers), channels, 2) is aliases


@pytest.mark.parametrize("seed", range(40))
def test_chains_of_filters_alias_as_their_product_does(seed: int) -> None:
    """Random chains of grouped filters, some of which blur: the outputs are the truth."""
    rng = np.random.default_rng(seed)
    channels, stride = 4, int(rng.integers(2, 5))
    layers: list[nn.Module] = []
    for _ in range(int(rng.integers(1, 4))):
        groups = int(rng.choice([1, 2, 4]))
        taps = int(rng.integers(1, 5))
        weight = rng.integers(0, 2, (4, 4 // groups, taps)).astype("float32")
        blur = rng.random((4, 4 // groups)) < 0.7
        weight[blur] = 1.0  # the same at each place: it stops all but 0 if it is as long as s
        dilation = int(rng.integers(1, 3))
        layers.append(nn.Conv1d(channels, 4, taps, groups=groups, dilation=dilation, bias=False))
        layers[-1].weight.data = torch.tensor(weight)
        if rng.random() < 0.3:
            layers.append(PADS[_mode(rng)](int(rng.integers(0, 3))))
        if rng.random() < 0.3:
            layers.append(nn.AvgPool1d(int(rng.integers(1, 3)), 1))
    depthwise = nn.Conv1d(channels, 4, int(rng.integers(1, 3)), stride, groups=4, bias=False)
    depthwise.weight.data = torch.tensor(rng.integers(0, 2, depthwise.weight.shape)).float()
    network = nn.Sequential(*layers, depthwise)
    assert ("aliases" in told(network, (4, 96))) is folds(network, 4, stride)


def _chain(rng: np.random.Generator) -> nn.Module:
    """Return copies, filters and padding in a random order, and a stride at the end."""
    layers: list[nn.Module] = []
    if rng.random() < 0.4:
        layers.append(nn.Upsample(scale_factor=int(rng.integers(2, 4))))
    for _ in range(int(rng.integers(0, 4))):
        kind = rng.choice(["conv", "pool", "pad"])
        size, dilation = int(rng.integers(1, 4)), int(rng.integers(1, 3))
        if kind == "conv":
            options = {"padding": int(rng.integers(0, 3)), "dilation": dilation}
            layers.append(_conv(*[1.0] * size, padding_mode=_mode(rng), **options))
        elif kind == "pool":
            layers.append(nn.AvgPool1d(size, 1, int(rng.integers(0, size // 2 + 1))))
        else:
            layers.append(PADS[_mode(rng)](int(rng.integers(0, 4))))
    options = {"padding": int(rng.integers(0, 3)), "stride": int(rng.integers(2, 5))}
    taps = [1.0] * int(rng.integers(1, 4))
    return nn.Sequential(*layers, _conv(*taps, padding_mode=_mode(rng), **options))


@pytest.mark.parametrize("seed", range(50))
def test_chains_are_said_to_leave_out_cells_where_no_output_depends_on_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network, cells = _chain(rng), int(rng.integers(14, 22))
    assert bool(told(network, (1, cells)) & {"gaps", "end"}) is unread(network, (1, cells))
