"""Chapter 6, depth: what one more layer does to gradients and to what can be expressed.

Backwards through a layer, the gradient is multiplied by the layer's slopes. With independent
weights of mean zero the squared length is on average multiplied by the same gain at every layer, so
it vanishes, stays or explodes with depth as the gain is below, at or above 1; a skip adds 1.

What passing does not prove: anything after the first step of training, when weights are no longer
independent; nor what accuracy a deeper network reaches. Averages of squares say little about a
single network, whose gradient is usually smaller.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING

import pytest
import sympy
import torch
import z3
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from theory.affine_map import affine_map
from theory.ledger import settles
from theory.signals import integer_signal
from theory.solver import holds_always, maximum

if TYPE_CHECKING:
    from collections.abc import Callable

    Layer = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

SIGNS = torch.tensor(list(product((-1, 1), repeat=4))).double().view(-1, 2, 2)  # 16 layers


def plain(weights: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Apply a layer without skip."""
    return (weights @ x[..., None])[..., 0]


def skip(weights: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Apply a layer and add its input."""
    return x + plain(weights, x)


def rectified(weights: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Apply a layer and ReLU."""
    return plain(weights, x).relu()


def squared_gradients(layer: Layer, depth: int) -> torch.Tensor:
    """Return the squared gradient of a readout for all networks and readouts of weights 1 and -1.

    It is divided by 2, for the readout itself has that squared length.
    """
    choices = torch.cartesian_prod(*[torch.arange(16)] * depth, torch.arange(4)).view(-1, depth + 1)
    x = torch.tensor([1.0, 3.0]).double().repeat(len(choices), 1).requires_grad_()
    y = x
    for number in range(depth):
        y = layer(SIGNS[choices[:, number]], y)
    readout = torch.tensor(list(product((-1, 1), repeat=2))).double()[choices[:, depth]]
    (readout * y).sum().backward()
    assert x.grad is not None
    return x.grad.square().sum(1) / 2


def mean_squared_gradient(layer: Layer, depth: int) -> float:
    """Average the squared gradient of a random readout over all networks of weights 1 and -1."""
    return squared_gradients(layer, depth).mean().item()


@settles(
    "nn4i-2023-a1-q1-skip-explanation",
    verdict="holds_if",
    certainty="proved",
    condition="The layers shrink the gradient, as they do where the gain of its mean square is "
    "below 1: it is 1/6 for each convolution with ReLU, initialised by torch's default. By He's "
    "rule it is 1, and the mean over networks does not vanish, though the gradient of more and "
    "more single networks may. And the skips are identities around branches that do not cancel "
    "them, as independent branches of mean zero do not on average.",
)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_skip_adds_one_to_the_gain_of_a_layer(depth: int) -> None:
    """Over all networks with 2 units and signs as weights the gains are 2 and 3, at every depth.

    In general: with g the gradient above a layer W of independent weights of mean 0 and variance v
    from n inputs, the mean of |W'g|² is n v |g|², and that of |g + W'g|² is (1 + n v) |g|², for the
    mean of g'W'g is 0. By induction d layers have the gains (n v)^d and (1 + n v)^d.
    """
    v, g1, g2 = sympy.symbols("v g1 g2")
    w = sympy.symbols("w:4")
    g, W = sympy.Matrix([g1, g2]), sympy.Matrix(2, 2, w)

    def mean(quantity: sympy.Expr) -> sympy.Expr:
        """Replace squares of weights by v, and every other product of weights by 0."""
        terms = sympy.Poly(quantity, *w).terms()
        moment = {(): 1, (2,): v}
        return sum(
            moment.get(tuple(p for p in powers if p), 0) * coefficient
            for powers, coefficient in terms
        )

    squared = g.dot(g)
    assert sympy.expand(mean((W.T * g).dot(W.T * g)) - 2 * v * squared) == 0
    added = g + W.T * g
    assert sympy.expand(mean(added.dot(added)) - (1 + 2 * v) * squared) == 0

    assert mean_squared_gradient(plain, depth) == 2**depth
    assert mean_squared_gradient(skip, depth) == 3**depth
    assert mean_squared_gradient(lambda W, x: plain(W / 2, x), depth) == 2.0**-depth
    assert mean_squared_gradient(lambda W, x: skip(W / 2, x), depth) == 1.5**depth


@settles("nn4i-2023-a1-q1-skip-explanation", verdict="holds_if", certainty="exhausted")
def test_behind_a_mean_that_stays_more_and_more_gradients_are_lost() -> None:
    """Signs over the root of 2 have the gain 1: the mean stays, and few large gradients make it.

    Two signs that are equal in size cancel in every other layer's sum: of all networks with two
    units a quarter has the gradient 0 after one layer, more than half after four.
    """
    lost = []
    for depth in range(1, 5):
        squares = squared_gradients(plain, depth)
        assert squares.mean().item() == 2**depth
        lost.append(Fraction(int((squares == 0).sum()), len(squares)))
    assert lost == [Fraction(1, 4), Fraction(5, 16), Fraction(29, 64), Fraction(133, 256)]


@settles("nn4i-2023-a1-q1-skip-explanation", verdict="holds_if", certainty="proved")
def test_relu_halves_the_gain() -> None:
    """To flip the signs of a unit's weights flips whether it is on: on average half of them are.

    Torch draws weights evenly from ±1 / sqrt(n): variance 1 / (3 n), gain 1/3, with ReLU 1/6. He
    and others double 1 / n instead, for a gain of 1.
    """
    assert mean_squared_gradient(rectified, 1) == mean_squared_gradient(plain, 1) / 2 == 1

    n, u = sympy.symbols("n u", positive=True)
    bound = 1 / sympy.sqrt(n)
    variance = sympy.integrate(u**2 / (2 * bound), (u, -bound, bound))
    assert sympy.simplify(n * variance / 2) == sympy.Rational(1, 6)
    for layer, inputs in ((nn.Conv2d(4, 64, 3), 36), (nn.Linear(36, 64), 36)):
        torch.manual_seed(0)
        layer.reset_parameters()
        assert 0.99 < layer.weight.abs().max().item() * inputs**0.5 <= 1 + 2**-23


@settles("nn4i-2023-a1-q1-skip-explanation", verdict="holds_if", certainty="proved")
def test_a_skip_may_also_make_a_gradient_vanish() -> None:
    """Around the branch -x the sum is 0, gradient and all; without the skip nothing is lost.

    Branches of gain at most r < 1 leave between (1 - r)^d and (1 + r)^d of the gradient, and both
    ends are met: a skip puts no floor under it that depth does not lower.
    """
    x = torch.tensor([2.0, 5.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(skip(-torch.eye(2), x).sum(), x)
    assert not gradient.any()
    (gradient,) = torch.autograd.grad(plain(-torch.eye(2), x).sum(), x)
    assert gradient.tolist() == [-1, -1]

    r, g, branch = z3.Reals("r g branch")
    premises = z3.And(r > 0, r < 1, z3.Abs(branch) <= r * z3.Abs(g))
    kept = z3.Abs(g + branch)
    assert holds_always(z3.Implies(premises, kept >= (1 - r) * z3.Abs(g)))
    assert not holds_always(z3.Implies(premises, kept >= z3.Abs(g)))


def deep_gradient(init: Callable[[nn.Conv2d], object], *, residual: bool, depth: int = 9) -> float:
    """Average, over 30 networks of convolutions and ReLU, the squared gradient of the input."""
    total = 0.0
    for seed in range(30):
        torch.manual_seed(seed)
        x = torch.randn(1, 8, 4, 4, requires_grad=True)
        y = x
        for _ in range(depth):
            layer = nn.Conv2d(8, 8, 3, padding=1, padding_mode="circular")
            init(layer)
            y = layer(y).relu() + (y if residual else 0)
        readout = torch.randn(y.shape)
        (gradient,) = torch.autograd.grad((readout * y).sum(), x)
        total += (gradient.square().sum() / readout.square().sum()).item()
    return total / 30


@settles("nn4i-2023-a1-q1-skip-explanation", verdict="holds_if", certainty="sampled")
def test_nine_convolutions_with_relu_at_initialisation() -> None:
    """The depth of the report's largest network; expected are 6^-9 = 1e-7, 1, and with skips > 1.

    The averages scatter by much less than the factor of ten that is allowed.
    """

    def he(layer: nn.Conv2d) -> None:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)

    default = deep_gradient(lambda _: None, residual=False)
    assert 6.0**-9 / 10 < default < 6.0**-9 * 10
    assert 1 / 10 < deep_gradient(he, residual=False) < 10
    assert deep_gradient(lambda _: None, residual=True) > 1


@settles(
    "nn4i-2023-a1-q1c-deeper-expectation",
    verdict="undecided",
    condition="An expectation, which no computation settles. True if better means that the best "
    "choice of weights fits at least as well, and the added layers (with ReLU, no narrower, "
    "without pooling) can pass everything on. False if it is to hold for any added layers: without "
    "nonlinearities they bring nothing, and with pooling they can lose what the shallow network "
    "uses. Of test accuracy neither says anything.",
)
@settings(max_examples=40)
@given(st.integers(0, 2**16))
def test_a_deeper_network_can_always_repeat_the_shallower(seed: int) -> None:
    """Reading 1, expressiveness: the best deeper network fits no worse.

    Behind a ReLU, a layer that is the identity changes nothing, followed by ReLU or not.
    """
    a = z3.Real("a")
    assert holds_always(maximum(maximum(a, 0), 0) == maximum(a, 0))

    weight = torch.from_numpy(integer_signal((3, 2, 3, 3), seed=seed))
    x = torch.from_numpy(integer_signal((2, 2, 6, 6), seed=seed + 1))
    shallow = torch.conv2d(x, weight).relu()
    passing_on = nn.init.dirac_(torch.empty(3, 3, 3, 3)).double()
    assert torch.equal(torch.conv2d(shallow, passing_on, padding=1).relu(), shallow)


@settles("nn4i-2023-a1-q1c-deeper-expectation", verdict="undecided")
@settings(max_examples=40)
@given(st.integers(1, 4), st.integers(0, 2**16))
def test_a_deeper_linear_network_computes_what_one_layer_does(depth: int, seed: int) -> None:
    """Reading 2, any added layers: those without nonlinearity bring nothing that one lacks."""
    network = nn.Sequential(*[nn.Linear(3, 3) for _ in range(depth)]).double()
    for number, parameter in enumerate(network.parameters()):
        values = integer_signal(tuple(parameter.shape), bound=3, seed=seed + number)
        parameter.data = torch.from_numpy(values)
    one = affine_map(network, (3,))
    layer = nn.Linear(3, 3).double()
    layer.weight.data, layer.bias.data = torch.from_numpy(one.matrix), torch.from_numpy(one.offset)
    x = torch.from_numpy(integer_signal((5, 3), seed=seed))
    with torch.no_grad():
        assert torch.equal(network(x), layer(x))


@settles("nn4i-2023-a1-q1c-deeper-expectation", verdict="undecided")
@settings(max_examples=40)
@given(st.integers(1, 5), st.integers(0, 2**16))
def test_an_added_layer_with_pooling_can_lose_what_the_shallower_network_sees(
    filters: int, seed: int
) -> None:
    """Reading 2 again: one linear layer tells (1, 0) from (0, 1), at its two cells.

    Behind a convolution with 1x1 kernels, ReLU and pooling over both cells the two are the same,
    whatever the weights, for all that comes later: each filter treats the cells alike.
    """
    left, right = torch.tensor([[[1.0, 0.0]]]).double(), torch.tensor([[[0.0, 1.0]]]).double()
    layer = nn.Conv1d(1, filters, 1).double()
    layer.weight.data = torch.from_numpy(integer_signal((filters, 1, 1), seed=seed))
    layer.bias = nn.Parameter(torch.from_numpy(integer_signal(filters, seed=seed + 1)))
    deeper = nn.Sequential(layer, nn.ReLU(), nn.MaxPool1d(2))
    with torch.no_grad():
        assert torch.equal(deeper(left), deeper(right))

    w, b, x, y = z3.Reals("w b x y")
    on, off = (maximum(w * cell + b, 0) for cell in (x, y))
    assert holds_always(maximum(on, off) == maximum(off, on))
    shallow = nn.Linear(2, 1, bias=False).double()
    shallow.weight.data = torch.tensor([[1.0, -1.0]]).double()
    assert shallow(left).item() > 0 > shallow(right).item()
