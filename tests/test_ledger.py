"""The ledger holds what the reports claim, and refuses what it must not hold."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.ledger_claims import RELU
from theory import ledger
from theory.ledger import Claim, LedgerError, claims

COLLECTED = {
    "assignment-3": (18, 15, "3306a467eacb388e"),
    "mnist-2017": (34, 9, "a333a036a7383e6f"),
    "nn4i-2023-a1": (31, 10, "f9b3a53c6d852fa1"),
    "nni-2023-ex1": (25, 13, "f7c787b81e470725"),
    "tp1-cnn": (38, 9, "efdf6d61e7dd8351"),
}
"""Of each report, how many claims of trials and of runs it has, and the digest of them all.

A new report gets a line of its own. It changes the digest of another only where claims of that
one name it as a conflict.
"""


def _digest(report: str) -> str:
    """Return a digest of the claims of a report, value by value."""
    values = [
        [
            claim.id,
            claim.report,
            claim.where,
            claim.kind,
            claim.statement,
            claim.reported,
            sorted(claim.conflicts_with),
            claim.not_stated,
        ]
        for _, claim in sorted(claims().items())
        if claim.report == report
    ]
    text = json.dumps(values, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def test_all_claims_are_there_as_they_were_collected() -> None:
    by_kind = Counter((claim.report, claim.empirical) for claim in claims().values())
    assert {
        report: (by_kind[report, False], by_kind[report, True], _digest(report))
        for report in sorted({claim.report for claim in claims().values()})
    } == COLLECTED


def test_numbers_stay_numbers() -> None:
    reported = {claim.id: claim.reported for claim in claims().values()}
    assert reported["nni-2023-ex1-q1a-params-20"] == [46590]
    assert reported["nni-2023-ex1-q1a-acc-20"] == {"train": 0.82, "test": 0.52}
    assert reported["mnist-2017-q3a-acc"] == {"accuracy": 0.9605, "printed": "6.9605"}
    assert reported[RELU] is None


def test_conflicts_are_mutual() -> None:
    one_way = [
        (claim.id, other)
        for claim in claims().values()
        for other in claim.conflicts_with
        if claim.id not in claims()[other].conflicts_with
    ]
    assert one_way == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('kind = "theory"', 'kind = "theory', "a.toml: not valid TOML"),
        ('kind = "theory"', 'kind = "opinion"', "a.toml: claim a-1: unknown kind 'opinion'"),
        ('kind = "theory"\n', "", "a.toml: claim a-1: lacks kind"),
        ('statement = "One."', 'statement = ""', "a.toml: claim a-1: statement is empty"),
        ('statement = "One."', "statement = 1", "a.toml: claim a-1: statement is 1"),
        ('id = "a-2"', 'id = "a-1"', "a.toml: claim a-1: the id is used twice"),
        ('id = "a-2"', 'id = "c-2"', "a.toml: claim c-2: an id in this file begins with 'a-'"),
        ('id = "a-2"\n', "", "a.toml: claim number 2: lacks id"),
        ('"b-1"', '"b-7"', "a.toml: claim a-1: conflicts_with names 'b-7'"),
        ('"b-1"', '"a-2"', "a.toml: claim a-1: conflicts_with names 'a-2'"),
        ('["b-1"]', '"b-1"', "a.toml: claim a-1: conflicts_with is 'b-1'"),
        ('kind = "theory"', 'kind = "theory"\nverdict = "holds"', "unknown key 'verdict'"),
        ('["b-1"]', '[["b-1"]]', "a.toml: claim a-1: conflicts_with is [['b-1']], expected ids"),
        ("[[claim]]", "[[claims]]", "a.toml: expected [[claim]] tables"),
    ],
)
def test_broken_data_gets_one_clear_error(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    one = '[[claim]]\nid = "{}"\nwhere = "x"\nkind = "theory"\nstatement = "One."\n'
    good = one.format("a-1") + 'conflicts_with = ["b-1"]\n' + one.format("a-2")
    (tmp_path / "b.toml").write_text(one.format("b-1"), encoding="utf-8")
    (tmp_path / "a.toml").write_text(good, encoding="utf-8")
    assert list(claims(tmp_path)) == ["a-1", "a-2", "b-1"]
    claims.cache_clear()

    (tmp_path / "a.toml").write_text(good.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(LedgerError, match=re.escape(complaint)):
        claims(tmp_path)


def test_a_claim_is_a_table(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("claim = [1]", encoding="utf-8")
    with pytest.raises(LedgerError, match=r"^a\.toml: expected \[\[claim\]\] tables"):
        claims(tmp_path)


def test_a_ledger_may_be_named_by_text() -> None:
    folder = Path(ledger.__file__).parent
    assert claims(str(folder)) == claims(folder)


def test_the_claim_that_contributors_are_shown_is_one(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text("utf-8")
    (example,) = re.findall(r"```toml\n(.+?)```", guide, re.DOTALL)
    (tmp_path / "lab-1.toml").write_text(example, "utf-8")
    (claim,) = claims(tmp_path).values()
    assert (claim.report, claim.empirical) == ("lab-1", False)


def test_an_empty_folder_is_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="no claims found"):
        claims(tmp_path)


def test_a_claim_cannot_be_edited() -> None:
    with pytest.raises(TypeError):
        claims()["new"] = claims()[RELU]  # type: ignore[index]
    with pytest.raises(AttributeError):
        claims()[RELU].kind = "empirical"  # type: ignore[misc]
    assert isinstance(claims()[RELU], Claim)
