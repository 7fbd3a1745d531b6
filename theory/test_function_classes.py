"""Chapter 6, function classes: what a network without its nonlinearities can express at all.

It is one affine map, so the question is which affine maps: those that no layer is too narrow for. A
convolution layer with two filters more than channels can keep the whole of a large image, and with
fewer it cannot. No affine map separates patterns whose convex hulls meet, the exclusive or being
the smallest.

What passing does not prove: which member of a class training finds. Two networks of one class may
well learn differently, and what is expressible may be out of reach of the optimiser; nor does a
class say how well its best member does on images that it has not seen.
"""

from __future__ import annotations

from itertools import combinations_with_replacement, pairwise, product
from typing import TYPE_CHECKING

import numpy as np
import pytest
import sympy
import torch
import z3
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

from theory.convolution import convolve
from theory.equivalences import (
    affine_map,
    class_dimension_bound,
    dense_from_convolution,
    rank_bound,
)
from theory.ledger import claims, settles
from theory.modular_rank import rank_modulo
from theory.parameters import Design
from theory.signals import integer_signal
from theory.solver import holds_always

if TYPE_CHECKING:
    from collections.abc import Callable

reproducible = settings(derandomize=True, deadline=None, max_examples=30)
seeds = st.integers(0, 2**16)

IMAGE = (3, 32, 32)
SQUARE = torch.tensor([[0, 0], [1, 1], [0, 1], [1, 0]]).double()  # equal, equal, unequal, unequal
CORNERS = list(product((0, 1), repeat=2))


def integer_network(*layers: nn.Module, seed: int = 0) -> nn.Sequential:
    """Chain layers in double precision, with small random integers as weights and biases."""
    network = nn.Sequential(*layers).double()
    for number, parameter in enumerate(network.parameters()):
        values = integer_signal(tuple(parameter.shape), bound=3, seed=seed + number)
        parameter.data = torch.from_numpy(values)
    return network


def integers(*shape: int, seed: int, bound: int = 9) -> torch.Tensor:
    """Return a tensor of random integers in double precision."""
    return torch.from_numpy(integer_signal(shape, seed=seed, bound=bound))


# Affine, and of which rank


@reproducible
@given(st.lists(st.integers(1, 5), min_size=1, max_size=2), st.booleans(), seeds)
def test_a_network_without_nonlinearities_is_one_affine_map(
    filters: list[int], bias: bool, seed: int
) -> None:
    """The map read off impulses answers every image, and the two units bound its rank."""
    convs = [nn.Conv2d(a, b, 2, bias=bias) for a, b in pairwise([2, *filters])]
    features = filters[-1] * (5 - len(filters)) ** 2
    dense = [nn.Linear(features, 2, bias=bias), nn.Linear(2, 4, bias=bias)]
    network = integer_network(*convs, nn.Flatten(), *dense, seed=seed)

    affine = affine_map(network, (2, 5, 5))
    image = integers(2, 5, 5, seed=seed)
    with torch.no_grad():
        assert np.array_equal(affine(image.numpy()), network(image[None])[0].numpy())
    assert bias or not affine.offset.any()
    assert rank_modulo(affine.matrix) <= 2


def test_through_one_unit_go_exactly_the_matrices_of_rank_one_or_zero() -> None:
    """The smallest bottleneck, decided for all real 2x2 matrices: the determinant must vanish."""
    a, b, c, d, u, v, s, t = z3.Reals("a b c d u v s t")
    assert holds_always((u * s) * (v * t) - (u * t) * (v * s) == 0)
    factors = z3.Or(  # the first row that is not zero, times the factors of both rows
        z3.And(a == 0, b == 0),
        z3.And(a != 0, d == (c / a) * b),
        z3.And(b != 0, c == (d / b) * a),
    )
    assert holds_always(z3.Implies(a * d == b * c, factors))

    network = integer_network(nn.Linear(3, 2), nn.Linear(2, 5), nn.Linear(5, 4))
    assert rank_modulo(affine_map(network, (3,)).matrix) == 2


# Which widths of a convolution let every affine map through


