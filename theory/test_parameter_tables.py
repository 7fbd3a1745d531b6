"""Chapter 5, tables: every printed count and total, term by term.

Each table is built as a torch network from the report's own sizes; the counts are what torch
allocates, the shapes what it computes.

What passing does not prove: that a network with these counts was trained. The networks have no
values, only shapes.
"""

from __future__ import annotations

from itertools import pairwise, product
from math import prod
from typing import Any

import pytest
import torch
from torch import nn

from theory.geometry import Layer, output_size
from theory.layer_tables import META, conv, layer_counts, linear, pooled_convolutions, shapes
from theory.ledger import claims, settles
from theory.parameters import batch_norm_parameters, linear_parameters


def _reported(claim: str) -> Any:
    return claims()[claim].reported


ASSIGNMENT_3 = [*pooled_convolutions(3, 32, 64, 128), nn.Flatten()]


@settles("assignment-3-1g-layers", verdict="holds", certainty="exhausted")
@settles("assignment-3-1g-total", verdict="holds", certainty="exhausted")
def test_the_five_layers_and_their_total() -> None:
    """All five products have the printed values, and 2048 is what the three pools leave.

    They leave it of 32 to 39 pixels a side, since each pool drops a row that has no partner.
    """
    layers = [*ASSIGNMENT_3, linear(2048, 64), linear(64, 10)]
    counts = layer_counts(nn.Sequential(*layers))
    printed = [(5 * 5 * 3 + 1) * 32, (5 * 5 * 32 + 1) * 64, (5 * 5 * 64 + 1) * 128]
    printed += [(2048 + 1) * 64, (64 + 1) * 10]

    assert counts == printed == _reported("assignment-3-1g-layers")
    assert [sum(counts)] == _reported("assignment-3-1g-total")
    sides = [n for n in range(8, 65) if shapes(ASSIGNMENT_3, 3, n, n)[-1] == (2048,)]
    assert sides == list(range(32, 40))


@settles(
    "assignment-3-1g-fc-formula",
    verdict="holds_if",
    certainty="exhausted",
    condition="N_w counts weights alone (the dim(output) biases, which the report's own totals "
    "include, come on top), and W H C is the map after the third layer's pool: 4*4*128 = 2048 for "
    "32x32 images, where the convolution itself puts out 8*8*128 = 8192. The garbled line makes "
    "sense with 4 and 3 as the numbers of the layers, not as dimensions.",
)
def test_the_flattened_map_is_the_pooled_one() -> None:
    """The printed 2048 inputs and 131136 parameters decide both questions."""
    *_, convolved, _, pooled, flat = shapes(ASSIGNMENT_3, 3, 32, 32)
    assert (convolved, pooled) == ((128, 8, 8), (128, 4, 4))
    assert flat == (prod(pooled),) == (2048,)
    assert prod(convolved) == 8192

    layer = nn.Linear(prod(pooled), 64, device=META)
    assert layer.weight.numel() == 2048 * 64 == linear_parameters(2048, 64, bias=False)
    assert 2048 * 64 + 64 == linear_parameters(2048, 64) == 131_136
    assert linear_parameters(prod(convolved), 64) == 524_352
    assert 4 * 3 not in (2048 * 64, 64 * 10)


def _net(*, normalised: bool) -> nn.Sequential:
    """Build the first or the second network of task 3a, as printed."""
    extractor: list[nn.Module] = []
    for inputs, outputs in ((3, 32), (32, 64), (64, 128)):
        extractor.append(nn.Conv2d(inputs, outputs, 5, padding=2))
        extractor += [nn.BatchNorm2d(outputs)] if normalised else []
        extractor += [nn.ReLU(), nn.MaxPool2d(2)]
        extractor += [] if normalised else [nn.Dropout(0.05)]
    classifier: list[nn.Module] = [nn.Linear(2048, 64)]
    classifier += [nn.BatchNorm1d(64)] if normalised else []
    classifier += [nn.ReLU(), nn.Linear(64, 10)]
    classifier += [nn.BatchNorm1d(10)] if normalised else []
    return nn.Sequential(*extractor, nn.Flatten(), *classifier)


@settles("assignment-3-3a-net1", verdict="holds", certainty="exhausted")
@settles("assignment-3-3a-net2", verdict="holds", certainty="exhausted")
@pytest.mark.parametrize("normalised", [True, False])
def test_both_networks_run_as_printed(normalised: bool) -> None:
    """The printed layers fit each other; which sizes of image they accept follows.

    Dropout has no parameters. Batch norm adds two for each of 298 channels, and idles the bias of
    the layer before: the first network has 596 parameters more, and 298 more that do anything.
    """
    network = _net(normalised=normalised).to(META)
    plain, channels = _reported("assignment-3-1g-total")[0], (32, 64, 128, 64, 10)
    added = sum(map(batch_norm_parameters, channels)) if normalised else 0
    assert sum(layer_counts(network)) == plain + added == (391_006 if normalised else 390_410)

    for side in range(24, 48):
        images = torch.empty(2, 3, side, side, device=META)
        if 32 <= side < 40:
            assert network(images).shape == (2, 10)
        else:
            with pytest.raises(RuntimeError, match=r"reduction dim|cannot be multiplied"):
                network(images)


