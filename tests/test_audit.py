"""``audit``: every kind of call has its row, nothing is guessed, and the module stays as it was."""

from __future__ import annotations

import copy
import doctest
import json
import logging
import random
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, vmap
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from theory import audit, auditing, diagnose
from theory.auditing import advice, calls, counting, propagation, recording, subsampling
from theory.auditing.dependence import Dependence
from theory.diagnosis.primitives import POINTWISE

ROOT = Path(__file__).parents[1]


class Fn(nn.Module):
    """A function of some layers and the input, as a module."""

    def __init__(self, function: Callable[..., Any], *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.function = function

    def forward(self, x: Tensor) -> Any:
        """Apply the function."""
        return self.function(x, *self.layers)


class Net(nn.Module):
    """Layers, functional calls, a residual, a concatenation and a shared layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.shared = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        """Return five scores."""
        x = functional.relu(self.norm(self.stem(x)))
        x = x + self.shared(self.shared(x))
        x = torch.cat([x, functional.max_pool2d(x, 3, 1, 1)], 1)
        return self.head(functional.adaptive_avg_pool2d(x, 1).flatten(1))


def test_one_row_a_call_in_the_order_of_execution() -> None:
    facts = audit(Net(), (3, 12, 12))
    assert [(row.name, row.kind) for row in facts.rows] == [
        ("stem", "Conv2d"),
        ("norm", "BatchNorm2d"),
        ("relu", "relu"),
        ("shared", "Conv2d"),
        ("shared", "Conv2d"),
        ("add", "add"),
        ("max_pool2d", "max_pool2d"),
        ("cat", "cat"),
        ("adaptive_avg_pool2d", "adaptive_avg_pool2d"),
        ("flatten", "flatten"),
        ("head", "Linear"),
    ]
    assert [row.parameters for row in facts.rows] == [112, 8, 0, 76, 0, 0, 0, 0, 0, 0, 45]
    assert [row.buffers for row in facts.rows] == [0, 9, *[0] * 9]
    assert [row.receptive_field[0] for row in facts.rows] == [
        *[3, 3, 3, 5, 7, 7, 9, 9],
        *[12, 12, 12],
    ]
    assert [row.border[0] for row in facts.rows[:8]] == [
        *[(1, 1)] * 3,
        *[(2, 2), (3, 3), (3, 3), (4, 4), (4, 4)],
    ]
    assert [row.linearity for row in facts.rows] == [
        *["affine", "affine", "nonlinear", "affine", "affine", "linear", "nonlinear", "linear"],
        *["linear", "linear", "affine"],
    ]
    assert [row.output_shape for row in facts.rows[-4:]] == [(8, 12, 12), (8, 1, 1), (8,), (5,)]
    assert facts.parameters == sum(each.numel() for each in Net().parameters()) == 241
    assert facts.receptive_field == (12, 12)
    assert facts.rows[-1].jump == facts.rows[-1].start == (None, None)


@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_what_a_resizing_folds_back_at_the_edge_is_a_border(mode: str) -> None:
    """The same border as `diagnose` measures in the interior."""
    layer = nn.Upsample(scale_factor=2, mode=mode)
    (row,) = audit(layer, (1, 8)).rows
    (border,) = diagnose(layer, (1, 8), boundary="interior").border
    assert row.border == ((border, border),)
    assert border == (mode == "linear")


def test_what_circular_padding_brings_from_the_other_end_is_a_border() -> None:
    """The same border as `diagnose` measures in the interior."""
    layer = nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular")
    (row,) = audit(layer, (1, 8, 8)).rows
    assert row.border == ((1, 1), (1, 1))
    assert diagnose(layer, (1, 8, 8), boundary="interior").border == (1, 1)


def test_a_resizing_that_keeps_the_corners_has_no_border() -> None:
    facts = audit(nn.Upsample(scale_factor=4, mode="linear", align_corners=True), (1, 8))
    (row,) = facts.rows
    assert (row.receptive_field, row.jump, row.start) == ((2,), (Fraction(7, 31),), (0,))
    assert row.border == ((0, 0),)


def test_windows_that_never_repeat_in_a_map_follow_no_law() -> None:
    def resized(cells: int, crop: int) -> auditing.Audit:
        ups = [nn.Upsample(scale_factor=2, mode="linear", align_corners=True) for _ in range(5)]
        layers = [each for up in ups for each in (up, nn.Conv1d(1, 1, 3, padding=1 - crop))]
        return audit(nn.Sequential(*layers), (1, cells))

    # Maps of 20, 40, ... cells: 319 steps along the last are 9 along the input.
    assert resized(10, 0).rows[-1].jump == (Fraction(9, 319),)
    # Maps of 20, 18, 36, ... cells: 35 steps are 17, of which 19 are 9. None takes 665.
    rows = resized(10, 1).rows
    assert [row.jump for row in rows[:2]] == [(Fraction(9, 19),)] * 2
    assert {row.jump for row in rows[2:]} == {(None,)}
    assert rows[-1].receptive_field == (5,)


def test_macs_and_flops_are_counted_apart() -> None:
    rows = audit(Net(), (3, 8, 8)).rows
    cells = 64
    assert rows[0].macs == 4 * cells * 27
    assert rows[0].flops == 2 * rows[0].macs + 4 * cells  # one addition a bias
    assert (rows[1].macs, rows[1].flops) == (0, 2 * 4 * cells)  # scale and offset
    assert (rows[2].macs, rows[2].flops) == (0, 4 * cells)
    assert rows[3].macs == 4 * cells * 18  # a filter sees half of the channels
    assert (rows[6].macs, rows[6].flops) == (0, 4 * cells * 9)
    assert (rows[7].macs, rows[7].flops) == (0, 0)  # concatenation only moves values
    assert (rows[-1].macs, rows[-1].flops) == (40, 85)


@pytest.mark.parametrize(
    ("module", "flops"),
    [
        (Fn(lambda x: x.var(1)), 4 * 3 * 8),  # a sum; a subtraction, a square and a sum
        (Fn(lambda x: x.std(1)), 4 * 3 * 8 + 8),
        (Fn(lambda x: torch.std_mean(x, 1)), 4 * 3 * 8 + 8),
        (Fn(lambda x: torch.linalg.vector_norm(x, dim=1)), 2 * 3 * 8 + 8),
        (Fn(lambda x: x[:, torch.tensor([2, 0, 0])]), 0),
        (Fn(lambda x: x.index_select(1, torch.tensor([2, 0, 0]))), 0),
        (Fn(lambda x: x.as_strided((1, 2, 2), (8, 4, 2))), 0),
        (Fn(lambda x, table: table(torch.arange(8)), nn.Embedding(8, 2)), 0),
        # 6 outputs of 2 channels, each with 9 products and a bias; a norm for each of 2 filters
        (
            nn.utils.parametrizations.weight_norm(nn.Conv1d(3, 2, 3)),
            2 * 6 * (2 * 9 + 1) + (2 + 1) * 18 + (1 + 1) * 2,
        ),
    ],
)
def test_flops_of_norms_and_of_values_that_are_looked_up(module: nn.Module, flops: int) -> None:
    facts = audit(module, (3, 8))
    assert facts.flops == flops
    assert not any("unknown cost" in warning for warning in facts.warnings)


@pytest.mark.parametrize("name", sorted(POINTWISE))
def test_what_diagnose_calls_pointwise_has_a_field_and_a_cost(name: str) -> None:
    primitive, graph, x = getattr(torch.ops.aten, name).default, torch.fx.Graph(), torch.ones(2, 3)
    source = graph.placeholder("x")
    node = graph.call_function(primitive, (source,))
    source.meta["val"], node.meta["val"] = x, primitive(x)
    found = propagation.follow(graph, 1)
    before, after = found[source], found[node]
    assert isinstance(before, Dependence)
    assert isinstance(after, Dependence)
    assert (after.dim, after.windows) == (before.dim, before.windows)
    assert np.array_equal(after.reach, before.reach)
    assert counting.cost(node).uncounted == ()


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.Conv1d(4, 6, 3, stride=2, dilation=2, groups=2), (4, 20)),
        (nn.Conv3d(2, 3, (1, 2, 3)), (2, 4, 5, 6)),
        (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2, output_padding=1), (4, 5, 6)),
        (nn.Linear(7, 3), (7,)),
        (nn.Linear(7, 3, bias=False), (2, 5, 7)),
        (nn.MultiheadAttention(8, 2, batch_first=True), None),
        (nn.GRU(4, 3), (5, 4)),
        (Fn(lambda x: x @ x.transpose(1, 2)), (4, 5)),
        (Fn(lambda x: torch.einsum("nij,njk->nik", x, x)), (5, 5)),
    ],
)
def test_macs_are_half_the_flops_of_torchs_own_counter(
    module: nn.Module, shape: tuple[int, ...] | None
) -> None:
    if isinstance(module, nn.MultiheadAttention):
        module, shape = Fn(lambda x, layer: layer(x, x, x)[0], module), (5, 8)
    assert shape is not None
    module.eval()
    facts = audit(module, shape)
    with FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, *shape))  # with gradients, so that no fused kernel hides its products
    assert 2 * facts.macs == counter.get_total_flops()
    assert facts.macs > 0


def test_a_layer_by_itself_and_an_input_without_channels() -> None:
    facts = audit(nn.Linear(6, 2), (6,))
    assert [(row.name, row.kind) for row in facts.rows] == [("Linear", "Linear")]
    assert facts.receptive_field == (6,)
    identity = audit(nn.Identity(), (6,)).rows[0]
    assert (identity.receptive_field, identity.jump, identity.linearity) == ((1,), (1,), "linear")
    assert audit(nn.Dropout(), (3, 8)).rows[0].linearity == "linear"


def test_a_module_that_takes_no_batch() -> None:
    facts = audit(Fn(lambda x: x.reshape(3, 8).flip(1)), (3, 8))
    assert facts.output_shape == (3, 8)
    only_bare = Fn(lambda x: functional.pad(x, (1, 1)) if x.ndim == 2 else x[5])
    assert audit(only_bare, (3, 8)).output_shape == (3, 10)


def test_the_layout_in_memory_changes_nothing() -> None:
    layers = nn.Conv2d(3, 4, 3), nn.Hardswish(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    network = nn.Sequential(*layers, nn.Linear(4, 2), nn.LogSigmoid())
    expected = audit(network, (3, 8, 8))
    assert expected.receptive_field == (8, 8)
    assert expected.warnings == ()
    assert audit(network.to(memory_format=torch.channels_last), (3, 8, 8)) == expected


def test_another_view_of_memory_is_unknown() -> None:
    for view in ((1, 1, 4), (8, 8, 2), 0), ((1, 1, 4), (8, 8, 1), 4), ((1, 4, 2), (8, 2, 1), 0):
        facts = audit(Fn(lambda x, view=view: x.as_strided(*view)), (1, 8))
        assert facts.receptive_field == (None,)
        assert "no rule for the primitive as_strided" in facts.warnings[0]


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (4, 3, 8, 8)])
def test_a_batch_is_not_taken_for_an_input(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"for a batch: give the shape of one input, \(3, 8, 8\)"):
        audit(nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU()), shape)


def test_fractions_of_a_jump_and_several_outputs() -> None:
    up = audit(nn.ConvTranspose1d(1, 1, 2, 2), (1, 8))
    assert up.rows[0].jump == (Fraction(1, 2),)
    assert up.to_dict()["rows"][0]["jump"] == ["1/2"]
    two = audit(Fn(lambda x, conv: {"a": x, "b": conv(x)}, nn.Conv1d(1, 1, 5)), (1, 8))
    assert two.receptive_field == (5,)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)), "0.bias is redundant: 1 subtracts"),
        (
            nn.Sequential(nn.Conv2d(1, 1, 5), nn.Conv2d(1, 1, 5, padding=4)),
            "larger than the input from 1 on: 9 x 9 cells of 8 x 8",
        ),
        (nn.Conv2d(1, 1, 1, stride=2), "the windows leave gaps in Conv2d"),
        (nn.MaxPool2d(2), "the stride aliases in MaxPool2d"),
        (
            Fn(lambda x, used, unused: used(x), nn.Conv2d(1, 1, 3), nn.Conv2d(1, 2, 3)),
            "does not use layers.1.weight, layers.1.bias: 20 parameters",
        ),
        (
            Fn(lambda x, a, b: (a(x), b(x))[0], nn.Conv2d(1, 1, 3), nn.Conv2d(1, 2, 3)),
            "does not use layers.1.weight, layers.1.bias: 20 parameters",
        ),
        (
            Fn(lambda x: torch.cummax(x, 2)[0]),
            "receptive fields are unknown from cummax on: no rule for the primitive cummax",
        ),
    ],
)
def test_a_warning_says_what_deserves_a_second_look(module: nn.Module, words: str) -> None:
    assert any(words in warning for warning in audit(module, (1, 8, 8)).warnings)


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4)),
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)),
        nn.Sequential(nn.Conv2d(1, 1, 5), nn.ReLU(), nn.Conv2d(1, 1, 4)),
        nn.AvgPool2d(2),
        nn.AvgPool2d(4, stride=2),
        nn.MaxPool2d(3, stride=1),
        nn.MaxPool2d(8),
        nn.Conv2d(1, 1, 3, stride=1),
        Net(),
    ],
)
def test_sound_layers_get_no_warning(module: nn.Module) -> None:
    if isinstance(module, Net):
        module.stem.bias = None
        assert audit(module, (3, 16, 16)).warnings == ()
    else:
        assert audit(module, (1, 8, 8)).warnings == ()


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        (nn.Conv2d(3, 4, 1, stride=2), (3, 1, 1), ""),  # there is one cell, and it is read
        (nn.Conv1d(1, 1, 2, stride=3), (1, 2), ""),
        (nn.Conv1d(1, 1, 2, stride=3), (1, 5), "gaps"),
        (nn.Conv1d(1, 1, 2, stride=2, dilation=2), (1, 16), "gaps"),  # no odd cell
        (nn.Conv1d(1, 1, 2, stride=3, dilation=2), (1, 16), "gaps"),
        (nn.Conv1d(1, 1, 3, stride=2, dilation=3), (1, 17), "gaps"),  # near both ends only
        (nn.Conv1d(1, 1, 1, stride=2, padding=1), (1, 8), "gaps"),  # no even cell
        (nn.Conv2d(1, 1, (3, 1), stride=(1, 2)), (1, 8, 8), "gaps"),
        (nn.AvgPool1d(2, stride=3), (1, 8), "gaps"),
        (nn.Conv1d(1, 1, 3, stride=2), (1, 8), "end"),
        (nn.Conv1d(1, 1, 3, stride=2), (1, 9), ""),
        (nn.Conv1d(1, 1, 3, stride=2, padding=1), (1, 8), ""),
        (nn.AvgPool2d(2), (1, 5, 4), "end"),
        (nn.AvgPool2d(2, ceil_mode=True), (1, 5, 4), ""),
        (nn.Conv1d(1, 1, 2, dilation=2), (1, 8), ""),
    ],
)
def test_cells_are_called_unread_where_no_output_depends_on_them(
    layer: nn.Module, shape: tuple[int, ...], words: str
) -> None:
    told = {
        "gaps": "the windows leave gaps in",
        "end": "the windows stop before the end in",
    }
    for parameter in layer.parameters():
        nn.init.ones_(parameter)
    x = torch.ones(1, *shape, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad is not None
    assert bool((x.grad == 0).any()) is bool(words)
    warnings = " ".join(audit(layer, shape).warnings)
    assert [key for key, value in told.items() if value in warnings] == ([words] if words else [])


@pytest.mark.parametrize(
    ("function", "redundant"),
    [
        (lambda x, conv, norm: norm(conv(x)), True),
        (lambda x, conv, norm: norm(conv(x)) + norm(conv(2 * x)), True),
        (lambda x, conv, norm: norm(conv(x)) + conv(x), False),
        (lambda x, conv, norm: norm(conv(x)) + conv.bias[:, None], False),
        (lambda x, conv, norm: norm(conv(x)) + norm(conv(x).relu()), False),
        (lambda x, conv, norm: norm(conv(x)) - norm(x), False),  # one running mean for both
    ],
)
def test_a_bias_is_redundant_only_if_no_use_of_it_is_seen(
    function: Callable[..., Any], redundant: bool
) -> None:
    network = Fn(function, nn.Conv1d(3, 3, 3, padding=1), nn.BatchNorm1d(3))
    warnings = " ".join(audit(network, (3, 8)).warnings)
    assert ("layers.0.bias is redundant: layers.1 subtracts" in warnings) is redundant
    # Batch normalisation settles it: the bias is left out, and the running mean without it.
    x, (conv, norm) = torch.randn(4, 3, 8), network.layers
    nn.init.constant_(conv.bias, 0.5)
    norm.momentum = None  # the running mean is the mean of all calls
    network(x)
    given = network.eval()(x)
    network.train()
    norm.reset_running_stats()
    nn.init.zeros_(conv.bias)
    network(x)
    assert torch.allclose(network.eval()(x), given, atol=1e-5) is redundant


@pytest.mark.parametrize(
    ("norm", "name"),
    [
        (nn.BatchNorm1d(3, track_running_stats=False), "layers.1"),
        (lambda x: functional.batch_norm(x, None, None, training=True), "batch_norm"),
    ],
)
def test_a_bias_is_redundant_before_a_norm_by_statistics_of_the_batch(
    norm: Callable[[Tensor], Tensor], name: str
) -> None:
    layers = [each for each in (nn.Conv1d(3, 3, 1), norm) if isinstance(each, nn.Module)]
    network = Fn(lambda x, conv, *norms: (norms or (norm,))[0](conv(x)), *layers)
    (warning,) = audit(network, (3, 8)).warnings
    assert warning.startswith(f"layers.0.bias is redundant: {name} subtracts the mean")
    seen = Fn(lambda x, conv, *norms: (norms or (norm,))[0](conv(x)) + conv(x), *layers)
    assert audit(seen, (3, 8)).warnings == ()
    # Batch normalisation settles it. The mean of n values up to v is off by at most n u v, which is
    # divided by no less than sqrt(eps); deviations and their mean square double it, twice over.
    x = torch.randn(4, 3, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        given, conv = network.double()(x), network.layers[0]
        bound = 4 * 32 * 2**-53 * conv(x).abs().max() / 1e-5**0.5
        conv.bias.zero_()
        assert (network(x) - given).abs().max() <= bound


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


def test_dead_units_are_read_off_the_weights() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(3, 1), nn.Conv2d(3, 4, 1), nn.ReLU()
    )
    with torch.no_grad():
        network[0].weight[1] = 0
        network[3].weight.abs_()
        network[3].bias.zero_()
        network[3].weight[2:] *= -1
    warnings = audit(network, (1, 8, 8)).warnings
    assert warnings == (
        "1 of 3 units of 0 are dead: their weights are all 0",
        "2 of 4 units of 3 are dead: inputs are not negative, weights and bias not positive, and "
        "ReLU follows",
    )
    with torch.no_grad():
        dead = nn.functional.relu(network(torch.randn(64, 1, 8, 8)))
    assert (dead[:, 2:] == 0).all()
    norm = nn.BatchNorm1d(3)
    nn.init.zeros_(norm.weight)
    assert audit(norm, (3, 8)).warnings == (
        "3 of 3 units of BatchNorm1d are dead: their scale is 0",
    )


@pytest.mark.parametrize("shape", [(5,), (1, 5), (1,), (1, 1), (4, 5)])
def test_dead_units_with_a_bias_of_any_shape_that_torch_adds(shape: tuple[int, ...]) -> None:
    class Added(nn.Module):
        """A fully connected layer that is written out, between two ReLUs."""

        def __init__(self, bias: Tensor) -> None:
            super().__init__()
            self.w = nn.Parameter(-torch.rand(5, 3) - 0.1)
            self.b = nn.Parameter(bias)

        def forward(self, x: Tensor) -> Tensor:
            """Return five numbers a row."""
            return torch.relu(torch.addmm(self.b, torch.relu(x), self.w.t()))

    dead = "5 of 5 units of addmm are dead: inputs"
    given = (4, 3) if shape[0] == 4 else (3,)
    assert dead in " ".join(audit(Added(torch.zeros(shape)), given).warnings)
    bias = torch.zeros(shape)
    bias[..., -1] = torch.eye(4)[2] if shape[0] == 4 else 1.0
    alive = " ".join(audit(Added(bias), given).warnings)
    assert ("4 of 5 units" if shape[-1] == 5 else "") in alive
    assert dead not in alive


@pytest.mark.parametrize(
    "function",
    [
        lambda x, layer: layer(x.relu().fill_(-3.0)),
        lambda x, layer: layer(-x.relu()),
        lambda x, layer: torch.addmm(layer.bias, x.relu(), layer.weight.t(), alpha=-1),
        lambda x, layer: torch.addmm(-layer.bias, x.relu(), layer.weight.t()),
    ],
)
def test_units_that_live_are_not_called_dead(function: Callable[..., Tensor]) -> None:
    layer = nn.Linear(4, 3)
    nn.init.constant_(layer.weight, -1.0)
    nn.init.constant_(layer.bias, -0.5)
    network = Fn(lambda x, layer: function(x, layer).relu(), layer)
    assert (network(-torch.ones(1, 4)) > 0).any() or (network(torch.ones(1, 4)) > 0).any()
    assert not any("dead" in warning for warning in audit(network, (4,)).warnings)


def test_sequences_of_one_step_are_told() -> None:
    words = (
        "layers.0 takes the first axis for the sequence (batch_first=False): with the batch axis"
    )

    def told(function: Callable[..., Any], layer: nn.Module) -> bool:
        return any(words in each for each in audit(Fn(function, layer), (8, 4)).warnings)

    def first(x: Tensor, layer: nn.Module) -> Tensor:
        return layer(x)[0]

    def turned(x: Tensor, layer: nn.Module) -> Tensor:
        return layer(x.transpose(0, 1))[0].transpose(0, 1)

    for kind in (nn.LSTM, nn.GRU, nn.RNN):
        assert told(first, kind(4, 4))
        assert not told(first, kind(4, 4, batch_first=True))
        assert not told(turned, kind(4, 4))  # the module itself puts the sequence first
    attention = nn.MultiheadAttention(4, 2)
    assert told(lambda x, layer: layer(x, x, x)[0], attention)
    assert told(lambda x, layer: layer(query=x, key=x, value=x)[0], attention)
    encoder = nn.TransformerEncoderLayer(4, 2, 8)
    (warning,) = (each for each in audit(encoder, (8, 4)).warnings if "sequence" in each)
    assert warning == (
        "self_attn takes the first axis for the sequence (batch_first=False): with the batch axis "
        "in front, one input is 8 sequences of length 1; make the layer with batch_first=True"
    )


def test_a_replicated_module_is_the_module() -> None:
    layers = nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten()
    network = nn.Sequential(nn.DataParallel(nn.Sequential(*layers[:2])), layers[2])
    expected = audit(nn.Sequential(nn.Sequential(*layers[:2]), layers[2]), (1, 8, 8))
    for devices in ([], [0, 1]):  # without and with GPUs
        network[0].device_ids, network[0].src_device_obj = devices, torch.device("meta")
        facts = audit(network, (1, 8, 8))
        assert [row.name for row in facts.rows] == ["0.module.0", "0.module.1", "1"]
        assert facts.receptive_field == expected.receptive_field
        assert (facts.parameters, facts.flops) == (expected.parameters, expected.flops)
        assert facts.warnings == expected.warnings == ()
        assert network[0].device_ids == devices


def test_a_gradient_within_a_module_has_no_rule_and_says_so() -> None:
    def gradient(x: Tensor, layer: nn.Module) -> Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(layer(x).square().sum(), x)[0]

    facts = audit(Fn(gradient, nn.Conv1d(1, 1, 3)), (1, 8))
    assert facts.receptive_field == (None,)
    assert "no rule for the primitive convolution_backward" in facts.warnings[0]

    def transformed(x: Tensor, layer: nn.Module) -> Tensor:
        return torch.func.grad(lambda y: layer(y).square().sum())(x)

    facts = audit(Fn(transformed, nn.Conv1d(1, 1, 3)), (1, 8))
    assert facts.receptive_field == (None,)
    assert [row.kind for row in facts.rows] == ["Conv1d", "square", "sum", "grad"]
    assert facts.warnings[0] == (
        "receptive fields are unknown from grad on: no rule for the primitive convolution_backward"
    )


_TRANSFORMED: dict[str, tuple[Callable[[Tensor, nn.Module], Any], list[str]]] = {
    "vmap": (lambda x, net: vmap(lambda row: net(row).sin())(x), ["Linear", "ReLU", "sin"]),
    "vmap twice": (lambda x, net: vmap(vmap(net))(x), ["Linear", "ReLU"]),
    "vmap along the last axis": (
        lambda x, net: vmap(lambda column: net(column[None]), in_dims=-1)(x.transpose(-1, -2)),
        ["transpose", "getitem", "Linear", "ReLU"],
    ),
    "grad in vmap": (
        lambda x, net: vmap(grad(lambda row: net(row).sum()))(x[:, 0]),
        ["getitem", "Linear", "ReLU", "sum", "grad"],
    ),
    "jvp": (
        lambda x, net: jvp(net, (x,), (torch.ones_like(x),))[0],
        ["make_dual", "Linear", "ReLU", "unpack_dual"],
    ),
    "the parameters given": (
        lambda x, net: functional_call(net, dict(net.named_parameters()), x),
        ["Linear", "ReLU"],
    ),
    "other parameters given": (
        lambda x, net: functional_call(net, {"0.weight": 2 * net[0].weight}, x),
        ["mul", "Linear", "ReLU"],
    ),
    "grad for the parameters": (
        lambda x, net: grad(lambda weights: functional_call(net, weights, x).sum())(
            dict(net.named_parameters())
        )["0.bias"],
        ["Linear", "ReLU", "sum", "grad"],
    ),
}


@pytest.mark.parametrize("name", _TRANSFORMED)
def test_what_runs_within_a_transform_has_its_rows(name: str) -> None:
    """Red where a tensor that torch.func wraps is not known: the totals have what no row has."""
    function, kinds = _TRANSFORMED[name]
    facts = audit(Fn(function, nn.Sequential(nn.Linear(6, 5), nn.ReLU())), (2, 6))
    assert [row.kind for row in facts.rows] == kinds
    assert sum(row.macs for row in facts.rows) == facts.macs > 0
    assert sum(row.flops for row in facts.rows) == facts.flops
    assert sum(row.parameters for row in facts.rows) == facts.parameters == 35


def test_reading_values_within_a_transform_is_blamed_on_the_input() -> None:
    def reading(x: Tensor, layer: nn.Module) -> Tensor:
        return grad(lambda y: layer(y).sum() * float(y.sum()))(x)

    with pytest.raises(ValueError, match="reads values of its input"):
        audit(Fn(reading, nn.Linear(6, 5)), (2, 6))


@pytest.mark.parametrize(
    "noted",
    [
        lambda x: torch._assert_async(x.sum() > 0),
        lambda x: torch.profiler.record_function("noted").__enter__(),
    ],
)
def test_what_returns_no_tensor_sees_nothing(noted: Callable[[Tensor], Any]) -> None:
    def function(x: Tensor, layer: nn.Module) -> Tensor:
        noted(x)
        return layer(x)

    facts = audit(Fn(function, nn.Conv1d(1, 1, 3)), (1, 8))
    assert facts.rows[-1].receptive_field == (3,)
    assert facts.warnings == ()


@pytest.mark.parametrize(
    "between",
    [
        [nn.Flatten()],
        [nn.Dropout(), nn.Flatten()],
        [nn.Unflatten(1, (2, 2)), nn.Flatten(), nn.ReLU6(inplace=True), nn.Unflatten(1, (4, 36))],
    ],
)
def test_a_view_of_what_was_written_in_place_is_read(between: list[nn.Module]) -> None:
    layers = [nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), *between]
    facts = audit(nn.Sequential(*layers), (3, 8, 8))
    assert [row.name for row in facts.rows] == [str(i) for i in range(len(layers))]
    expected = audit(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), *between), (3, 8, 8))
    assert facts == expected


def test_a_namesake_of_a_primitive_is_not_taken_for_it() -> None:
    with torch.library._scoped_library("convlaws_test", "DEF") as library:
        library.define("clone(Tensor x) -> Tensor")
        library.impl("clone", lambda x: x.cumsum(-1), "CompositeExplicitAutograd")
        (row,) = audit(Fn(lambda x: torch.ops.convlaws_test.clone(x)), (1, 8)).rows
    assert row.receptive_field == (None,)


def test_unknown_structure_is_said_and_not_guessed() -> None:
    network = nn.Sequential(nn.Conv1d(1, 2, 3), Fn(lambda x: torch.fft.fft(x).real))
    facts = audit(network, (1, 8))
    assert facts.receptive_field == (None,)
    assert facts.rows[0].receptive_field == (3,)
    assert facts.rows[-1].receptive_field == facts.rows[-1].jump == facts.rows[-1].start == (None,)
    assert facts.rows[-1].border == (None,)
    told = " ".join(facts.warnings)
    assert "receptive fields are unknown from 1.fft on" in told
    assert "MACs and FLOPs leave out primitives of unknown cost: _fft_r2c" in told
    assert "?" in str(facts)


def _state(module: nn.Module) -> dict[str, Any]:
    return {
        "tensors": {name: value.clone() for name, value in module.state_dict().items()},
        "gradients": [None if p.grad is None else p.grad.clone() for p in module.parameters()],
        "requires": [p.requires_grad for p in module.parameters()],
        "modes": [each.training for each in module.modules()],
        "hooks": [
            (dict(each._forward_hooks), dict(each._forward_pre_hooks), dict(each._backward_hooks))
            for each in module.modules()
        ],
        "attributes": [sorted(vars(each)) for each in module.modules()],
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state()[1].tolist(),  # noqa: NPY002
        "python": random.getstate(),
        "grad": torch.is_grad_enabled(),
    }


class Counter(nn.Module):
    """A module that counts its calls, in a buffer and in an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))
        self.times = 0

    def forward(self, x: Tensor) -> Tensor:
        """Return the input with noise, and count."""
        self.calls += 1
        self.times += 1
        return x + torch.rand_like(x)


