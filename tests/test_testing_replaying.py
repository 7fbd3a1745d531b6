"""A failure shows a witness that replays, with the very sides that differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.testing_operators import replayed
from theory import diagnose
from theory.testing import OperatorTests, assert_shift_equivariant
from theory.testing.replaying import Counterexample, dot_products, outputs, sides


def test_the_replay_computes_the_very_sides_of_the_witness() -> None:
    op = nn.Sequential(nn.Conv1d(2, 3, 3, padding=1), nn.GELU())
    witness = diagnose(op, (2, 7)).additive.witness
    assert witness is not None
    names: dict[str, Any] = {"op": op}
    exec(str(Counterexample.of(witness)), names)
    np.testing.assert_array_equal(names["left"], witness.left)
    np.testing.assert_array_equal(names["right"], witness.right)


def test_a_hidden_counter_replays() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls = nn.Buffer(torch.zeros(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return x + self.calls

    class TestCounter(OperatorTests):
        shape = (4,)

        def operator(self) -> nn.Module:
            return Counter()

    with pytest.raises(AssertionError, match="is not deterministic") as failure:
        TestCounter().test_deterministic()
    replayed(failure, op=Counter())


def test_a_shift_by_the_very_period_is_shown() -> None:
    with pytest.raises(AssertionError, match=r"to shifts by 2.*it follows is 4") as failure:
        assert_shift_equivariant(nn.AvgPool1d(4, 4), (1, 8), period=2)
    assert "shift=(1,)" in str(failure.value)  # a shift by 2 is no whole shift of 2 output cells
    block = torch.block_diag(*[torch.arange(16.0).reshape(4, 4)] * 2).double()
    with pytest.raises(AssertionError, match=r"to shifts by 2") as failure:
        assert_shift_equivariant(lambda x: block.to(x) @ x, (8,), period=2)
    assert "shift=(2,), output_shift=(2,)" in str(failure.value)
    replayed(failure, op=lambda x: block.to(x) @ x)


@pytest.mark.parametrize(
    ("arguments", "constants", "message"),
    [
        (("linear", np.ones(2)), {}, "property 'linear' has no equation; known: determin"),
        (("homogeneous", np.ones(2)), {}, "needs its scalar"),
        (("shift_equivariant", np.ones(2)), {}, "needs its shift"),
        (
            ("shift_equivariant", np.ones(2)),
            {"shift": (1,), "boundary": "zero"},
            "^boundary is 'zero': give 'circular' or 'interior'$",
        ),
    ],
)
def test_sides_of_no_equation_are_refused(arguments, constants, message) -> None:
    with pytest.raises(ValueError, match=message):
        sides(torch.relu, *arguments, **constants)


ONE, INTERIOR = np.array([1.0, -1.0]), {"shift": (1,), "boundary": "interior"}


@pytest.mark.parametrize(
    ("property", "inputs", "constants", "message"),
    [
        ("additive", (ONE,), {}, "1, expected 2: give x and y$"),
        ("additive", (), {}, "0, expected 2: give x and y$"),
        ("additive", (ONE,) * 3, {}, "3, expected 2: give x and y$"),
        ("affine", (ONE,), {}, "1, expected 2: give x and y$"),
        ("homogeneous", (), {"scalar": 2.0}, "0, expected 1: give x$"),
        ("homogeneous", (ONE,) * 2, {"scalar": 2.0}, "2, expected 1: give x$"),
        ("shift_equivariant", (ONE,) * 2, {"shift": (1,)}, "2, expected 1: give x$"),
        ("shift_equivariant", (ONE,), INTERIOR, "1, expected 2: give x and the shifted x$"),
        (
            "deterministic",
            (ONE,),
            {},
            "1, expected 2: give the input of a first call and that of a last one$",
        ),
    ],
)
def test_an_equation_takes_the_inputs_that_it_has(property, inputs, constants, message) -> None:
    """Red if one input stands for two: relu would be found additive."""
    with pytest.raises(ValueError, match=rf"^number of inputs of '{property}' is {message}"):
        sides(torch.relu, property, *inputs, **constants)


def test_an_equation_takes_inputs_of_one_shape() -> None:
    message = r"^inputs of shapes \(2,\), \(1,\), expected one shape"
    with pytest.raises(ValueError, match=message):
        sides(torch.relu, "additive", ONE, np.ones(1))


def test_inputs_may_be_of_anything_that_makes_an_array() -> None:
    """Red if sums of narrow integers wrap around, or lists are not taken."""
    narrow = np.array([100], np.int8)
    assert [each.tolist() for each in sides(torch.abs, "additive", narrow, narrow)] == [[200]] * 2
    for x in ([1, -1], (1.0, -1.0), torch.tensor([1, -1])):
        left, right = sides(torch.abs, "homogeneous", x, scalar=-1)
        assert (left.tolist(), right.tolist()) == ([1, 1], [-1, -1])
        assert [each.tolist() for each in outputs(torch.abs, torch.relu, x)] == [[1, 1], [1, 0]]
        assert dot_products(torch.neg, torch.neg, x, x) == (-2, -2)


def test_single_precision_stays_single() -> None:
    third = np.array([1 / 3], np.float32)
    assert [each.item() for each in outputs(lambda x: x, lambda x: x / 3, third)] == [
        third.item(),
        (third / np.float32(3)).item(),
    ]


def test_calls_in_between_are_made() -> None:
    calls: list[float] = []

    def noted(x: torch.Tensor) -> torch.Tensor:
        calls.append(x.sum().item())
        return x

    sides(noted, "deterministic", ONE[:1], [2.0], [3.0], ONE[:1], batched=False)
    assert calls[-4:] == [1, 2, 3, 1]


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.ma.masked_array([1.0], [True]), TypeError, "is a masked array"),
        ([[1], [1, 2]], TypeError, "is a list that is no array of numbers"),
        (np.array([1j]), ValueError, "is of complex128, expected real numbers"),
        (["a"], ValueError, "is of <U1, expected real numbers: give an array of floats"),
    ],
)
def test_inputs_that_are_none_are_named(x, error, message) -> None:
    with pytest.raises(error, match=f"^input 2 {message}"):
        sides(torch.relu, "additive", [1.0], x)
    with pytest.raises(error, match=f"^x {message}"):
        outputs(torch.relu, torch.relu, x)
    for name, inputs in (("x", (x, [1.0])), ("y", ([1.0], x))):
        with pytest.raises(error, match=f"^{name} {message}"):
            dot_products(torch.relu, torch.relu, *inputs)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.ones(4), np.ones(4), r"^A x and y have shapes \(2, 2\) and \(4,\): expected one shape"),
        (np.ones((1, 4)), np.ones((2, 2)), r"^A\* y and x have shapes \(4,\) and \(1, 4\): expect"),
    ],
)
def test_an_inner_product_is_of_one_shape(x, y, message) -> None:
    """Red if NumPy flattens both, and returns a number."""
    with pytest.raises(ValueError, match=message):
        dot_products(lambda x: x.reshape(2, 2), lambda y: y.reshape(4), x, y)
