"""Chapter 3, the dead ReLU: why its gradients vanish.

If all responses ``f * I + b`` are negative, ReLU gives 0 for every nearby f and b as well, so that
the loss does not depend on them there: whatever F is, both derivatives are 0. In the chain rule it
is the middle factor, ReLU's slope, that vanishes; the outer one, the gradient of F, need not.

What passing does not prove: anything about a response of exactly 0, where the composition has no
derivative and a library's choice decides; or that filters die in networks that people train.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
import sympy as sp
import torch
import z3
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from theory.convolution import convolve
from theory.exhaustion import signal
from theory.ledger import settles
from theory.solver import holds_always, maximum
from theory.structured_matrices import derivative_matrix

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

samples = st.integers(-9, 9)


def convolved(f: Tensor, image: Tensor) -> Tensor:
    """Return f * I where the filter lies inside the signal."""
    return functional.conv1d(image[None], f.flip(0)[None, None])[0]


def parameter(*values: float) -> Tensor:
    """Return something to train, in double precision."""
    return signal(*values).requires_grad_()


# The derivatives


@settles("mnist-2017-t2-zero-gradients", verdict="holds", certainty="proved")
def test_near_negative_responses_relu_is_zero_whatever_follows() -> None:
    """F(ReLU(f * I + b)) is constant near f and b, so that every difference quotient of it is 0.

    Move f and b by at most d per coordinate. By induction over the taps a response moves by at most
    d (1 + Σ |I|), which for small d is less than its distance from 0. There are finitely many
    responses: some d serves all.
    """
    moved, total, sample, step, d = z3.Reals("moved total sample step d")
    premises = z3.And(d >= 0, total >= 0, z3.Abs(moved) <= d * total, z3.Abs(step) <= d)
    one_tap_more = z3.Abs(moved + step * sample) <= d * (total + z3.Abs(sample))
    assert holds_always(z3.Implies(premises, one_tap_more))

    response = z3.Real("response")
    small = z3.And(z3.Abs(moved) <= d * total, d * total < -response)
    still_zero = maximum(response + moved, 0) == 0
    assert holds_always(z3.Implies(z3.And(response < 0, small), still_zero))
    # Strictly: from a response of 0 every neighbourhood reaches positive values.
    assert not holds_always(z3.Implies(z3.And(response == 0, z3.Abs(moved) <= d), still_zero))


def _smooth(y: Tensor) -> Tensor:
    return (3 * y + y**2 + y.roll(1) * y).sum()


def _rooted(y: Tensor) -> Tensor:
    """Σ √y has no derivative at 0."""
    return y.sqrt().sum()


@settles("mnist-2017-t2-zero-gradients", verdict="holds", certainty="sampled")
@pytest.mark.parametrize("outer", [torch.sum, _smooth, _rooted])
@settings(max_examples=40)
@given(st.lists(samples, min_size=1, max_size=3), st.lists(samples, min_size=3, max_size=6))
def test_torch_finds_zero_gradients_below_zero_and_others_above(
    outer: Callable[[Tensor], Tensor], taps: list[int], image: list[int]
) -> None:
    """With the largest response at -1 both gradients are exactly 0; at 1, that by the bias is not.

    All three outer functions rise with every output that is positive.
    """
    f, samples = parameter(*taps), signal(*image)
    top = float(convolved(f, samples).detach().max())
    for largest, dead in ((-1.0, True), (1.0, False)):
        b = parameter(largest - top)
        alive = convolved(f, samples) + b > 0
        gradients = torch.autograd.grad(outer(torch.relu(convolved(f, samples) + b)), (f, b))
        assert bool(alive.any()) is not dead
        assert (not any(g.any() for g in gradients)) is dead


# The factors, one by one


@settles(
    "mnist-2017-t2-outer-factor",
    verdict="refuted",
    certainty="refuted",
    correction="The outer factor is the gradient of F for the output of ReLU, taken at 0: it may "
    "be any vector, and is 1 for F(y) = y. The product is zero by its middle factor alone, ReLU's "
    "slope: with that F, the derivative for the bias is 1 * 0 * 1 and not 0 * 0 * 1.",
)
def test_the_outer_factor_is_not_zero() -> None:
    """Smallest witness: F(y) = y and one response, -1."""

    def factors(b: Tensor, activation: Callable[[Tensor], Tensor]) -> list[float]:
        response = b * 1
        y = activation(response)
        loss = y.sum()
        pairs = ((loss, y), (y, response), (response, b))
        slopes = [torch.autograd.grad(above, at, retain_graph=True)[0] for above, at in pairs]
        (whole,) = torch.autograd.grad(loss, b)
        assert whole == slopes[0] * slopes[1] * slopes[2]
        return [float(slope) for slope in slopes]

    assert factors(parameter(-1), torch.relu) == [1, 0, 1]
    # Only the middle factor depends on the activation: give it a slope, and the gradient is back,
    leaky = partial(functional.leaky_relu, negative_slope=0.25)
    assert factors(parameter(-1), leaky) == [1, 0.25, 1]
    # as it is where the response is positive. An outer factor of zero would deny both.
    assert factors(parameter(1), torch.relu) == [1, 1, 1]


@settles("mnist-2017-t2-outer-factor", verdict="refuted", certainty="refuted")
@pytest.mark.parametrize(("n", "taps"), [(1, 1), (3, 2), (4, 2)])
def test_the_derivatives_are_three_factors_for_any_outer_function_and_activation(
    n: int, taps: int
) -> None:
    """Gradient of F, diagonal of slopes, matrix of derivatives: with F and phi left open.

    The derivative of F is by its own arguments; the derivative by f or b of the number F[0], as the
    report writes it, would be 0 wherever the responses lie.
    """
    f, image = sp.symarray("f", taps, real=True), sp.symarray("I", n, real=True)
    b = sp.Symbol("b", real=True)
    outer, phi = sp.Function("F"), sp.Function("phi")
    responses = [entry + b for entry in convolve(image, f, mode="valid")]
    places = sp.symbols(f"y:{len(responses)}")
    outputs = dict(zip(places, map(phi, responses), strict=True))
    gradient = sp.Matrix([outer(*places).diff(y) for y in places]).T.subs(outputs)
    slopes = sp.diag(*(phi(b).diff(b).subs(b, response) for response in responses))
    inner = sp.Matrix(derivative_matrix(image, taps, operation="convolution"))

    composed = outer(*outputs.values())
    for variables, factor in ((list(f), inner), ([b], sp.ones(len(responses), 1))):
        product = gradient * slopes * factor
        for column, variable in enumerate(variables):
            assert sp.simplify(composed.diff(variable).doit() - product[column].doit()) == 0
    # Without a slope nothing is left, whatever the gradient of F is: no other factor need be 0.
    assert gradient * (0 * slopes) * inner == sp.zeros(1, taps)
    assert 0 not in gradient


# The convention at zero


@settles("mnist-2017-t2-relu-derivative", verdict="holds_if", certainty="exhausted")
def test_at_zero_libraries_choose_a_slope() -> None:
    """The one-sided slopes are 0 and 1; torch's spellings of ReLU choose differently between them.

    What ``clamp`` chooses was 1 up to PyTorch 2.13 and is 0 since 2.14 (pytorch issue 195931).
    """
    choices: dict[str, Callable[[Tensor], Tensor]] = {
        "relu": torch.relu,
        "clamp": partial(torch.clamp, min=0),
        "maximum": lambda x: torch.maximum(x, torch.zeros_like(x)),
    }
    at_zero = {}
    for name, relu in choices.items():
        at = parameter(-1, 0, 1)
        (slope,) = torch.autograd.grad(relu(at).sum(), at)
        left, at_zero[name], right = slope.tolist()
        assert (left, right) == (0, 1)
    assert (at_zero["relu"], at_zero["maximum"]) == (0, 0.5)
    assert at_zero["clamp"] in (0, 1)