def corner_taps(kernels: np.ndarray, side: int = 5) -> np.ndarray:
    """Spread 2x2 kernels over the four corners of larger ones."""
    spread = np.zeros((*kernels.shape[:2], side, side))
    spread[..., :: side - 1, :: side - 1] = kernels
    return spread


FIRST = integer_signal((5, 3, 2, 2), seed=0, bound=3)  # 5 filters for 3 channels
SECOND = np.kron(  # 3 filters for each of 5 channels
    np.eye(5)[:, :, None, None],
    np.array([[[[1, 0], [0, 0]]], [[[0, 0], [0, 1]]], [[[0, 1], [1, 0]]]]),
)


@settles(
    "nn4i-2023-a1-q2-bigger-linear",
    verdict="holds_if",
    certainty="proved",
    condition="The best results are out of reach of every affine map of the image, for no size "
    "leads out of these; that size brings nothing at all needs every layer to be wide enough for "
    "all affine maps: in the 5x5 design of nni-2023-ex1 exactly from 5 filters on (6 and 20 are "
    "alike), while 4 and fewer express less.",
)
@pytest.mark.parametrize(("kernels", "enough", "map_side"), [(FIRST, 5, 32), (SECOND, 3, 28)])
def test_five_filters_and_then_fifteen_lose_nothing_of_an_image(
    kernels: np.ndarray, enough: int, map_side: int
) -> None:
    """Then the last layer, preceded by the inverse, can be any linear map: the class is all of it.

    Three steps, exact in integers. 2x2 kernels that are injective on small images (full rank) are
    so on all larger ones, since an image that they send to zero is zero in every small window. 5x5
    kernels with taps at the corners act on each of the 4x4 phases of an image as 2x2 kernels do.
    Each phase is large enough. More filters may have zero weights, so the class only grows.
    """
    filters, channels = kernels.shape[:2]
    small = dense_from_convolution(kernels, (enough, enough))
    assert rank_modulo(small) == small.shape[1] == channels * enough**2

    image = integers(channels, map_side, map_side, seed=1)
    weight = torch.from_numpy(kernels)
    with_corners = functional.conv2d(image[None], torch.from_numpy(corner_taps(kernels)))[0]
    for i, j in product(range(4), repeat=2):
        phase = image[:, i::4, j::4]
        assert min(phase.shape[1:]) >= enough
        answer = functional.conv2d(phase[None], weight)[0]
        assert torch.equal(with_corners[:, i::4, j::4], answer)
        window = functional.conv2d(phase[None, :, 1 : 1 + enough, 2 : 2 + enough], weight)[0]
        assert torch.equal(window, answer[:, 1:enough, 2 : 1 + enough])
    assert with_corners.shape == (filters, map_side - 4, map_side - 4)


@settles("nn4i-2023-a1-q2-bigger-linear", verdict="holds_if", certainty="proved")
def test_twenty_filters_compute_any_given_linear_map() -> None:
    """The network with 20 and 60 filters, with integer weights, for an arbitrary target.

    Twelve filters of each layer copy a channel from a corner of the kernel, so that four maps
    together hold every pixel of the channel, and the linear layer takes each pixel from one map.
    """
    design = Design(pool=1)
    side = design.side()
    conv1, conv2 = nn.Conv2d(3, 20, 5), nn.Conv2d(20, 60, 5)
    linear = nn.Linear(60 * side**2, 10)
    network = nn.Sequential(conv1, conv2, nn.Flatten(), linear).double()
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    target, bias = integers(10, *IMAGE, seed=2), integers(10, seed=3)
    weights = torch.zeros(10, 60, side, side).double()
    halves = (slice(0, 24), slice(24, 32))
    for copy, (channel, (down, right)) in enumerate(product(range(3), CORNERS)):
        conv1.weight.data[copy, channel, 4 * down, 4 * right] = 1
        conv2.weight.data[copy, copy, 4 * down, 4 * right] = 1
        pixels = target[:, channel, halves[down], halves[right]]
        rows, columns = slice(16 * down, side), slice(16 * right, side)
        weights[:, copy, rows, columns] = pixels
    linear.weight.data, linear.bias.data = weights.flatten(1), bias

    images = integers(4, *IMAGE, seed=4)
    with torch.no_grad():
        assert torch.equal(network(images), images.flatten(1) @ target.flatten(1).T + bias)


