"""Constants that an operator adds inside and takes off again: their rounding refutes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from tests.operator_table import NoTensor, assert_replays
from theory import diagnose
from theory.diagnosis import primitives
from theory.diagnosis.calling import Operator
from theory.diagnosis.isolation import isolated
from theory.diagnosis.rounding import gamma
from theory.diagnosis.search import Trials
from theory.diagnosis.structure import Level, interpret
from theory.diagnosis.tracing import trace
from theory.testing import assert_same_operator

if TYPE_CHECKING:
    from collections.abc import Callable

    from theory.diagnosis.equations import Boundary

Shape = tuple[int, ...]


class _Linearised(nn.Module):
    """g(x) - g(0), the linear part of whatever is affine."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.g = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.g(x) - self.g(torch.zeros_like(x))


class _Differences(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.diff()


class _Centred(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(-1, keepdim=True)


def _normalisation(channels: int) -> nn.Module:
    layer = nn.BatchNorm1d(channels)
    layer.running_mean.normal_()  # type: ignore[union-attr, operator]
    layer.running_var.uniform_(0.5, 2)  # type: ignore[union-attr, operator]
    return layer


_LINEAR: dict[str, tuple[Callable[[], nn.Module], Shape, torch.dtype]] = {
    "fully connected": (
        lambda: _Linearised(nn.Linear(8, 8), nn.Linear(8, 4)),
        (8,),
        torch.float64,
    ),
    "ten layers": (
        lambda: _Linearised(*(nn.Linear(8, 8) for _ in range(10))),
        (8,),
        torch.float64,
    ),
    "convolutions": (
        lambda: _Linearised(nn.Conv1d(1, 3, 3, padding=1), nn.Conv1d(3, 1, 3, padding=1)),
        (1, 8),
        torch.float64,
    ),
    "single precision": (
        lambda: _Linearised(nn.Conv2d(1, 4, 3, padding=1)),
        (1, 6, 6),
        torch.float32,
    ),
    "differences": (
        lambda: nn.Sequential(nn.Conv1d(1, 3, 3), _normalisation(3), _Differences()),
        (1, 8),
        torch.float64,
    ),
    "mean taken off": (
        lambda: _Linearised(nn.Linear(8, 8), _Centred()),
        (8,),
        torch.float64,
    ),
}


@pytest.mark.parametrize("name", _LINEAR)
@pytest.mark.parametrize("seed", range(5))
def test_a_bias_that_cancels_refutes_nothing(name: str, seed: int) -> None:
    """Its rounding is all that inputs near zero leave of f(x + y) - f(x) - f(y).

    That it cancels is only computed: what the structure proves is affine.
    """
    make, shape, dtype = _LINEAR[name]
    torch.manual_seed(seed)
    diagnosis = diagnose(make().eval(), shape, dtype=dtype)
    assert diagnosis.linear.holds
    assert diagnosis.linear.certainty == "sampled"
    assert diagnosis.affine.certainty == "proved"


_ONES = torch.ones(4, dtype=torch.float64)
_PAIRS = torch.tensor([[0, 2], [1, 1]])


def _balanced() -> nn.Module:
    """Return a normalisation whose bias takes off 4 standard deviations, which are rounded."""
    layer = nn.BatchNorm1d(4).double().eval()
    layer.running_mean.fill_(4)  # type: ignore[union-attr, operator]
    layer.bias.data.copy_(-layer(torch.zeros(1, 4, dtype=torch.float64)).detach()[0])
    return layer


@pytest.mark.parametrize(
    "op",
    [
        lambda x: ((x + 1e-17) + 1) - 1,
        lambda x: ((x + 1e-200) * 1e-200) * 1e200,
        lambda x: x + ((_ONES + 1e-17) - 1),
        lambda x: torch.addcmul(x, _ONES * 1e-200, _ONES * 1e-200),
        lambda x: x + 1e-200 * (1e-200 * _ONES),
    ],
    ids=["sum", "product", "constants", "inside one primitive", "product of constants"],
)
def test_a_zero_that_was_only_computed_proves_nothing(op: Callable[..., Any]) -> None:
    """In exact arithmetic, of which a proof by structure speaks, there is an offset."""
    diagnosis = diagnose(op, (4,))
    for name in ("additive", "homogeneous", "linear"):
        assert diagnosis.findings[name].holds, name
        assert diagnosis.findings[name].certainty == "sampled", name
    assert "only as computed" in diagnosis.additive.reason
    assert diagnosis.affine.certainty == "proved"


def test_nor_does_a_normalisation_that_cancels_itself() -> None:
    diagnosis = diagnose(_balanced(), (4, 3))
    assert diagnosis.offset is not None
    assert not diagnosis.offset.any(), "the fault is not planted"
    assert diagnosis.linear.certainty == "sampled"


@pytest.mark.parametrize(
    ("op", "shape"),
    [
        (lambda x: x + torch.zeros(4), (4,)),
        (lambda x: x + 0 * _ONES, (4,)),
        (lambda x: _ONES @ x - _ONES @ torch.zeros_like(x), (4,)),
        (lambda x: torch.zeros_like(x).index_add(0, torch.tensor([1, 2, 3, 3]), x), (4,)),
        (lambda x: x.index_fill(0, torch.tensor([1]), 0), (4,)),
        (lambda x: torch.where(_ONES > 0, x, 0), (4,)),
        (lambda x: torch.full_like(x, 0), (4,)),
        (lambda x: F.embedding_bag(_PAIRS, x[:, None], mode="mean"), (4,)),
        (
            lambda x: F.embedding_bag(_PAIRS, _ONES[:, None], per_sample_weights=x, mode="sum"),
            (2, 2),
        ),
        (nn.BatchNorm1d(2).eval(), (2, 4)),
    ],
    ids=[
        "zeros",
        "product",
        "f(0)",
        "index_add",
        "index_fill",
        "where",
        "constant",
        "bags",
        "weighted bags",
        "BatchNorm",
    ],
)
def test_a_zero_that_was_given_hinders_no_proof(op: Callable[..., Any], shape: Shape) -> None:
    assert diagnose(op, shape).linear.certainty == "proved"


def test_what_is_filled_in_is_an_offset() -> None:
    for op in (
        lambda x: x.index_fill(0, torch.tensor([1]), 1e-300),
        lambda x: F.pad(x, (1, 0), value=1e-300),
        lambda x: torch.cat([x, torch.full((1,), 1e-300, dtype=x.dtype)]),
    ):
        with isolated(seed=0):
            graph = trace(Operator(op, (4,)), [np.zeros(4)])
        assert interpret(graph).level is Level.AFFINE


def _dense_numpy(rng: np.random.Generator, dtype: type) -> Callable[[np.ndarray], np.ndarray]:
    a, b = rng.uniform(-0.5, 0.5, (2, 8, 8)).astype(dtype)
    c, d = rng.uniform(-0.5, 0.5, (2, 8)).astype(dtype)
    return NoTensor(lambda x: (b @ (a @ x + c) + d) - (b @ c + d))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nor_does_one_that_no_graph_shows_refute(seed: int, dtype: type) -> None:
    op = _dense_numpy(np.random.default_rng(seed), dtype)
    asked = torch.float32 if dtype is np.float32 else torch.float64
    diagnosis = diagnose(op, (8,), dtype=asked, batched=False)
    assert diagnosis.linear.certainty == "sampled"
    assert diagnosis.linear.holds
    assert diagnosis.affine.holds


def test_nor_does_it_tell_an_operator_from_its_matrix() -> None:
    torch.manual_seed(0)
    op = _Linearised(nn.Linear(8, 8), nn.Linear(8, 4)).double()
    matrix = op(torch.eye(8, dtype=torch.float64)).T.detach()
    assert_same_operator(op, lambda x: x @ matrix.T, (8,))


@pytest.mark.parametrize("boundary", ["circular", "interior"])
def test_shifts_of_what_is_not_linear_are_followed_up_to_that_rounding(boundary: Boundary) -> None:
    """The transform rounds each cell in its own way."""
    torch.manual_seed(0)
    layers = [nn.Conv1d(1, 4, 3, padding=1, padding_mode="circular"), nn.Tanh()]
    g = _Linearised(*layers, nn.Conv1d(4, 1, 3, padding=1, padding_mode="circular")).double()

    def transformed(x: torch.Tensor) -> torch.Tensor:
        return torch.fft.irfft(torch.fft.rfft(g.g(x)), n=16) - g.g(torch.zeros_like(x))

    assert diagnose(transformed, (1, 16), boundary=boundary).shift_equivariant.holds


_BESIDE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": lambda x: 1e-9 * x.relu(),
    "abs": lambda x: 1e-9 * x.abs(),
    "square": lambda x: 1e-9 * x**2,
    "clamp": lambda x: x.clamp(-1e4, 1e4),
    "dead zone": lambda x: torch.where(x.abs() < 1e-6, 0, x),
    "kink near zero": lambda x: torch.where(x.abs() < 2e-6, x.abs(), 0),
    "sign": lambda x: 1e-9 * x.sign(),
    "hole": lambda x: torch.where(x == 3, 0, x),
}


@pytest.mark.parametrize("name", _BESIDE)
@pytest.mark.parametrize("traced", [True, False])
def test_what_is_not_linear_beside_it_is_found(name: str, traced: bool) -> None:
    """Of the rounding of these biases, 1e-16, every one is a multiple that leaves no doubt."""
    torch.manual_seed(0)
    g = _Linearised(nn.Linear(8, 8), nn.Linear(8, 8)).double()

    def op(x: Any) -> Any:
        x = torch.as_tensor(x)
        y = g(x) + _BESIDE[name](x)
        return y if traced else y.detach().numpy()

    diagnosis = diagnose(op if traced else NoTensor(op), (8,))
    assert diagnosis.linear.certainty == "refuted"
    assert diagnosis.affine.certainty == "refuted"
    assert_replays(diagnosis.affine, op if traced else NoTensor(op))


@pytest.mark.parametrize("name", ["relu", "abs"])
def test_it_hides_no_primitive_in_the_wrong_table(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(primitives, "NONLINEAR", primitives.NONLINEAR - {name})
    monkeypatch.setattr(primitives, "LINEAR_IN_FIRST", primitives.LINEAR_IN_FIRST | {name})
    torch.manual_seed(0)
    g = _Linearised(nn.Linear(8, 8), nn.Linear(8, 8)).double()
    diagnosis = diagnose(lambda x: g(x) + 1e-9 * getattr(torch, name)(x), (8,))
    assert diagnosis.linear.certainty == "refuted"
    assert "table of primitives is wrong" in diagnosis.additive.reason


def test_an_offset_that_hides_the_input_is_no_excuse() -> None:
    """In single precision, 1e8 and 1 are 1e8: of the response to a unit impulse nothing is left."""
    found = diagnose(lambda x: (x + 1e8) - 1e8, (8,), dtype=torch.float32)
    assert found.linear.certainty == "refuted"
    assert "rounding is amplified" in found.additive.reason
    found = diagnose(lambda x: (x + 1e8) - 1e8, (8,))
    assert found.linear.holds
    assert found.affine.certainty == "proved"


def test_what_is_measured_of_an_offset() -> None:
    """At least one of the sums of a thousandth and a third rounds; none of twice a number does."""

    def offset(op: Callable[..., Any]) -> float:
        return Trials(Operator(NoTensor(op), (8,)), budget=1).rounding.offset

    third, unit = 1 / 3, 2.0**-53
    # Half the spacing at a third in each of four responses, over the bound on one of size 1.
    assert 0 < offset(lambda x: (x + third) - third) <= 4 * (unit / 2) / gamma(64, unit)
    assert 0 < offset(lambda x: 3 * x) < 2**-10
    assert offset(lambda x: 2 * x) == 0
    assert offset(lambda x: (x + 1e8) - 1e8) == 0  # amplified beyond the bound
    assert offset(lambda x: x + 1e-3 * x**2) == 0
    assert offset(lambda x: np.where(x > 0, x, np.nan)) == 0
