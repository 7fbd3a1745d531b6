"""Chapter 6, one linear layer: what it can add up, and what it costs.

The sum of two digits is the largest of 19 scores, each linear in what stands for the digits. A
layer on a vector costs in proportion to its length, and learns labels by heart once that is long
enough; a linear support vector machine on word counts is such a layer.

What passing does not prove: that training finds the weights that are written down here, or what a
layer behind others needs.
"""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
import sympy
import torch
import z3
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from theory.digit_sums import pairs_of_digits, sum_head
from theory.ledger import settles
from theory.parameters import conv_parameters, linear_parameters
from theory.solver import holds_always

# Two digits


@settles(
    "mnist-2017-q5-linear-sum-head",
    verdict="holds_if",
    certainty="proved",
    condition="The sum is read off as the largest of the 19 outputs (no fully connected layer "
    "gives the 0/1 vector of the target itself), and an affine map of each half gives the value "
    "of its digit to within less than 1/4 (exactly, wherever the ten representations are affinely "
    "independent); ten representations that only differ may not do.",
)
@pytest.mark.parametrize("base", [2, 3, 10])
def test_one_layer_scores_the_true_sum_highest(base: int) -> None:
    """The score 2 k s - k² of the sum k is below that of the true sum s by (s - k)², at least 1."""
    k, s = sympy.symbols("k s")
    assert sympy.expand((2 * s * s - s**2) - (2 * k * s - k**2) - (s - k) ** 2) == 0

    # Both halves off by less than 1/4: the lead over a sum that differs by d is d² + 2 d (e + f).
    d, e, f = z3.Reals("d e f")
    near, other = z3.And(*(z3.Abs(each) < z3.Q(1, 4) for each in (e, f))), z3.Or(d >= 1, d <= -1)
    assert holds_always(z3.Implies(z3.And(near, other), d * d + 2 * d * (e + f) > 0))
    assert not holds_always(z3.Implies(other, d * d + 2 * d * (e + f) > 0))

    layer = nn.Linear(2 * base, 2 * base - 1).double()
    weight, bias = sum_head(base)
    layer.weight.data, layer.bias.data = map(torch.from_numpy, (weight * 1.0, bias * 1.0))
    inputs, sums = pairs_of_digits(np.eye(base))
    with torch.no_grad():
        scores = layer(torch.from_numpy(inputs))
    assert scores.argmax(1).tolist() == sums.tolist()
    best, second = scores.topk(2).values.unbind(1)
    assert torch.equal(best - second, torch.ones(base**2).double())


@settles("mnist-2017-q5-linear-sum-head", verdict="holds_if", certainty="proved")
def test_affinely_independent_codes_give_their_values_exactly() -> None:
    """An affine map meets as many values as there are codes: the system has an inverse.

    Three digits in a plane, in symbols; their determinant is zero only where they lie on a line.
    """
    codes, values = sympy.Matrix(3, 2, sympy.symbols("c:6")), sympy.Matrix(sympy.symbols("v:3"))
    system = codes.row_join(sympy.ones(3, 1))
    reached = system * (system.adjugate() * values) - system.det() * values
    assert reached.expand() == sympy.zeros(3, 1)
    corner = dict(zip(codes, (0, 0, 1, 0, 0, 1), strict=True))
    assert system.det().subs(corner) == 1


@settles("mnist-2017-q5-linear-sum-head", verdict="holds_if", certainty="proved")
def test_no_layer_gives_the_indicator_of_the_sum() -> None:
    """Any u(a) + v(b) takes the same sum over (0,0), (1,1) as over (0,1), (1,0).

    The indicator of the sum 1 is 0 and 0 on the former and 1 and 1 on the latter; so however large
    the representation, one of the four outputs is wrong by 1/2 or more.
    """
    u0, u1, v0, v1 = z3.Reals("u0 u1 v0 v1")
    outputs = {(a, b): (u0, u1)[a] + (v0, v1)[b] for a, b in product((0, 1), repeat=2)}
    near = [z3.Abs(value - int(a + b == 1)) < z3.Q(1, 2) for (a, b), value in outputs.items()]
    assert holds_always(z3.Not(z3.And(*near)))
    assert not holds_always(z3.Not(z3.And(*near[1:])))


@settles("mnist-2017-q5-linear-sum-head", verdict="holds_if", certainty="exhausted")
def test_digits_that_are_only_told_apart_may_not_be_added() -> None:
    """The smallest: three digits on a line, at 0, 2 and 1. The pairs of sum 2 surround (1, 1).

    The code (1, 1) means 2 and 2. It is the mean of the three codes of sum 2, so that their scores
    for 4 cannot all be below those for 2 while its own is above. In their natural places the three
    are added.
    """
    codes, sums = pairs_of_digits(np.array([[0], [2], [1]]))
    (four,) = codes[sums == 4]
    assert len(codes[sums == 2]) == 3
    assert np.array_equal(codes[sums == 2].sum(0), 3 * four)

    weight, bias = sum_head(3)
    values, sums = pairs_of_digits(np.arange(3)[:, None])
    scores = values @ weight[:, [1, 4]].T + bias
    assert scores.argmax(1).tolist() == sums.tolist()


