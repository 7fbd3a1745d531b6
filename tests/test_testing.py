"""The asserts pass what holds, catch what does not, and show a witness that replays."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

import theory.testing
from theory import diagnose
from theory.diagnosis import rounding
from theory.testing import (
    OperatorTests,
    adjointness,
    assert_adjoint,
    assert_affine,
    assert_linear,
    assert_lti,
    assert_same_operator,
    assert_shift_equivariant,
    asserts,
    demands,
    replaying,
    sameness,
)
from theory.testing.replaying import Counterexample, sides

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
WEIGHT = torch.tensor([[[1.0, 2.0, 4.0]]], dtype=torch.float64)
MATRIX = np.arange(12.0).reshape(3, 4) % 5


def circular(x: torch.Tensor) -> torch.Tensor:
    """Cross-correlate with (1, 2, 4) on the circle."""
    return torch.conv1d(torch.cat([x[..., -1:], x, x[..., :1]], -1), WEIGHT.to(x.dtype))


def circular_adjoint(y: torch.Tensor) -> torch.Tensor:
    """Cross-correlate with the flipped kernel on the circle."""
    return torch.conv1d(torch.cat([y[..., -1:], y, y[..., :1]], -1), WEIGHT.to(y.dtype).flip(-1))


def rough(x: torch.Tensor) -> torch.Tensor:
    """Multiply by weights that no float holds exactly."""
    return x @ torch.full((4, 3), 0.1, dtype=x.dtype)


def rough_back(y: torch.Tensor) -> torch.Tensor:
    return y @ torch.full((3, 4), 0.1, dtype=y.dtype)


def replayed(failure: pytest.ExceptionInfo[AssertionError], **names: Any) -> tuple[Any, Any]:
    """Execute the snippet in a failure's message, and return both sides."""
    snippet = "\n".join(
        line[4:] for line in str(failure.value).splitlines() if line.startswith("    ")
    )
    assert "import numpy as np" in snippet, str(failure.value)
    exec(snippet, names)
    said = re.search(r"# .* = (.+) but .* = (.+)$", snippet.splitlines()[-1])
    at = re.match(r"print\(left(\[.*?\])?,", snippet.splitlines()[-1])
    assert said is not None
    assert at is not None
    for side, value in zip(("left", "right"), said.groups(), strict=True):
        computed = eval(f"{side}{at[1] or ''}.item()", names)
        assert repr(computed) == value  # the numbers in the comment are those of the replay
    assert said[1] != said[2]
    return names["left"], names["right"]


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


ADJOINTS: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[int, ...]]] = {
    "the kernel is not flipped": (circular, circular, (1, 6)),
    "one cell off": (circular, lambda y: circular_adjoint(y).roll(1, -1), (1, 6)),
    "scaled": (rough, lambda y: rough_back(y) * (1 + 1e-9), (4,)),
    "not conjugated": (np.fft.fft, lambda y: np.fft.fft(y), (8,)),
    "offset": (circular, lambda y: circular_adjoint(y) + 1, (1, 6)),
    "nonlinear": (circular, lambda y: circular_adjoint(y).relu(), (1, 6)),
    "far out": (lambda x: x, lambda y: y.clamp(max=1e4), (4,)),
    "one entry, barely": (
        lambda x: x[:70],
        lambda y: F.pad(y, (0, 20)) + 1e-12 * F.pad(y[37:38], (60, 29)),
        (90,),
    ),
}


@pytest.mark.parametrize("name", ADJOINTS)
def test_what_is_not_the_adjoint_is_caught_and_replays(name: str) -> None:
    op, adjoint, shape = ADJOINTS[name]
    with pytest.raises(AssertionError, match=r"A\* is not the adjoint of A") as failure:
        assert_adjoint(op, adjoint, shape)
    replayed(failure, op=op, adjoint=adjoint)


def test_an_adjoint_needs_a_linear_operator_and_fitting_shapes() -> None:
    with pytest.raises(AssertionError, match="only a linear operator has an adjoint") as failure:
        assert_adjoint(torch.relu, torch.relu, (4,))
    replayed(failure, op=torch.relu)
    with pytest.raises(AssertionError, match=r"A maps \(4,\) to \(3,\), A\* maps \(3,\) to \(3,\)"):
        assert_adjoint(rough, lambda y: y, (4,))


