"""What is concluded from a structure and from witnesses: proved only where both allow it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from tests.operator_table import NoTensor
from theory.diagnosis import linearity
from theory.diagnosis.calling import Operator
from theory.diagnosis.findings import SINGLE, Finding
from theory.diagnosis.inside import Inside
from theory.diagnosis.linearity import Linearity, both, judge_linearity
from theory.diagnosis.search import Trials
from theory.diagnosis.structure import Level, Structure

if TYPE_CHECKING:
    from collections.abc import Callable

_A = np.arange(1.0, 5)


def _judged(op: Callable[..., Any], level: Level, *names: str, untraceable: str = "") -> Linearity:
    """Return what is said of an operator of which a structure is said to prove something."""
    structure = Structure(level, "culprit", names or ("mul",), False, torch.float64)
    inside = Inside(structure, None, None, "", untraceable)
    trials = Trials(Operator(NoTensor(op), (4,), batched=False), budget=100)
    return judge_linearity(trials, inside, np.random.default_rng(0))


def _told(found: Linearity) -> list[str]:
    return [
        each.certainty for each in (found.additive, found.homogeneous, found.linear, found.affine)
    ]


def _linear(x: np.ndarray) -> np.ndarray:
    return _A * x


def _affine(x: np.ndarray) -> np.ndarray:
    return _A * x + 1


def _constant(x: np.ndarray) -> np.ndarray:
    return _A + 0 * x


PROVED, SAMPLED, REFUTED = "proved", "sampled", "refuted"


@pytest.mark.parametrize(
    ("op", "level", "expected"),
    [
        (_linear, Level.LINEAR, [PROVED] * 4),
        (_linear, Level.AFFINE, [SAMPLED] * 3 + [PROVED]),
        (_linear, Level.NONLINEAR, [SAMPLED] * 4),
        (_linear, Level.UNKNOWN, [SAMPLED] * 4),
        (_affine, Level.AFFINE, [REFUTED] * 3 + [PROVED]),
        (_affine, Level.UNKNOWN, [REFUTED] * 3 + [SAMPLED]),
        (_constant, Level.CONSTANT, [REFUTED] * 3 + [PROVED]),
        (lambda x: 0 * x, Level.CONSTANT, [SAMPLED] * 3 + [PROVED]),
        (lambda x: 0 * x, Level.ZERO, [PROVED] * 4),
        (np.abs, Level.UNKNOWN, [REFUTED] * 4),
        (lambda x: np.abs(x) + 1, Level.UNKNOWN, [REFUTED] * 4),
    ],
)
def test_a_proof_takes_a_structure_and_no_witness(
    op: Callable[..., Any], level: Level, expected: list[str]
) -> None:
    found = _judged(op, level)
    assert _told(found) == expected
    assert not found.void
    for finding in (found.additive, found.homogeneous, found.linear, found.affine):
        assert finding.holds is (finding.certainty != REFUTED)
        assert (finding.witness is not None) is (finding.certainty == REFUTED)


@pytest.mark.parametrize("op", [np.abs, lambda x: np.abs(x) + 1])
@pytest.mark.parametrize("level", [Level.LINEAR, Level.AFFINE])
def test_a_witness_voids_what_a_structure_is_said_to_prove(
    op: Callable[..., Any], level: Level
) -> None:
    found = _judged(op, level)
    assert _told(found) == [REFUTED] * 4
    assert found.void
    assert "although every primitive is" in found.affine.reason or not op(0)


BLAME = "rounding is amplified, or the table of primitives is wrong"


@pytest.mark.parametrize(
    ("op", "level", "additive", "affine"),
    [
        (_linear, Level.LINEAR, *["every primitive is linear (mul)"] * 2),
        (
            _linear,
            Level.AFFINE,
            "no witness found; every primitive is affine (mul) and f(0) = 0, but only as computed: "
            "rounding may hide an offset",
            "every primitive is affine (mul)",
        ),
        (_linear, Level.NONLINEAR, *["no witness found; {doubt}"] * 2),
        (np.abs, Level.NONLINEAR, "f(x + y) = {rest}", "f(x + y) + f(0) = {rest}"),
        (
            np.abs,
            Level.LINEAR,
            f"f(x + y) = {{rest}}, although every primitive is linear (mul): {BLAME}",
            f"f(x + y) + f(0) = {{rest}}, although every primitive is linear (mul): {BLAME}",
        ),
        (
            np.abs,
            Level.AFFINE,
            "f(x + y) = {rest}, although every primitive is affine (mul) and f(0) = 0: " + BLAME,
            "f(x + y) + f(0) = {rest}, although every primitive is affine (mul) and f(0) = 0: "
            + BLAME,
        ),
    ],
)
def test_each_reason_in_full(
    op: Callable[..., Any], level: Level, additive: str, affine: str
) -> None:
    found = _judged(op, level)
    words = {
        "rest": "f(x) + f(y) fails",
        "doubt": "not provable: primitive culprit is nonlinear",
    }
    assert found.additive.reason == additive.format(**words)
    assert found.affine.reason == affine.format(**words)


def test_without_a_witness_an_offset_is_not_provable_from_a_structure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(linearity, "_attempts", lambda *_: ())
    found = _judged(_affine, Level.AFFINE)
    assert found.additive.reason == "no witness found; not provable from its structure"


@pytest.mark.parametrize(("excess", "certainty"), [(1.0, SAMPLED), (1.5, REFUTED)])
def test_a_violation_is_more_than_one_bound(
    excess: float, certainty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trials, "excess", lambda *_: excess)
    assert _told(_judged(_linear, Level.UNKNOWN)) == [certainty] * 4


@pytest.mark.parametrize(
    ("clear", "faint", "fails"),
    [
        ("homogeneous", "additive", "f(x + y) = f(x) + f(y) fails"),
        ("additive", "homogeneous", "f(c x) = c f(x) fails"),
    ],
)
def test_what_a_witness_voids_is_asked_again_for_faint_ones(
    clear: str, faint: str, fails: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A violation of ten bounds stands against no proof, until another one is clear."""
    monkeypatch.setattr(
        Trials, "excess", lambda _, equation, inputs: 1e9 if equation.property == clear else 10.0
    )
    found = _judged(_linear, Level.LINEAR)
    assert found.void
    assert getattr(found, faint).certainty == REFUTED
    assert getattr(found, faint).reason == (
        f"{fails}, although every primitive is linear (mul): {BLAME}"
    )