@pytest.mark.parametrize("training", [True, False])
def test_the_module_comes_back_exactly_as_it_was(training: bool) -> None:
    module = nn.Sequential(Net(), nn.Dropout(), nn.ReLU(inplace=True), Counter()).train(training)
    module[1].eval()
    seen = []
    module[0].register_forward_hook(lambda *arguments: seen.append(type(arguments[2])) or None)
    module[0].stem.weight.grad = torch.ones_like(module[0].stem.weight)
    module[0].head.bias.requires_grad_(False)
    before = _state(module)
    audit(module, (3, 8, 8))
    after = _state(module)
    assert all(torch.equal(after["tensors"][k], v) for k, v in before.pop("tensors").items())
    grads = zip(before.pop("gradients"), after["gradients"], strict=True)
    assert all((a is None) == (b is None) and (a is None or torch.equal(a, b)) for a, b in grads)
    assert torch.equal(before.pop("torch"), after["torch"])
    assert all(after[key] == value for key, value in before.items())
    assert module[3].times == 0


@pytest.mark.parametrize(
    ("instrument", "changed"),
    [
        (audit, lambda facts: facts.output_shape == (1, 2)),
        (diagnose, lambda facts: facts.affine.holds is False),
    ],
)
def test_hooks_run_on_the_copy_and_keep_what_they_are_given(
    instrument: Callable[..., Any], changed: Callable[[Any], bool]
) -> None:
    layer, kept = nn.Conv1d(1, 1, 3), []
    layer.register_forward_hook(lambda module, args, output: kept.append((module, output)))
    layer.register_forward_hook(lambda module, args, output: output[..., :2].relu())
    # What a hook makes of an output counts, so that none can be left out.
    assert changed(instrument(layer, (1, 8)))
    assert kept
    assert all(module is not layer for module, _ in kept)
    # What it keeps is of the copy, and of an audit has no values: the user is told.
    if instrument is audit:
        with pytest.raises(RuntimeError, match="FunctionalTensor"):
            kept[0][1].mean()
    assert instrument.__doc__ is not None
    assert "hooks run" in instrument.__doc__.lower()


