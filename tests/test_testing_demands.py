"""A certainty can be demanded, within a budget, and nothing passes for more than it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from tests.testing_operators import circular, circular_adjoint
from theory import diagnose
from theory.testing import (
    OperatorTests,
    adjointness,
    assert_adjoint,
    assert_linear,
    assert_lti,
    assert_same_operator,
    assert_shift_equivariant,
    sameness,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("check", "arguments", "certainty", "message"),
    [
        (assert_linear, (np.flip, (4,)), "exhausted", "only sampled"),
        (assert_lti, (circular, (1, 6)), "proved", "only exhausted"),
        (assert_adjoint, (np.fft.fft, lambda y: np.fft.ifft(y) * 8, (8,)), "exhausted", "sampled"),
        (assert_same_operator, (np.flip, np.flip, (4,)), "exhausted", "only sampled"),
        (assert_same_operator, (torch.relu, torch.relu, (4,)), "exhausted", "only sampled"),
    ],
)
def test_certainty_can_be_demanded(
    check: Callable[..., None], arguments: tuple[Any, ...], certainty: str, message: str
) -> None:
    check(*arguments)
    with pytest.raises(AssertionError, match=f"{message}.*{certainty} was demanded"):
        check(*arguments, certainty=certainty)


def test_the_budget_is_passed_on() -> None:
    check = {"certainty": "exhausted"}
    assert_lti(circular, (1, 6), **check, budget=6)
    with pytest.raises(AssertionError, match="only sampled"):
        assert_lti(circular, (1, 6), **check, budget=5)
    assert_adjoint(circular, circular_adjoint, (1, 6), **check, budget=6)
    with pytest.raises(AssertionError, match="only sampled"):
        assert_adjoint(circular, circular_adjoint, (1, 6), **check, budget=5)
    pool, large = nn.AvgPool1d(2), (1, 2**14 + 2)
    assert_shift_equivariant(pool, (1, 8), period=2, **check)
    with pytest.raises(AssertionError, match="only sampled"):
        assert_shift_equivariant(pool, large, period=2, **check)
    assert_same_operator(circular, circular, (1, 6), **check, budget=6)
    with pytest.raises(AssertionError, match="only sampled"):
        assert_same_operator(circular, circular, (1, 6), **check, budget=5)


def test_a_period_that_the_budget_left_out_is_not_denied() -> None:
    """And not taken for none: red where only the witness against a shift by 1 is reported."""

    def every_eighth(x: torch.Tensor) -> torch.Tensor:
        return x * (torch.arange(x.shape[-1]) % 8 == 0)

    interior = {"boundary": "interior", "budget": 1}
    with pytest.raises(AssertionError, match=r"could not be decided: .*budget ended"):
        assert_shift_equivariant(every_eighth, (64,), period=8, **interior)
    with pytest.raises(AssertionError, match=r"is not shift-equivariant: .*the budget ended"):
        assert_shift_equivariant(every_eighth, (64,), **interior)

    class Battery(OperatorTests):
        shape = (64,)
        period = None
        options: ClassVar = interior

        def operator(self) -> Any:
            return every_eighth

    with pytest.raises(AssertionError, match=r"could not be decided: .*budget ended"):
        Battery().test_period()


def test_every_diagnosis_behind_an_agreement_keeps_to_the_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    budgets: list[int | None] = []

    def recorded(*arguments: Any, **options: Any) -> Any:
        budgets.append(options.get("budget"))
        return diagnose(*arguments, **options)

    for module in (sameness, adjointness):
        monkeypatch.setattr(module, "diagnose", recorded)
    assert_same_operator(circular, circular, (1, 6), budget=64)
    assert_adjoint(circular, circular_adjoint, (1, 6), budget=64)
    assert budgets == [64] * 4


def correlating(*taps: float) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the cross-correlation with three taps, in the type of the signal."""
    return lambda x: torch.conv1d(F.pad(x, (1, 1)), torch.tensor([[taps]]).to(x.dtype))


def correlating_back(*taps: float) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return its adjoint."""
    return lambda y: F.conv_transpose1d(y, torch.tensor([[taps]]).to(y.dtype))[..., 1:-1]


FAINT: dict[str, tuple[Callable[..., None], Any, Any, tuple[int, ...], float]] = {
    "a tap": (
        assert_same_operator,
        correlating(1.1, 3.13e-4, 0),
        correlating(1.1, 0, 0),
        (1, 512),
        1,
    ),
    "a tap of the adjoint": (
        assert_adjoint,
        correlating(1.1, 1.03e-4, 0),
        correlating_back(1.1, 0, 0),
        (1, 256),
        1,
    ),
    "a last digit": (
        assert_same_operator,
        lambda x: 1.25 * x,
        lambda x: (1.25 + 2.0**-23) * x,
        (4,),
        2.0**-23,
    ),
    "f(0) alone": (
        assert_same_operator,
        lambda x: x + 1.25 * 2.0**-30,  # which is nothing beside 1
        lambda x: x + (1.25 + 2.0**-23) * 2.0**-30,
        (1,),
        2.0**-23,
    ),
}


@pytest.mark.parametrize("name", FAINT)
def test_what_the_bound_lets_pass_is_not_called_exhausted(name: str) -> None:
    """Of 512 cells in single precision, it lets 0.05 % of the largest value pass."""
    check, a, b, shape, size = FAINT[name]
    options: dict[str, Any] = {"dtype": torch.float32, "batched": False}
    check(a, b, shape, **options)
    with pytest.raises(AssertionError, match="too faint to refute; give float64") as failure:
        check(a, b, shape, certainty="exhausted", **options)
    said = re.search(r"differences of up to (\S+) of a", str(failure.value))
    assert said is not None
    assert size / 2 <= float(said[1]) <= size


def test_a_period_is_as_certain_as_its_diagnosis():
    def exact(x):
        return x * torch.tensor([1.0, 2.0] * 4)

    def ramp(x):
        return x * torch.linspace(1, 1.001, 4096)

    assert_shift_equivariant(exact, (8,), period=2, certainty="exhausted")
    with pytest.raises(AssertionError, match="only sampled: period 2; exhausted was demanded"):
        assert_shift_equivariant(
            ramp, (4096,), period=2, certainty="exhausted", dtype=torch.float32
        )


@pytest.mark.parametrize("period", [True, False, 0, 1.0, "1", None, (1, 1), (True,), ()])
def test_a_period_is_a_number_of_cells(period: Any) -> None:
    """Red if a truth value is a shift by one cell."""
    with pytest.raises(ValueError, match=r"^period is .*: give one positive number of cells"):
        assert_shift_equivariant(circular, (1, 6), period=period)


@pytest.mark.parametrize(
    "period", [np.int64(1), [np.int8(1)], np.array(1), np.array([1]), torch.tensor([1])]
)
def test_a_period_may_be_of_any_integer(period: Any) -> None:
    assert_shift_equivariant(circular, (1, 6), period=period)
    battery = type("TestGiven", (OperatorTests,), {"shape": (1, 6), "period": period})
    battery.operator = lambda self: circular
    battery().test_period()
