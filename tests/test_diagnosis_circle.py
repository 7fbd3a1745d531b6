"""Shifts on the circle, held against a definition that tries every shift of every impulse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from tests.operator_table import NoTensor
from theory.diagnosis.calling import Operator
from theory.diagnosis.circular import Circle
from theory.diagnosis.equivariance import Equivariance, Shifts
from theory.diagnosis.findings import Finding
from theory.diagnosis.search import Trials

if TYPE_CHECKING:
    from collections.abc import Callable

Shape = tuple[int, ...]
Period = tuple[int | None, ...]


def _judged(op: Callable[..., Any], shape: Shape, affine: str = "proved") -> Equivariance:
    operator = Operator(NoTensor(op), shape, batched=False, axes=tuple(range(len(shape))))
    finding = Finding(True, affine, "") if affine else Finding(False, "refuted", "")  # type: ignore[arg-type]
    trials = Trials(operator, budget=100)
    return Circle(Shifts(trials, finding, False, False, np.random.default_rng(0))).judge()


def _by_definition(op: Callable[..., Any], shape: Shape) -> Period:
    """Return the least k along each axis by which every impulse, and zero, may be shifted."""
    inputs = [np.zeros(shape), *np.eye(int(np.prod(shape))).reshape(-1, *shape)]
    out = op(inputs[0]).shape

    def follows(axis: int, k: int) -> bool:
        to, rest = divmod(k * out[axis], shape[axis])
        return not rest and all(
            np.array_equal(op(np.roll(x, k, axis)), np.roll(op(x), to, axis)) for x in inputs
        )

    return tuple(
        next((k for k in range(1, n) if out[axis] > 1 and follows(axis, k)), None)
        for axis, n in enumerate(shape)
    )


@st.composite
def _operators(draw: Any) -> tuple[Callable[..., Any], Shape]:
    """Draw a matrix that repeats itself along each axis, moved, but for a cell that may differ."""
    n = draw(st.sampled_from([(4,), (6,), (4, 6), (2, 4), (6, 3)]))
    m = tuple(draw(st.sampled_from([k, k // 2 or 1, 2 * k])) for k in n)
    steps = [draw(st.sampled_from([d for d in range(1, k + 1) if k % d == 0])) for k in n]
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    weights = rng.integers(1, 9, m + n).astype(float)
    total = np.zeros_like(weights)
    for turn in np.ndindex(*(k // s for k, s in zip(n, steps, strict=True))):
        by = [t * s for t, s in zip(turn, steps, strict=True)]
        to = [b * j // k for b, j, k in zip(by, m, n, strict=True)]
        total += np.roll(weights, to + by, tuple(range(2 * len(n))))
    if draw(st.booleans()):
        total[tuple(draw(st.integers(0, k - 1)) for k in m + n)] += 1
    constant = float(draw(st.integers(0, 1)))
    return lambda x: np.tensordot(total, x, len(n)) + constant, n


@pytest.mark.parametrize("searched", [True, False])
@given(drawn=_operators())
@settings(max_examples=40)
def test_the_period_is_the_least_shift_that_every_impulse_follows(
    drawn: tuple[Callable[..., Any], Shape], searched: bool
) -> None:
    """With the inputs of a search, and where these show nothing, by the basis alone."""
    op, shape = drawn
    with pytest.MonkeyPatch.context() as patch:
        if not searched:
            patch.setattr(Shifts, "probes", lambda self: iter([np.zeros(shape)]))
        found = _judged(op, shape)
    assert found.period == _by_definition(op, shape)
    assert found.rate == tuple(
        None if k is None else k * m // n
        for k, n, m in zip(found.period, shape, op(np.zeros(shape)).shape, strict=True)
    )
    if found.period == (1,) * len(shape):
        assert (found.finding.holds, found.finding.certainty) == (True, "exhausted")
    else:
        assert found.finding.holds is False


def test_zero_has_to_follow_as_well() -> None:
    bias = np.array([1.0, 2, 1, 2])
    assert _judged(lambda x: x + bias, (4,)).period == (2,)


@pytest.mark.parametrize("affine", ["proved", "sampled", ""])
def test_a_basis_is_exhausted_only_where_the_operator_is_proved_affine(affine: str) -> None:
    found = _judged(lambda x: np.roll(x, 1), (6,), affine).finding
    assert found.certainty == ("exhausted" if affine == "proved" else "sampled")


@pytest.mark.parametrize(
    ("op", "period"),
    [
        (lambda x: np.abs(x), (1,)),
        (lambda x: np.maximum(x[::2], x[1::2]), (2,)),
        (lambda x: np.abs(x) * [1, 2, 3, 1, 2, 3], (3,)),
        (lambda x: np.abs(x) * [1, 2, 3, 4, 5, 6], (None,)),
        (lambda x: np.repeat(np.abs(x), 2), (1,)),
        (lambda x: np.abs(x).max(keepdims=True), (None,)),
    ],
)
def test_other_operators_are_tried(op: Callable[..., Any], period: Period) -> None:
    found = _judged(op, (6,), affine="")
    assert found.period == period
    assert found.certainty == "sampled"
    witness = found.finding.witness
    if witness is not None:
        assert not np.array_equal(witness.left, witness.right)


def test_where_sizes_forbid_a_shift_the_witness_follows_none_at_all() -> None:
    found = _judged(lambda x: x[:4] + x[2:], (6,)).finding
    assert found.witness is not None
    assert (found.witness.shift, found.witness.output_shift) == ((1,), None)
    left, right = found.witness.left, found.witness.right
    assert all(not np.array_equal(left, np.roll(right, by)) for by in range(4))
    assert found.reason.startswith("a shift by 1 is no whole shift of the output (6 cells in, 4")
    assert "no shift but the full turn is followed" in found.reason


def test_the_reason_says_what_is_followed() -> None:
    found = _judged(lambda x: x * [1, 2, 1, 2], (4,)).finding
    assert found.reason == "f(shift x) = shift f(x) fails; period 2 (exhausted)"
    found = _judged(lambda x: x * [1, 2, 3, 4], (4,)).finding
    assert found.reason == ("f(shift x) = shift f(x) fails; no shift but the full turn is followed")


def test_an_axis_of_one_cell_is_followed() -> None:
    found = _judged(lambda x: np.roll(x, 1, 1), (1, 4))
    assert (found.period, found.rate) == ((1, 1), (1, 1))
    assert found.finding.certainty == "exhausted"
    found = _judged(lambda x: np.repeat(x, 3, 0), (1, 4))
    assert (found.period, found.rate) == ((1, 1), (3, 1))


def test_the_clearest_witness_is_taken_from_whichever_axis() -> None:
    """Along the first axis no more than single precision rounds; the second one is beyond doubt."""
    faint = 1 + 1e-9 * np.arange(3)[:, None]
    found = _judged(lambda x: x * faint * [1, 2, 3, 4], (3, 4)).finding
    assert found.witness is not None
    assert found.witness.shift == (0, 1)
    assert "single" not in found.reason
    found = _judged(lambda x: x * faint, (3, 4)).finding
    assert found.witness is not None
    assert found.witness.shift == (1, 0)
    assert "single-precision rounding" in found.reason
