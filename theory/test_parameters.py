"""Chapter 5: how many parameters a layer has, and how many of them matter.

A layer's definition is a sum, and a count is the number of its terms: one weight for each term, the
same weight wherever the layer shares it. The trials count the terms for all sizes at once, then ask
torch for what it allocates. A parameter that is there may still do nothing: the rank of the
outputs' Jacobian by the parameters says how many directions change anything.

What passing does not prove: that a network with more parameters can do more, or learns better. The
rank is taken at one point of parameter space and for the given inputs.
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import TYPE_CHECKING

import pytest
import sympy
import torch
import z3
from torch import nn
from torch.nn.functional import conv2d, unfold

from theory.geometry import Layer, output_size
from theory.independence import independent_parameters
from theory.ledger import settles
from theory.parameters import (
    batch_norm_parameters,
    conv_parameters,
    equivalent_linear_parameters,
    linear_parameters,
    locally_connected_parameters,
)
from theory.solver import follows

if TYPE_CHECKING:
    from torch import Tensor

META = torch.device("meta")  # allocates shapes only


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _terms(*limits: sympy.Expr | int) -> sympy.Expr:
    """Count the terms of a nested sum whose indices run from 1 to the limits, for all limits."""
    count: sympy.Expr = sympy.Integer(1)
    for limit in limits:
        index = sympy.Dummy(integer=True)
        count = sympy.summation(count, (index, 1, limit))
    return count


def _integers(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-9, 10, shape, generator=generator).double()


class _LocallyConnected(nn.Module):
    """A convolution of stride 1 whose every position has kernels and biases of its own."""

    def __init__(self, inputs: int, outputs: int, kernel: int, sides: tuple[int, int]) -> None:
        super().__init__()
        self.kernel, self.sides = kernel, sides
        self.weight = nn.Parameter(torch.ones(outputs, inputs * kernel**2, prod(sides)).double())
        self.bias = nn.Parameter(torch.ones(outputs, prod(sides)).double())

    def forward(self, x: Tensor) -> Tensor:
        patches = unfold(x, self.kernel, padding=self.kernel // 2)
        return (torch.einsum("ofp,bfp->bop", self.weight, patches) + self.bias).unflatten(
            2, self.sides
        )


@settles(
    "assignment-3-1g-conv-formula",
    verdict="holds_if",
    certainty="proved",
    condition="Every filter sees all C_1 channels: with g groups it sees C_1/g of them, and the "
    "layer has (F_H F_W C_1/g + 1) C_2 parameters.",
)
@settles("tp1-cnn-q1-filter-weights", verdict="holds", certainty="proved")
def test_a_convolution_has_a_weight_for_each_term_of_its_sum() -> None:
    """y[o] = b[o] + the sum over c, a, b of w[o, c, a, b] x[c, ...]: count the terms and b[o].

    The weight does not depend on the position in the map, which thus does not enter the count. In
    a group of filters, c runs over the channels of the group alone.
    """
    high, wide, k, z, c, o, g = sympy.symbols("F_H F_W k z C O g", integer=True, positive=True)

    one_filter = _terms(k, k, z) + 1
    assert sympy.expand(one_filter - (k**2 * z + 1)) == 0
    assert sympy.expand(conv_parameters(z, 1, (k, k)) - one_filter) == 0

    layer = _terms(high, wide, c, o) + _terms(o)
    assert sympy.expand(layer - (high * wide * c + 1) * o) == 0
    assert sympy.expand(conv_parameters(c, o, (high, wide)) - layer) == 0

    grouped = _terms(high, wide, c, g * o) + _terms(g * o)
    assert sympy.expand(conv_parameters(g * c, g * o, (high, wide), groups=g) - grouped) == 0


@settles("assignment-3-1g-conv-formula", verdict="holds_if", certainty="exhausted")
@settles("tp1-cnn-q1-filter-weights", verdict="holds", certainty="exhausted")
def test_convolution_counts_are_those_of_torch() -> None:
    """Every layer with up to four channels, kernels up to three by three, and every grouping.

    The claimed formula is right for one group only; stride, padding and dilation change nothing.
    """
    for inputs, outputs, high, wide in product(range(1, 5), range(1, 5), range(1, 4), range(1, 4)):
        claimed = (high * wide * inputs + 1) * outputs
        for groups in (g for g in range(1, 5) if inputs % g == outputs % g == 0):
            layer = nn.Conv2d(inputs, outputs, (high, wide), groups=groups, device=META)
            count = conv_parameters(inputs, outputs, (high, wide), groups=groups)
            assert count == _count(layer)
            assert (count == claimed) == (groups == 1)
        plain = nn.Conv2d(inputs, outputs, (high, wide), 2, 1, 2, bias=False, device=META)
        back = nn.ConvTranspose2d(inputs, outputs, (high, wide), bias=False, device=META)
        without = conv_parameters(inputs, outputs, (high, wide), bias=False)
        assert without == claimed - outputs == _count(plain) == _count(back)


def test_separating_a_convolution_saves_weights() -> None:
    """One k x k filter a channel, then 1 x 1 filters across: fewer from two filters and k = 2 on.

    k^2 C O > k^2 C + C O holds exactly if (k^2 - 1)(O - 1) > 1.
    """
    k, c, o = z3.Ints("k c o")
    sizes = z3.And(k >= 1, c >= 1, o >= 1)
    saves = k * k * c + c * o < k * k * c * o
    assert follows(saves, sizes, k >= 2, o >= 2)
    assert follows(z3.Not(saves), sizes, z3.Or(k == 1, o == 1))

    separable = nn.Sequential(
        nn.Conv2d(8, 8, 3, groups=8, bias=False), nn.Conv2d(8, 16, 1, bias=False)
    )
    assert _count(separable) == 72 + 128 == 200
    assert conv_parameters(8, 16, 3, bias=False) == 1152


def test_fully_connected_counts() -> None:
    """y[o] = b[o] + the sum over i of w[o, i] x[i]: one weight for each pair, for all sizes."""
    i, o = sympy.symbols("i o", integer=True, positive=True)
    assert sympy.expand(linear_parameters(i, o) - _terms(i, o) - _terms(o)) == 0
    for inputs, outputs, bias in product(range(1, 6), range(1, 6), (True, False)):
        layer = nn.Linear(inputs, outputs, bias=bias, device=META)
        assert linear_parameters(inputs, outputs, bias=bias) == _count(layer)


@settles(
    "tp1-cnn-q6-locally-connected",
    verdict="undecided",
    condition="B is not defined. If it is the number of output channels, the layer has these "
    "5*5*B*C*H*W weights, and B*H*W biases more if it has any (or C*H*W, if B counts the inputs "
    "and C the outputs); if it is the batch size, the formula is wrong unless the layer happens to "
    "have B output channels.",
)
def test_a_layer_that_shares_nothing_has_kernels_for_each_pixel() -> None:
    """The sum of a convolution, with weights that do depend on the position: count them all.

    Read with B filters the printed product is right for all sizes, and so it is if B and C change
    places; examples do not enter.
    """
    b, c, h, w = sympy.symbols("B C H W", integer=True, positive=True)
    weights = locally_connected_parameters(c, b, (5, 5), h * w, bias=False)
    assert sympy.expand(weights - _terms(5, 5, c, b, h, w)) == 0
    assert sympy.expand(weights - 5 * 5 * b * c * h * w) == 0
    with_biases = locally_connected_parameters(c, b, (5, 5), h * w)
    assert sympy.expand(with_biases - weights - b * h * w) == 0

    exchanged = locally_connected_parameters(b, c, (5, 5), h * w)
    assert sympy.expand(exchanged - weights - c * h * w) == 0


@settles("tp1-cnn-q6-locally-connected", verdict="undecided")
@pytest.mark.parametrize(("outputs", "batch"), [(1, 1), (1, 2), (3, 1), (3, 3)])
def test_an_unshared_layer_that_torch_runs(outputs: int, batch: int) -> None:
    """Read as the batch size B is wrong: the same layer takes batches of any size.

    With equal kernels at all positions the layer is torch's convolution, so it is the layer that
    is meant. Zero padding leaves part of its weights no pixel to see: they have no effect.
    """
    inputs, sides = 2, (4, 3)
    layer = _LocallyConnected(inputs, outputs, 5, sides)
    shared = _integers(outputs, inputs, 5, 5)
    layer.weight.data = shared.flatten(1).unsqueeze(2).repeat(1, 1, prod(sides))
    x = _integers(batch, inputs, *sides, seed=1)
    assert torch.equal(layer(x) - 1, conv2d(x, shared, padding=2))

    claimed = 5 * 5 * outputs * inputs * prod(sides)
    assert layer.weight.numel() == claimed
    assert _count(layer) == locally_connected_parameters(inputs, outputs, 5, prod(sides))
    assert (5 * 5 * batch * inputs * prod(sides) == claimed) == (batch == outputs)

    everywhere = torch.ones(1, inputs, *sides).double()
    (gradient,) = torch.autograd.grad(layer(everywhere).sum(), layer.weight)
    pixels = prod(sum(min(n, i + 3) - max(0, i - 2) for i in range(n)) for n in sides)
    assert gradient.count_nonzero() == outputs * inputs * pixels == outputs * inputs * 14 * 9


@settles(
    "tp1-cnn-q1-equivalent-fc",
    verdict="refuted",
    certainty="refuted",
    correction="Each side of the map has floor((x - k + 2p)/s) + 1 pixels, so the layer needs "
    "(floor((x - k + 2p)/s) + 1)(floor((y - k + 2p)/s) + 1) xyz weights for one filter, and a "
    "bias for each output pixel. On one pixel of one channel, with k = s = 1 and p = 0, that is "
    "1, not 0.",
)
def test_the_equivalent_fully_connected_layer() -> None:
    """The printed count, without the + 1, is too small wherever the kernel fits.

    q = floor((x - k + 2p)/s) has sq <= x - k + 2p < s(q + 1), so (x - k + 2p)/s < q + 1 on either
    axis; so is the product, for both sides are at least 0.
    """
    stride, rest_x, rest_y, qx, qy = z3.Ints("s rest_x rest_y qx qy")
    floors = [
        z3.And(stride * q <= r, r < stride * (q + 1)) for q, r in ((qx, rest_x), (qy, rest_y))
    ]
    fits = z3.And(stride >= 1, rest_x >= 0, rest_y >= 0, *floors)
    assert follows(z3.And(rest_x < stride * (qx + 1), rest_y < stride * (qy + 1)), fits)
    a, b, u, v = z3.Reals("a b u v")
    smaller = z3.And(a >= 0, a < u, b >= 0, b < v)
    assert follows(a * b < u * v, smaller)

    sizes = product(range(1, 5), (1, 4), (1, 2), range(1, 4), range(3), range(1, 4))
    for x, y, z, k, p, s in sizes:
        if min(x, y) + 2 * p < k:
            continue
        conv = nn.Conv2d(z, 1, k, s, p, device=META)
        outputs = conv(torch.empty(1, z, x, y, device=META)).numel()
        linear = nn.Linear(x * y * z, outputs, device=META)
        layer = Layer(k, stride=s, padding=p)
        assert equivalent_linear_parameters(z, 1, (x, y), layer) == _count(linear)
        weights = equivalent_linear_parameters(z, 1, (x, y), layer, bias=False)
        assert weights == linear.weight.numel()
        assert (x - k + 2 * p) * (y - k + 2 * p) * x * y * z < weights * s**2

    smallest = Layer(1)
    assert (1 - 1 + 0) * (1 - 1 + 0) // 1**2 * 1 == 0
    assert equivalent_linear_parameters(1, 1, (1, 1), smallest, bias=False) == 1


@settles(
    "tp1-cnn-q2-fewer-weights",
    verdict="holds_if",
    certainty="proved",
    condition="Biases aside, the kernel has fewer pixels than there are pairs of an input pixel "
    "and an output pixel: k^2 < H W n_x n_y. Unpadded, only a kernel that covers the whole image "
    "has as many weights; padded, it may have more (9 against 1 for a 3x3 kernel on one pixel).",
)
def test_a_convolution_has_fewer_weights_unless_its_kernel_covers_the_image() -> None:
    """k^2 C O against H W C n_x n_y O: the channels cancel. Unpadded, k is at most H and W."""
    k, c, o, pixels, cells = sympy.symbols("k C O pixels cells", integer=True, positive=True)
    conv = conv_parameters(c, o, (k, k), bias=False)
    linear = linear_parameters(pixels * c, cells * o, bias=False)
    assert sympy.expand(linear - conv - c * o * (pixels * cells - k**2)) == 0

    side, h, w, n = z3.Ints("side h w n")
    unpadded = z3.And(side >= 1, n >= 1, side <= h, side <= w)
    assert follows(side * side <= h * w, unpadded)
    as_many = z3.And(unpadded, side * side == h * w)
    assert follows(z3.And(side == h, side == w), as_many)

    for x, y, kernel, p, s in product(range(1, 5), (1, 3), range(1, 6), range(3), (1, 2)):
        if min(x, y) + 2 * p < kernel:
            continue
        layer = Layer(kernel, stride=s, padding=p)
        pairs = x * y * output_size(x, layer) * output_size(y, layer)
        for inputs, outputs in product((1, 3), repeat=2):
            conv = nn.Conv2d(inputs, outputs, kernel, bias=False, device=META).weight.numel()
            linear = equivalent_linear_parameters(inputs, outputs, (x, y), layer, bias=False)
            assert (conv < linear) == (kernel**2 < pairs)
            if p == 0:
                assert (conv == linear) == (kernel == x == y)


def test_batch_normalisation_makes_the_bias_before_it_idle() -> None:
    """The mean takes a constant away: batch norm has 2C parameters and idles C others.

    The difference from the mean, of which the variance is made as well, does not change, for
    batches of any size n. In torch it comes back to rounding: a mean of n values is off by at most
    n u max|y|, before and after the bias, and is divided by the standard deviation.
    """
    n, i, j = sympy.symbols("n i j", integer=True, positive=True)
    b, y = sympy.Symbol("b"), sympy.IndexedBase("y")
    mean = sympy.Sum(y[j], (j, 1, n)) / n
    moved = sympy.Sum(y[j] + b, (j, 1, n)).expand().doit() / n
    assert sympy.expand((y[i] + b - moved) - (y[i] - mean)) == 0

    for channels in range(1, 5):
        norm = nn.BatchNorm1d(channels).double()
        assert _count(norm) == batch_norm_parameters(channels)
        assert sum(buffer.numel() for buffer in norm.buffers()) == 2 * channels + 1
        values, biases = _integers(8, channels), _integers(channels, seed=1)
        largest = values.abs().max() + biases.abs().max()
        roundoff = 8 * torch.finfo(torch.double).eps * largest / values.std(0).min()
        assert (norm(values + biases) - norm(values)).abs().max() <= 2 * roundoff
        assert norm(values + values**2).sub(norm(values)).abs().max() > 1e-2


def test_a_shared_layer_counts_once() -> None:
    """A module lists a parameter once however often the module is used, or named."""
    layer = nn.Conv2d(3, 3, 3)
    twice = nn.Sequential(layer, nn.ReLU(), layer)
    assert _count(twice) == _count(layer) == conv_parameters(3, 3, 3)

    tied = nn.Sequential(nn.Linear(4, 6, bias=False), nn.Linear(6, 4, bias=False))
    tied[1].weight = nn.Parameter(torch.empty(4, 6))
    assert _count(tied) == 48
    tied[1].weight = tied[0].weight
    assert _count(tied) == 24


@pytest.mark.parametrize(
    ("layer", "shape", "independent"),
    [
        (nn.Conv1d(2, 3, 3), (3, 2, 5), 3 * (2 * 3 + 1)),
        (nn.Conv1d(2, 2, 3, groups=2), (2, 2, 5), 2 * (3 + 1)),
        (nn.Conv1d(1, 1, 3, padding=1), (2, 1, 1), 1 + 1),  # two of three taps see zeros only
        (nn.Linear(3, 2), (4, 3), 8),
        (nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), (4, 2), 6),  # one affine map of 2 x 3
    ],
    ids=["convolution", "two groups", "taps that see padding", "linear", "two linear layers"],
)
def test_independent_parameters(layer: nn.Module, shape: tuple[int, ...], independent: int) -> None:
    """No parameter of a layer is superfluous while every tap sees a pixel; stacked layers waste."""
    layer = layer.double()
    for number, parameter in enumerate(layer.parameters()):
        parameter.data = _integers(*parameter.shape, seed=number + 2)

    assert independent_parameters(layer, _integers(*shape, seed=1)) == independent
    assert independent <= _count(layer)