TP1 = nn.Sequential(
    *pooled_convolutions(3, 32, 64, 64),
    nn.Flatten(),
    linear(1024, 1000),
    nn.ReLU(),
    linear(1000, 10),
)


@settles(
    "tp1-cnn-q10-conv1-formula",
    verdict="holds_if",
    certainty="exhausted",
    condition="The printed 5*5*32 is read as 5*5*3*32, with weights for each of the 3 input "
    "channels: 5*5*32 + 32 is 832, the count for one channel.",
)
def test_the_first_convolution_sees_three_channels() -> None:
    assert shapes([*TP1], 3, 32, 32)[0] == (32, 32, 32)
    assert [5 * 5 * 32 + 32] == [832] == layer_counts(conv(1, 32, 5))
    assert [5 * 5 * 3 * 32 + 32] == [2432] == layer_counts(TP1)[:1]
    assert _reported("tp1-cnn-q10-conv1-formula") == [2432]


@settles("tp1-cnn-q10-table", verdict="holds", certainty="exhausted")
@settles("tp1-cnn-q10-fc-dominates", verdict="holds", certainty="exhausted")
@settles("tp1-cnn-q11-ratio", verdict="holds", certainty="exhausted")
def test_the_table_of_tp1() -> None:
    """All eight lines; fc4 alone has six sevenths of the parameters; 23.8 a training example."""
    table = shapes([*TP1], 3, 32, 32)
    maps = [(side, channels) for channels, side, _ in (table[line] for line in (0, 2, 3, 5, 6, 8))]
    assert maps == [(32, 32), (16, 32), (16, 64), (8, 64), (8, 64), (4, 64)]
    assert table[-3:] == [(1000,), (1000,), (10,)]
    counts = layer_counts(TP1)
    assert counts == list(_reported("tp1-cnn-q10-table").values())

    *convolutions, fc4, fc5 = counts
    assert sum(convolutions) == 156_160
    assert fc4 + fc5 == 1_035_010
    assert 2 * (fc4 + fc5) > 2 * fc4 > sum(counts)

    ratio = _reported("tp1-cnn-q11-ratio")
    assert sum(counts) == 1_191_170
    assert round(sum(counts), -5) == ratio["params"]
    assert round(sum(counts) / ratio["examples"]) == ratio["ratio"]
    assert ratio["params"] / ratio["examples"] == ratio["ratio"]


@settles("nn4i-2023-a1-q1c-grid", verdict="holds", certainty="exhausted")
def test_six_runs_are_six_networks() -> None:
    """No two of the six agree in both the convolutions and the pools that an image passes.

    Three blocks of one convolution and one block of three have as many convolutions, but leave maps
    of 4x4 and 16x16 pixels.
    """
    grid = _reported("nn4i-2023-a1-q1c-grid")
    runs = list(product(grid["network_depth"], grid["block_depth"]))
    networks = {(depth * block, 32 // 2**depth) for depth, block in runs}
    assert len(runs) == len(networks) == grid["runs"] == 6
    assert {side for convs, side in networks if convs == 3} == {4, 16}


@settles(
    "nn4i-2023-a1-q1c-network-first",
    verdict="holds_if",
    certainty="exhausted",
    condition="With equal convolutions of stride 1 on 32x32 images, each takes away at most one "
    "row (k - 1 - 2p <= 1): unpadded 3x3 kernels end after three layers and 5x5 kernels after two.",
)
def test_four_pooled_layers_fit_if_convolutions_keep_the_size() -> None:
    """All kernels up to the image's, all paddings up to half of the kernel; then torch runs it."""

    def deepest(kernel: int, padding: int) -> int:
        side, layers = 32, 0
        while side + 2 * padding >= kernel and layers < 5:
            side = output_size(side, Layer(kernel, padding=padding)) // 2
            if side == 0:
                break
            layers += 1
        return layers

    for kernel in range(1, 33):
        for padding in range(kernel // 2 + 1):
            assert (deepest(kernel, padding) >= 4) == (kernel - 1 - 2 * padding <= 1)
    assert (deepest(3, 0), deepest(5, 0)) == (3, 2)

    reported = _reported("nn4i-2023-a1-q1c-network-first")
    for convolutions, fully_connected in product(reported["conv_layers"], reported["fc_layers"]):
        features = pooled_convolutions(3, *[4] * convolutions)
        flat = prod(shapes(features, 3, 32, 32)[-1])
        widths = [flat, *[16] * (fully_connected - 1), reported["outputs"]]
        head = [linear(inputs, outputs) for inputs, outputs in pairwise(widths)]
        assert shapes([*features, nn.Flatten(), *head], 3, 32, 32)[-1] == (10,)
    with pytest.raises(RuntimeError, match=r"Kernel size|too small"):
        shapes(pooled_convolutions(3, 4, 4, 4, padding=0), 3, 32, 32)