DIFFERENT: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[int, ...]]] = {
    "another sign": (lambda x: x, lambda x: -x, (4,)),
    "another offset": (lambda x: x, lambda x: x + 1e-9, (4,)),
    "beyond rounding": (rough, lambda x: rough(x) * (1 + 1e-9), (4,)),
    "far out": (lambda x: x, lambda x: x.clamp(max=1e4), (4,)),
    "one entry, barely": (
        lambda x: x,
        lambda x: x + 1e-12 * F.pad(x[40:41], (50, 49)),
        (100,),
    ),
    "not finite": (lambda x: x, lambda x: torch.where(x > 2, torch.nan, x), (4,)),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_differs_is_caught_and_replays(name: str) -> None:
    a, b, shape = DIFFERENT[name]
    with pytest.raises(AssertionError, match="b is not the same operator as a") as failure:
        assert_same_operator(a, b, shape)
    replayed(failure, a=a, b=b)


def test_other_output_shapes_differ() -> None:
    with pytest.raises(AssertionError, match=r"shapes \(4,\) and \(2,\)"):
        assert_same_operator(lambda x: x, lambda x: x[:2], (4,))


def test_rounding_is_no_difference() -> None:
    blur = nn.Conv1d(1, 1, 5, padding=2, padding_mode="circular", bias=False)
    taps = blur.weight.detach().double().numpy().ravel()
    transform = np.conj(np.fft.fft(np.roll(np.pad(taps, (0, 11)), -2)))

    def by_fourier(x: np.ndarray) -> np.ndarray:
        return np.fft.ifft(np.fft.fft(x) * transform).real

    assert_same_operator(blur, by_fourier, (1, 16))


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


def test_a_complex_adjoint_is_asked_about_real_outputs_only() -> None:
    """The conjugate makes no difference there; on complex outputs it would."""

    def back(y: torch.Tensor) -> torch.Tensor:
        return 8 * torch.fft.ifft(torch.conj(y))

    with pytest.raises(AssertionError, match="only sampled"):
        assert_adjoint(torch.fft.fft, back, (8,), certainty="exhausted")


@pytest.mark.parametrize(
    ("arguments", "constants", "message"),
    [
        (("linear", np.ones(2)), {}, "property 'linear' has no equation; known: determin"),
        (("homogeneous", np.ones(2)), {}, "needs its scalar"),
        (("shift_equivariant", np.ones(2)), {}, "needs its shift"),
    ],
)
def test_sides_of_no_equation_are_refused(arguments, constants, message) -> None:
    with pytest.raises(ValueError, match=message):
        sides(torch.relu, *arguments, **constants)


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


# The battery


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


@pytest.mark.parametrize("name", FAULTS)
def test_the_battery_catches(name: str) -> None:
    test, changes = FAULTS[name]
    planted = type("TestPlanted", (TestBlur,), changes)
    with pytest.raises(AssertionError):
        getattr(planted(), test)()


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


# Mutants of the instrument


def _holds_and_differs() -> None:
    """Ask the agreements once what is right and once what is wrong, each in a hard case."""
    assert_adjoint(np.fft.fft, lambda y: np.fft.ifft(y) * len(y), (8,))
    assert_adjoint(rough, rough_back, (4,))
    for name in ("scaled", "one entry, barely", "far out"):
        test_what_is_not_the_adjoint_is_caught_and_replays(name)
    for name in ("beyond rounding", "one entry, barely", "far out"):
        test_what_differs_is_caught_and_replays(name)


def _a_rectifier_is_caught() -> None:
    test_what_does_not_hold_is_caught_and_replays("a rectifier")


def _subsampling_is_caught() -> None:
    test_what_does_not_hold_is_caught_and_replays("subsampling")


MUTANTS: dict[str, tuple[Any, str, Any, Callable[[], None]]] = {
    "nothing is demanded": (demands, "_require", lambda *_: None, _a_rectifier_is_caught),
    "another property is demanded": (
        asserts,
        "require",
        lambda diagnosis, name, certainty: demands.require(diagnosis, "deterministic", certainty),
        _a_rectifier_is_caught,
    ),
    "the period is not demanded": (
        asserts,
        "require_period",
        lambda *_: None,
        _subsampling_is_caught,
    ),
    "the witness is written wrongly": (
        replaying,
        "_written",
        lambda name, x: [f"{name} = np.zeros({x.shape})"],
        _a_rectifier_is_caught,
    ),
    "the conjugate is dropped": (
        adjointness,
        "inner",
        lambda u, v: np.asarray(np.sum(u * v)),
        _holds_and_differs,
    ),
    "the tolerance is picked": (rounding, "gamma", lambda k, u: 1e-3, _holds_and_differs),
    "there is no tolerance": (
        rounding.Rounding,
        "bound",
        lambda *_, **__: 0.0,
        _holds_and_differs,
    ),
    "the basis is not exhausted": (
        sameness,
        "_unlike_on_basis",
        lambda a, b: (None, 0.0),
        _holds_and_differs,
    ),
    "the matrix is not compared": (
        adjointness._DotTest,
        "entry",
        lambda self: (None, 0.0),
        _holds_and_differs,
    ),
    "only small inputs are compared": (
        sameness,
        "probes",
        lambda shape, rng, bits: iter([np.zeros(shape), np.ones(shape)]),
        _holds_and_differs,
    ),
    "only small inputs are multiplied": (
        adjointness,
        "probes",
        lambda shape, rng, bits: iter([np.zeros(shape), np.ones(shape)]),
        _holds_and_differs,
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_noticed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    place, attribute, mutant, trial = MUTANTS[name]
    trial()
    monkeypatch.setattr(place, attribute, mutant)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        trial()


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