def test_an_audit_copies_no_values() -> None:
    class Precious(nn.Parameter):
        """A parameter that refuses to be copied."""

        def __deepcopy__(self, memo: object) -> None:
            raise AssertionError("the values were copied")

    module = nn.Linear(3, 2)
    module.weight = Precious(torch.zeros(2, 3))
    assert audit(module, (3,)).parameters == 8


def test_the_default_device_is_left_to_the_user() -> None:
    with torch.device("meta"):
        network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 3))
        assert audit(network, (1, 8, 8)).receptive_field == (8, 8)


def test_it_is_deterministic() -> None:
    network = Net()
    assert audit(network, (3, 8, 8)) == audit(network, (3, 8, 8))
    assert audit(copy.deepcopy(network), (3, 8, 8)) == audit(network, (3, 8, 8))


@pytest.mark.parametrize(
    ("module", "shape", "error", "words"),
    [
        (nn.ReLU, (8,), TypeError, "give an instance of torch.nn.Module"),
        (functional.relu, (8,), TypeError, "give an instance of torch.nn.Module"),
        (nn.ReLU(), (), ValueError, "give one input without batch"),
        (nn.ReLU(), 8, ValueError, "give one input without batch"),
        (nn.ReLU(), (3, 0, 8), ValueError, "all sizes at least 1"),
        (nn.ReLU(), (1.5, 8), ValueError, "all sizes at least 1"),
        (nn.ReLU(), (1, 2, 3, 4, 5), ValueError, "give one input without batch"),
        (nn.Conv2d(3, 4, 3), (4, 8, 8), ValueError, "Conv2d fails on an input of shape (4, 8, 8)"),
        (nn.LazyLinear(3), (8,), ValueError, "call it once first"),
        (Fn(lambda x: x if x.sum() > 0 else -x), (8,), ValueError, "reads values of its input"),
        (Fn(lambda x: x[x > 0]), (8,), ValueError, "reads values of its input"),
        (Fn(lambda x: torch.tensor(x.tolist())), (8,), ValueError, "reads values of its input"),
        (Fn(lambda x: None), (8,), ValueError, "returns no tensor"),
    ],
)
def test_bad_input_is_named(module: Any, shape: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        audit(module, shape)


def _running_mean(x: Tensor, norm: nn.Module) -> Tensor:
    norm.running_mean.mul_(0.9).add_(0.1 * x.mean((0, 2)))
    return x - norm.running_mean[:, None]


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x, norm: x * int(norm.num_batches_tracked), "reads values of its own parameters"),
        (lambda x, norm: x * (2 * norm.weight[0]).item(), "reads values of its own parameters"),
        (lambda x, norm: x * norm.weight.numpy().sum(), "reads values of its own parameters"),
        (lambda x, norm: x if norm.bias[0] > 0 else -x, "reads values of its own parameters"),
        (lambda x, norm: x[:, norm.weight > 0], "reads values of its own parameters"),
        (lambda x, norm: x * (x.sum() + norm.weight[0]).item(), "reads values of its input"),
        (lambda x, norm: x[:, norm.weight > x[0, 0, 0]], "reads values of its input"),
        (_running_mean, "writes in place into a parameter or buffer what depends on its input"),
    ],
)
def test_whose_values_are_read_or_written_is_said(function: Callable[..., Any], words: str) -> None:
    with pytest.raises(ValueError, match=words + ".*audit its parts"):
        audit(Fn(function, nn.BatchNorm1d(3)), (3, 8))


