"""The asserts pass what holds, and catch what does not or cannot be decided."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

import theory.testing
from tests.testing_operators import circular, circular_adjoint, replayed, rough, rough_back
from theory.testing import (
    assert_adjoint,
    assert_affine,
    assert_linear,
    assert_lti,
    assert_same_operator,
    assert_shift_equivariant,
    asserts,
    replaying,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]


HOLDING: list[tuple[Callable[..., None], tuple[Any, ...], dict[str, Any]]] = [
    (assert_linear, (nn.Linear(4, 2, bias=False), (4,)), {"certainty": "proved"}),
    (assert_linear, (np.flip, (4,)), {}),
    (assert_affine, (nn.Linear(4, 2), (4,)), {"certainty": "proved"}),
    (assert_shift_equivariant, (nn.ReLU(), (8,)), {"certainty": "proved"}),
    (assert_shift_equivariant, (circular, (1, 6)), {"certainty": "exhausted"}),
    (assert_shift_equivariant, (nn.MaxPool1d(2), (1, 8)), {"period": 2}),
    (assert_shift_equivariant, (nn.MaxPool1d(2), (1, 8)), {"period": 4}),
    (assert_shift_equivariant, (nn.AvgPool2d(2), (1, 4, 4)), {"period": (2, 4)}),
    (assert_shift_equivariant, (nn.AvgPool1d(2), (1, 8)), {"period": 2, "certainty": "exhausted"}),
    (assert_lti, (circular, (1, 6)), {"certainty": "exhausted"}),
    (assert_lti, (nn.Conv1d(1, 1, 3, padding=1, bias=False), (1, 8)), {"boundary": "interior"}),
    (assert_adjoint, (circular, circular_adjoint, (1, 6)), {"certainty": "exhausted"}),
    (assert_adjoint, (rough, rough_back, (4,)), {"certainty": "exhausted"}),
    (assert_adjoint, (rough, rough_back, (4,)), {"dtype": torch.float32}),
    (assert_adjoint, (np.fft.fft, lambda y: np.fft.ifft(y) * len(y), (8,)), {}),
    (assert_same_operator, (torch.relu, nn.ReLU(), (6,)), {}),
    (assert_same_operator, (rough, lambda x: 0.1 * x.sum() * x.new_ones(3), (4,)), {}),
    (
        assert_same_operator,
        (nn.Sequential(nn.AvgPool1d(2), nn.AvgPool1d(2)), nn.AvgPool1d(4), (1, 8)),
        {"certainty": "exhausted"},
    ),
]


@pytest.mark.parametrize(("check", "arguments", "options"), HOLDING)
def test_what_holds_passes(
    check: Callable[..., None], arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    check(*arguments, **options)


PLANTED: dict[str, tuple[Callable[..., None], Callable[..., Any], tuple[int, ...], dict]] = {
    "a rectifier": (assert_linear, nn.ReLU(), (2, 4), {}),
    "a bias": (assert_linear, lambda x: x + 3, (4,), {}),
    "a tiny square": (assert_linear, lambda x: x + 1e-6 * x**2, (4,), {}),
    "a late clamp": (assert_linear, lambda x: x.clamp(max=1e4), (4,), {}),
    "conjugation by magnitude": (assert_linear, np.abs, (4,), {}),
    "a hinge": (assert_affine, nn.Hardtanh(), (4,), {}),
    "a position-dependent bias": (
        assert_shift_equivariant,
        lambda x: x + torch.arange(x.shape[-1]).to(x),
        (6,),
        {},
    ),
    "subsampling": (assert_shift_equivariant, lambda x: x[::2], (8,), {}),
    "zero padding on the circle": (assert_lti, nn.Conv1d(1, 1, 3, padding=1), (1, 8), {}),
    "zero padding": (assert_shift_equivariant, nn.Conv1d(1, 1, 3, padding=1), (1, 8), {}),
    "a fully-connected layer inside": (
        assert_shift_equivariant,
        nn.Linear(8, 8, bias=False),
        (8,),
        {"boundary": "interior"},
    ),
    "a period too small": (assert_shift_equivariant, nn.AvgPool1d(4), (1, 8), {"period": 2}),
    "a period that does not divide": (
        assert_shift_equivariant,
        nn.MaxPool1d(2, 1, 0),
        (1, 8),
        {"period": 3},
    ),
    "single precision": (assert_linear, nn.ReLU(), (4,), {"dtype": torch.float32}),
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_does_not_hold_is_caught_and_replays(name: str) -> None:
    check, op, shape, options = PLANTED[name]
    with pytest.raises(AssertionError, match="is not") as failure:
        check(op, shape, **options)
    left, right = replayed(failure, op=op)
    assert not np.array_equal(left, right)


def raising(x: torch.Tensor) -> torch.Tensor:
    if x.abs().max() > 100:
        raise RuntimeError("too large")
    return x


class _NeverFinite(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.roll(1, -1) * float("nan")


@pytest.mark.parametrize(
    "check",
    [
        lambda: assert_same_operator(_NeverFinite(), _NeverFinite(), (4,)),
        lambda: assert_shift_equivariant(_NeverFinite(), (4,)),
        lambda: assert_shift_equivariant(_NeverFinite(), (4,), period=2),
        lambda: assert_lti(_NeverFinite(), (4,)),
        lambda: assert_adjoint(_NeverFinite(), _NeverFinite(), (4,)),
    ],
)
def test_what_is_never_finite_passes_nothing(check: Callable[[], None]) -> None:
    with pytest.raises(AssertionError, match=r"could not be decided|may not be linear"):
        check()


@pytest.mark.parametrize(
    "check",
    [
        lambda: assert_linear(raising, (4,)),
        lambda: assert_same_operator(raising, lambda x: x, (4,)),
        lambda: assert_same_operator(raising, raising, (4,)),
        lambda: assert_adjoint(lambda x: x, raising, (4,)),
    ],
)
def test_what_could_not_be_decided_fails(check: Callable[[], None]) -> None:
    with pytest.raises(AssertionError, match=r"could not be decided.*too large"):
        check()


@pytest.mark.parametrize(
    ("check", "error", "message"),
    [
        (lambda: assert_linear(3, (4,)), TypeError, "not callable"),
        (lambda: assert_linear(torch.relu, (0,)), ValueError, "all sizes at least 1"),
        (lambda: assert_linear(torch.relu, (4,), certainty="sure"), ValueError, "'sampled'"),
        (lambda: assert_lti(torch.relu, (4,), boundary="open"), ValueError, "boundary"),
        (
            lambda: assert_shift_equivariant(torch.relu, (4,), period=0),
            ValueError,
            "period is 0: give one positive number",
        ),
        (
            lambda: assert_shift_equivariant(torch.relu, (1, 4, 4), period=(1, 1, 1)),
            ValueError,
            "each of the 2 shifted axes",
        ),
        (lambda: assert_adjoint(torch.relu, 3, (4,)), (TypeError, AssertionError), "."),
        (lambda: assert_adjoint(rough, rough, (4,)), ValueError, "takes no input of shape"),
        (lambda: assert_same_operator(rough, rough, (5,)), ValueError, "takes no input of shape"),
    ],
)
def test_bad_questions_are_errors(check: Callable[[], None], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        check()


@pytest.mark.parametrize("module", [theory.testing, asserts, replaying])
def test_the_examples_run(module: Any) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize(
    "guide", ["assert-in-your-suite", "compute-with-the-laws", "diagnose-your-layer"]
)
def test_the_guides_run(guide: str) -> None:
    page = ROOT / "docs" / "howto" / f"{guide}.md"
    result = doctest.testfile(str(page), module_relative=False)
    assert result.attempted > 5
    assert result.failed == 0


def test_a_precision_that_is_too_coarse_passes_nothing() -> None:
    with pytest.raises(AssertionError, match="could not be decided"):
        assert_lti(lambda x: x.relu().bfloat16(), (64,))
    with pytest.raises(AssertionError, match="could not be decided"):
        assert_same_operator(lambda x: x.bfloat16(), lambda x: (2 * x).bfloat16(), (64,))
