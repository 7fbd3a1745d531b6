"""Chapter 2, flattening: the order in front of a fully connected layer, which it cannot see.

It is a relabelling: with P a permutation, Wx = (W P')(P x), and training keeps it so.

What passing does not prove: anything about layers after the flattening that are not fully
connected (a 1-D convolution does see the order), about optimisers that mix the gradients of
different weights, or about rounding, which does depend on the order of a sum.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import permutations, product
from typing import TYPE_CHECKING

import numpy as np
import pytest
import sympy

from theory.ledger import settles

if TYPE_CHECKING:
    from collections.abc import Iterable

PERMUTATIONS = [list(order) for order in permutations(range(4))]


def _train(
    W: np.ndarray, inputs: np.ndarray, targets: np.ndarray, steps: int = 3
) -> tuple[np.ndarray, list[list[Fraction]]]:
    """Train a dense layer exactly, by gradient descent with momentum on half the squared error.

    Returns the weights and what the layer said before each step.
    """
    rate, momentum = Fraction(1, 8), Fraction(1, 2)
    velocity, outputs = 0 * W, []
    for step in range(steps):
        x, target = inputs[step % len(inputs)], targets[step % len(inputs)]
        y = W @ x
        outputs.append(y.tolist())
        velocity = momentum * velocity - rate * np.outer(y - target, x)
        W = W + velocity
    return W, outputs


def _exact(values: list[list[int]]) -> np.ndarray:
    return np.array([[Fraction(value) for value in row] for row in values])


WEIGHTS = _exact([[1, -2, 0, 3], [2, 1, -1, 0]])
INPUTS = _exact([[1, 2, 3, 5], [-1, 0, 4, 2]])
TARGETS = _exact([[1, 0], [0, 2]])


@settles(
    "nni-2023-ex1-t2-flatten-order",
    verdict="holds_if",
    certainty="proved",
    condition="It is one fixed order for all inputs, in training and in use, and the initial "
    "weights are permuted with it or drawn alike for all positions (i.i.d.; then the results agree "
    "in distribution).",
)
@settles(
    "nni-2023-ex1-t2-same-weights",
    verdict="holds_if",
    certainty="proved",
    condition="Training starts from the weights permuted in the same way and sees the same "
    "examples in the same order, with dropout masks, if there are any, that are permuted too; from "
    "other initial weights it may end with other weights.",
)
@settles("nn4i-2023-a1-t2-order-matters", verdict="refuted", certainty="refuted")
@pytest.mark.parametrize("order", PERMUTATIONS, ids=str)
def test_a_permuted_layer_and_its_training_are_the_same(order: list[int]) -> None:
    """One step of gradient descent, with symbolic entries, commutes with permuting the input.

    If the outputs agree, so do their errors g; then W - rate * g x' permutes like W, and the
    outputs agree again: by induction over the steps, whatever the loss. The map receives the same
    gradient W'g, so the layers before it train alike.
    """
    W, g = sympy.Matrix(2, 4, sympy.symbols("w:8")), sympy.Matrix(sympy.symbols("g:2"))
    x, rate = sympy.Matrix(sympy.symbols("x:4")), sympy.Symbol("rate")
    P = sympy.eye(4)[order, :]

    assert sympy.expand((W * P.T) * (P * x)) == sympy.expand(W * x)
    stepped, permuted = W - rate * g * x.T, W * P.T - rate * g * (P * x).T
    assert sympy.expand(permuted - stepped * P.T) == sympy.zeros(2, 4)
    assert sympy.expand(P.T * (W * P.T).T * g) == sympy.expand(W.T * g)


@settles(
    "nn4i-2023-a1-t2-order-matters",
    verdict="refuted",
    certainty="refuted",
    correction="For a fully connected layer the order is a relabelling: from correspondingly "
    "permuted initial weights every step gives the permuted weights and the same outputs; from "
    "weights drawn independently and alike for all positions, the same distribution of both. So "
    "neighbours that stay adjacent bring nothing.",
)
@pytest.mark.parametrize("order", PERMUTATIONS, ids=str)
def test_no_order_of_flattening_learns_differently(order: list[int]) -> None:
    """Exact training with momentum: all 24 orders of a 2x2 map give the same outputs throughout."""
    weights, outputs = _train(WEIGHTS, INPUTS, TARGETS)
    permuted_weights, permuted_outputs = _train(WEIGHTS[:, order], INPUTS[:, order], TARGETS)

    assert permuted_outputs == outputs
    assert (permuted_weights == weights[:, order]).all()
    assert (weights != WEIGHTS).any()


@settles("nni-2023-ex1-t2-flatten-order", verdict="holds_if", certainty="exhausted")
@settles("nn4i-2023-a1-t2-order-matters", verdict="refuted", certainty="refuted")
def test_from_independent_weights_all_orders_give_the_same_distribution() -> None:
    """All 16 draws of four signs, trained in each order: as often the same outputs and weights.

    Drawn alike is not enough. Where neighbours in the vector start with one sign, four draws, the
    order that parts them learns differently: only those that keep both pairs agree.
    """

    def results(draws: Iterable[tuple[int, ...]], order: list[int]) -> Counter[str]:
        ends: Counter[str] = Counter()
        for signs in draws:
            W, outputs = _train(_exact([[*signs]]), INPUTS[:, order], TARGETS[:, :1])
            ends[str((outputs, W[:, np.argsort(order)].tolist()))] += 1
        return ends

    independent = list(product((-1, 1), repeat=4))
    tied = [(a, a, b, b) for a, b in product((-1, 1), repeat=2)]
    first, *_ = PERMUTATIONS
    assert all(results(independent, o) == results(independent, first) for o in PERMUTATIONS)
    same = [order for order in PERMUTATIONS if results(tied, order) == results(tied, first)]
    assert same == [order for order in PERMUTATIONS if {*order[:2]} in ({0, 1}, {2, 3})]


@settles("nni-2023-ex1-t2-same-weights", verdict="holds_if", certainty="exhausted")
def test_from_unpermuted_weights_training_may_end_elsewhere() -> None:
    """Here only the identity ends with the same weights, at whatever positions.

    Before training every order has them, for the initial weights are not permuted.
    """

    def rows(W: np.ndarray) -> list[list[Fraction]]:
        return [sorted(row) for row in W.tolist()]

    trained, _ = _train(WEIGHTS, INPUTS, TARGETS)
    ends = {tuple(order): _train(WEIGHTS, INPUTS[:, order], TARGETS)[0] for order in PERMUTATIONS}

    assert [order for order, end in ends.items() if rows(end) == rows(trained)] == [(0, 1, 2, 3)]


@settles(
    "nn4i-2023-a1-t2-adjacent-updates",
    verdict="undecided",
    condition="As it stands it is true, but of any two elements: a step of gradient descent "
    "updates all weights at once, but for those with an input or an error of 0 (with momentum or "
    "weight decay those too). Read as 'adjacency makes their updates alike', it is false: the "
    "gradient of the weight from input j to output o is g_o x_j, and which inputs are adjacent in "
    "the vector does not enter.",
)
def test_a_weight_is_updated_by_its_own_input_and_output_error() -> None:
    """The derivative of any loss by w[o, j] is its derivative by output o, times x[j].

    A step on the input (1, 2, 3, 5) updates all weights. A first step on an input with a 0 leaves
    a weight as it is, which momentum from an earlier step moves all the same. The witness against
    the second reading: of the input (1, 0, 0, 1), the ends are updated alike and the neighbours 0
    and 1 are not.
    """
    W, x = sympy.Matrix(2, 4, sympy.symbols("w:8")), sympy.Matrix(sympy.symbols("x:4"))
    loss, y = sympy.Function("loss"), sympy.symbols("y:2")
    outputs = dict(zip(y, W * x, strict=True))

    for o in range(2):
        error = sympy.diff(loss(*y), y[o])
        for j in range(4):
            slopes = [sympy.diff(outputs[each], W[o, j]) for each in y]
            chained = sum(sympy.diff(loss(*y), each) * d for each, d in zip(y, slopes, strict=True))
            assert sympy.expand(chained - error * x[j]) == 0

    stepped, _ = _train(WEIGHTS, INPUTS, TARGETS, steps=1)
    assert (stepped != WEIGHTS).all()
    twice, _ = _train(WEIGHTS, INPUTS, TARGETS, steps=2)
    alone, _ = _train(WEIGHTS, INPUTS[1:], TARGETS[1:], steps=1)
    assert INPUTS[1, 1] == 0
    assert (twice[:, 1] != stepped[:, 1]).all()
    assert (alone[:, 1] == WEIGHTS[:, 1]).all()
    stepped, _ = _train(WEIGHTS, _exact([[1, 0, 0, 1]]), TARGETS, steps=1)
    update = stepped - WEIGHTS
    assert (update[:, 0] == update[:, 3]).all()
    assert (update[:, 0] != update[:, 1]).all()
