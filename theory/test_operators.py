"""Chapter 2: which layers are linear, which commute with translations, and which do neither.

An operator f is *linear* if f(ax + by) = a f(x) + b f(y), *affine* if f - f(0) is linear, and
*shift-equivariant* if f(Sx) = S f(x) for every translation S; linear and equivariant is LTI. The
smallest translation that f passes on is its *period*: 1 for an equivariant operator, the stride for
a pooling layer. Equivariant (the output moves with the input) is not invariant (the output stays).

============================  ======  ======  ===========================
operator                      linear  affine  period
============================  ======  ======  ===========================
ReLU                          no      no      1
bias, one number              no      yes     1
bias, a map                   no      yes     none in general
strided pooling, fixed pixel  yes     yes     the stride
max pooling                   no      no      the stride
average pooling               yes     yes     the stride
fully connected               yes     yes     none in general
============================  ======  ======  ===========================

What passing does not prove: signals are circular and a stride divides their length, so nothing is
said about padded borders; values are integers or reals, so nothing about rounding or NaN; and which
layers are linear says nothing about how well a network without the others learns.
"""

from __future__ import annotations

from functools import partial
from itertools import permutations, product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import sympy
import torch
import z3
from torch import nn

from theory import diagnose
from theory.exhaustion import grid, period, shift, signal
from theory.ledger import claims, settles
from theory.operators import (
    add_bias,
    average_pool,
    dropout,
    fully_connected,
    max_pool,
    relu,
    strided_pool,
)
from theory.solver import holds_always, maximum

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Operator = Callable[[Tensor], Tensor]
    Signal = Callable[[sympy.Expr], sympy.Expr]


CORNER = torch.diag(signal(1, 0, 0, 0))
CIRCULANT = torch.stack([shift(signal(1, 2, 0, 5), by) for by in range(4)], 1)


@pytest.mark.parametrize(
    ("op", "linear", "affine", "smallest"),
    [
        pytest.param(relu, False, False, 1, id="relu"),
        pytest.param(partial(add_bias, bias=3), False, True, 1, id="bias"),
        pytest.param(partial(add_bias, bias=signal(1, 0, 0, 0)), False, True, None, id="bias map"),
        pytest.param(partial(strided_pool, stride=2), True, True, 2, id="strided pool"),
        pytest.param(partial(max_pool, size=2, stride=2), False, False, 2, id="max pool"),
        pytest.param(partial(max_pool, size=2, stride=1), False, False, 1, id="unstrided max"),
        pytest.param(partial(average_pool, size=2, stride=2), True, True, 2, id="average pool"),
        pytest.param(partial(average_pool, size=2, stride=1), True, True, 1, id="unstrided mean"),
        pytest.param(partial(fully_connected, matrix=CORNER), True, True, None, id="dense"),
        pytest.param(partial(fully_connected, matrix=CIRCULANT), True, True, 1, id="circulant"),
    ],
)
def test_each_operator_is_what_the_table_says(
    op: Operator, linear: bool, affine: bool, smallest: int | None
) -> None:
    """`diagnose` reads the table off each operator, and so does exhaustion over small integers."""
    signals = grid(4)
    found = diagnose(op, (4,))

    assert found.linear.holds is linear
    assert found.affine.holds is affine
    assert found.period == (smallest,)
    assert found.shift_equivariant.holds is (smallest == 1)
    assert found.lti.holds is (linear and smallest == 1)
    for finding in (found.linear, found.affine, found.shift_equivariant):
        assert (finding.certainty == "refuted") is (not finding.holds)
        if finding.witness is not None:
            left, right = finding.witness.replay(op)
            assert not np.array_equal(left, right)

    zero = op(signals[0] * 0)
    additive = all(
        torch.equal(op(x + y) + zero, op(x) + op(y)) for x, y in product(grid(4, (-1, 1)), signals)
    )
    assert additive is affine
    assert (additive and not zero.any()) is linear
    assert period(op, signals) == smallest