def _keeps_scale(x: np.ndarray) -> np.ndarray:
    """Return what is homogeneous and not additive."""
    largest = x[np.abs(x).argmax()]
    return np.array([largest, *x[1:]])


def test_what_else_is_proved_by_a_void_structure_is_no_more_than_sampled() -> None:
    found = _judged(_keeps_scale, Level.LINEAR)
    assert _told(found) == [REFUTED, SAMPLED, REFUTED, REFUTED]
    assert found.homogeneous.holds
    assert found.homogeneous.reason == "no witness found; a witness speaks against its proof"
    assert found.void


def test_of_what_is_additive_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search for a witness against additivity is cut off, as if it knew none."""
    attempts = linearity._attempts
    cut_off = lambda prop, *rest: attempts(prop, *rest) if prop == "homogeneous" else ()  # noqa: E731
    monkeypatch.setattr(linearity, "_attempts", cut_off)
    found = _judged(np.abs, Level.LINEAR)
    assert _told(found) == [SAMPLED, REFUTED, REFUTED, REFUTED]
    assert found.additive.reason == "no witness found; a witness speaks against its proof"
    found = _judged(lambda x: np.abs(x) + 1, Level.AFFINE)
    assert found.affine.certainty == PROVED, "nothing speaks against it here"
    assert not found.void


def test_what_is_zero_at_zero_and_not_linear_is_not_affine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search for a witness of its own is cut off: that against linearity is one, too."""
    attempts = linearity._attempts
    cut_off = lambda prop, *rest: () if prop == "affine" else attempts(prop, *rest)  # noqa: E731
    monkeypatch.setattr(linearity, "_attempts", cut_off)
    found = _judged(np.abs, Level.UNKNOWN)
    assert found.affine.holds is False
    assert found.affine.witness is found.linear.witness is not None
    assert found.affine.reason == "f(0) = 0, but not additive"


