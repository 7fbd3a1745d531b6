"""Chapter 4, poolings between convolutions: how many, where, and what they let a network relate.

A pooling widens the field of every layer behind it, by its window and by its stride. What counts is
again which pixels a nonlinearity sees together (`test_joint_dependence`).

What passing does not prove: that training makes use of a wider field, or that a report's network
was better for it.
"""

from __future__ import annotations

from itertools import product

import pytest
import sympy
import torch
import z3
from torch import nn

from theory.geometry import Layer, map_sizes, receptive_field
from theory.ledger import settles
from theory.solver import follows, holds_always, maximum
from theory.test_joint_dependence import (
    CONV,
    POOL,
    added_up,
    clear,
    exclusive_or,
    modules,
    randomise,
    related,
    solves,
)


@settles(
    "nn4i-2023-a1-q1-pool-after-several",
    verdict="holds_if",
    certainty="proved",
    condition="The number of poolings stays and the convolution layers that are added have kernels "
    "of more than one cell (1x1 ones enlarge no field), come behind a ReLU and have one each, are "
    "padded to keep the size and have no fewer channels than they are given (through one channel, "
    "two scores cannot vary independently on one pixel); and the field counts until it covers the "
    "image. With as many convolutions as before, fewer poolings make the field smaller: four 3x3 "
    "convolutions see 46 cells a side with a 2x2 pooling after each, 16 with one after every "
    "second.",
)
def test_more_convolutions_before_each_pooling_see_more_but_fewer_poolings_see_less() -> None:
    """L blocks of b convolutions and a halving see 1 + (b (k - 1) + 1)(2^L - 1) cells.

    That grows with b at equal L, unless k is 1, and shrinks at equal b L: each pooling left out
    halves the jump.
    Depth: five halvings fit into 32 pixels, with b L convolutions that keep the size.
    """
    size, jump, k, b = sympy.symbols("size jump k b")
    by_block = size + b * (k - 1) * jump + jump  # b times (k - 1) jumps, then the pooling's one
    closed = 1 + (b * (k - 1) + 1) * (jump - 1)
    assert sympy.expand(by_block.subs(size, closed) - closed.subs(jump, 2 * jump)) == 0

    def field(kernel: int, blocks: int, convolutions: int) -> int:
        return receptive_field([*[Layer(kernel)] * convolutions, POOL] * blocks).size

    for kernel, blocks, convolutions in product((2, 3, 5), range(1, 6), range(1, 6)):
        added = convolutions * (kernel - 1) + 1
        assert field(kernel, blocks, convolutions) == 1 + added * (2**blocks - 1)
        assert field(kernel, blocks, convolutions + 1) > field(kernel, blocks, convolutions)
        assert field(kernel, 2 * blocks, convolutions) > field(kernel, blocks, 2 * convolutions)
    assert (field(3, 4, 1), field(3, 2, 2)) == (46, 16)
    assert {field(1, 2, convolutions) for convolutions in range(1, 6)} == {4}
    for convolutions in range(1, 4):
        assert map_sizes(32, [*[Layer(3, padding=1)] * convolutions, POOL] * 5)[-1] == 1

    # Affine in one number, two scores stay on one line.
    a, b, first, second, third = z3.Reals("a b first second third")
    rises = [(a * (x - first), b * (x - first)) for x in (second, third)]
    assert holds_always(rises[0][0] * rises[1][1] == rises[0][1] * rises[1][0])


@settles("nn4i-2023-a1-q1-pool-after-several", verdict="holds_if", certainty="proved")
@pytest.mark.parametrize("seed", range(5))
def test_a_network_with_a_convolution_more_before_the_pooling_can_be_the_one_without(
    seed: int,
) -> None:
    """The identity is a convolution that keeps the size, and ReLU leaves a ReLU's output alone.

    So the class of functions grows; and it grows properly: more distant pixels can be related.
    """
    a = z3.Real("a")
    once = z3.If(a > 0, a, 0)
    assert holds_always(z3.If(once > 0, once, 0) == once)

    same = Layer(3, padding=1)
    short = nn.Sequential(*modules([same, POOL, same], channels=2))
    randomise(short, seed)
    identity = nn.Conv1d(2, 2, 3, padding=1, dtype=torch.float64)
    clear(identity)
    nn.init.dirac_(identity.weight)
    layers = list(short)
    long = nn.Sequential(*layers[:2], identity, nn.ReLU(), *layers[2:])
    images = torch.randint(-9, 10, (20, 1, 12), generator=torch.Generator().manual_seed(seed))
    assert torch.equal(long(images.double()), short(images.double()))
    assert short(images.double()).any()

    fields = [receptive_field([*[CONV] * convolutions, POOL, CONV]).size for convolutions in (1, 2)]
    assert fields == [8, 10]
    assert solves(exclusive_or([CONV, CONV, POOL, CONV]), 10 - 1)