@pytest.mark.parametrize(
    ("ours", "layer"),
    [
        (relu, nn.ReLU()),
        (partial(max_pool, size=2, stride=2), nn.MaxPool2d(2)),
        (partial(average_pool, size=2, stride=2), nn.AvgPool2d(2)),
        (partial(max_pool, size=3, stride=3), nn.MaxPool2d(3)),
    ],
)
def test_the_definitions_are_those_of_torch(ours: Operator, layer: nn.Module) -> None:
    """On integer images the definitions of this chapter and torch's layers agree exactly."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        image = torch.randint(-9, 10, (6, 12), generator=generator).double()
        assert torch.equal(ours(image), layer(image[None, None])[0, 0])


@settles("nni-2023-ex1-q2-relu-definition", verdict="holds", certainty="proved")
@pytest.mark.parametrize("implementation", [relu, torch.relu])
def test_relu_zeroes_the_negative_and_keeps_the_positive(implementation: Operator) -> None:
    """max(x, 0) does for every real x; both functions, on every 16-bit floating-point number."""
    real = z3.Real("real")
    assert holds_always(z3.Implies(real < 0, maximum(real, 0) == 0))
    assert holds_always(z3.Implies(real > 0, maximum(real, 0) == real))

    bits = torch.arange(-(2**15), 2**15).to(torch.int16)
    x = bits.view(torch.float16)
    x = x[~x.isnan()]

    assert len(x) == 2**16 - 2 * (2**10 - 1)
    assert (implementation(x[x < 0]) == 0).all()
    assert torch.equal(implementation(x[x > 0]), x[x > 0])


@settles("nni-2023-ex1-t3a-relu", verdict="holds", certainty="proved")
@settles("nni-2023-ex1-t3a-relu-example", verdict="holds", certainty="exhausted")
def test_a_negative_factor_does_not_pass_through_relu() -> None:
    """ReLU(cx) = c ReLU(x) for every c >= 0 and fails for every c < 0 unless x = 0: not linear.

    One cell holding 1 and the factor -1 are the smallest witness; so are 1 and -1 for additivity.
    """
    c, x = z3.Reals("c x")
    fails = maximum(c * x, 0) != c * maximum(x, 0)
    assert holds_always(z3.Implies(c >= 0, z3.Not(fails)))
    assert holds_always(z3.Implies(c < 0, fails == (x != 0)))

    printed = claims()["nni-2023-ex1-t3a-relu-example"].reported
    assert [relu(signal(-3 * 5)).item(), -3 * relu(signal(5)).item()] == printed == [0, -15]
    assert (relu(signal(-1)).item(), -1 * relu(signal(1)).item()) == (0, -1)
    assert (relu(signal(1 - 1)).item(), (relu(signal(1)) + relu(signal(-1))).item()) == (0, 1)
    for finding in (diagnose(relu, (3,)).homogeneous, diagnose(relu, (3,)).additive):
        assert finding.witness is not None
        assert {np.count_nonzero(part) for part in finding.witness.inputs} == {1}


@settles("nn4i-2023-a1-t3a-relu", verdict="holds", certainty="proved")
def test_what_acts_on_each_value_alone_commutes_with_every_shift() -> None:
    """f(Sx)[i] = phi(x[i - k]) = S f(x)[i], whatever phi is; ReLU is such an f, and not linear."""
    phi, x = sympy.Function("phi"), sympy.IndexedBase("x")
    i, k = sympy.symbols("i k", integer=True)

    def commutes(value_at: Callable[[sympy.Expr, sympy.Expr], sympy.Expr]) -> bool:
        """Whether f S = S f, where f takes value_at of each position and the value there."""

        def f(signal: Signal) -> Signal:
            return lambda position: value_at(position, signal(position))

        def shifted(signal: Signal) -> Signal:
            return lambda position: signal(position - k)

        return f(shifted(x.__getitem__))(i) == shifted(f(x.__getitem__))(i)

    assert commutes(lambda position, value: phi(value))
    assert not commutes(lambda position, value: phi(position, value))

    for values, order in product(grid(4), permutations(range(4))):
        assert relu(values).tolist() == [relu(value).item() for value in values]
        assert torch.equal(relu(values[list(order)]), relu(values)[list(order)])
    found = diagnose(relu, (4,))
    assert (found.linear.holds, found.shift_equivariant.holds) == (False, True)


@settles(
    "mnist-2017-t2-relu-derivative",
    verdict="holds_if",
    certainty="proved",
    condition="The argument is not 0, where ReLU has no derivative: the slopes from the two sides "
    "are 0 and 1, and what a library takes there depends on how ReLU is written (torch: 0 for "
    "relu, 1/2 for maximum, and for clamp 1 up to PyTorch 2.13 and 0 since).",
)
def test_the_slope_of_relu_is_zero_or_one_except_at_zero() -> None:
    """Near x != 0 the difference quotient is constant: 1 if x > 0, else 0. At 0 it is either."""
    x, h = z3.Reals("x h")
    rise = maximum(x + h, 0) - maximum(x, 0)
    slope = z3.If(x > 0, h, 0)
    assert holds_always(z3.Implies(z3.Abs(h) < z3.Abs(x), rise == slope))
    assert holds_always(z3.Implies(z3.And(x == 0, h > 0), rise == h))
    assert holds_always(z3.Implies(z3.And(x == 0, h < 0), rise == 0))


@settles(
    "nni-2023-ex1-t3c-bias",
    verdict="holds_if",
    certainty="proved",
    condition="The bias is not zero: f(x) + f(y) - f(x + y) is exactly b.",
)
@settles(
    "nn4i-2023-a1-t3c-bias",
    verdict="refuted",
    certainty="refuted",
    correction="It is the other way round: adding a non-zero bias is affine, not linear, and as "
    "long as the same number is added at every position it commutes with every translation.",
)
def test_a_bias_is_affine_and_linear_only_if_it_is_zero() -> None:
    """The defect of additivity is b itself, and f(0) = b: the zero signal is the witness."""
    x, y, b = sympy.symbols("x y b")

    f = partial(add_bias, bias=b)
    assert [f(x) + f(y), f(x + y)] == [x + y + 2 * b, x + y + b]
    assert sympy.expand(f(x) + f(y) - f(x + y)) == b
    found = diagnose(partial(add_bias, bias=3), (4,))
    assert found.affine.holds is True
    assert found.linear.holds is False
    assert found.offset is not None
    assert found.offset.tolist() == [3, 3, 3, 3]
    assert diagnose(partial(add_bias, bias=0), (4,)).linear.holds


@settles(
    "nn4i-2023-a1-t3c-bias-reason",
    verdict="refuted",
    certainty="refuted",
    correction="Shifting the input of x + b shifts the output and changes nothing else, because "
    "the constant is the same everywhere: the output moves with the input, which is what "
    "shift-equivariance (the TI of LTI) asks. Only a bias that varies with position breaks it.",
)
@settles("nn4i-2023-a1-t3c-bias", verdict="refuted", certainty="refuted")
@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
def test_a_bias_commutes_with_shifts_exactly_if_it_is_constant(n: int) -> None:
    """f(Sx) - S f(x) = b - Sb for every x, which vanishes only where all entries of b are equal."""
    x, b = sympy.symbols(f"x:{n}"), sympy.symbols(f"b:{n}")
    defects = [
        sympy.expand((x[i - 1] + b[i]) - (x[i - 1] + b[i - 1]))  # f(Sx)[i] - (S f(x))[i]
        for i in range(n)
    ]

    assert defects == [b[i] - b[i - 1] for i in range(n)]
    (solution,) = sympy.linsolve(defects, b)
    assert set(solution) == {b[-1]}


@settles(
    "nni-2023-ex1-q2-nonlinear-components",
    "nn4i-2023-a1-q2-components",
    verdict="holds_if",
    certainty="proved",
    condition="Affine layers count as linear: convolutions and fully connected layers carry "
    "biases, and adding a bias is not linear either.",
)
def test_convolutions_and_dense_layers_are_affine_and_relu_and_max_pooling_are_not() -> None:
    """An affine f has f(x) + f(-x) = 2 f(0): ReLU and max pooling break this in one cell."""
    torch.manual_seed(0)
    layers = {
        "convolution": (nn.Conv2d(1, 2, 3), (1, 4, 4)),
        "dense": (nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), (1, 4, 4)),
        "relu": (nn.ReLU(), (1, 4, 4)),
        "max pooling": (nn.MaxPool2d(2), (1, 4, 4)),
    }
    found = {name: diagnose(layer, shape) for name, (layer, shape) in layers.items()}
    assert {name: (f.affine.holds, f.linear.holds) for name, f in found.items()} == {
        "convolution": (True, False),
        "dense": (True, False),
        "relu": (False, False),
        "max pooling": (False, False),
    }
    assert {found[name].affine.certainty for name in ("convolution", "dense")} == {"proved"}

    for op in (relu, partial(max_pool, size=2, stride=2)):
        x = signal(1, 0)
        assert not torch.equal(op(x) + op(-x), 2 * op(0 * x))


@settles(
    "mnist-2017-q2-linearised",
    verdict="holds_if",
    certainty="proved",
    condition="'More linear' is read as 'affine': with no other non-linear layer left, the whole "
    "map from the image to the class scores is affine, not only closer to linear.",
)
def test_affine_layers_in_a_row_are_one_affine_layer() -> None:
    """A2 (A1 x + b1) + b2 = (A2 A1) x + (A2 b1 + b2), whatever the sizes of the matrices."""
    n0, n1, n2 = sympy.symbols("n:3", positive=True, integer=True)
    A1, A2 = sympy.MatrixSymbol("A1", n1, n0), sympy.MatrixSymbol("A2", n2, n1)
    b1, b2 = sympy.MatrixSymbol("b1", n1, 1), sympy.MatrixSymbol("b2", n2, 1)
    x = sympy.MatrixSymbol("x", n0, 1)
    assert sympy.expand(A2 * (A1 * x + b1) + b2) == A2 * A1 * x + A2 * b1 + b2

    def network(activation: type[nn.Module], pool: type[nn.Module], bias: bool) -> Any:
        torch.manual_seed(0)
        convs = [nn.Conv2d(1, 2, 3, padding=1, bias=bias), nn.Conv2d(2, 2, 3, bias=bias)]
        return nn.Sequential(convs[0], activation(), pool(2), convs[1], nn.Flatten())

    shape = (1, 6, 6)
    assert diagnose(network(nn.Identity, nn.AvgPool2d, bias=False), shape).linear.holds
    linearised = diagnose(network(nn.Identity, nn.AvgPool2d, bias=True), shape)
    assert (linearised.affine.holds, linearised.affine.certainty) == (True, "proved")
    assert linearised.linear.holds is False
    assert diagnose(network(nn.ReLU, nn.AvgPool2d, bias=True), shape).affine.holds is False
    assert diagnose(network(nn.Identity, nn.MaxPool2d, bias=True), shape).affine.holds is False


@settles(
    "tp1-cnn-q33-test",
    verdict="holds_if",
    certainty="proved",
    condition="The kept activations are divided by 1 - rate in training (or all are multiplied by "
    "it at test time); otherwise the next layer's mean input at test is 1/(1 - rate) times that of "
    "training. Even so only the means before the next non-linearity agree; that all units are used "
    "at test is the convention, not a consequence.",
)
def test_dropout_keeps_the_mean_only_if_it_rescales() -> None:
    """Over all masks, mask * x / (1 - p) has the mean x, and mask * x the mean (1 - p) x.

    Expectation is linear, so three cells stand for any number. Through a ReLU means do not pass:
    of 1 and 1, dropped with probability 1/2 and weighted by 1 and -1, it makes 1/2 in training and
    0 at test.
    """
    p = sympy.Symbol("p")
    x = sympy.Matrix(sympy.symbols("x:3"))
    mean = sympy.zeros(3, 1)
    for mask in product((0, 1), repeat=3):
        probability = sympy.prod([1 - p if kept else p for kept in mask])
        mean += probability * sympy.Matrix([k * value for k, value in zip(mask, x, strict=True)])
    assert (mean / (1 - p) - x).applyfunc(sympy.cancel) == sympy.zeros(3, 1)
    assert (mean - (1 - p) * x).applyfunc(sympy.expand) == sympy.zeros(3, 1)

    outputs = [relu(2 * (signal(*mask) @ signal(1, -1))) for mask in product((0, 1), repeat=2)]
    assert sum(outputs) / 4 == 1 / 2
    assert relu(signal(1, 1) @ signal(1, -1)) == 0

    ones = torch.ones(1000, dtype=torch.float64)
    dropped = dropout(ones, 0.75, torch.Generator().manual_seed(0))
    assert set(dropped.tolist()) == {0, 4}
    deviation = (1000 * 3 / 16) ** 0.5
    assert abs(int((dropped == 0).sum()) - 750) < 5 * deviation
    assert set(nn.Dropout(0.75)(ones).tolist()) <= {0, 4}
    assert torch.equal(nn.Dropout(0.75).eval()(ones), ones)
    assert diagnose(partial(dropout, rate=0.5), (8,)).deterministic.holds is False
