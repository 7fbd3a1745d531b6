"""The audit of networks from the literature, against the numbers that were published of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tests.model_zoo import (
    VGG16,
    AlexNet,
    DenseBlock,
    DenseNet121,
    LeNet5,
    MobileNetV2,
    ResNet,
    UNet,
)
from theory import Audit, audit
from theory.parameters import batch_norm_parameters, conv_parameters


@dataclass(frozen=True)
class Published:
    """What is printed of a network.

    Attributes
    ----------
    build : callable
        The network.
    shape : tuple of int
        Its input.
    parameters : int
        Its parameters: in LeCun et al. 1998 for LeNet-5 (60,000), else on torchvision's model pages
        (``num_params`` of the weights), which for U-Net print nothing: there by formula.
    giga_macs : float, optional
        Multiply-accumulates in 10^9, as torchvision's pages print them (they call them GFLOPS).
    field : int
        Receptive field of the last map before the classifier. AlexNet and VGG-16: Araujo, Norris
        and Sim 2019, Computing receptive fields of convolutional neural networks (195 and 212).
        Others: 1 + the sum of (kernel - 1) x stride before, along the widest path.
    """

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    parameters: int
    giga_macs: float | None
    field: int


def _unet_parameters() -> int:
    widths = [64, 128, 256, 512, 1024]
    down = sum(
        conv_parameters(a, b, 3) + conv_parameters(b, b, 3)
        for a, b in zip([1, *widths[:-1]], widths, strict=True)
    )
    up = sum(
        conv_parameters(2 * w, w, 2) + conv_parameters(2 * w, w, 3) + conv_parameters(w, w, 3)
        for w in widths[:-1]
    )
    return down + up + conv_parameters(64, 2, 1)


# (kernel - 1) x stride before, by stage: stem, max pool, then the 3 x 3 layers of each block.
_RESNET18 = 1 + 6 + 2 * 2 + 4 * (4 * 2) + (4 + 3 * 8) * 2 + (8 + 3 * 16) * 2 + (16 + 3 * 32) * 2
_RESNET50 = 1 + 6 + 2 * 2 + 3 * 8 + (8 + 3 * 16) + (16 + 5 * 32) + (32 + 2 * 64)
_MOBILENET = 1 + 2 * (1 + 2 + 2 + 4 + 4 + 2 * 8 + 8 + 6 * 16 + 16 + 3 * 32)
_DENSENET = 1 + 6 + 4 + 6 * 8 + 4 + 12 * 16 + 8 + 24 * 32 + 16 + 16 * 64

NETWORKS = {
    "LeNet-5": Published(LeNet5, (1, 32, 32), 60_000, None, 32),
    "AlexNet": Published(AlexNet, (3, 224, 224), 61_100_840, 0.714, 195),
    "VGG-16": Published(VGG16, (3, 224, 224), 138_357_544, 15.470, 212),
    "ResNet-18": Published(
        lambda: ResNet([2, 2, 2, 2], bottleneck=False), (3, 224, 224), 11_689_512, 1.814, _RESNET18
    ),
    "ResNet-50": Published(
        lambda: ResNet([3, 4, 6, 3], bottleneck=True), (3, 224, 224), 25_557_032, 4.089, _RESNET50
    ),
    "MobileNet-v2": Published(MobileNetV2, (3, 224, 224), 3_504_872, 0.301, _MOBILENET),
    "DenseNet-121": Published(DenseNet121, (3, 224, 224), 7_978_856, 2.834, _DENSENET),
    "U-Net": Published(UNet, (1, 572, 572), _unet_parameters(), None, 0),
}


@pytest.fixture(scope="module", params=NETWORKS)
def audited(request: pytest.FixtureRequest) -> tuple[Published, nn.Module, Audit]:
    published = NETWORKS[request.param]
    with torch.device("meta"):
        network = published.build()
    return published, network, audit(network, published.shape)


def test_parameters_are_those_that_were_published(
    audited: tuple[Published, nn.Module, Audit],
) -> None:
    published, network, facts = audited
    assert facts.parameters == published.parameters
    assert facts.parameters == sum(row.parameters for row in facts.rows)
    assert facts.buffers == sum(each.numel() for each in network.buffers())
    assert facts.buffers == sum(row.buffers for row in facts.rows)


def test_macs_are_those_of_torch_and_those_that_were_published(
    audited: tuple[Published, nn.Module, Audit],
) -> None:
    published, network, facts = audited
    x = torch.empty(1, *published.shape, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(x)
    assert 2 * facts.macs == counter.get_total_flops()
    assert facts.macs == sum(row.macs for row in facts.rows)
    assert facts.flops >= 2 * facts.macs
    if published.giga_macs is not None:
        # The pages print three decimals, cut off or rounded.
        assert abs(facts.macs / 1e9 - published.giga_macs) < 1e-3


def test_receptive_fields_are_those_that_were_published(
    audited: tuple[Published, nn.Module, Audit],
) -> None:
    published, _, facts = audited
    if published.field:
        assert max(row.receptive_field[0] or 0 for row in facts.rows if row.jump[0]) == (
            published.field
        )
        assert facts.receptive_field == published.shape[1:]  # the classifier sees everything
    assert all(row.linearity != "unknown" for row in facts.rows)
    assert not any("unknown" in warning for warning in facts.warnings)


def test_lenet_layers_have_the_parameters_that_the_paper_prints() -> None:
    facts = audit(LeNet5(), (1, 32, 32))
    counts = dict.fromkeys(["c1", "s2", "c3", "s4", "c5", "f6"], 0)
    for row in facts.rows:
        if (layer := row.name.split(".")[0]) in counts:
            counts[layer] += row.parameters
    assert counts == {"c1": 156, "s2": 12, "c3": 1_516, "s4": 32, "c5": 48_120, "f6": 10_164}


def test_unet_maps_have_the_sizes_that_the_paper_prints() -> None:
    with torch.device("meta"):
        facts = audit(UNet(), (1, 572, 572))
    sides = [row.output_shape[1] for row in facts.rows if row.kind in {"Conv2d", "ConvTranspose2d"}]
    down = [570, 568, 282, 280, 138, 136, 66, 64, 30, 28]
    up = [56, 54, 52, 104, 102, 100, 200, 198, 196, 392, 390, 388, 388]
    assert sides == down + up
    assert facts.output_shape == (2, 388, 388)
    assert facts.rows[-1].jump == (1, 1)


def test_a_small_unet_sees_what_is_measured() -> None:
    network = UNet(width=1, depth=2).double().eval()
    for parameter in network.parameters():
        nn.init.ones_(parameter) if parameter.ndim > 1 else nn.init.zeros_(parameter)
    side = 60
    row = audit(network, (1, side, side)).rows[-1]
    rows = torch.zeros(side, 1, side, side, dtype=torch.float64)
    rows[torch.arange(side), 0, torch.arange(side)] = 1
    with torch.no_grad():
        sees = (network(rows) > 0).any(1).any(-1)
    windows = [torch.nonzero(sees[:, o]).flatten().tolist() for o in range(sees.shape[1])]
    assert max(seen[-1] - seen[0] + 1 for seen in windows) == row.receptive_field[0]
    assert windows[0][0] == row.start[0] == 0
    assert windows[4][0] - windows[0][0] == 4 * row.jump[0]


def test_a_dense_block_has_the_parameters_of_its_formula() -> None:
    facts = audit(DenseBlock(64, 6), (64, 14, 14))
    assert facts.parameters == sum(
        batch_norm_parameters(c)
        + conv_parameters(c, 128, 1, bias=False)
        + batch_norm_parameters(128)
        + conv_parameters(128, 32, 3, bias=False)
        for c in range(64, 64 + 6 * 32, 32)
    )
    assert facts.output_shape == (64 + 6 * 32, 14, 14)
    assert facts.receptive_field == (13, 13)  # six layers of 3 x 3 in a row, at jump 1