@settles("nn4i-2023-a1-q1-pool-after-several", verdict="holds_if", certainty="proved")
def test_in_front_of_the_first_relu_a_convolution_more_may_lose_a_function() -> None:
    """On one signed pixel two channels and a ReLU make |x|, which none makes of relu(a x + c).

    If a is 0, that is constant. Else it is 0 at three places at least, where |x| is not the same:
    it takes no value more than twice. The pixel has to be unbounded: one of at least -3 passes
    relu(x + 3), and the next biases take the 3 away.
    """
    first, relu = modules([Layer(1)], channels=2)
    clear(first)
    assert isinstance(first, nn.Conv1d)
    first.weight[:] = torch.tensor([[[1.0]], [[-1.0]]])
    short = nn.Sequential(first, relu)
    x = torch.tensor([[[-3.0]], [[0.0]], [[2.0]]], dtype=torch.float64)
    assert short(x).sum(1).flatten().tolist() == [3, 0, 2]

    a, c, *places = z3.Reals("a c x y z")
    off = [a * place + c == -number for number, place in enumerate(places, start=1)]
    sizes = [z3.Abs(place) for place in places]
    assert follows(z3.Not(z3.And(sizes[0] == sizes[1], sizes[1] == sizes[2])), *off)

    def lifted(pixel: z3.ArithRef) -> z3.ArithRef:
        passed = maximum(pixel + 3, 0)
        return maximum(passed - 3, 0) + maximum(3 - passed, 0)

    pixel = places[0]
    assert follows(lifted(pixel) == z3.Abs(pixel), pixel >= -3)
    assert not follows(lifted(pixel) == z3.Abs(pixel))


@settles(
    "tp1-cnn-q3-pool-dimension",
    verdict="holds_if",
    certainty="sampled",
    condition="The window k, stride s and padding p of the pooling satisfy "
    "2p < (k - 1) + (s - 1)(n - 1) on n cells (unpadded, on several cells: k > 1 or s > 1), and a "
    "'higher-level' correlation is one of pixels further apart, with a nonlinearity after the "
    "pooling, as the maximum is one itself; a window of one cell also needs a kernel of more than "
    "one behind it. It comes from window and stride, not from there being fewer cells: cropping "
    "brings none, and a padded pooling of stride 1 brings some without lowering anything.",
)
def test_pooling_in_between_relates_more_distant_pixels() -> None:
    """Two convolutions of 3 relate pixels up to 4 apart; with a 2x2 pooling in between, up to 7.

    Cropping to the same number of cells leaves it at 4; a pooling of 3 by stride 1 gives 6. If no
    ReLU follows the second convolution, an average pooling leaves it at the 2 of the first.

    A window of two needs no kernel behind it: the maximum alone relates pixels 3 apart, an average
    and a ReLU (behind a kernel of one cell) do. Keeping every second cell takes the kernel.
    """
    assert solves(exclusive_or([CONV, CONV]), 4)
    assert solves(exclusive_or([CONV, POOL, CONV]), 7)

    def network(middle: nn.Module, after: int = 2, last: Layer = CONV) -> nn.Sequential:
        return added_up([*modules([CONV], 1), middle, *modules([last], 1)[:after]], cells=14)

    middles = {
        "none": nn.Identity(),
        "crop": nn.ConstantPad1d(-3, 0.0),
        "pool": nn.MaxPool1d(2),
        "padded pool": nn.MaxPool1d(3, 1, 1),
    }
    cells = {name: middle(torch.zeros(1, 1, 12)).shape[-1] for name, middle in middles.items()}
    assert cells == {"none": 12, "crop": 6, "pool": 6, "padded pool": 12}
    reach = {name: max(related(network(each), 14, draws=60)) for name, each in middles.items()}
    assert reach == {"none": 4, "crop": 4, "pool": 7, "padded pool": 6}
    assert max(related(network(nn.AvgPool1d(2)), 14, draws=60)) == 7
    assert max(related(network(nn.AvgPool1d(2), after=1), 14, draws=60)) == 2

    alone = {"none": nn.Identity(), "max": nn.MaxPool1d(2), "mean": nn.AvgPool1d(2)}
    reach = {name: max(related(network(each, 0), 14, draws=60)) for name, each in alone.items()}
    assert reach == {"none": 2, "max": 3, "mean": 2}
    assert max(related(network(nn.AvgPool1d(2), last=Layer(1)), 14, draws=60)) == 3
    every_second = nn.MaxPool1d(1, 2)
    assert max(related(network(every_second, last=Layer(1)), 14, draws=60)) == 2
    assert max(related(network(every_second), 14, draws=60)) == 6


