"""The battery of tests that a subclass inherits: what it asks, skips and catches."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.testing_operators import circular, circular_adjoint
from theory.testing import OperatorTests

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]


def _doubles(module: nn.Module) -> None:
    if isinstance(module, nn.Conv1d):
        module.weight.fill_(2)


class TestBlur(OperatorTests):
    """A convolution with everything that can be given; pytest runs the battery right here."""

    shape = (1, 6)
    certainty = "proved"

    def operator(self) -> Callable[..., Any]:
        """Return a circular cross-correlation."""
        return circular

    def dense(self) -> np.ndarray:
        """Return its circulant matrix."""
        first = np.array([2.0, 4, 0, 0, 0, 1])
        return np.stack([np.roll(first, i) for i in range(6)])

    def adjoint(self) -> Callable[..., Any]:
        """Return the cross-correlation with the flipped kernel."""
        return circular_adjoint

    def kernel(self) -> np.ndarray:
        """Return its response to the impulse at the origin."""
        return np.array([[[2.0, 1, 0, 0, 0, 4]]])


class TestPooling(OperatorTests):
    """Neither linear nor equivariant, and said to be so; nothing more is given."""

    shape = (1, 4, 6)
    linear = affine = lti = False
    period = (2, 3)

    def operator(self) -> Callable[..., Any]:
        """Return a pooling."""
        return nn.MaxPool2d((2, 3))

    test_dense = test_adjoint = test_kernel = None  # type: ignore[assignment]


def test_what_is_not_given_is_skipped_by_name() -> None:
    class TestNothing(OperatorTests):
        shape = (4,)

        def operator(self) -> Callable[..., Any]:
            return nn.Identity()

    for what in ("dense", "adjoint", "kernel"):
        with pytest.raises(pytest.skip.Exception, match=rf"TestNothing gives no {what}\(\)"):
            getattr(TestNothing(), f"test_{what}")()


def test_a_battery_without_an_operator_says_so() -> None:
    class TestNothing(OperatorTests):
        shape = (4,)

    with pytest.raises(NotImplementedError, match=r"TestNothing gives no operator\(\)"):
        TestNothing().test_linear()


def test_a_battery_without_a_shape_says_so() -> None:
    class TestNothing(OperatorTests):
        def operator(self) -> Callable[..., Any]:
            return nn.Identity()

    with pytest.raises(NotImplementedError, match=r"TestNothing gives no shape: set it to"):
        TestNothing().test_linear()


def _raises_on_large(x: np.ndarray) -> np.ndarray:
    if abs(x).max() > 1e5:
        raise ValueError("too large")
    return x


FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "a wrong matrix": ("test_dense", {"dense": lambda self: TestBlur.dense(self).T}),
    "a matrix of another shape": ("test_dense", {"dense": lambda self: np.eye(5)}),
    "a wrong adjoint": ("test_adjoint", {"adjoint": lambda self: circular}),
    "a flipped kernel": (
        "test_kernel",
        {"kernel": lambda self: TestBlur.kernel(self)[..., [0, 5, 4, 3, 2, 1]]},
    ),
    "a kernel of another shape": ("test_kernel", {"kernel": lambda self: np.ones(3)}),
    "said not to be linear": ("test_linear", {"linear": False}),
    "said not to be affine": ("test_affine", {"affine": False}),
    "said not to be LTI": ("test_lti", {"lti": False}),
    "said to have a period": ("test_period", {"period": 2}),
    "said to have none": ("test_period", {"period": None}),
    "said to have none where nothing is known": (
        "test_period",
        {"period": None, "operator": lambda self: _raises_on_large},
    ),
    "a rectifier": ("test_linear", {"operator": lambda self: torch.relu}),
    "a rectifier, affine": ("test_affine", {"operator": lambda self: torch.relu}),
    "a rectifier, LTI": ("test_lti", {"operator": lambda self: torch.relu}),
    "a flip": ("test_period", {"operator": lambda self: lambda x: x.flip(-1)}),
    "dropout": ("test_deterministic", {"operator": lambda self: nn.Dropout()}),
    "less certain than demanded": ("test_linear", {"operator": lambda self: np.negative}),
}


@pytest.mark.parametrize("batched", [True, False])
def test_a_matrix_may_be_of_integers_and_the_operator_batched(batched: bool) -> None:
    class TestDouble(OperatorTests):
        shape = (1, 3)
        options = MappingProxyType({"batched": batched})

        def operator(self) -> Callable[..., Any]:
            return nn.Conv1d(1, 1, 1, bias=False).requires_grad_(False).apply(_doubles)

        def dense(self) -> np.ndarray:
            return 2 * np.eye(3, dtype=int)

    TestDouble().test_dense()


def test_a_matrix_may_be_complex() -> None:
    class TestFourier(OperatorTests):
        shape = (4,)

        def operator(self) -> Callable[..., Any]:
            return torch.fft.fft

        def dense(self) -> np.ndarray:
            return np.fft.fft(np.eye(4))

    TestFourier().test_dense()
    wrong = type("TestWrong", (TestFourier,), {"dense": lambda self: np.fft.fft(np.eye(4)).real})
    with pytest.raises(AssertionError):
        wrong().test_dense()


@pytest.mark.parametrize("made", [np.ndarray.tolist, torch.tensor, torch.from_numpy])
def test_what_makes_an_array_is_given_as_well(made: Callable[[np.ndarray], Any]) -> None:
    """Red if a matrix has to be an array: a list or a tensor has no kind of numbers."""
    changes = {
        "dense": lambda self: made(TestBlur.dense(self)),
        "kernel": lambda self: made(TestBlur.kernel(self)),
    }
    tests = type("TestGiven", (TestBlur,), changes)()
    tests.test_dense()
    tests.test_kernel()


@pytest.mark.parametrize("what", ["dense", "kernel"])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([[1], [1, 2]], "is a list that is no array of numbers"),
        (torch.ones(1, requires_grad=True), "is a Tensor that is no array of numbers"),
        (np.ma.masked_array([1.0], [True]), "is a masked array"),
        ([["a"]], "is of <U1, expected numbers: return an array of them"),
    ],
    ids=["ragged", "of autograd", "masked", "words"],
)
def test_what_makes_no_array_is_named(what: str, given: Any, message: str) -> None:
    tests = type("TestGiven", (TestBlur,), {what: lambda self: given})()
    with pytest.raises(TypeError, match=rf"^{what}\(\) {message}"):
        getattr(tests, f"test_{what}")()


@pytest.mark.parametrize("name", FAULTS)
def test_the_battery_catches(name: str) -> None:
    test, changes = FAULTS[name]
    planted = type("TestPlanted", (TestBlur,), changes)
    with pytest.raises(AssertionError):
        getattr(planted(), test)()


def test_the_battery_catches_where_python_leaves_out_asserts() -> None:
    code = """
import numpy as np
from theory.testing import OperatorTests


class TestFlipped(OperatorTests):
    shape = (2,)
    period = 2
    operator = lambda self: np.negative
    dense = lambda self: np.ones((1, 1))
    kernel = lambda self: np.ones(2)


for what in ("period", "dense", "kernel"):
    try:
        getattr(TestFlipped(), f"test_{what}")()
    except AssertionError as error:
        print(str(error).splitlines()[0])
"""
    command = [sys.executable, "-O", "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [
        "the period is (1,), not (2,)",
        "dense() has shape (1, 1), expected (2, 2)",
        "the kernel is",
    ], done.stderr


def test_the_battery_measures_once() -> None:
    calls = []

    class TestCounted(OperatorTests):
        shape = (4,)

        def operator(self) -> Callable[..., Any]:
            calls.append(1)
            return nn.Identity()

    tests = TestCounted()
    tests.test_linear()
    tests.test_affine()
    tests.test_lti()
    assert len(calls) == 1
