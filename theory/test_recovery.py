"""Chapter 5, recovery: what a parameter count says about a network.

A convolution has one weight for each kernel pixel and pair of channels, a linear layer one for each
pair of units, and each output one bias. These counts are few-variable integer equations, so two
printed totals can be inverted: the trials below search a whole family of designs and list every
one that fits.

What passing does not prove: that the network was built this way. A design outside the stated
family (other strides, a third convolution, grouped channels) may have the same counts, and the
counts say nothing about layers without parameters.
"""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from torch import nn

from theory.geometry import Layer, output_size
from theory.ledger import claims, settles
from theory.parameters import conv_parameters, linear_parameters
from theory.recovery import Design, designs, recover

COUNTS = {3: 3172, 20: 46590}
RECOVERED = Design(kernels=(5, 5), paddings=(0, 0), pool=2)


class _ReportedNetwork(nn.Module):
    """The network of nni-2023-ex1-q2-network, with the recovered sizes."""

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, filters, 5)
        self.conv2 = nn.Conv2d(filters, 3 * filters, 5)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(3 * filters * 5 * 5, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.conv1(x).relu())
        x = self.pool(self.conv2(x).relu())
        return self.fc1(x.flatten(1))


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@settles(
    "nni-2023-ex1-q1a-params-3",
    "nni-2023-ex1-q1a-params-20",
    verdict="holds_if",
    certainty="exhausted",
    condition="Both kernels are 5x5, conv2 has three times as many filters as conv1, fc1 sees a "
    "5x5 map, all layers have biases, 3 channels and 10 classes (2x2 pools without padding leave "
    "such a map of 32x32 images). The only other sizes with both counts are 1x1 kernels, 75 times "
    "as many filters in conv2 and a single pixel.",
)
def test_the_two_counts_leave_two_choices_of_sizes() -> None:
    """Whatever paddings, pools and images: a count depends on kernels, widths and fc1's map alone.

    No kernel or map beyond the ranges fits the smaller count. Without pools and padding, an image
    that the kernels shrink to the map stands for all that lead to it.
    """
    total = COUNTS[3]
    assert min(conv_parameters(3, 3, 19), conv_parameters(3, 1, 33)) > total
    assert linear_parameters(18**2, 10) > total
    found = set()
    for k1, k2, side in product(range(1, 19), range(1, 33), range(1, 18)):
        design, image = Design((k1, k2), pool=1), side + k1 + k2 - 2
        assert design.side(image) == side
        found |= {(design.kernels, side, w) for w in recover([design], COUNTS, image).values()}

    assert found == {((5, 5), 5, (9, 60)), ((1, 1), 1, (75 * 3, 75 * 20))}


@settles(
    "nni-2023-ex1-q1a-params-3",
    "nni-2023-ex1-q1a-params-20",
    verdict="holds_if",
    certainty="exhausted",
)
def test_the_two_counts_leave_one_design() -> None:
    """With equal padding in both convolutions and 2x2 pools, both counts fit one design only.

    All kernels up to the image's side and all paddings up to 5 are tried, the two kernels apart.
    The width of conv2 is searched without bound, for a count grows linearly with it.
    """
    for filters, parameters in COUNTS.items():
        assert claims()[f"nni-2023-ex1-q1a-params-{filters}"].reported == [parameters]
    family = (
        design
        for design in designs(kernels=range(1, 33), paddings=range(6), pools=[2])
        if design.paddings[0] == design.paddings[1]
    )

    assert recover(family, COUNTS) == {RECOVERED: (9, 60)}