@settles(
    "nni-2023-ex1-q3-maxpool-explanation",
    verdict="undecided",
    condition="True if average pooling in place of max pooling in the two-layer network (with the "
    "same sizes, parameters and fields) lost the advantage: that takes training. False as far as "
    "a smaller map is the reason, for the global average leaves one cell of 28x28 and the max "
    "poolings 5x5. The networks also differ without any maximum: 46590 parameters against 1730, "
    "14x14 pixels related against 5x5 (16x16 with the maxima). 'Most important' can only mean the "
    "largest of each window.",
)
def test_what_sets_the_two_networks_apart_beside_the_maximum() -> None:
    """Sizes, parameters and fields of both, and what becomes of them with average pooling.

    The sizes are those that the printed parameter counts lead to: 5x5 kernels, 20 and 60 filters.
    A maximum relates the pixels of its windows itself; behind an average nothing but a sum is left,
    so that only what the second ReLU sees is related. Measured along one axis, with two filters.
    """

    def two_convolutions(pool: type[nn.Module]) -> nn.Sequential:
        first, second = nn.Conv2d(3, 20, 5), nn.Conv2d(20, 60, 5)
        body = (first, nn.ReLU(), pool(2), second, nn.ReLU(), pool(2))
        return nn.Sequential(*body, nn.Flatten(), nn.Linear(60 * 5 * 5, 10))

    average = nn.AdaptiveAvgPool2d(1)
    other = nn.Sequential(nn.Conv2d(3, 20, 5), nn.ReLU(), average, nn.Flatten(), nn.Linear(20, 10))

    def parameters(network: nn.Module) -> int:
        return sum(each.numel() for each in network.parameters())

    def sides(network: nn.Sequential, x: torch.Tensor) -> list[int]:
        maps = [x := each(x) for each in network]
        return [each.shape[-1] for each in maps if each.ndim == 4]

    image = torch.zeros(1, 3, 32, 32)
    largest, mean = two_convolutions(nn.MaxPool2d), two_convolutions(nn.AvgPool2d)
    assert sides(largest, image) == sides(mean, image) == [28, 28, 14, 10, 10, 5]
    assert sides(other, image) == [28, 28, 1]
    assert (parameters(largest), parameters(mean), parameters(other)) == (46590, 46590, 1730)
    assert receptive_field([Layer(5), POOL, Layer(5), POOL]).size == 16
    assert receptive_field([Layer(5), POOL, Layer(5)]).size == 14
    assert receptive_field([Layer(5)]).size == 5
    for pool, width in ((nn.MaxPool1d, 16), (nn.AvgPool1d, 14)):
        first, relu, second, _ = modules([Layer(5), Layer(5)], channels=2)
        network = added_up([first, relu, pool(2), second, relu, pool(2)], cells=24)
        assert related(network, 24, draws=60) == set(range(1, width))

    kept = nn.MaxPool1d(2)(torch.tensor([[3.0, 2.0, 0.0, 1.0]]))
    assert kept.tolist() == [[3, 1]]  # not 2, the second largest of all