def test_what_is_written_in_place_from_constants_is_followed() -> None:
    rows = audit(Counter(), (3, 8)).rows
    assert [(row.kind, row.buffers, row.linearity) for row in rows[:1]] == [("add", 1, "constant")]


def test_a_shape_that_does_not_fit_is_told_once_and_not_logged() -> None:
    log, told = logging.getLogger("torch._subclasses.fake_tensor"), []
    listener = logging.Handler()
    listener.emit = told.append  # type: ignore[method-assign]
    log.addHandler(listener)
    try:
        network = nn.Sequential(nn.Flatten(), nn.Linear(5, 3))
        with pytest.raises(ValueError, match="fails on an input of shape"):
            audit(network, (1, 2, 2))
        assert told == []
        log.error("what others log is let through")
        assert len(told) == 1
    finally:
        log.removeHandler(listener)


def test_the_table_fits_its_width_and_json_and_html_say_the_same() -> None:
    deep = nn.Sequential()
    inner = deep
    for name in ("a_rather_long_stage_name", "another_block_name", "sub_block"):
        inner.add_module(name, nn.Sequential())
        inner = inner.get_submodule(name)
    inner.add_module("convolution", nn.Conv2d(3, 8, 3, padding=(1, 0)))
    facts = audit(nn.Sequential(deep, nn.MaxPool2d((2, 3))), (3, 64, 32))
    table = str(facts)
    assert max(map(len, table.splitlines())) <= 100
    assert "in evaluation mode" in table
    plain = json.loads(json.dumps(facts.to_dict(), allow_nan=False))
    assert plain["parameters"] == facts.parameters
    assert plain["rows"][1]["receptive_field"] == [4, 5]
    assert plain["rows"][1]["border"] == [[1, 1], [0, 0]]
    html = facts._repr_html_()
    assert html.count("<tr>") == 1 + len(facts.rows)
    assert "<table>" in html
    assert "a_rather_long_stage_name" in html