# Its size


@settles("nn4i-2023-a1-t2-long-vector", verdict="holds", certainty="proved")
def test_a_dense_layer_costs_in_proportion_to_the_vector() -> None:
    """On n features, m outputs take m (n + 1) parameters and m n MACs, thrice that in training.

    A MAC is two FLOPs as torch counts them. In training each image costs the products for the
    output, for the gradient of the weights and for the gradient of the input.
    """
    n, m = sympy.symbols("n m", positive=True, integer=True)
    i, j = sympy.symbols("i j", integer=True)
    one_product_each = sympy.summation(sympy.summation(1, (j, 1, n)), (i, 1, m))
    assert sympy.expand(one_product_each + m - linear_parameters(n, m)) == 0
    assert one_product_each == m * n

    for length, outputs in product((1, 10, 100), (1, 7)):
        layer = nn.Linear(length, outputs)
        held = sum(parameter.nbytes for parameter in layer.parameters())
        assert held == 4 * linear_parameters(length, outputs) == 4 * outputs * (length + 1)
        x = torch.zeros(5, length, requires_grad=True)
        with FlopCounterMode(display=False) as forward:
            y = layer(x)
        with FlopCounterMode(display=False) as backward:
            y.sum().backward()
        macs = 5 * length * outputs
        assert (forward.get_total_flops(), backward.get_total_flops()) == (2 * macs, 4 * macs)


@settles("nn4i-2023-a1-t2-long-vector", verdict="holds", certainty="proved")
def test_a_long_vector_lets_a_dense_layer_learn_noise_by_heart() -> None:
    """Six images: with five features all 64 labelings are fitted, with one only 12 are.

    n + 1 affinely independent images leave a layer on n features no equation that it cannot meet:
    on labels that are coins it is always right in training, and right half of the time on others.
    For any n, the images 0, e_1, ..., e_n get any labels y by weights y_j - y_0 and bias y_0.
    """
    n, i, j = sympy.symbols("n i j", positive=True, integer=True)
    y = sympy.IndexedBase("y")
    product_with_e_i = sympy.Sum((y[j] - y[0]) * sympy.KroneckerDelta(i, j), (j, 1, n)).doit()
    assert product_with_e_i == sympy.Piecewise((y[i] - y[0], i <= n), (0, True))  # then + y_0

    images = np.vstack([np.zeros(5, int), np.eye(5, dtype=int)])
    extended = sympy.Matrix(np.column_stack([images, np.ones(6, int)]))
    labels = [sympy.Matrix(signs) for signs in product((-1, 1), repeat=6)]
    solutions = [extended.LUsolve(each) for each in labels]
    assert extended.det() != 0
    assert all(extended * w == each for w, each in zip(solutions, labels, strict=True))

    pooled = np.arange(6)  # one feature, all values different: a threshold and a side
    fitted = {
        tuple(side * np.sign(pooled - threshold + 0.5).astype(int))
        for threshold, side in product(range(7), (-1, 1))
    }
    alternating = [tuple(each) for each in labels if sum(a != b for a, b in pairwise(each)) > 1]
    assert len(labels) == 64
    assert len(fitted) == 12
    assert fitted.isdisjoint(alternating)
    assert len(fitted) + len(alternating) == 64


@settles(
    "tp1-cnn-q12-bow",
    verdict="holds_if",
    certainty="proved",
    condition="The machine is linear, one against the rest for 10 classes, and the vocabulary is "
    "far below 119,115 words, the most with which the network has more parameters at all, and then "
    "10 more (8,631 if the words, of 128 numbers each, count as learned); the report prints no "
    "vocabulary. The network has 1,191,170 parameters: with the customary 1,000 words, 119 times "
    "the machine's 10,010 (and 8.6 times 138,010 with the words).",
)
def test_the_network_is_larger_than_a_linear_machine_on_word_counts() -> None:
    """The machine is a fully connected layer on the counts; with 1000 words it is just fc5."""
    convolutions = [(3, 32), (32, 64), (64, 64)]
    network = sum(conv_parameters(a, b, 5) for a, b in convolutions)
    fc5 = linear_parameters(1000, 10)
    network += linear_parameters(64 * 4 * 4, 1000) + fc5
    assert network == 1_191_170

    words = z3.Int("words")
    machine = 10 * (words + 1)
    assert holds_always(z3.Implies(words >= 1, (machine < network) == (words <= 119_115)))
    assert network - linear_parameters(119_115, 10) == 10
    learned = machine + 128 * words
    assert holds_always(z3.Implies(words >= 1, (learned < network) == (words <= 8_631)))
    assert linear_parameters(1000, 10) == fc5 == 10_010
    assert round(network / fc5) == 119
    assert round(network / (fc5 + 128_000), 1) == 8.6
