"""The audit says that a stride aliases, unless a blur goes before it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.audit_modules import Fn
from theory import audit


def test_a_blur_before_the_stride_keeps_it_from_aliasing() -> None:
    blur = nn.Conv1d(1, 1, 3, stride=2, bias=False)
    with torch.no_grad():
        blur.weight.copy_(torch.tensor([0.25, 0.5, 0.25]))
    assert audit(blur, (1, 17)).warnings == ()
    with torch.no_grad():
        blur.weight.copy_(torch.tensor([0.25, 0.5, 0.3]))
    (warning,) = audit(blur, (1, 17)).warnings
    assert warning.startswith("the stride aliases in Conv1d")
    # Without values nothing is said of them.
    assert audit(blur.to("meta"), (1, 17)).warnings == ()


def _conv1d(*taps: float, **options: Any) -> nn.Module:
    layer = nn.Conv1d(1, 1, len(taps), bias=False, **options)
    layer.weight.data = torch.tensor([[taps]])
    return layer


def _every_second_cell() -> nn.Module:
    layer = nn.Conv2d(1, 1, 1, stride=2, bias=False)
    nn.init.ones_(layer.weight)
    return layer


# Layers of filters and strides, the one layer that they equal, and whether its stride aliases.
SPLIT: dict[str, tuple[list[nn.Module], nn.Module, bool]] = {
    "average": ([nn.AvgPool1d(2, 1), _conv1d(1.0, stride=2)], nn.AvgPool1d(2), False),
    "average and pool": ([nn.AvgPool1d(2, 1), nn.AvgPool1d(1, 2)], nn.AvgPool1d(2), False),
    "binomial": (
        [_conv1d(0.25, 0.5, 0.25), nn.Dropout(), _conv1d(1.0, stride=2)],
        _conv1d(0.25, 0.5, 0.25, stride=2),
        False,
    ),
    "blurs of two frequencies": (
        [_conv1d(0.5, 0.5), _conv1d(0.5, 0.5, dilation=2), _conv1d(1.0, stride=4)],
        nn.AvgPool1d(4),
        False,
    ),
    "one of two frequencies": (
        [_conv1d(0.5, 0.5), _conv1d(1.0, stride=4)],
        _conv1d(0.5, 0.5, stride=4),
        True,
    ),
    "no blur": ([_conv1d(0.5, 0.25), _conv1d(1.0, stride=2)], _conv1d(0.5, 0.25, stride=2), True),
    "every cell, no blur": (
        [_conv1d(1.0, 2.0), _conv1d(1.0, 0.0, 0.0, stride=2)],
        _conv1d(1.0, 2.0, 0.0, 0.0, stride=2),
        True,
    ),
    "rows, then columns": (
        [nn.AvgPool2d((2, 1), 1), nn.AvgPool2d((1, 2), 1), _every_second_cell()],
        nn.AvgPool2d(2),
        False,
    ),
    "rows only": (
        [nn.AvgPool2d((2, 1), 1), _every_second_cell()],
        nn.AvgPool2d((2, 1), 2),
        True,
    ),
}


@pytest.mark.parametrize("name", SPLIT)
@pytest.mark.parametrize("cells", [8, 9, 10])
def test_a_blur_of_its_own_counts_as_part_of_the_stride(name: str, cells: int) -> None:
    layers, whole, aliases = SPLIT[name]
    shape = (1, cells) if "1d" in type(whole).__name__ else (1, cells, cells)
    split = nn.Sequential(*layers).eval()
    x = torch.arange(float(np.prod(shape))).reshape(1, *shape) ** 2
    assert torch.equal(split(x), whole(x))
    # Equal networks get equal warnings: those about the one layer are about the last of several.
    last = str(len(layers) - 1)
    told = tuple(each.replace(type(whole).__name__, last) for each in audit(whole, shape).warnings)
    assert audit(split, shape).warnings == told
    assert any("aliases" in each for each in told) is aliases


@pytest.mark.parametrize(
    ("between", "aliases"),
    [
        (nn.Identity(), False),
        (nn.ReLU(), True),  # it makes fine patterns of coarse ones
        (nn.MaxPool1d(2, 1), True),
        (nn.ConvTranspose1d(1, 1, 2, stride=2), True),
        (Fn(lambda x, conv: functional.conv1d(x, 2 * conv.weight), _conv1d(3.0)), None),
    ],
)
def test_between_a_blur_and_a_stride_only_filters_may_stand(
    between: nn.Module, aliases: bool | None
) -> None:
    blur = _conv1d(0.25, 0.5, 0.25)
    network = nn.Sequential(blur, between, _conv1d(1.0, stride=2))
    warnings = audit(network, (1, 9)).warnings
    # Of filters with weights that are computed nothing is known, and nothing is said.
    assert any("aliases in 2" in each for each in warnings) is bool(aliases)
    assert any("gaps in 2" in each for each in warnings) is bool(aliases)