def _every_parameter_again(self: Any, call: calls.Call) -> tuple[int, int]:
    self.counted.clear()
    return TRUE_FIRST_USED(self, call)


def _flops_for_macs(call: Any) -> counting.Cost:
    true = counting._convolution(call)
    return counting.Cost(true.flops, true.flops)


def _groups_forgotten(call: Any) -> counting.Cost:
    true = counting._convolution(call)
    return counting.Cost(true.macs * call["groups"], true.flops * call["groups"])


TRUE_FIRST_USED = auditing._Facts._first_used


@pytest.mark.parametrize(
    ("place", "name", "fault", "trial"),
    [
        (
            auditing._Facts,
            "_first_used",
            _every_parameter_again,
            test_one_row_a_call_in_the_order_of_execution,
        ),
        (
            counting,
            "_RULES",
            {**counting._RULES, "convolution": _flops_for_macs},
            test_macs_and_flops_are_counted_apart,
        ),
        (
            counting,
            "_RULES",
            {**counting._RULES, "convolution": _groups_forgotten},
            test_macs_and_flops_are_counted_apart,
        ),
        (
            subsampling,
            "_passed",
            lambda weight, layers, strides: torch.zeros(strides, dtype=torch.bool),
            test_a_blur_before_the_stride_keeps_it_from_aliasing,
        ),
        (
            advice,
            "_is_nonnegative",
            lambda node: False,
            test_dead_units_are_read_off_the_weights,
        ),
        (
            calls,
            "_is_layer",
            lambda module: not isinstance(module, Net),
            test_unknown_structure_is_said_and_not_guessed,
        ),
    ],
)
def test_a_planted_fault_is_caught(
    monkeypatch: pytest.MonkeyPatch,
    place: Any,
    name: str,
    fault: Any,
    trial: Callable[[], None],
) -> None:
    trial()
    monkeypatch.setattr(place, name, fault)
    with pytest.raises((AssertionError, ValueError)):
        trial()


