"""Chapter 5, misprints: the counts of mnist-2017, whose printed products often miss their values.

Each line prints weights, biases and a product. The biases say how many outputs a layer has, and the
other lines what it sees, so the network can be built in torch; its counts decide what was meant,
and where no reading of a line saves it.

What passing does not prove: that a network with these counts was trained, or that a misprint was
no more than that.
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any

import pytest
import z3
from torch import nn

from theory.layer_tables import conv, layer_counts, linear, pooled_convolutions, shapes
from theory.ledger import claims, settles
from theory.parameters import conv_parameters, linear_parameters
from theory.solver import holds_always


def _reported(claim: str) -> Any:
    return claims()[claim].reported


MNIST = {"conv1": (1, 32), "conv2": (32, 64), "fc1": (7 * 7 * 64, 1024), "fc2": (1024, 10)}


@settles(
    "mnist-2017-q1-network",
    verdict="holds_if",
    certainty="exhausted",
    condition="The convolutions pad so that 7x7 pixels are left: with 2x2 pools, 28x28 images and "
    "equal padding in both that is padding 2 (same size) and no other; without padding fc1 would "
    "see 4*4*64 values.",
)
def test_the_first_fully_connected_layer_sees_seven_by_seven() -> None:
    """Try every padding up to 5 in both convolutions."""
    seen = {
        padding: shapes(pooled_convolutions(1, 32, 64, padding=padding), 1, 28, 28)[-1]
        for padding in range(6)
    }
    assert [padding for padding, shape in seen.items() if shape == (64, 7, 7)] == [2]
    assert seen[0] == (64, 4, 4)


@settles("mnist-2017-q1-fc2", verdict="holds", certainty="exhausted")
@settles("mnist-2017-q1-total", verdict="holds", certainty="exhausted")
def test_the_baseline_layers_and_their_total() -> None:
    """Four layers, weights and biases apart, against the report's."""
    head = [linear(*MNIST["fc1"]), linear(*MNIST["fc2"])]
    network = nn.Sequential(*pooled_convolutions(1, 32, 64), nn.Flatten(), *head)
    assert shapes([*network], 1, 28, 28)[-1] == (10,)

    trained = [layer for layer in network if list(layer.parameters())]
    for name, layer, count in zip(MNIST, trained, layer_counts(network), strict=True):
        weights, biases = (each.numel() for each in layer.parameters())
        expected = {"weights": weights, "biases": biases, "total": count}
        assert _reported(f"mnist-2017-q1-{name}") == expected
    assert sum(layer_counts(network)) == 3_274_634
    assert _reported("mnist-2017-q1-total") == [3_274_634]


MISPRINTS = [
    ("mnist-2017-q1-conv1", (5, 5, 1, 5), 125, (5, 5, 1, 32), 32),
    ("mnist-2017-q1-conv2", (54, 32, 5, 5), 43_200, (64, 32, 5, 5), 64),
    ("mnist-2017-q1-fc1", (7, 7, 64, 64), 200_704, (7, 7, 64, 1024), 1024),
    ("mnist-2017-q3b-conv2", (5, 5, 16, 5), 2000, (5, 5, 16, 26), 26),
]


@settles(
    "mnist-2017-q1-conv1",
    verdict="holds_if",
    certainty="exhausted",
    condition="The printed product 5*5*1*5 is read as 5*5*1*32, the last factor being the number "
    "of filters: as printed it is 125, and no further factor makes 800 of it.",
)
@settles(
    "mnist-2017-q1-conv2",
    verdict="holds_if",
    certainty="exhausted",
    condition="The printed 54 is read as 64, the number of filters: 54*32*5*5 is 43200.",
)
@settles(
    "mnist-2017-q1-fc1",
    verdict="holds_if",
    certainty="exhausted",
    condition="The last factor 64 is read as 1024, the number of outputs: 7*7*64*64 is 200704.",
)
@settles(
    "mnist-2017-q3b-conv2",
    verdict="holds_if",
    certainty="exhausted",
    condition="The last factor 5 is read as 26, the number of filters: 5*5*16*5 is 2000.",
)
@pytest.mark.parametrize(("claim", "printed", "product", "meant", "outputs"), MISPRINTS)
def test_one_factor_is_misprinted(
    claim: str, printed: tuple[int, ...], product: int, meant: tuple[int, ...], outputs: int
) -> None:
    """The printed product misses the printed value; with the number of biases for one factor it is.

    Each output has one bias, so the line itself says how many outputs there are. That a factor was
    left out instead is possible of fc1 only (16); of the others no multiple has the printed value.
    """
    reported = _reported(claim)
    assert prod(printed) == product != reported["weights"] == prod(meant)
    assert sum(a != b for a, b in zip(printed, meant, strict=True)) == 1
    assert outputs in meant
    assert outputs == reported["biases"]
    assert reported["weights"] + reported["biases"] == reported["total"]
    assert (reported["weights"] % prod(printed) == 0) == (claim == "mnist-2017-q1-fc1")