@settles(
    "nni-2023-ex1-q1a-params-3",
    "nni-2023-ex1-q1a-params-20",
    verdict="holds_if",
    certainty="exhausted",
)
def test_rivals_pad_and_pool_otherwise() -> None:
    """Unequal paddings and larger pools lead to the same two choices of sizes.

    Paddings up to 5 and all pools are tried; other kernels need no search, for no sizes with them
    fit. A rival with 5x5 kernels pads more and lets a pool drop more, so that fc1 sees 5x5 pixels
    all the same; pools of 5 to 13 leave the single pixel that 1x1 kernels need. The counts cannot
    tell rivals from the recovered design.
    """
    found = recover(designs(kernels=[1, 5], paddings=range(6), pools=range(1, 33)), COUNTS)
    large = [design for design in found if design.kernels == (5, 5)]
    small = [design for design in found if design.kernels == (1, 1)]

    assert found.keys() == {*large, *small}
    assert {design.paddings for design in large if design.pool == 2} == {(0, 0), (1, 0)}
    assert {design.pool for design in large} == {2, 3}
    assert min(max(design.paddings) for design in large if design.pool == 3) == 4
    assert {design.pool for design in small} == set(range(5, 14))
    assert Design((1, 1), pool=5) in small


@pytest.mark.parametrize("filters", COUNTS)
def test_conv2_is_three_times_as_wide(filters: int) -> None:
    """Each count alone gives 3 filters in conv2 for one in conv1, if both layers are shaped alike.

    That is, the same kernel and padding in both, and 2x2 pools.
    """
    family = (
        Design((kernel, kernel), (padding, padding))
        for kernel, padding in product(range(1, 33), range(6))
    )

    assert recover(family, {filters: COUNTS[filters]}) == {RECOVERED: (3 * filters,)}


@settles("nni-2023-ex1-q2-network", verdict="holds", certainty="exhausted")
@pytest.mark.parametrize("filters", COUNTS)
def test_the_described_network_has_the_printed_counts(filters: int) -> None:
    """The network as described runs on 32x32 images and has the two printed counts.

    The order of the layers, the shared pool and the missing activation after fc1 are taken from the
    report's code: the counts show only that they fit.
    """
    network = _ReportedNetwork(filters)

    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert _count(network) == COUNTS[filters] == RECOVERED.parameters((filters, 3 * filters))


@settles(
    "nni-2023-ex1-q2-linear-variant",
    verdict="holds_if",
    certainty="exhausted",
    condition="'The same model' means the same layers, not the same parameters: fc1 must be built "
    "anew for the 60x24x24 map (34560 inputs, not 1500; 377190 parameters, not 46590, for 20 "
    "filters without padding). And 'linear' means affine: the layers have biases.",
)
def test_without_pools_the_last_layer_fits_once_it_is_built_anew() -> None:
    """Removing the pools changes the shape of fc1, which no longer is the layer of the model.

    A linear map takes the black image to 0; this one does so only without its biases.
    """
    network = _ReportedNetwork(20)
    black = torch.zeros(1, 3, 32, 32)
    activations = network.conv2(network.conv1(black)).flatten(1)
    linear = Design(RECOVERED.kernels, RECOVERED.paddings, pool=1)

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        network.fc1(activations)
    network.fc1 = nn.Linear(activations.shape[1], 10)
    assert network.fc1(activations).shape == (1, 10)
    assert activations.shape[1] == 60 * linear.side() ** 2 == 34_560
    assert _count(network) == linear.parameters((20, 60)) == 377_190

    layers = nn.Sequential(network.conv1, network.conv2, nn.Flatten(), network.fc1)
    with torch.no_grad():
        assert layers(black).all()
        for parameter in layers.parameters():
            if parameter.ndim == 1:  # a bias
                parameter.zero_()
        assert not layers(black).any()


def _single(filters: int, kernel: int, padding: int) -> tuple[int, int]:
    """Count one convolution of 32x32 colour images and a linear layer on the map, or on its means.

    The linear layer has 10 classes; it sees every pixel of the map, or one mean a channel.
    """
    cells = output_size(32, Layer(kernel, padding=padding)) ** 2
    conv = conv_parameters(3, filters, kernel)
    return conv + linear_parameters(filters * cells, 10), conv + linear_parameters(filters, 10)