def cofactors(kernels: np.ndarray) -> list[np.ndarray]:
    """Return the cofactors of a 4x3 matrix of kernels, multiplied by convolution."""
    minors = []
    for left_out in range(4):
        (a, b, c) = (row for number, row in enumerate(kernels) if number != left_out)
        signed = sum(
            int(sympy.LeviCivita(*order))
            * convolve(convolve(a[order[0]], b[order[1]]), c[order[2]])
            for order in product(range(3), repeat=3)
            if len(set(order)) == 3
        )
        minors.append((-1) ** left_out * np.asarray(signed))
    return minors


@settles("nn4i-2023-a1-q2-bigger-linear", verdict="holds_if", certainty="proved")
def test_four_filters_or_fewer_leave_affine_maps_out() -> None:
    """Counted: the weights of the first layer and, for each class, a vector in its row space.

    That is less than the dimension of all linear maps. With four filters for three channels the row
    space is smaller than it looks: the cofactors annihilate the columns of the matrix of kernels (a
    determinant with two equal columns), and so does each multiple that fits.
    """
    K = sympy.Matrix(4, 3, sympy.symbols("k:12"))
    minors = [
        (-1) ** a * K.extract([i for i in range(4) if i != a], [0, 1, 2]).det() for a in range(4)
    ]
    assert all(sympy.expand(sum(minors[a] * K[a, c] for a in range(4))) == 0 for c in range(3))

    kernels = integer_signal((4, 3, 2, 2), seed=6, bound=3)
    matrix = dense_from_convolution(kernels, (8, 8))
    relations = []
    for at in product(range(4), repeat=2):
        relation = np.zeros((4, 7, 7))
        relation[:, at[0] : at[0] + 4, at[1] : at[1] + 4] = cofactors(kernels)
        relations.append(relation.ravel())
    assert not (np.stack(relations) @ matrix).any()
    assert rank_modulo(np.stack(relations)) == 16
    assert rank_modulo(matrix) == rank_bound(4, 3, 2, 8) == 4 * 7**2 - 16

    all_maps = 10 * 3 * 32**2
    assert rank_bound(4, 3, 5, 32) == 4 * 28**2 - 16**2
    bounds = [class_dimension_bound(filters) for filters in range(1, 7)]
    assert bounds == [7_915, 15_830, 23_745, 29_100, all_maps, all_maps]


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_the_bound_on_the_rank_is_met(channels: int) -> None:
    """Random integer kernels reach it on images of every side that is tried."""
    for filters, side in product(range(1, channels + 3), range(3, 8)):
        kernels = integer_signal((filters, channels, 2, 2), seed=side, bound=9)
        matrix = dense_from_convolution(kernels, (side, side))
        assert rank_modulo(matrix) == rank_bound(filters, channels, 2, side)


# What no affine map can do, at any size


@settles("nn4i-2023-a1-q2-bigger-linear", verdict="holds_if", certainty="proved")
@reproducible
@given(st.lists(st.integers(1, 6), max_size=4), seeds)
def test_no_size_of_a_linear_network_gets_the_exclusive_or_right(
    widths: list[int], seed: int
) -> None:
    """Of an affine map, f(0,0) + f(1,1) = f(0,1) + f(1,0), so the sums of both scores agree.

    The two equal pairs would need less in the second score than in the first, the others more.
    """
    sizes = [2, *widths, 2]
    dense = [nn.Linear(a, b) for a, b in pairwise(sizes)]
    with torch.no_grad():
        equal1, equal2, unequal1, unequal2 = integer_network(*dense, seed=seed)(SQUARE)
    assert torch.equal(equal1 + equal2, unequal1 + unequal2)

    a, b, c = z3.Reals("a b c")  # any difference of two affine scores
    difference = [a * x + b * y + c for x, y in SQUARE.int().tolist()]
    right = z3.And(*[d < 0 for d in difference[:2]], *[d > 0 for d in difference[2:]])
    assert holds_always(z3.Not(right))
    assert not holds_always(z3.Not(z3.And(difference[0] < 0, *[d > 0 for d in difference[1:]])))


