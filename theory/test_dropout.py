"""Chapter 7, dropout: what it does to a linear unit, averaged over all of its masks.

A masked and rescaled input has the mean of the input and a variance of its own. The squared error
of a linear unit, averaged over masks, is therefore that without dropout and a penalty on the
weights, of strength p/(1-p) at rate p.

What passing does not prove: that a network of several layers is held back in the same way, or by
how much; in one, masks multiply. The trials decide what the mechanism can do and what it needs.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import sympy
import torch
import z3
from torch import nn

from theory.ledger import claims, settles
from theory.solver import holds_always
from theory.training_facts import accuracy_deviation, dropout_penalty, least_squares_map


def _dropped_loss(w: sympy.Matrix, x: sympy.Matrix, y: sympy.Expr, p: sympy.Expr) -> sympy.Expr:
    """Return the squared error of a linear unit, averaged over all masks of its rescaled inputs."""
    loss = sympy.Integer(0)
    for mask in product((0, 1), repeat=len(x)):
        chance = sympy.prod([1 - p if kept else p for kept in mask])
        kept = sum(k * a * b for k, a, b in zip(mask, w, x, strict=True))
        loss += chance * (y - kept / (1 - p)) ** 2
    return loss


@settles(
    "tp1-cnn-q31-dropout-interpretation",
    verdict="undecided",
    condition="Read as 'what is learned is held back', it is true of a linear unit, where dropout "
    "is a penalty on each weight, and the best weights, each times the size of its input, shrink "
    "taken together, though a single one may grow. Read as 'something learned is erased', it is "
    "false: a mask lasts one step, changes no weight, and at test all are used. As a picture of "
    "human learning it is an opinion.",
)
def test_dropout_penalises_the_weights_of_a_linear_unit() -> None:
    """Averaged over all masks the loss gains p/(1-p) times the sum of (w x)^2, for any w, x, y.

    Masked inputs are independent, so variances add and three inputs stand for any number. torch
    drops as in the formula: its mean loss over many masks lies within 5 deviations.
    """
    w, x = sympy.Matrix(sympy.symbols("w:3")), sympy.Matrix(sympy.symbols("x:3"))
    y, p = sympy.symbols("y p")
    penalty = p / (1 - p) * sum((a * b) ** 2 for a, b in zip(w, x, strict=True))
    assert sympy.cancel(_dropped_loss(w, x, y, p) - (y - w.dot(x)) ** 2 - penalty) == 0
    assert dropout_penalty(Fraction(3, 4)) == 3

    torch.manual_seed(0)
    inputs, weights = torch.tensor([1.0, -2, 3]), torch.tensor([2.0, 1, -1])
    masked = nn.Dropout(0.25)(inputs.expand(20_000, 3))
    losses = (1 - masked @ weights).square()
    expected = (1 - inputs @ weights) ** 2 + ((inputs * weights) ** 2).sum() / 3
    assert abs(losses.mean() - expected) < 5 * losses.std() / 20_000**0.5


@settles("tp1-cnn-q31-dropout-interpretation", verdict="undecided")
def test_the_best_weights_shrink_together_and_one_may_grow() -> None:
    """What is best under loss plus penalty has no larger penalty than what is best by loss alone.

    Two inputs that go together share the work: the second of the weights 1 and 0 becomes positive.
    If it is a tenth of the first in size, it becomes larger than 1, and so does the sum of squares
    of the weights: what shrinks is that of the products, at a half to 2/3.
    """
    loss, penalised, before, after, strength = z3.Reals("loss penalised before after strength")
    best = z3.And(
        strength > 0,
        loss <= penalised,
        penalised + strength * after <= loss + strength * before,
    )
    assert holds_always(z3.Implies(best, after <= before))

    together, c = sympy.Rational(1, 2), sympy.Symbol("c", positive=True)
    gram = sympy.Matrix([[1, together], [together, 1]])
    weights = (gram + c * sympy.eye(2)).inv() * gram * sympy.Matrix([1, 0])
    assert sympy.limit(weights[1], c, 0) == 0
    assert sympy.simplify(weights[1]).is_positive
    assert sympy.simplify(1 - weights.dot(weights)).subs(c, 1) > 0

    w, tenth = sympy.Matrix(sympy.symbols("w:2")), sympy.Rational(1, 10)
    pairs = [(1, 1)] * 3 + [(1, -1)] + [(-1, -1)] * 3 + [(-1, 1)]  # correlated by a half
    half = sympy.Rational(1, 2)
    examples = [sympy.Matrix([a, b * tenth]) for a, b in pairs]
    dropped = sum(_dropped_loss(w, x, x[0], half) for x in examples)
    (best,) = sympy.solve([sympy.diff(dropped, each) for each in w], list(w), dict=True)
    first, second = best[w[0]], best[w[1]]
    assert (first, second) == (sympy.Rational(7, 15), sympy.Rational(4, 3))
    assert first**2 + second**2 > 1 > first**2 + (second * tenth) ** 2


@settles("tp1-cnn-q31-dropout-interpretation", verdict="undecided")
def test_dropout_erases_nothing() -> None:
    """A masked step leaves the dropped weights exactly as they were, and evaluation uses all."""
    torch.manual_seed(0)
    unit = nn.Sequential(nn.Dropout(0.5), nn.Linear(64, 1, bias=False))
    weight = next(unit.parameters())
    before = weight.detach().clone()
    inputs = torch.ones(1, 64)
    (unit(inputs) - 100).square().sum().backward()
    assert weight.grad is not None
    dropped = weight.grad == 0
    torch.optim.SGD(unit.parameters(), lr=0.01).step()

    assert 0 < int(dropped.sum()) < 64
    assert torch.equal(weight == before, dropped)
    assert torch.equal(unit.eval()(inputs), unit[1](inputs))


@settles(
    "tp1-cnn-q32-rate",
    verdict="holds_if",
    certainty="proved",
    condition="The rate is each unit's probability, the ratio only on average. A high rate "
    "underfits where few units carry a feature: of m that carry the same one, rate p leaves the "
    "share m / (m + p/(1 - p)) of the best fit, which is near 1 once m is large against p/(1 - p). "
    "A small rate leaves the overfitting that there is without dropout: of a linear fit to "
    "orthogonal features, the share 1 - p of the gap between new and training error. Of correlated "
    "ones it leaves less: of d features of which two are close enough, about (d - 1)/d or less, "
    "however small the rate (half of two).",
)
def test_a_rate_shrinks_the_fit_unless_many_units_carry_the_same_feature() -> None:
    """The best common weight v of m copies of x: the loss is convex and symmetric in the copies.

    One unit keeps 1 - p of its fit. So 0.9 leaves a tenth of it with one unit, and 99% with 891.
    For two copies the minimum over both weights is solved for; it is the common one.
    """
    m, p, x, y, v = sympy.symbols("m p x y v", positive=True)
    r = p / (1 - p)
    (best,) = sympy.solve(sympy.diff((y - m * v * x) ** 2 + r * m * (v * x) ** 2, v), v)
    share = sympy.cancel(m * best * x / y)
    assert sympy.cancel(share - m / (m + r)) == 0
    assert sympy.cancel(share.subs(m, 1) - (1 - p)) == 0
    assert share.subs({m: 891, p: sympy.Rational(9, 10)}) == sympy.Rational(99, 100)
    assert sympy.limit(share, p, 1, "-") == 0
    assert sympy.limit(share, p, 0, "+") == 1

    w = sympy.Matrix(sympy.symbols("w:2"))
    loss = _dropped_loss(w, sympy.Matrix([x, x]), y, p)
    (solution,) = sympy.solve([sympy.diff(loss, each) for each in w], list(w), dict=True)
    assert all(sympy.cancel(solution[each] - best.subs(m, 2)) == 0 for each in w)


@settles("tp1-cnn-q32-rate", verdict="holds_if", certainty="proved")
def test_a_small_rate_leaves_the_gap_that_there_is_without_dropout() -> None:
    """Rate p leaves 1 - p of it, where the features are orthogonal over the examples.

    A fit that makes H y of targets y has the gap 2 trace(H) / n, whatever H is: on noise y of
    variance 1 the seen error is |y|² - 2 y'Hy + |Hy|², the new one n + |Hy|², and the mean of y'Hy
    is the trace. Averaged over all masks the loss gains p/(1-p) times the square of each weight and
    of its column's norm, which divides that column's share of the trace, 1, by 1 + p/(1-p).
    """
    H = sympy.Matrix(3, 3, sympy.symbols("h:9"))
    gap = sympy.Integer(0)
    for signs in product((1, -1), repeat=3):
        y = sympy.Matrix(signs)
        gap += (3 + (H * y).dot(H * y) - (y - H * y).dot(y - H * y)) / 3 / 8
    assert sympy.expand(gap - 2 * H.trace() / 3) == 0

    p = sympy.Symbol("p", positive=True)
    X = sympy.Matrix([[1, 2], [1, -2], [1, 2], [1, -2]]) / 2  # columns of norms 1 and 2
    scaled = X * sympy.diag(1, sympy.Rational(1, 2))  # so that one penalty stands for both
    w, y = sympy.Matrix(sympy.symbols("w:2")), sympy.Matrix(sympy.symbols("y:4"))
    dropped = sum(_dropped_loss(w, X[i, :], y[i], p) for i in range(4))
    penalty = p / (1 - p) * (w[0] ** 2 + (2 * w[1]) ** 2)
    assert sympy.cancel(dropped - (y - X * w).dot(y - X * w) - penalty) == 0
    with_dropout = (scaled * least_squares_map(scaled, p / (1 - p))).trace()
    without = (X * least_squares_map(X)).trace()
    assert without == 2
    assert sympy.cancel(with_dropout - (1 - p) * without) == 0
    assert sympy.limit(with_dropout, p, 0, "+") == without


@settles("tp1-cnn-q32-rate", verdict="holds_if", certainty="proved")
def test_of_correlated_features_dropout_leaves_less_of_the_gap() -> None:
    """With r = p/(1-p), each eigenvalue v of their correlations leaves v / (v + r) of its share.

    That curve lies below its tangent at 1, and the d eigenvalues of independent features are 1 on
    average: the sum is at most d / (1 + r), that is d (1 - p), and less unless all are 1. Two
    features of correlation c, by the masks: at c = 1 even the smallest rate would halve the gap. A
    third one that is orthogonal to both keeps its share, so that 2/3 would be left.
    """
    v, r = z3.Reals("v r")
    below = v / (v + r) <= 1 / (1 + r) + r * (v - 1) / ((1 + r) * (1 + r))
    touches = v / (v + r) == 1 / (1 + r) + r * (v - 1) / ((1 + r) * (1 + r))
    assert holds_always(z3.Implies(z3.And(v > 0, r > 0), below))
    assert holds_always(z3.Implies(z3.And(v > 0, r > 0), touches == (v == 1)))

    p, c = sympy.symbols("p c", positive=True)
    X = sympy.Matrix([[1, c], [0, sympy.sqrt(1 - c**2)]])  # columns of norm 1
    w, y = sympy.Matrix(sympy.symbols("w:2")), sympy.Matrix(sympy.symbols("y:2"))
    dropped = sum(_dropped_loss(w, X[i, :], y[i], p) for i in range(2))
    penalty = p / (1 - p) * w.dot(w)
    assert sympy.cancel(dropped - (y - X * w).dot(y - X * w) - penalty) == 0
    share = sympy.cancel((X * least_squares_map(X, p / (1 - p))).trace() / 2)
    assert share.subs(c, 0).equals(1 - p)
    assert share.subs({c: sympy.Rational(3, 5), p: sympy.Rational(1, 2)}) == sympy.Rational(41, 91)
    assert sympy.limit(share.subs(c, 1), p, 0, "+") == sympy.Rational(1, 2)

    three = sympy.diag(X, 1)
    share = sympy.cancel((three * least_squares_map(three, p / (1 - p))).trace() / 3)
    assert sympy.limit(share.subs(c, 1), p, 0, "+") == sympy.Rational(2, 3)


@settles("tp1-cnn-q32-rate", verdict="holds_if", certainty="exhausted")
def test_the_ratio_of_dropped_units_is_the_rate_on_average_only() -> None:
    """Of 4 units at rate 1/2 exactly half are dropped by 6 masks of 16; of 2048 at 0.05 never."""
    dropped = [sum(mask) for mask in product((0, 1), repeat=4)]
    assert Fraction(sum(dropped), 16 * 4) == Fraction(1, 2)
    assert dropped.count(2) == 6
    assert (2048 * Fraction(1, 20)).denominator != 1

    torch.manual_seed(0)
    ratios = {float((nn.Dropout(0.5)(torch.ones(64)) == 0).float().mean()) for _ in range(50)}
    assert len(ratios) > 5


@settles(
    "assignment-3-3c-dropout-explanation",
    verdict="undecided",
    condition="If 'too low' means that the noise is weak, it is true: at 0.05 a unit's penalty is "
    "1/19 of that at 0.5. If 'dropping a layer' is meant literally, it is false: single values are "
    "dropped, and all 2048 at once never. That a higher rate would have helped, only training runs "
    "can tell.",
)
def test_a_rate_of_a_twentieth_is_a_nineteenth_of_the_usual_penalty() -> None:
    """The strength is p/(1 - p): 1/19 against 1, and it falls to 0 with the rate.

    The chance that a whole map of even 64 values is dropped is below 10^-83; in torch a dropped
    map would be all zero, and at this rate the share of zeros is a twentieth of the values.
    """
    assert claims()["assignment-3-3c-dropout-explanation"].reported == {"p": 1 / 20}
    assert dropout_penalty(Fraction(1, 20)) / dropout_penalty(Fraction(1, 2)) == Fraction(1, 19)
    assert dropout_penalty(Fraction(1, 1000)) < Fraction(1, 998)
    assert Fraction(1, 20) ** 64 < Fraction(1, 10**83)

    torch.manual_seed(0)
    zeros = nn.Dropout(0.05)(torch.ones(200, 2048)) == 0
    assert not zeros.all(1).any()
    assert not zeros.all(0).any()
    share = zeros.double().mean().item()
    assert abs(share - 0.05) < 5 * accuracy_deviation(0.05, zeros.numel())
