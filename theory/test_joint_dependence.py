"""Chapter 4, what receptive fields are good for: features that depend jointly on distant pixels.

After the last nonlinearity a network only adds up: a fully connected layer or a global average sees
the whole image, but as a sum of features, each of which sees its receptive field. Of such a sum the
mixed difference f(both pixels) - f(first) - f(second) + f(none) is 0 if no feature sees both. The
exclusive or of two pixels needs it to be negative. So the field at the last nonlinearity, not that
of the output, bounds which pixels a network can relate.

What passing does not prove: that a network finds the weights that are written down here, that its
images need distant pixels related, or that any accuracy of the reports comes from it. All that is
possible with a larger field; that it is better, only training can show.
"""

from __future__ import annotations

from itertools import combinations

import pytest
import sympy
import torch
import z3
from torch import nn

from theory.geometry import Layer, map_sizes, receptive_field
from theory.ledger import settles
from theory.parameters import conv_parameters, linear_parameters
from theory.solver import holds_always

CONV, POOL = Layer(3), Layer(2, stride=2)


def modules(layers: list[Layer], channels: int) -> list[nn.Module]:
    """Return convolutions with ReLU, and max pooling for layers with a stride, in float64."""
    made: list[nn.Module] = []
    inputs = 1
    for each in layers:
        sides = each.kernel, each.stride, each.padding
        if each.stride > 1:
            made.append(nn.MaxPool1d(*sides))
        else:
            made += [nn.Conv1d(inputs, channels, *sides, dtype=torch.float64), nn.ReLU()]
            inputs = channels
    return made


def randomise(network: nn.Module, seed: int) -> None:
    """Draw small integer weights, with which all sums are exact."""
    generator = torch.Generator().manual_seed(seed)
    for weights in network.parameters():
        weights.requires_grad_(False)
        weights.copy_(torch.randint(-3, 4, weights.shape, generator=generator))


def clear(network: nn.Module) -> None:
    """Set all weights and biases to 0."""
    for weights in network.parameters():
        weights.requires_grad_(False)
        weights.zero_()


def exclusive_or(layers: list[Layer]) -> nn.Sequential:
    """Return a network that is 1 if exactly one end of its receptive field is 1, and 0 else.

    All taps are 1 but those of the last convolution: there one end of the window is taken from the
    other, and in the second channel the other way round. The read-out adds the two.
    """
    stack = modules(layers, channels=2)
    convolutions = [each for each in stack if isinstance(each, nn.Conv1d)]
    for each in convolutions:
        clear(each)
        each.weight[:, 0] = 1
    ends = torch.zeros(convolutions[-1].kernel_size[0], dtype=torch.float64)
    ends[0], ends[-1] = 1, -1
    convolutions[-1].weight[:, 0] = torch.stack([ends, -ends])
    read_out = nn.Conv1d(2, 1, 1, bias=False, dtype=torch.float64).requires_grad_(False)
    read_out.weight.fill_(1)
    return nn.Sequential(*stack, read_out, nn.Flatten())


def added_up(body: list[nn.Module], cells: int, *, average: bool = False) -> nn.Sequential:
    """Return the body with a last layer that only adds: a dense one, or a global average first."""
    last: list[nn.Module] = [nn.AdaptiveAvgPool1d(1)] if average else []
    features = nn.Sequential(*body, *last, nn.Flatten())
    inputs = features(torch.zeros(1, 1, cells).double()).shape[1]
    return nn.Sequential(features, nn.Linear(inputs, 2, dtype=torch.float64))


def sees_everything(network: nn.Module, cells: int) -> bool:
    """Return whether each score depends on each pixel, all weights being 1."""
    for weights in network.parameters():
        nn.init.ones_(weights)
    image = torch.ones(1, 1, cells, dtype=torch.float64)
    return bool((torch.autograd.functional.jacobian(network, image) != 0).all())


def related(network: nn.Module, cells: int, draws: int) -> set[int]:
    """Return at which distances two pixels together do more than each by itself.

    Each draw has other integer weights and another image; both pixels are raised by 1.
    """
    pixels = torch.eye(cells, dtype=torch.float64)[:, None]
    first, second = torch.tensor(list(combinations(range(cells), 2))).T
    found: set[int] = set()
    for seed in range(draws):
        randomise(network, seed)
        generator = torch.Generator().manual_seed(seed)
        image = torch.randint(-2, 3, (1, 1, cells), generator=generator).double()
        one, both = network(image + pixels), network(image + pixels[first] + pixels[second])
        mixed = both - one[first] - one[second] + network(image)
        found |= set((second - first)[mixed.any(1)].tolist())
    return found


def solves(network: nn.Module, distance: int) -> bool:
    """Return whether the network is the exclusive or of its first and a later pixel."""
    images = torch.zeros(4, 1, distance + 1, dtype=torch.float64)
    images[2:, 0, 0] = 1
    images[1::2, 0, -1] = 1
    return network(images).flatten().tolist() == [0, 1, 1, 0]


