"""Responses are remembered, asked for many at a time, and say why they are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from tests.operator_table import NoTensor
from theory.diagnosis import responses
from theory.diagnosis.amplification import Amplification
from theory.diagnosis.calling import Operator
from theory.diagnosis.responses import Responses

if TYPE_CHECKING:
    from collections.abc import Callable

ZERO, ONES = np.zeros(4), np.ones(4)


class _Counted:
    """Counts how often an operator is called, and on how many signals at once."""

    def __init__(self, op: Callable[..., Any]) -> None:
        self.op = op
        self.sizes: list[int] = []

    def __deepcopy__(self, memo: Any) -> _Counted:
        return self

    def __call__(self, x: torch.Tensor) -> Any:
        self.sizes.append(len(x))
        return self.op(x)


def _responses(op: Callable[..., Any], shape: tuple[int, ...] = (4,)) -> Responses:
    return Responses(Operator(NoTensor(op), shape, batched=False))


def _batched(op: Callable[..., Any], shape: tuple[int, ...]) -> tuple[Responses, list[int]]:
    """Return the responses of an operator that takes batches, and the sizes of those to come."""
    counted = _Counted(op)
    found = Responses(Operator(counted, shape, batched=True))
    counted.sizes.clear()
    return found, counted.sizes


def test_a_response_is_asked_for_once() -> None:
    found, sizes = _batched(lambda x: 2 * x, (4,))
    x = np.arange(4.0)
    first = found(x)
    assert found(x.copy()) is first
    assert found.column((1,)).tolist() == [0, 2, 0, 0]
    assert len(sizes) <= 2


@pytest.mark.parametrize(
    ("op", "n", "room"),
    [
        (lambda x: x.repeat(1, 16), 3, 21),
        (lambda x: x.sum(-1, keepdim=True), 48, 21),
        (lambda x: x, 500, 8),
    ],
    ids=["outputs", "inputs", "at least"],
)
def test_no_more_than_so_many_values_are_remembered(
    op: Callable[..., Any], n: int, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 1024 values, 48 for each response; but always so many as one question needs."""
    monkeypatch.setattr(responses, "_REMEMBERED_VALUES", 1024)
    found, sizes = _batched(op, (n,))
    found._memory.clear()
    for k in [*range(room), *range(room)]:
        found(np.full(n, float(k)))
    assert len(sizes) == room, "all of these were still remembered"
    found(np.full(n, -1.0))
    found(np.zeros(n))
    assert len(sizes) == room + 2, "the first one was forgotten"


@pytest.mark.parametrize(("n", "sizes"), [(12, [12, 1]), (300, [128, 1, 128, 1, 44, 1])])
def test_columns_come_from_batches_and_one_mixture_checks_each(n: int, sizes: list[int]) -> None:
    shift_and_add = lambda x: x.roll(1, -1) + torch.arange(n)  # noqa: E731
    found, asked = _batched(shift_and_add, (n,))
    found(np.zeros(n))
    asked.clear()
    columns = np.stack(list(found.columns([(i,) for i in range(n)])))
    assert np.array_equal(columns, np.roll(np.eye(n), 1, -1) + np.arange(n))
    assert asked == sizes


@pytest.mark.parametrize(("times", "sizes"), [(2**13, [2, 2, 1]), (2**15, [1, 1, 1, 1, 1])])
def test_a_batch_holds_no_more_outputs_than_the_cache(times: int, sizes: list[int]) -> None:
    found, asked = _batched(lambda x: x.repeat(1, times), (4,))
    found(ZERO)
    asked.clear()
    columns = list(found.columns([(i,) for i in range(4)]))
    assert [int(each.argmax()) for each in columns] == [0, 1, 2, 3]
    assert asked == sizes


def test_some_cells_of_a_plane_come_in_the_order_that_was_asked() -> None:
    found, _ = _batched(lambda x: 3 * x, (2, 3))
    cells = [(1, 2), (0, 0), (1, 0)]
    for cell, column in zip(cells, found.columns(cells), strict=True):
        expected = np.zeros((2, 3))
        expected[cell] = 3
        assert np.array_equal(column, expected)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x.flip(-1),
        lambda x: x + 1e-6 * x.roll(1, 0),
        *(lambda x, i=i: x * (1 + 1e-6 * torch.eye(4)[i]) for i in range(4)),
    ],
    ids=["mirrored", "mixed", *(f"weight {i}" for i in range(4))],
)
def test_what_a_batch_changes_is_asked_one_by_one(wrong: Callable[..., Any]) -> None:
    found, asked = _batched(lambda x: wrong(x) if len(x) > 2 else 1.5 * x, (4,))
    columns = np.stack(list(found.columns([(i,) for i in range(4)])))
    assert np.array_equal(columns, 1.5 * np.eye(4))
    asked.clear()
    list(found.columns([(i,) for i in range(4)]))
    assert asked == [1] * 4, "batches are not tried again"