@pytest.mark.parametrize(
    "norm",
    [
        pytest.param(
            nn.utils.weight_norm,
            marks=pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning"),
        ),
        nn.utils.spectral_norm,
        nn.utils.parametrizations.weight_norm,
        nn.utils.parametrizations.spectral_norm,
    ],
)
def test_a_computed_weight_belongs_to_its_layer(norm: Callable[[nn.Module], nn.Module]) -> None:
    layer = norm(nn.Conv1d(2, 3, 3))
    layer(torch.ones(1, 2, 8))
    facts = audit(nn.Sequential(layer, nn.ReLU()), (2, 8))
    assert [row.name for row in facts.rows] == ["0", "1"]
    assert (
        facts.rows[0].parameters == facts.parameters == sum(p.numel() for p in layer.parameters())
    )
    assert facts.rows[0].macs >= 3 * 6 * 2 * 3
    assert (facts.rows[0].receptive_field, facts.rows[0].linearity) == ((3,), "affine")


def _masked(x: Tensor, conv: nn.Module) -> Tensor:
    return functional.conv2d(x, conv.weight * conv.mask, conv.bias, padding=1)


def _masked_conv(inputs: int, outputs: int) -> nn.Module:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1)
    conv.register_buffer("mask", torch.ones_like(conv.weight).triu())
    return conv


