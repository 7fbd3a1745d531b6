"""The two sides of each law, of an operator that keeps none of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from theory.diagnosis.calling import Operator
from theory.diagnosis.equations import Equation

X, Y = np.array([1.0, 2, 4, 8]), np.array([16.0, 0, 32, 64])


def f(x: np.ndarray) -> np.ndarray:
    """Return what is neither additive nor homogeneous, and differs from cell to cell."""
    return x**2 + x + np.arange(1, 5)


_SHIFTED = Equation("shift_equivariant", shift=(1,), output_shift=(2,))


@pytest.mark.parametrize(
    ("equation", "inputs", "left", "right"),
    [
        (Equation("additive"), (X, Y), f(X + Y), f(X) + f(Y)),
        (Equation("affine"), (X, Y), f(X + Y) + f(0 * X), f(X) + f(Y)),
        (Equation("homogeneous", scalar=-3.0), (X,), f(-3 * X), -3 * f(X)),
        (_SHIFTED, (X,), f(X[[3, 0, 1, 2]]), f(X)[[2, 3, 0, 1]]),
        (Equation("shift_equivariant", shift=(1,)), (X,), f(X[[3, 0, 1, 2]]), f(X)),
        (
            Equation("shift_equivariant", shift=(1,), output_shift=(2,), boundary="interior"),
            (X, Y),
            f(Y),
            f(X),
        ),
        (Equation("deterministic"), (X, Y, X + Y), f(X), f(X + Y)),
    ],
    ids=["additive", "affine", "homogeneous", "shift", "invariance", "interior", "deterministic"],
)
def test_the_sides_are_those_of_the_formula(
    equation: Equation, inputs: Any, left: np.ndarray, right: np.ndarray
) -> None:
    found = equation.sides(f, inputs)
    assert np.array_equal(found[0], left)
    assert np.array_equal(found[1], right)
    assert not np.array_equal(left, right)


@pytest.mark.parametrize(
    ("equation", "formula"),
    [
        (Equation("deterministic"), "first f(x) = last f(x)"),
        (Equation("additive"), "f(x + y) = f(x) + f(y)"),
        (Equation("homogeneous", scalar=2.0), "f(c x) = c f(x)"),
        (Equation("affine"), "f(x + y) + f(0) = f(x) + f(y)"),
        (_SHIFTED, "f(shift x) = shift f(x)"),
    ],
)
def test_an_equation_is_told_as_its_formula(equation: Equation, formula: str) -> None:
    assert str(equation) == formula


_INTERIOR = Equation("shift_equivariant", shift=(1,), boundary="interior")


@pytest.mark.parametrize(
    ("equation", "allowed"),
    [
        (Equation("deterministic"), {2, 3, 4}),
        (Equation("additive"), {2}),
        (Equation("affine"), {2}),
        (Equation("homogeneous", scalar=2.0, boundary="interior"), {1}),
        (_SHIFTED, {1}),
        (_INTERIOR, {2}),
    ],
)
def test_inputs_of_another_number_or_of_several_shapes_are_refused(
    equation: Equation, allowed: set[int]
) -> None:
    for number in range(1, 5):
        if number in allowed:
            equation.require((X,) * number)
        else:
            expected = f"is {number}, expected {len(equation.arguments())}: give "
            with pytest.raises(ValueError, match=expected + " and ".join(equation.arguments())):
                equation.require((X,) * number)
    with pytest.raises(ValueError, match=r"shapes \(4,\), \(2,\), expected one shape"):
        Equation("additive").require((X, X[:2]))


def test_the_arguments_are_named() -> None:
    assert Equation("affine").arguments() == ("x", "y")
    assert _SHIFTED.arguments() == ("x",)
    assert _INTERIOR.arguments() == ("x", "the shifted x")
    assert Equation("deterministic").arguments() == (
        "the input of a first call",
        "that of a last one",
    )


class _Counter:
    """Adds how often it was called before, and a random number."""

    def __init__(self) -> None:
        self.calls = 100

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.calls += 1
        return np.asarray(x) + self.calls - 1 + np.random.rand()  # noqa: NPY002


def test_a_replay_begins_with_the_operator_as_it_was_given_and_one_seed() -> None:
    operator = Operator(_Counter(), (4,), batched=False)
    operator(X)
    first, last = Equation("deterministic").replay(operator, (X, Y, X))
    again = Equation("deterministic").replay(operator, (X, Y, X))
    assert ((first - X >= 100) & (first - X < 101)).all()
    assert 1 < (last - first).max() < 3
    assert np.array_equal((first, last), again)


def test_after_another_input_a_fresh_copy_answers_for_the_left_side() -> None:
    equation = Equation("deterministic")
    operator = Operator(_Counter(), (4,), batched=False)
    left, right = equation.replay(operator, (Y, X))
    assert ((left - X >= 100) & (left - X < 101)).all()
    assert ((right - X >= 101) & (right - X < 102)).all()
    assert np.array_equal((left, right), equation.replay(operator, (Y, X)))
    assert equation.begins_afresh((Y, X))
    assert not equation.begins_afresh((X, Y, X))
    assert not Equation("additive").begins_afresh((X, Y))
