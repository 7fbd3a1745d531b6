"""Chapter: what a parameter count says about a network.

A convolution has one weight for each kernel pixel and pair of channels, a linear layer one for each
pair of units, and each output one bias. These counts are few-variable integer equations, so two
printed totals can be inverted: the trials below search a whole family of designs and list every
one that fits.

What passing does not prove: that the network was built this way. A design outside the stated
family (other strides, a third convolution, grouped channels) may have the same counts, and the
counts say nothing about layers without parameters.
"""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import nn

from theory.ledger import claims, settles
from theory.parameters import Design, conv_parameters, designs, linear_parameters, recover

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


@pytest.mark.parametrize("bias", [True, False])
def test_layer_counts_are_those_of_torch(bias: bool) -> None:
    """The two formulas give what torch allocates, for every small layer."""
    for inputs, outputs in product(range(1, 5), repeat=2):
        linear = nn.Linear(inputs, outputs, bias=bias)
        assert linear_parameters(inputs, outputs, bias=bias) == _count(linear)
        for kernel in range(1, 6):
            conv = nn.Conv2d(inputs, outputs, kernel, bias=bias)
            assert conv_parameters(inputs, outputs, kernel, bias=bias) == _count(conv)


@settles(
    "nni-2023-ex1-q1a-params-3",
    "nni-2023-ex1-q1a-params-20",
    verdict="holds_if",
    certainty="exhausted",
    condition="Both kernels are 5x5, conv2 has three times as many filters as conv1, and 2x2 pools "
    "without padding leave a 5x5 map for fc1, on 32x32 images with 3 channels and 10 classes.",
)
def test_the_two_counts_leave_one_design() -> None:
    """With equal padding in both convolutions, both counts together fit one design only.

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
def test_rivals_differ_only_at_the_border() -> None:
    """Unequal paddings and larger pools admit rivals, all with the same kernels and widths.

    A rival pads more and lets a pool drop more, so that fc1 sees 5x5 pixels all the same: the
    counts cannot tell it from the recovered design.
    """
    found = recover(designs(kernels=range(1, 33), paddings=range(6), pools=[2, 3, 4]), COUNTS)

    assert {(design.kernels, design.side(), widths) for design, widths in found.items()} == {
        ((5, 5), 5, (9, 60))
    }
    assert {design.paddings for design in found if design.pool == 2} == {(0, 0), (1, 0)}
    assert min(max(design.paddings) for design in found if design.pool == 3) == 4
    assert not any(design.pool == 4 for design in found)


@pytest.mark.parametrize("filters", COUNTS)
def test_conv2_is_three_times_as_wide(filters: int) -> None:
    """Each count alone gives 3 filters in conv2 for one in conv1, if kernels and paddings agree."""
    family = (
        Design((kernel, kernel), (padding, padding))
        for kernel, padding in product(range(1, 33), range(6))
    )

    assert recover(family, {filters: COUNTS[filters]}) == {RECOVERED: (3 * filters,)}


@settles("nni-2023-ex1-q2-network", verdict="holds", certainty="exhausted")
@pytest.mark.parametrize("filters", COUNTS)
def test_the_described_network_has_the_printed_counts(filters: int) -> None:
    """The network as described runs on 32x32 images and has the two printed counts."""
    network = _ReportedNetwork(filters)

    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert _count(network) == COUNTS[filters] == RECOVERED.parameters((filters, 3 * filters))


@settles(
    "nni-2023-ex1-q2-linear-variant",
    verdict="holds_if",
    certainty="exhausted",
    condition="fc1 is built anew for the 60x24x24 map that remains without pooling: 34560 inputs "
    "instead of 1500 and 377190 parameters instead of 46590, so that it is not the same model.",
)
def test_without_pools_the_linear_layer_does_not_fit() -> None:
    """Removing the pools changes the shape of fc1, which no longer is the layer of the model."""
    network = _ReportedNetwork(20)
    activations = network.conv2(network.conv1(torch.zeros(1, 3, 32, 32))).flatten(1)
    linear = Design(RECOVERED.kernels, RECOVERED.paddings, pool=1)

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        network.fc1(activations)
    network.fc1 = nn.Linear(activations.shape[1], 10)
    assert activations.shape[1] == 60 * linear.side() ** 2 == 34_560
    assert _count(network) == linear.parameters((20, 60)) == 377_190