def _low_rank(x: Tensor, full: nn.Module, up: nn.Module, down: nn.Module) -> Tensor:
    return functional.linear(x, full.weight + up.weight @ down.weight, full.bias)


def _standardised(x: Tensor, conv: nn.Module) -> Tensor:
    mean = conv.weight.mean((1, 2, 3), keepdim=True)
    deviation = conv.weight - mean
    scale = deviation.square().mean((1, 2, 3), keepdim=True).rsqrt()
    return functional.conv2d(x, deviation * scale, conv.bias)


def _with_token(x: Tensor, token: nn.Module, position: nn.Module) -> Tensor:
    place = position(torch.arange(x.shape[1] + 1))
    return torch.cat([token.weight[None].expand(len(x), -1, -1), x], 1) + place


# Each with the calls that it has: their names, parameters and MACs.
COMPUTED: dict[str, tuple[nn.Module, tuple[int, ...], list[tuple[str, int, int]]]] = {
    "masked": (
        nn.Sequential(Fn(_masked, _masked_conv(1, 4)), Fn(_masked, _masked_conv(4, 28))),
        (1, 8, 8),
        [("0.mul", 36, 0), ("0.conv2d", 4, 2304), ("1.mul", 1008, 0), ("1.conv2d", 28, 64512)],
    ),
    "low rank": (
        Fn(_low_rank, nn.Linear(8, 8), *(nn.Linear(*n, bias=False) for n in ((2, 8), (8, 2)))),
        (8,),
        [("matmul", 32, 128), ("add", 64, 0), ("linear", 8, 64)],
    ),
    "standardised": (
        Fn(_standardised, nn.Conv2d(2, 4, 3)),
        (2, 8, 8),
        [
            *[("mean", 72, 0), ("sub", 0, 0), ("square", 0, 0), ("mean", 0, 0), ("rsqrt", 0, 0)],
            *[("mul", 0, 0), ("conv2d", 4, 2592)],
        ],
    ),
    "tokens": (
        Fn(_with_token, nn.Embedding(1, 4), nn.Embedding(9, 4)),
        (8, 4),
        [("layers.1", 36, 0), ("getitem", 4, 0), ("cat", 0, 0), ("add", 0, 0)],
    ),
}