@settles(
    "nni-2023-ex1-q2-linear-cannot-learn",
    verdict="holds_if",
    certainty="proved",
    condition="A non-linear pattern is one that no affine classifier gets right, such as classes "
    "whose convex hulls meet, the data have such patterns to the stated extent, and the pooling is "
    "max pooling. Both have to go: ReLU alone or max pooling alone already makes the exclusive or "
    "possible.",
)
def test_one_class_of_a_linear_network_is_convex() -> None:
    """If two images have it, so has every image between them: else the pattern is out of reach.

    Affine scores take p x + (1 - p) y to the same mean of the scores; their differences stay
    positive.
    """
    A, b = sympy.Matrix(2, 3, sympy.symbols("a:6")), sympy.Matrix(sympy.symbols("b:2"))
    x, y = sympy.Matrix(sympy.symbols("x:3")), sympy.Matrix(sympy.symbols("y:3"))
    p = sympy.Symbol("p")
    mixed = A * (p * x + (1 - p) * y) + b
    assert sympy.expand(mixed - p * (A * x + b) - (1 - p) * (A * y + b)) == sympy.zeros(2, 1)
    at_x, at_y, part = z3.Reals("at_x at_y part")
    between = part * at_x + (1 - part) * at_y > 0
    assert holds_always(z3.Implies(z3.And(at_x > 0, at_y > 0, part >= 0, part <= 1), between))


def two_cells(kernels: list[list[float]], *rest: nn.Module) -> Callable[..., torch.Tensor]:
    """Return a network on two cells: a convolution with some kernels, then the rest, then a sum."""
    weight = torch.tensor(kernels).double()[:, None]
    tail = nn.Sequential(*rest, nn.Flatten())
    return lambda x: tail(functional.conv1d(x[:, None], weight)).sum(1)


@settles("nni-2023-ex1-q2-linear-cannot-learn", verdict="holds_if", certainty="proved")
def test_relu_alone_or_max_pooling_alone_computes_the_exclusive_or() -> None:
    """|x - y| is relu(x - y) + relu(y - x), and also max(x, y) + max(-x, -y)."""
    unequal = [0, 0, 1, 1]
    by_relu = two_cells([[1, -1], [-1, 1]], nn.ReLU())
    by_max = two_cells([[1], [-1]], nn.MaxPool1d(2))
    by_mean = two_cells([[1], [-1]], nn.AvgPool1d(2))
    assert by_relu(SQUARE).tolist() == by_max(SQUARE).tolist() == unequal
    assert by_mean(SQUARE).tolist() != unequal


def dichotomies(cells: int) -> set[tuple[bool, ...]]:
    """Return the two-class patterns on binary images that small integer weights get right."""
    images = np.array(list(product((0, 1), repeat=cells)))
    return {
        tuple((images @ weights > threshold + 0.5).tolist())
        for weights in product(range(-2, 3), repeat=cells)
        for threshold in range(-2 * cells - 1, 2 * cells + 1)
    }


@settles("nni-2023-ex1-q2-linear-cannot-learn", verdict="holds_if", certainty="exhausted")
@pytest.mark.parametrize(("cells", "separable"), [(1, 4), (2, 14), (3, 104)])
def test_of_all_patterns_on_three_cells_fewer_than_half_are_linear(
    cells: int, separable: int
) -> None:
    """Each pattern has either weights or two images of each class with the same sum, never both."""
    images = np.array(list(product((0, 1), repeat=cells)))
    pairs = list(combinations_with_replacement(range(len(images)), 2))
    linear = dichotomies(cells)
    assert len(linear) == separable
    for pattern in product((False, True), repeat=len(images)):
        sums = {
            label: {
                tuple(images[i] + images[j])
                for i, j in pairs
                if {pattern[i], pattern[j]} == {label}
            }
            for label in (False, True)
        }
        assert (pattern in linear) == sums[False].isdisjoint(sums[True])


# What nonlinearities add