@pytest.mark.parametrize("offset", [0.0, 1e4 / 3])
@pytest.mark.parametrize(("share", "accepted"), [(0.9, True), (1.1, False)])
def test_a_mixture_may_differ_by_what_its_responses_round(
    offset: float, share: float, accepted: bool
) -> None:
    """On both sides together, twice the gain and the offset for each weight."""
    found = _responses(lambda x: 1.5 * x + offset)
    cells = [(i,) for i in range(4)]
    weights = np.random.default_rng(0).integers(1, 10, 4)
    allowed = found.rounding.relative * 2 * weights.sum() * (1.5 + offset)
    first, *others = map(found.column, cells)
    assert found._add_up(cells, [first + share * allowed / weights[0], *others]) is accepted


def test_a_batch_that_is_refused_is_asked_one_by_one() -> None:
    def refuses(x: torch.Tensor) -> torch.Tensor:
        if len(x) > 2:
            raise ValueError("too many")
        return 2 * x

    found, _ = _batched(refuses, (4,))
    columns = np.stack(list(found.columns([(i,) for i in range(4)])))
    assert np.array_equal(columns, 2 * np.eye(4))
    assert found.failure == ""


def test_the_first_error_is_told_and_its_response_is_nan() -> None:
    def refuses(x: np.ndarray) -> np.ndarray:
        if x.min() < -8:
            raise ValueError(f"no {x.min():g}")
        return np.append(x, 1.0)

    found = _responses(refuses)
    assert (found.failure, found.unanswered) == ("", "")
    missing = found(np.array([1.0, -9, 0, 2]))
    assert missing.shape == (5,)
    assert np.isnan(missing).all()
    found(np.full(4, -10.0))
    assert found.failure.startswith("on an input with values from -9 to 2 ")
    assert "no -9" in found.failure
    assert found.unanswered == found.failure
    assert found.failed(missing)
    assert not found.failed(found(ONES))
    assert found.not_finite == ""


def test_a_constant_input_is_told_by_its_value() -> None:
    found = _responses(lambda x: np.where(x > 8, np.nan, x))
    found(np.full(4, 9.0))
    assert found.not_finite == "on an input with the value 9 everywhere its output is not finite"


def test_what_is_not_finite_is_told_apart_from_what_is_missing() -> None:
    found = _responses(lambda x: np.where(x > 8, np.nan, x))
    odd = found(np.array([0.0, 9, -3, 0]))
    found(np.full(4, 10.0))
    assert found.not_finite == "on an input with values from -3 to 9 its output is not finite"
    assert (found.failure, found.unanswered) == ("", "")
    assert not found.failed(odd)
    assert not found.failed(found(np.full(4, 9.0)))  # all NaN, but nothing was raised


def test_where_no_output_is_finite_nothing_is_concluded() -> None:
    with np.errstate(invalid="ignore"):
        infinite = _responses(lambda x: x + np.inf)
        one_cell = _responses(lambda x: np.append(x + np.inf, 0))
    assert infinite.unanswered == "no output that was tried has a finite value"
    assert one_cell.unanswered == ""
    nothing = _responses(lambda x: x[:0])
    assert nothing.unanswered == ""


def test_a_precision_that_is_too_coarse_is_told() -> None:
    operator = Operator(NoTensor(lambda x: x), (64,), batched=False)
    operator.computes_in(torch.bfloat16)
    found = Responses(operator)
    assert found.failure.startswith(
        "64 cells are too many for its precision, a unit roundoff of 0.004"
    )
    assert not found.failed(found(np.zeros(64)))


def test_sums_are_judged_cell_by_cell_and_what_is_moved_by_channels() -> None:
    operator = Operator(NoTensor(lambda x: x), (2, 4), batched=False)
    reaching = np.arange(1.0, 9).reshape(2, 4) / 16
    found = Responses(operator, 3.0, Amplification(reaching, reaching / 2))
    assert found.rounding_of_sums.axes == ()
    assert np.array_equal(found.rounding_of_sums.offset, reaching / 2)
    assert found.rounding.axes == (-1,)
    assert found.rounding.offset.tolist() == [[2 / 16], [4 / 16]]  # type: ignore[union-attr]