@pytest.mark.parametrize("name", COMPUTED)
def test_what_is_computed_from_parameters_has_rows(name: str) -> None:
    module, shape, rows = COMPUTED[name]
    facts = audit(module, shape)
    assert [(row.name, row.parameters, row.macs) for row in facts.rows] == rows
    for total in ("parameters", "buffers", "macs", "flops"):
        assert sum(getattr(row, total) for row in facts.rows) == getattr(facts, total)


def test_a_factor_of_a_weight_has_no_dead_units() -> None:
    def low_rank(x: Tensor, full: nn.Module, down: nn.Module, up: nn.Module) -> Tensor:
        return functional.linear(x, full.weight + functional.linear(down.weight.T, up.weight).T)

    layers = [nn.Linear(8, 8, bias=False), nn.Linear(8, 2, bias=False), nn.Linear(2, 8, bias=False)]
    nn.init.zeros_(layers[2].weight)  # as usual, for training to begin at the full weight
    assert audit(Fn(low_rank, *layers), (8,)).warnings == ()


@pytest.mark.parametrize(
    ("module", "shape", "field"),
    [
        (nn.PReLU(2), (2, 8), 1),
        (nn.InstanceNorm1d(2), (2, 8), 8),
        (nn.AdaptiveMaxPool1d(2), (2, 8), 4),
        (Fn(Tensor.half), (2, 8), 1),
        (Fn(lambda x: functional.scaled_dot_product_attention(x, x, x)), (2, 8), 8),
    ],
)
def test_nonlinear_calls_are_called_nonlinear(
    module: nn.Module, shape: tuple[int, ...], field: int
) -> None:
    (row,) = audit(module, shape).rows
    assert row.linearity == "nonlinear"
    assert row.receptive_field == (field,)


@pytest.mark.parametrize(
    ("function", "kinds"),
    [
        (lambda x: x[..., 1::2], {"getitem": 0}),
        (lambda x: x[..., 1::2].relu() + 1, {"getitem": 0, "relu": 0, "add": 0}),
        (lambda x: x[..., 1::2].transpose(1, 2).sum(1), {"getitem": 0, "transpose": 0, "sum": 0}),
        (lambda x: torch.cat([x[:, :0], x], 1), {"getitem": 0, "cat": 1}),
        (lambda x: x.split([0, 2], 1)[1], {"split": 0}),
        (lambda x: functional.pad(x[..., 1::2], (1, 1)), {"getitem": 0, "pad": 0}),
        (lambda x: x[..., 1::2] @ x[..., 1::2].mT, {"getitem": 0, "mT": 0, "matmul": 0}),
    ],
)
def test_a_map_without_cells_has_a_row_and_sees_nothing(
    function: Callable[..., Any], kinds: dict[str, int]
) -> None:
    rows = audit(Fn(function), (2, 1)).rows
    assert {row.kind: row.receptive_field[0] for row in rows} == kinds
    assert all(row.jump == (None,) for row in rows if 0 in row.output_shape)


@pytest.mark.parametrize(
    ("function", "layers", "kinds"),
    [
        (
            lambda x: torch.where(x > 0, x, 0.1 * x),
            [],
            {"gt": "nonlinear", "mul": "linear", "where": "nonlinear"},
        ),
        (lambda x: (x > 0).float(), [], {"gt": "nonlinear", "to": "linear"}),
        (lambda x: (x > 0) * x, [], {"gt": "nonlinear", "mul": "nonlinear"}),
        (lambda x: x * (x > 0), [], {"gt": "nonlinear", "mul": "nonlinear"}),
        (
            lambda x, table: table(x.long()),
            [nn.Embedding(9, 3)],
            {"to": "nonlinear", "Embedding": "unknown"},
        ),
        (
            lambda x: functional.one_hot(x.argmax(-1), 8),
            [],
            {"argmax": "nonlinear", "one_hot": "nonlinear"},
        ),
        (lambda x: x.half().exp().double(), [], {"to": "linear", "exp": "nonlinear"}),
    ],
)
def test_calls_on_truth_values_and_integers_have_rows(
    function: Callable[..., Any], layers: list[nn.Module], kinds: dict[str, str]
) -> None:
    rows = audit(Fn(function, *layers), (2, 8)).rows
    assert {row.kind: row.linearity for row in rows} == kinds


def test_a_pool_without_strides_of_its_own() -> None:
    facts = audit(nn.FractionalMaxPool2d(2, output_size=3), (1, 8, 8))
    assert facts.output_shape == (1, 3, 3)
    assert facts.receptive_field == (None, None)


@pytest.mark.filterwarnings("ignore:.*jit:DeprecationWarning")
def test_compiled_modules_are_sent_back() -> None:
    layer = nn.Conv1d(1, 1, 3)
    with pytest.raises(ValueError, match="OptimizedModule is compiled"):
        audit(torch.compile(layer, backend="eager"), (1, 8))
    for part, name in (
        (torch.compile(nn.ReLU(), backend="eager"), r"1 \(OptimizedModule\)"),
        (torch.jit.trace(nn.ReLU(), torch.ones(1)), r"1 \(TopLevelTracedModule\)"),
    ):
        with pytest.raises(ValueError, match=name + " is compiled, and hides its layers: audit"):
            audit(nn.Sequential(layer, part), (1, 8))


def test_a_module_that_was_run_itself_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def on_the_module_itself(module: nn.Module, fake: Any) -> tuple[dict[int, str], nn.Module]:
        return {id(t): name for name, t in calls.named_tensors(module).items()}, module.eval()

    monkeypatch.setattr(recording, "_without_values", on_the_module_itself)
    with pytest.raises((AssertionError, ValueError)):
        test_the_module_comes_back_exactly_as_it_was(training=True)


def test_the_examples_of_the_guide_run() -> None:
    page = ROOT / "docs" / "howto" / "audit-your-model.md"
    result = doctest.testfile(str(page), module_relative=False)
    assert result.attempted > 5
    assert result.failed == 0


def test_the_example_of_the_function_runs() -> None:
    tests = doctest.DocTestFinder().find(audit, globs={})
    results = [doctest.DocTestRunner().run(each) for each in tests]
    assert sum(each.attempted for each in results) > 3
    assert not any(each.failed for each in results)