def with_relu(network: nn.Sequential, largest: float) -> nn.Sequential:
    """Insert ReLU after each convolution without changing what happens to images up to `largest`.

    A bias lifts every activation above zero, and the next layer's bias takes the lift away.
    """
    layers: list[nn.Module] = []
    lift = 0.0
    for layer in network:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            assert layer.bias is not None
            weight, bias = layer.weight.detach(), layer.bias.detach()
            axes = tuple(range(1, weight.ndim))
            lifted = type(layer)(*weight.shape[1::-1], *weight.shape[2:3]).double()
            reach = (largest * weight.abs().sum(axes) + bias.abs()).max().item()
            bias = bias - lift * weight.sum(axes)
            if isinstance(layer, nn.Conv2d):
                lift = largest = reach
                bias = bias + lift
            lifted.weight, lifted.bias = nn.Parameter(weight), nn.Parameter(bias)
            layers += [lifted, nn.ReLU()] if isinstance(layer, nn.Conv2d) else [lifted]
        else:
            layers.append(layer)
    return nn.Sequential(*layers)


@settles(
    "nn4i-2023-a1-q2-nonlinear-better",
    verdict="holds_if",
    certainty="proved",
    condition="More expressive: its layers are as wide as those of the linear model and no pool "
    "discards anything; then it contains all that model's maps on bounded images and more, while a "
    "narrow or pooled network may miss affine maps. Better: no affine classifier is already right "
    "on the data, and what training finds carries over to new images.",
)
@reproducible
@given(seeds)
def test_with_relu_in_between_every_map_of_the_linear_network_remains(seed: int) -> None:
    """On images with pixels from 0 to 255, exactly; and the exclusive or comes in addition.

    A value that a bias lifts above 0 passes ReLU as it is, and the next layer takes the lift away.
    """
    value, lift = z3.Reals("value lift")
    passed = z3.If(value + lift > 0, value + lift, 0)
    assert holds_always(z3.Implies(value + lift >= 0, passed - lift == value))

    layers = [nn.Conv2d(3, 2, 3), nn.Conv2d(2, 4, 2), nn.Flatten(), nn.Linear(4 * 9, 5)]
    linear = integer_network(*layers, seed=seed)
    nonlinear = with_relu(linear, largest=255)

    images = integers(4, 3, 6, 6, seed=seed, bound=127) + 128
    assert sum(isinstance(layer, nn.ReLU) for layer in nonlinear) == 2
    with torch.no_grad():
        assert torch.equal(nonlinear(images), linear(images))
        assert not torch.equal(nonlinear(-100 * images), linear(-100 * images))


@settles("nn4i-2023-a1-q2-nonlinear-better", verdict="holds_if", certainty="proved")
def test_a_small_nonlinear_network_does_not_contain_the_affine_maps() -> None:
    """What 3172 parameters reach has no more dimensions; all affine maps have 30730.

    The network with 3 filters of nni-2023-ex1, ReLU and max pooling included.
    """
    parameters = Design().parameters((3, 9))
    assert claims()["nni-2023-ex1-q1a-params-3"].reported == [parameters]
    assert parameters < 10 * (3 * 32**2 + 1) == 30_730


@settles("nn4i-2023-a1-q2-nonlinear-better", verdict="holds_if", certainty="exhausted")
def test_some_real_data_leave_nothing_to_be_better_at() -> None:
    """An affine map, found by the perceptron rule, gets all 1797 bundled scans of digits right.

    The weights are integers: an exact witness, on the images that it was found on.
    """
    pixels, labels = load_digits(return_X_y=True)
    images = np.column_stack([pixels, np.ones(len(pixels))]).astype(np.int64)
    weights = np.zeros((10, images.shape[1]), np.int64)
    for _ in range(200):
        mistakes = 0
        for image, label in zip(images, labels, strict=True):
            said = int(np.argmax(weights @ image - np.eye(10, dtype=np.int64)[label]))
            if said != label:
                weights[label] += image
                weights[said] -= image
                mistakes += 1
        if not mistakes:
            break
    scores = images @ weights.T
    right = scores[np.arange(len(labels)), labels]
    assert (np.sum(scores >= right[:, None], axis=1) == 1).all()
    assert len(labels) == 1797
