"""Chapter 6, nonlinearity: what no affine map can do, and what a network gains by not being one.

No affine map separates patterns whose convex hulls meet, the exclusive or being the smallest. With
a ReLU in between, a network keeps every map that it had without, on bounded images, and has others.

What passing does not prove: that the classes of real images have such patterns, or that what
training finds carries over to new ones.
"""

from __future__ import annotations

import copy
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

from theory.ledger import claims, settles
from theory.recovery import Design
from theory.solver import holds_always, maximum
from theory.test_function_classes import integer_network, integers, seeds

if TYPE_CHECKING:
    from collections.abc import Callable

SQUARE = torch.tensor([[0, 0], [1, 1], [0, 1], [1, 0]]).double()  # equal, equal, unequal, unequal


# What no affine map can do, at any size


@settles("nn4i-2023-a1-q2-bigger-linear", verdict="holds_if", certainty="proved")
@settings(max_examples=30)
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


def with_relu(network: nn.Sequential, shape: tuple[int, ...], largest: float) -> nn.Sequential:
    """Insert ReLU after each convolution without changing what happens to images up to `largest`.

    A bias lifts every activation above zero. What the lifts add to the scores, less at a border
    that is padded with zeros, is the same for every image: the last layer's bias takes it away.
    """
    layers: list[nn.Module] = []
    for layer in copy.deepcopy(network):
        layers.append(layer)
        if isinstance(layer, nn.Conv2d):
            assert layer.bias is not None
            reach = largest * layer.weight.data.abs().sum((1, 2, 3)) + layer.bias.data.abs()
            lift = reach.max().item()
            layer.bias.data += lift
            largest = 2 * lift
            layers.append(nn.ReLU())
    lifted, image = nn.Sequential(*layers), torch.zeros(1, *shape).double()
    assert isinstance(layers[-1], nn.Linear)
    layers[-1].bias.data -= (lifted(image) - network(image))[0].detach()
    return lifted


@settles(
    "nn4i-2023-a1-q2-nonlinear-better",
    verdict="holds_if",
    certainty="proved",
    condition="More expressive: its layers have biases and are as wide as those of the linear "
    "model, a fully connected layer ends it, and no pool discards anything; then it contains all "
    "that model's maps on bounded images and more, while a narrow or pooled network, one without "
    "biases, or one of zero-padded convolutions alone may miss affine maps. Better: no affine "
    "classifier is already right on the data, and what training finds carries over to new images.",
)
@settings(max_examples=30)
@given(seeds, st.integers(0, 1))
def test_with_relu_in_between_every_map_of_the_linear_network_remains(
    seed: int, padding: int
) -> None:
    """On images with pixels from 0 to 255, exactly; and the exclusive or comes in addition.

    A value that a bias lifts above 0 passes ReLU as it is, and the last layer takes the lift away.
    """
    value, lift = z3.Reals("value lift")
    passed = z3.If(value + lift > 0, value + lift, 0)
    assert holds_always(z3.Implies(value + lift >= 0, passed - lift == value))

    convs = [nn.Conv2d(3, 2, 3, padding=padding), nn.Conv2d(2, 4, 2, padding=padding)]
    features = 4 * (3 + 4 * padding) ** 2
    linear = integer_network(*convs, nn.Flatten(), nn.Linear(features, 5), seed=seed)
    nonlinear = with_relu(linear, (3, 6, 6), largest=255)

    images = integers(4, 3, 6, 6, seed=seed, bound=127) + 128
    assert sum(isinstance(layer, nn.ReLU) for layer in nonlinear) == 2
    with torch.no_grad():
        assert torch.equal(nonlinear(images), linear(images))
        assert not torch.equal(nonlinear(-100 * images), linear(-100 * images))


@settles("nn4i-2023-a1-q2-nonlinear-better", verdict="holds_if", certainty="proved")
def test_without_biases_relu_loses_a_map_of_a_linear_network_as_wide() -> None:
    """One filter and one score on two cells: x - y without ReLU, and with it no change of sign.

    A read-out v of relu(a x + b y) has the sign of v, or is 0. With a bias to lift the value and
    one to take the lift away, x - y is back on all cells from 0 to 1.
    """
    v, a, b, x, y = z3.Reals("v a b x y")
    ends = z3.And(v * maximum(a, 0) > 0, v * maximum(b, 0) < 0)  # at (1, 0) and at (0, 1)
    assert holds_always(z3.Not(ends))

    cells = z3.And(x >= 0, x <= 1, y >= 0, y <= 1)
    assert holds_always(z3.Implies(cells, maximum(x - y + 1, 0) - 1 == x - y))


@settles("nn4i-2023-a1-q2-nonlinear-better", verdict="holds_if", certainty="proved")
def test_zero_padded_convolutions_alone_lose_a_map_when_relu_comes_between() -> None:
    """One filter of three taps on two cells from 0 to 1, twice: matrices U, then V, of rank 2.

    With ReLU between, no cell may bend or be off there, for bends that cancel, or a cell less,
    need a V, or leave a product, of lower rank. So both cells are lifted by one b. If b is 0,
    U has no negative entry. Else the second layer makes of it (v0 + v1) b and (v2 + v0) b, which
    one bias takes away only if v1 = v2. The map of the linear network allows neither.
    """
    first, second = torch.tensor([[[2.0, 1, -1]], [[0, 1, 1]]]).double()[:, None]
    by_linear = functional.conv1d(torch.eye(2).double()[:, None], first, padding=1)
    by_linear = functional.conv1d(by_linear, second, padding=1)[:, 0].T
    assert by_linear.tolist() == [[3, 0], [2, 1]]

    u0, u1, u2, v0, v1, v2 = z3.Reals("u0 u1 u2 v0 v1 v2")
    reached = [v0 * u0 + v1 * u2, v0 * u1 + v1 * u0, v2 * u0 + v0 * u2, v2 * u1 + v0 * u0]
    wanted = z3.And(*[r == int(w) for r, w in zip(reached, by_linear.flatten(), strict=True)])
    not_negative = z3.And(u0 >= 0, u1 >= 0, u2 >= 0)
    assert holds_always(z3.Implies(wanted, z3.Not(z3.Or(v1 == v2, not_negative))))
    assert not holds_always(z3.Not(wanted))


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
