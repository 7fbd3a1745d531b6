"""Chapter 6, function classes: what a network without its nonlinearities can express at all.

It is one affine map, so the question is which affine maps: those that no layer is too narrow for. A
convolution layer with two filters more than channels can keep the whole of a large image, and with
fewer it cannot.

What passing does not prove: which member of a class training finds. Two networks of one class may
well learn differently, and what is expressible may be out of reach of the optimiser; nor does a
class say how well its best member does on images that it has not seen.
"""

from __future__ import annotations

from itertools import pairwise, product
from typing import TYPE_CHECKING

import numpy as np
import pytest
import sympy
import torch
import z3
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from theory.affine_map import affine_map
from theory.convolution import convolve
from theory.equivalences import dense_from_convolution
from theory.ledger import settles
from theory.modular_rank import rank_modulo
from theory.rank_bounds import class_dimension_bound, rank_bound
from theory.recovery import Design
from theory.signals import integer_signal
from theory.solver import holds_always

if TYPE_CHECKING:
    pass

seeds = st.integers(0, 2**16)

IMAGE = (3, 32, 32)
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


@settings(max_examples=30)
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
    "all affine maps that the rest lets through (behind a global average few, without any pooling "
    "all): in the 5x5 design of nni-2023-ex1 exactly from 5 filters on (6 and 20 are alike), while "
    "4 and fewer express less.",
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


@settles("nn4i-2023-a1-q2-bigger-linear", verdict="holds_if", certainty="proved")
def test_behind_a_global_average_nine_filters_are_enough_and_affine_maps_are_missing() -> None:
    """One 3x3 convolution, averaged: the scores are linear in the nine means of what a tap sees.

    Nine filters can be the nine taps, and a linear layer makes any scores of their means; twenty
    filters make no others.
    """
    image, taps = (1, 6, 6), torch.eye(9).double().view(9, 1, 3, 3)
    average = nn.Sequential(nn.AvgPool2d(4), nn.Flatten())
    averaging = affine_map(average.double(), (9, 4, 4)).matrix
    means = averaging @ dense_from_convolution(taps.numpy(), image[1:])
    assert rank_modulo(16 * means) == 9 < means.shape[1]

    conv, linear = nn.Conv2d(1, 9, 3), nn.Linear(9, 10)
    enough = integer_network(conv, average, linear)
    conv.weight.data = taps
    assert np.array_equal(affine_map(enough, image).matrix, linear.weight.detach().numpy() @ means)
    more = integer_network(nn.Conv2d(1, 20, 3), average, nn.Linear(20, 10))
    scores = affine_map(more, image).matrix
    assert rank_modulo(16 * np.concatenate([means, scores])) == 9


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_the_bound_on_the_rank_is_met(channels: int) -> None:
    """Random integer kernels reach it on images of every side that is tried."""
    for filters, side in product(range(1, channels + 3), range(3, 8)):
        kernels = integer_signal((filters, channels, 2, 2), seed=side, bound=9)
        matrix = dense_from_convolution(kernels, (side, side))
        assert rank_modulo(matrix) == rank_bound(filters, channels, 2, side)
