"""ResNet-18: its layers counted from the paper's table, its shortcuts and its maps."""

from __future__ import annotations

import torch
from torch import nn

from experiments.networks.resnet import BasicBlock, ResNet18


def test_it_has_the_layers_of_the_table() -> None:
    """Stem, 16 convolutions in blocks and FC are 18 layers; three stages begin with a shortcut."""
    network = ResNet18(channels=3, filters=4, classes=10, stem="3x3")
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert [c.kernel_size for c in convolutions].count((3, 3)) == 17
    assert [c.kernel_size for c in convolutions].count((1, 1)) == 3
    widths = [4, 8, 16, 32]
    before = [4, *widths[:-1]]
    weights = 9 * 3 * 4
    for inner, outer in zip(before, widths, strict=True):
        weights += 9 * inner * outer + 3 * 9 * outer * outer
        weights += inner * outer * (inner != outer)
    norms = 2 * (4 + sum(4 * width for width in widths) + sum(widths[1:]))
    total = weights + norms + 32 * 10 + 10
    assert sum(p.numel() for p in network.parameters()) == total


def test_three_stages_halve_the_maps_and_the_stem_does_not() -> None:
    network = ResNet18(channels=3, filters=2, classes=10, stem="3x3").eval()
    maps = torch.zeros(1, 2, 32, 32)
    sides = []
    for block in network.blocks:
        maps = block(maps)
        sides.append(tuple(maps.shape[1:]))
    assert sides == [
        shape for c, s in ((2, 32), (4, 16), (8, 8), (16, 4)) for shape in [(c, s, s)] * 2
    ]
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


def test_the_large_stem_makes_a_quarter_of_224_pixels() -> None:
    network = ResNet18(channels=3, filters=2, classes=10, stem="7x7").eval()
    x = torch.zeros(1, 3, 224, 224)
    sides = [network.conv1(x).shape[2], network.pool(network.conv1(x)).shape[2]]
    maps = network.pool(network.conv1(x))
    for block in network.blocks:
        maps = block(maps)
        sides.append(maps.shape[2])
    assert sides == [112, 56, 56, 56, 28, 28, 14, 14, 7, 7]  # table 1 of the source
    assert network(x).shape == (1, 10)


def test_both_stems_lead_to_batch_normalisation_and_relu() -> None:
    for stem in ("3x3", "7x7"):
        network = ResNet18(channels=1, filters=2, classes=3, stem=stem).eval()
        nn.init.constant_(network.bn1.bias, -1e9)  # no pixel is as bright: all maps become 0
        x = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
        assert torch.equal(network(x), network(torch.zeros_like(x)))


def test_a_block_adds_its_input() -> None:
    """With the last scale at 0 the body gives 0, and ReLU of the input is left."""
    torch.manual_seed(0)
    block = BasicBlock(3, 3, stride=1).eval()
    nn.init.zeros_(block.bn2.weight)
    x = torch.randn(2, 3, 5, 5)
    assert torch.equal(block(x), x.relu())