@settles(
    "nni-2023-ex1-q3-larger-rf-helps",
    verdict="holds_if",
    certainty="proved",
    condition="A 'more global' feature is one that relates pixels further apart (depends on them "
    "jointly, not by a sum), and the larger field is that of a layer which a nonlinearity follows: "
    "the whole image that a last fully connected layer or global average sees adds no such "
    "feature. 'More abstract' has no other meaning that could be tried.",
)
def test_no_sum_of_features_that_miss_one_of_two_pixels_relates_them() -> None:
    """For any functions, whatever the other pixels are; and the exclusive or needs the relation."""
    misses_second, misses_first = sympy.symbols("g h", cls=sympy.Function)

    def total(first: int, second: int) -> sympy.Expr:
        return misses_second(first) + misses_first(second)

    assert total(1, 1) - total(1, 0) - total(0, 1) + total(0, 0) == 0

    none, second, first, both = z3.Reals("none second first both")
    additive = both - first - second + none == 0
    differs = z3.And(none < 0, both < 0, first > 0, second > 0)
    assert holds_always(z3.Not(z3.And(additive, differs)))


@settles("nni-2023-ex1-q3-larger-rf-helps", verdict="holds_if", certainty="sampled")
@pytest.mark.parametrize("kernel", [2, 3, 5])
def test_one_convolution_relates_pixels_within_its_kernel_only(kernel: int) -> None:
    """Whether a fully connected layer or a global average follows, which both see the whole image.

    A second convolution with a ReLU relates pixels as far apart as its larger field is wide.
    """
    cells = 7 + kernel  # eight cells after the convolution: their average is exact
    body = modules([Layer(kernel)], channels=2)
    for average in (False, True):
        network = added_up(body, cells, average=average)
        assert sees_everything(network, cells)
        assert related(network, cells, draws=8) == set(range(1, kernel))

    wider = [Layer(kernel)] * 2
    distance = receptive_field(wider).size - 1
    assert distance >= kernel
    assert solves(exclusive_or(wider), distance)


@settles(
    "nn4i-2023-a1-q3-gap-rf",
    verdict="refuted",
    certainty="refuted",
    correction="A global average sees all that its channels see, the whole image: with the small "
    "kernels that about 600 parameters allow, no slight gain over k x k (32 instead of 5 a side, "
    "say). The class scores gain nothing, as the fully connected layer saw the whole image too; "
    "nor do the pixels that are related, still k x k, for an average is linear.",
)
def test_global_average_pooling_sees_everything_and_relates_nothing_new() -> None:
    """Sides of fields: k before it, the whole image after it, the same as with a dense layer.

    With three channels and ten classes, a kernel of 15 or more would need 696 parameters or more.
    Under either head two pixels are related exactly if one kernel covers both.
    """

    def count(filters: int, kernel: int) -> int:
        return conv_parameters(3, filters, kernel) + linear_parameters(filters, 10)

    assert count(1, 14) == 609
    assert min(count(filters, kernel) for filters in range(1, 9) for kernel in range(15, 33)) == 696
    for kernel in range(1, 15):
        (cells,) = map_sizes(32, [Layer(kernel)])
        everything = Layer(cells)  # the window of a global average, or of a dense layer
        assert receptive_field([Layer(kernel)]).size == kernel < 32 / 2
        assert receptive_field([Layer(kernel), everything]).size == 32

    body = modules([Layer(5)], channels=1)
    for average in (False, True):
        assert sees_everything(added_up(body, 32, average=average), 32)
        # Of 12 cells the convolution leaves eight, so that their average is exact.
        assert related(added_up(body, 12, average=average), 12, draws=8) == set(range(1, 5))


@settles(
    "nn4i-2023-a1-q3-depth-rf",
    verdict="holds_if",
    certainty="proved",
    condition="Every layer has a window or a kernel of more than one cell (else it adds nothing) "
    "and the field counts until it covers the image; 'complex' means relating pixels further "
    "apart, with a nonlinearity after the layer, and 'allows' means that tasks exist which need "
    "it. That a report's deeper network did better for this reason does not follow: its networks "
    "differ in parameters and layers as well.",
)
def test_each_layer_more_relates_pixels_further_apart() -> None:
    """A layer adds (extent - 1) x jump >= 1 cells; each depth solves what no shallower one can.

    The exclusive or of the two ends of the field, by a network of that depth, with a read-out that
    only adds: the first pixel reaches the first tap of the last window through the first taps of
    all layers and no other way, the last pixel its last tap through the last ones, so that at
    any depth the two channels are ReLU of the difference of the ends and of its negative. One
    depth less sees no such pair at once, so its scores would be additive.
    """
    size, jump, extent = z3.Ints("size jump extent")
    grows = size + (extent - 1) * jump > size
    assert holds_always(z3.Implies(z3.And(jump >= 1, extent >= 1), grows == (extent > 1)))

    depths = [[*[CONV, POOL] * depth, CONV] for depth in range(4)]
    fields = [receptive_field(each).size for each in depths]
    assert fields == [3, 8, 18, 38]
    for deep, field in zip(depths, fields, strict=True):
        assert solves(exclusive_or(deep), field - 1)

    shallow = added_up(modules(depths[1], channels=2), fields[2])
    assert max(related(shallow, fields[2], draws=5)) == fields[1] - 1 < fields[2] - 1