@settles(
    "mnist-2017-q3a-params",
    verdict="holds_if",
    certainty="exhausted",
    condition="The fully connected layer sees 28x28 pixels of each of the 8 channels: the images "
    "have one channel and 28x28 pixels, nothing pools, and the 8x8 kernels get 7 rows and columns "
    "of padding in all. Without padding 21x21 pixels are left, and 35290 + 520 parameters.",
)
def test_one_convolution_that_keeps_the_size() -> None:
    """Only one square kernel fits 512 weights and 8 biases; an even one needs uneven padding."""
    kernels = [k for k in range(1, 29) if conv_parameters(1, 8, k) == 520]
    assert kernels == [8]
    filters, uneven = conv(1, 8, 8), nn.ZeroPad2d((3, 4, 3, 4))
    padded = shapes([uneven, filters, nn.Flatten()], 1, 28, 28)[-1]
    bare = shapes([filters, nn.Flatten()], 1, 28, 28)[-1]
    assert (padded, bare) == ((28 * 28 * 8,), (21 * 21 * 8,))

    classifier = linear(padded[0], 10)
    assert layer_counts(nn.Sequential(filters, classifier)) == [520, 62_730]
    assert classifier.weight.numel() == 62_720
    assert _reported("mnist-2017-q3a-params") == {"conv": 520, "fc": 62_730, "total": 520 + 62_730}
    assert linear_parameters(bare[0], 10) == 35_290


@settles(
    "mnist-2017-q3b-conv1",
    verdict="refuted",
    certainty="refuted",
    correction="16 filters of 7x7 pixels on one channel have 7*7*1*16 = 784 weights, 800 with the "
    "16 biases. 294 = 7*7*6 is the weights of 6 filters (7*7*7 is 343), and no layer with 16 "
    "filters has 294 weights, as 16 does not divide it.",
)
def test_sixteen_filters_do_not_have_294_weights() -> None:
    """A layer with 16 outputs has a multiple of 16 weights, whatever its kernels and inputs."""
    reported = _reported("mnist-2017-q3b-conv1")
    assert reported == {"weights": 294, "biases": 16}
    seen = z3.Int("seen")  # weights of one filter
    assert holds_always(16 * seen != reported["weights"])
    assert conv_parameters(1, 6, 7) - 6 == 294 != 7 * 7 * 7
    layer = conv(1, 16, 7)
    assert (layer.weight.numel(), layer_counts(layer)) == (784, [800])
    assert conv(16, 26, 5).weight.numel() == 10_400  # the second layer's inputs


@settles(
    "mnist-2017-q3b-fc2",
    verdict="holds_if",
    certainty="exhausted",
    condition="The printed 10250*10 is read as 1024*10: the layer has 10 outputs and 1024 inputs, "
    "as many as the first network's; as printed it would have 102510 parameters.",
)
def test_the_last_layer_has_1024_inputs() -> None:
    """With 10 biases for 10 outputs, 10250 parameters leave one number of inputs."""
    fitting = [n for n in range(1, 10_251) if linear_parameters(n, 10) == 10_250]
    assert fitting == [1024]
    assert layer_counts(linear(1024, 10)) == [10_250]
    assert linear_parameters(10_250, 10) == 102_510
    assert _reported("mnist-2017-q3b-fc2") == {"total": 10_250}


