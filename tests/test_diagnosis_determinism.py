"""Which calls show that an operator has a state, and what is said where none does."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from theory.diagnosis.calling import Operator
from theory.diagnosis.determinism import Repetition
from theory.diagnosis.isolation import isolated

if TYPE_CHECKING:
    from collections.abc import Callable

    from theory.diagnosis.findings import Finding

ONES = np.ones(4)


class _Stateful:
    """Calls a function of the input, of the inputs before it, and of a generator of its own."""

    def __init__(self, op: Callable[..., Any]) -> None:
        self.op = op
        self.before: list[np.ndarray] = []
        self.rng = random.Random(0)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        y = self.op(np.asarray(x), self)
        self.before.append(np.array(x))
        return np.asarray(y)


def _repetition(op: Callable[..., Any]) -> tuple[Operator, Repetition]:
    operator = Operator(_Stateful(op), (4,), batched=False)
    return operator, Repetition(operator, np.random.default_rng(0))


def _judged(op: Callable[..., Any], *, afresh: bool = False) -> Finding:
    """Return the finding, where `afresh` after another copy was called with ones first."""
    with isolated(seed=1):
        operator, repetition = _repetition(op)
        if afresh:
            operator.reset()
            operator(ONES)
        return repetition.judge()


def _refuted(
    op: Callable[..., Any], *, afresh: bool = False
) -> tuple[list[list[float]], np.ndarray, np.ndarray]:
    """Return the inputs of the calls that show a state, and the two outputs that differ."""
    finding = _judged(op, afresh=afresh)
    assert (finding.holds, finding.certainty) == (False, "refuted")
    assert finding.reason == "the same input gives different outputs (randomness or hidden state)"
    assert finding.witness is not None
    witness = finding.witness
    with isolated(seed=1):
        left, right = witness.replay(_Stateful(op))
    assert np.array_equal(left, witness.left)
    assert np.array_equal(right, witness.right)
    assert not np.array_equal(left, right)
    return [x.tolist() for x in witness.inputs], left, right


def test_what_stays_is_sampled() -> None:
    finding = _judged(lambda x, op: 2 * x)
    assert (finding.holds, finding.certainty) == (True, "sampled")
    assert finding.reason == "72 inputs give the same outputs when repeated"
    assert _judged(lambda x, op: np.where(x > 8, np.nan, x)).holds


@pytest.mark.parametrize("calls", [2, 3, 8, 9, 100])
def test_what_changes_with_the_number_of_calls_takes_that_many(calls: int) -> None:
    """Two or eight calls in a row are tried first, then other inputs in between, then 512."""
    inputs, left, right = _refuted(lambda x, op: x + (len(op.before) >= calls - 1))
    assert inputs[0] == inputs[-1] == [1.0] * 4
    if calls <= 8 or calls == 100:
        assert inputs == [[1.0] * 4] * calls
    assert np.array_equal(left, ONES)
    assert np.array_equal(right, ONES + 1)


def test_another_input_in_between_is_tried() -> None:
    def remembers(x: np.ndarray, op: Any) -> np.ndarray:
        return x + any((each != x).any() for each in op.before)

    inputs, _, _ = _refuted(remembers)
    assert len(inputs) == 3
    assert inputs[0] == inputs[2] == [1.0] * 4
    assert inputs[1] != inputs[0]


def test_what_the_first_call_settled_is_shown_beside_a_fresh_copy() -> None:
    def first(x: np.ndarray, op: Any) -> np.ndarray:
        return x + (op.before[0] if op.before else x)

    inputs, left, right = _refuted(first, afresh=True)
    before, x = inputs
    assert np.array_equal(left, 2 * np.array(x))
    assert np.array_equal(right, np.add(x, before))


def test_an_input_that_shows_it_is_taken_where_ones_do_not() -> None:
    def for_large(x: np.ndarray, op: Any) -> np.ndarray:
        return x + (np.abs(x).max() > 1e5) * len(op.before)

    inputs, _, _ = _refuted(for_large)
    assert max(map(abs, inputs[0])) > 1e5


def test_what_is_seen_once_is_told_as_it_was_seen() -> None:
    clock = iter(range(10**9))
    finding = _judged(lambda x, op: x + (next(clock) == 100))
    assert finding.holds is False
    assert finding.reason.endswith(
        ", seen once: no sequence of calls that was tried since shows it again"
    )
    witness = finding.witness
    assert witness is not None
    assert np.array_equal(*witness.inputs)
    assert np.array_equal(witness.right, witness.left + 1)
    assert np.array_equal(witness.left, witness.inputs[0])


def test_an_output_that_is_not_finite_is_no_witness() -> None:
    """It is the same when repeated; what comes later and is finite shows the state."""
    inputs, _, _ = _refuted(
        lambda x, op: x + len(op.before) * (np.inf if 1 < len(op.before) < 5 else 1)
    )
    assert len(inputs) == 2


def test_an_error_that_is_repeated_is_the_same_output() -> None:
    def refuses(x: np.ndarray, op: Any) -> np.ndarray:
        if x.max() > 1e5:
            raise ValueError("too large")
        return x

    assert _judged(refuses).holds


@pytest.mark.parametrize(
    ("draw", "names"),
    [
        (lambda op: 0, ()),
        (lambda op: random.random(), ("Python's generator",)),
        (lambda op: op.rng.random(), ("its generator rng",)),
        (
            lambda op: torch.rand(1).item() + op.rng.random(),
            ("torch's generator", "its generator rng"),
        ),
    ],
)
def test_what_was_drawn_from_is_told(draw: Callable[..., Any], names: tuple[str, ...]) -> None:
    with isolated(seed=1):
        operator, repetition = _repetition(lambda x, op: x + 0 * draw(op))
        assert repetition.drawn_from() == names
        operator(ONES)
        assert repetition.drawn_from() == names


def test_what_draws_is_searched_for_longer_and_stays_open_if_nothing_shows() -> None:
    with isolated(seed=1):
        _, repetition = _repetition(lambda x, op: x)
        finding = repetition.judge_drawing("it draws")
        assert (finding.holds, finding.certainty) == (None, "undecided")
        assert finding.reason == ("it draws, though 72 inputs give the same outputs when repeated")
        _, repetition = _repetition(lambda x, op: x + (len(op.before) > 400))
        found = repetition.judge_drawing("it draws")
        assert found.certainty == "refuted"
        assert found.witness is not None
        assert len(found.witness.inputs) == 402