def test_against_a_proof_a_witness_has_to_be_clear() -> None:
    """By 100 bounds a sum may fail where the operator amplifies what it rounds; not by 10 000."""

    def bent(share: float) -> Callable[[np.ndarray], np.ndarray]:
        return lambda x: 3 * x + share * 3 * np.abs(x)

    bound = 8 * 4 * 2.0**-53
    assert _told(_judged(bent(100 * bound), Level.LINEAR)) == [PROVED] * 4
    assert _told(_judged(bent(100 * bound), Level.UNKNOWN)) == [REFUTED] * 4
    assert _told(_judged(bent(10_000 * bound), Level.LINEAR)) == [REFUTED] * 4


@pytest.mark.parametrize("level", [Level.LINEAR, Level.UNKNOWN])
def test_a_missing_response_leaves_it_open_and_one_that_is_not_finite_too(level: Level) -> None:
    def refuses(x: np.ndarray) -> np.ndarray:
        if np.abs(x).max() > 1e5:
            raise ValueError("too large")
        return 2 * x

    def overflows(x: np.ndarray) -> np.ndarray:
        return np.where(np.abs(x) > 1e5, np.inf, 2 * x)

    for op, why in ((refuses, "too large"), (overflows, "its output is not finite")):
        found = _judged(op, level)
        assert _told(found) == ["undecided"] * 4
        assert found.additive.holds is None
        assert found.additive.reason.startswith("no witness, but on an input with values from ")
        assert why in found.additive.reason


@pytest.mark.parametrize(
    ("level", "names", "untraceable", "reason"),
    [
        (Level.CONSTANT, (), "", "its output is constant"),
        (Level.AFFINE, ("add", "mul"), "", "every primitive is affine (add, mul)"),
        (Level.AFFINE, tuple("abcdef"), "", "every primitive is affine (a, b, c, d, e, f)"),
        (Level.AFFINE, tuple("abcdefg"), "", "every primitive is affine (a, b, c, d, e, f, ...)"),
        (Level.NONLINEAR, (), "", "not provable: primitive culprit is nonlinear"),
        (
            Level.UNKNOWN,
            (),
            "",
            "not provable: primitive culprit is unknown, random, writes in place, or has a shape "
            "or raises an error that depends on values",
        ),
        (Level.UNKNOWN, (), "it is so", "not provable from its structure: it is so"),
    ],
)
def test_the_reason_is_the_proof_or_why_there_is_none(
    level: Level, names: tuple[str, ...], untraceable: str, reason: str
) -> None:
    op = _constant if level is Level.CONSTANT else _affine
    found = _judged(op, level, *names, untraceable=untraceable).affine
    assert found.reason == (reason if level <= Level.AFFINE else f"no witness found; {reason}")


def test_an_identity_needs_no_primitive_to_be_proved() -> None:
    structure = Structure(Level.LINEAR, "", (), True, torch.float64)
    trials = Trials(Operator(NoTensor(lambda x: x), (4,), batched=False), budget=100)
    inside = Inside(structure, 0.0, None, "", "")
    found = judge_linearity(trials, inside, np.random.default_rng(0))
    assert found.linear.reason == "additive and homogeneous"
    assert found.additive.reason == "every primitive is linear"


@pytest.mark.parametrize(
    "names", list(itertools.permutations(("sampled", "exhausted", "proved"), 2))
)
def test_together_two_findings_are_as_certain_as_the_weaker_one(names: tuple[Any, Any]) -> None:
    first, second = (Finding(True, each, "") for each in names)
    weaker = "sampled" if "sampled" in names else "exhausted"
    assert _vars({"a": first, "b": second}) == (True, weaker, "a and b")


def _vars(findings: dict[str, Finding]) -> tuple[Any, ...]:
    found = both(findings)
    return found.holds, found.certainty, found.reason


def test_one_that_fails_decides_and_one_that_is_open_leaves_it_open() -> None:
    holds = Finding(True, "proved", "it does")
    fails, leaves_open = Finding(False, "refuted", "no"), Finding(None, "undecided", "why")
    assert _vars({"a": holds, "b": fails}) == (False, "refuted", "not b")
    assert _vars({"a": leaves_open, "b": fails}) == (False, "refuted", "not b")
    assert _vars({"a": holds, "b": leaves_open}) == (None, "undecided", "b? why")
    advised = Finding(False, "refuted", f"no{SINGLE}")
    assert both({"a": advised, "b": holds}).reason == f"not a{SINGLE}"