@settles(
    "mnist-2017-q3b-total",
    verdict="refuted",
    certainty="refuted",
    correction="The total is 1327076: the printed one adds 294 + 16 = 310 for the first "
    "convolution, which has 784 + 16 = 800. (The missing line is 26*7*7 inputs to 1024 outputs, "
    "1305600 parameters.) No first convolution of 16 filters gives the printed total.",
)
def test_the_minimal_network_has_another_total() -> None:
    """Modulo 16: conv1 (16 filters) and fc1 (1024 outputs) vanish, the other lines leave 4, not 10.

    So whatever the kernels and the sizes of the map, the total is none of this family's.
    """
    total = _reported("mnist-2017-q3b-total")[0]
    fc1 = linear_parameters(26 * 7 * 7, 1024)
    assert (294 + 16) + 10_426 + fc1 + 10_250 == total == 1_326_586

    seen, inputs = z3.Ints("seen inputs")
    assert holds_always(16 * (seen + 1) + 10_426 + 1024 * (inputs + 1) + 10_250 != total)

    first, second, pool = conv(1, 16, 7, padding=3), conv(16, 26, 5, padding=2), nn.MaxPool2d(2)
    head = [linear(26 * 7 * 7, 1024), linear(1024, 10)]
    network = nn.Sequential(first, pool, second, pool, nn.Flatten(), *head)
    assert shapes([*network], 1, 28, 28)[-1] == (10,)
    assert layer_counts(network) == [800, 10_426, fc1, 10_250]
    assert sum(layer_counts(network)) == 1_327_076


@settles(
    "mnist-2017-q3b-minimal",
    verdict="refuted",
    certainty="refuted",
    correction="It is not minimal even among the report's own networks: the one with a single "
    "convolution has 63250 parameters, less than a twentieth. Nor among those with two "
    "convolutions and two fully connected layers: halving its 1024 values leaves 669156 of "
    "1327076. Nor, by the printed figures, is it the smallest of its accuracy: it has 95.86%, and "
    "the smaller one 96.05% (printed 6.9605).",
)
def test_smaller_networks_are_at_hand() -> None:
    """The report itself has a smaller one, no less accurate; in its family one halves a width."""
    printed = _reported("mnist-2017-q3b-total")[0]
    assert printed == _reported("mnist-2017-q3b-minimal")["params"]
    assert printed > 20 * _reported("mnist-2017-q3a-params")["total"]
    single, minimal = (_reported(f"mnist-2017-{each}-acc") for each in ("q3a", "q3b"))
    assert single["accuracy"] == 0.9605 > minimal["accuracy"] == 0.9586

    layers = [conv(1, 16, 7), conv(16, 26, 5), linear(26 * 7 * 7, 512), linear(512, 10)]
    assert sum(layer_counts(nn.Sequential(*layers))) == 669_156 < printed


@settles(
    "mnist-2017-t4-conv-96",
    verdict="refuted",
    certainty="refuted",
    correction="96*(5*5*3) + 96 = 7296: each filter has a 5x5 kernel for each of the three "
    "channels, and one bias in all. The printed sum counts one kernel and three biases a filter, "
    "and comes to 2688, not 1728.",
)
def test_96_filters_on_an_rgb_image() -> None:
    """The smallest layer on which the printed formula is wrong has one 2x2 filter, two channels."""
    assert _reported("mnist-2017-t4-conv-96") == [1728]
    assert 96 * 5 * 5 + 96 * 3 == 2688
    assert layer_counts(conv(3, 96, 5)) == [7296] == [conv_parameters(3, 96, 5)]

    for filters, channels, k in product(range(1, 4), range(1, 4), range(1, 4)):
        printed = filters * k * k + filters * channels
        right = sum(layer_counts(conv(channels, filters, k)))
        assert (printed == right) == (channels == 1 or k == 1)


@settles("mnist-2017-t4-fc", verdict="holds", certainty="exhausted")
def test_a_fully_connected_layer_on_4096_values() -> None:
    n = 4 * 4 * 256
    assert layer_counts(linear(n, n)) == _reported("mnist-2017-t4-fc") == [n * n + n]