@settles(
    "nn4i-2023-a1-q3-60000",
    verdict="undecided",
    condition="The sizes are not stated. Read as parameters, it is true for example of 7 filters "
    "of 5x5 pixels without padding (55422) and 6 of 3x3 at the same size (61618), and false of 20 "
    "filters of 5x5 (158330). Read as values of a map no larger than the image, it takes 59 "
    "filters or more and 600000 weights.",
)
@settles(
    "nn4i-2023-a1-q3-gap-600",
    verdict="undecided",
    condition="The sizes are not stated. True of 7 filters of 5x5 pixels (612), which is the only "
    "layer without padding, or at the same size, with 55000 to 65000 parameters before and 550 to "
    "650 after; false of 6 filters of 3x3 (238), and of every layer whose map, no larger than the "
    "image, has 60000 values (836 or more).",
)
def test_one_convolution_with_two_rounded_counts() -> None:
    """Try all kernels and filters, unpadded or at the same size, for counts round about the two.

    About 60000 is read as 55000 to 65000, and around 600 as 550 to 650. No layer with 120 filters
    is small enough: averaged, it has at least 14 parameters a filter. Averaging takes away
    10 (cells - 1) weights for each filter, whatever the kernel.
    """
    parameters, averaged = 60_000, 600
    assert claims()["nn4i-2023-a1-q3-60000"].reported == [parameters]
    assert claims()["nn4i-2023-a1-q3-gap-600"].reported == [averaged]
    assert linear_parameters(120, 10) + conv_parameters(3, 120, 1) > averaged + 50
    fits = {}
    for kernel in range(1, 33):
        for filters, padding in product(range(1, 120), {0, (kernel - 1) // 2}):
            direct, means = _single(filters, kernel, padding)
            cells = output_size(32, Layer(kernel, padding=padding)) ** 2
            assert direct - means == 10 * filters * (cells - 1)
            if abs(direct - parameters) <= 5000 and abs(means - averaged) <= 50:
                fits[filters, kernel, padding] = direct, means
    assert fits == {(7, 5, 0): (55_422, 612)}
    assert _single(6, 3, 1) == (61_618, 238)
    assert _single(20, 5, 0)[0] == 158_330

    conv = nn.Conv2d(3, 7, 5)
    activations = conv(torch.zeros(1, 3, 32, 32))
    for features, count in ((activations.flatten(1), 55_422), (activations.mean((2, 3)), 612)):
        assert _count(conv) + _count(nn.Linear(features.shape[1], 10)) == count


@settles("nn4i-2023-a1-q3-60000", verdict="undecided")
@settles("nn4i-2023-a1-q3-gap-600", verdict="undecided")
def test_as_many_neurons_would_have_more_parameters() -> None:
    """Each value of the map has 10 weights; and 1024 cells need 59 channels, fewer cells more.

    Even 55000 values take 54 channels and 766 averaged parameters.
    """
    for neurons, least in ((60_000, 836), (55_000, 766)):
        found = []
        for kernel in range(1, 33):
            for padding in {0, (kernel - 1) // 2}:
                cells = output_size(32, Layer(kernel, padding=padding)) ** 2
                direct, averaged = _single(math.ceil(neurons / cells), kernel, padding)
                assert direct > 10 * neurons
                found.append(averaged)
        assert min(found) == least > 650


@pytest.mark.parametrize(
    ("outputs", "count", "sizes"),
    [
        (32, 832, [(1, 5)]),
        (64, 51_264, [(2, 20), (8, 10), (32, 5), (50, 4), (200, 2), (800, 1)]),
        (26, 10_426, [(1, 20), (4, 10), (16, 5), (25, 4), (100, 2), (400, 1)]),
    ],
)
def test_a_line_with_its_biases_nearly_gives_its_sizes(
    outputs: int, count: int, sizes: list[tuple[int, int]]
) -> None:
    """The biases are the filters; what one filter sees is inputs times a square kernel.

    Chained to the line before, each of the lines in which a digit is misprinted has one solution.
    """
    inputs = {1} if outputs == 32 else range(1, 801)
    found = [
        (channels, kernel)
        for channels, kernel in product(inputs, range(1, 29))
        if conv_parameters(channels, outputs, kernel) == count
    ]
    assert found == sizes
