"""The tally merges what trials say of a claim, and hides no dispute, failure or gap."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.ledger_claims import EXAMPLE, RELU
from theory.ledger import Ruling
from theory.ledger.tally import Tally, table, triable, write


def _ruling(verdict: str, certainty: str | None, text: str | None = None) -> Ruling:
    key = "correction" if verdict == "refuted" else "condition"
    return Ruling((RELU,), verdict, certainty, **{key: text})  # type: ignore[arg-type]


def _tally(*trials: tuple[str, Ruling, str]) -> Tally:
    tally = Tally()
    for nodeid, ruling, outcome in trials:
        tally.add(nodeid, [ruling], "passed", body=False)
        tally.add(nodeid, [ruling], outcome, body=True)
    return tally


@pytest.mark.parametrize("flipped", [False, True])
def test_the_trial_with_the_text_says_how_certain_it_is(flipped: bool) -> None:
    """Red where a proof of one part lends its word to a condition that was only sampled."""
    trials = [
        ("t::sampled", _ruling("holds_if", "sampled", "only then"), "passed"),
        ("t::proved", _ruling("holds_if", "proved"), "passed"),
        ("t::exhausted", _ruling("holds_if", "exhausted"), "passed"),
    ]
    outcome = _tally(*(trials[::-1] if flipped else trials)).settle()

    settled = outcome.settled[RELU]
    assert (settled.verdict, settled.certainty) == ("holds_if", "sampled")
    assert (settled.correction, settled.condition) == (None, "only then")
    assert settled.trials == ("t::exhausted", "t::proved", "t::sampled")
    assert outcome.textless == []


@pytest.mark.parametrize("flipped", [False, True])
def test_without_a_text_the_strongest_certainty_counts(flipped: bool) -> None:
    trials = [
        ("t::sampled", _ruling("holds", "sampled"), "passed"),
        ("t::proved", _ruling("holds", "proved"), "passed"),
    ]
    outcome = _tally(*(trials[::-1] if flipped else trials)).settle()
    assert outcome.settled[RELU].certainty == "proved"


def test_the_cases_of_a_parametrised_test_are_one_trial() -> None:
    ruling = _ruling("refuted", "refuted", "not so")
    cases = [("t::trial[1]", ruling, "passed"), ("t::trial[2]", ruling, "passed")]

    assert _tally(*cases).settle().settled[RELU].trials == ("t::trial",)
    failing = _tally(*cases, ("t::trial[3]", ruling, "failed")).settle()
    assert failing.failed == {RELU: ["t::trial"]}
    assert RELU in _tally(*cases, ("t::trial[3]", ruling, "skipped")).settle().untried


def test_a_failed_trial_outweighs_a_passed_one() -> None:
    ruling = _ruling("holds", "proved")
    outcome = _tally(("t::a", ruling, "passed"), ("t::b", ruling, "failed")).settle()
    assert outcome.failed == {RELU: ["t::b"]}
    assert RELU not in outcome.settled


def test_an_error_in_the_tear_down_fails_the_trial() -> None:
    tally = _tally(("t::a", _ruling("holds", "proved"), "passed"))
    tally.add("t::a", [_ruling("holds", "proved")], "failed", body=False)
    assert tally.settle().failed == {RELU: ["t::a"]}


@pytest.mark.parametrize("other", [("holds_if", "proved", "x"), ("undecided", None, "x")])
def test_different_verdicts_are_disputed(other: tuple[str, str | None, str]) -> None:
    trials = ("t::a", _ruling("holds", "proved"), "passed"), ("t::b", _ruling(*other), "passed")
    outcome = _tally(*trials).settle()
    assert outcome.disputed == {RELU: f"t::a says holds, t::b says {other[0]}"}
    assert RELU not in outcome.settled


def test_two_texts_are_disputed_and_none_is_noticed() -> None:
    bare, told = _ruling("holds_if", "proved"), _ruling("holds_if", "proved", "only then")
    twice = _tally(("t::a", told, "passed"), ("t::b", told, "passed")).settle()
    assert "t::a and t::b both give the text" in twice.disputed[RELU]
    assert _tally(("t::a", bare, "passed")).settle().textless == [RELU]


def test_the_table_fits_a_terminal_and_counts_what_is_untried() -> None:
    tally = Tally()
    tally.add("t::a", [Ruling((EXAMPLE,), "holds", "proved")], "passed", body=True)
    outcome = tally.settle()
    assert max(map(len, table(outcome))) <= 100
    count = len(triable())
    assert table(outcome)[-1].split() == [
        "all",
        "reports",
        "1",
        *"·····",
        str(count - 1),
        str(count),
    ]
    assert outcome.untried == [claim.id for claim in triable() if claim.id != EXAMPLE]


def test_verdicts_are_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = _tally(("t::a", _ruling("refuted", "refuted", "nicht so: ≠"), "passed")).settle()
    path = tmp_path / "verdicts.json"
    write(outcome, path)
    written = path.read_text(encoding="utf-8")
    assert json.loads(written) == {
        RELU: {
            "verdict": "refuted",
            "certainty": "refuted",
            "correction": "nicht so: ≠",
            "condition": None,
            "trials": ["t::a"],
        }
    }

    def full(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="disk full"):
        write(outcome, path)
    assert path.read_text(encoding="utf-8") == written
    assert list(tmp_path.iterdir()) == [path]
