"""Trials: how a test says which claims it settles, and how.

A trial is a test function under ``theory/`` that carries the mark `settles`. What it says is a
`Ruling`; the ruling counts only when the trial passes.
"""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import pytest

from theory.ledger.claims import LedgerError, claims

Verdict = Literal["holds", "holds_if", "refuted", "undecided"]
Certainty = Literal["proved", "exhausted", "sampled", "refuted"]

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
CERTAINTIES: tuple[Certainty, ...] = get_args(Certainty)


@dataclass(frozen=True)
class Ruling:
    """What one trial says about the claims that it names; validated when made.

    Attributes
    ----------
    claims : tuple of str
        Ids of the claims.
    verdict : {"holds", "holds_if", "refuted", "undecided"}
        The verdict on each of them.
    certainty : {"proved", "exhausted", "sampled", "refuted"} or None
        How the trial knows; ``refuted`` (a witness stands) goes with the verdict ``refuted`` only.
        None for ``undecided``, for nothing is known then.
    correction : str or None
        The corrected statement of a refuted claim.
    condition : str or None
        The missing condition of a claim that holds only under it; of an undecided claim, the
        readings that would decide it.

    Raises
    ------
    LedgerError
        If a claim is unknown or empirical, or the other values do not fit together.
    """

    claims: tuple[str, ...]
    verdict: Verdict
    certainty: Certainty | None = None
    correction: str | None = None
    condition: str | None = None

    def __post_init__(self) -> None:
        if not self.claims:
            raise LedgerError("a trial names at least one claim that it settles")
        for claim in self.claims:
            _require_triable(claim)
        _require_known("verdict", self.verdict, VERDICTS)
        where = f"the trial of {', '.join(self.claims)}"
        if (self.verdict == "undecided") != (self.certainty is None):
            raise LedgerError(
                f"{where}: verdict {self.verdict!r} with certainty {self.certainty!r}; "
                "a trial has none exactly if it leaves a claim undecided"
            )
        if self.certainty is not None:
            _require_known("certainty", self.certainty, CERTAINTIES)
        if (self.verdict == "refuted") != (self.certainty == "refuted"):
            raise LedgerError(
                f"{where}: verdict {self.verdict!r} with certainty {self.certainty!r}; "
                "'refuted' is both or neither"
            )
        if self.correction is not None and self.verdict != "refuted":
            raise LedgerError(f"{where}: only a refuted claim has a correction")
        if self.condition is not None and self.verdict not in ("holds_if", "undecided"):
            raise LedgerError(
                f"{where}: only a claim that holds_if or is undecided has a condition"
            )

    @property
    def text(self) -> str | None:
        """The correction or the condition, whichever the verdict calls for."""
        return self.correction or self.condition

    def to_dict(self) -> dict[str, Any]:
        """Return the ruling as plain values, from which ``Ruling(**values)`` makes it again."""
        return asdict(self)


def settles(
    *claim_ids: str,
    verdict: Verdict,
    certainty: Certainty | None = None,
    correction: str | None = None,
    condition: str | None = None,
) -> pytest.MarkDecorator:
    """Mark a test as the trial of some claims.

    The text (the correction of a refuted claim, the condition of one that holds only under it, the
    readings of an undecided one) is given by exactly one trial of the claim; further trials
    restate the verdict without it.

    Parameters
    ----------
    *claim_ids : str
        The claims that the trial settles, all alike; stack the decorator for different verdicts.
    verdict, certainty, correction, condition
        See `Ruling`.

    Returns
    -------
    pytest.MarkDecorator
        The decorator of the test.

    Raises
    ------
    LedgerError
        While the test file is imported, if the ruling is not valid.

    Examples
    --------
    >>> @settles("nni-2023-ex1-t3a-relu-example", verdict="holds", certainty="proved")
    ... def test_a_negative_factor_leaves_relu(): ...
    """
    return pytest.mark.settles(Ruling(claim_ids, verdict, certainty, correction, condition))


def rulings_of(item: pytest.Item) -> list[Ruling]:
    """Return what a collected test says about claims, in the order of its decorators.

    Raises
    ------
    LedgerError
        If a mark was not made by `settles`, or the test names a claim twice.
    """
    marks = list(item.iter_markers("settles"))
    rulings = [arg for mark in marks for arg in mark.args if isinstance(arg, Ruling)]
    if len(rulings) != len(marks):
        raise LedgerError(f"{item.nodeid}: use theory.ledger.settles, not pytest.mark.settles")
    named = [claim for ruling in rulings for claim in ruling.claims]
    if twice := [claim for claim in named if named.count(claim) > 1]:
        raise LedgerError(f"{item.nodeid}: names claim {twice[0]} twice")
    return rulings[::-1]


def _require_triable(claim: str) -> None:
    ledger = claims()
    if claim not in ledger:
        near = difflib.get_close_matches(claim, ledger, n=1, cutoff=0)
        raise LedgerError(f"no claim has the id {claim!r}; the nearest is {near[0]!r}")
    if ledger[claim].empirical:
        raise LedgerError(f"claim {claim} is empirical: it is measured again, no trial settles it")


def _require_known(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise LedgerError(f"unknown {name} {value!r}; known: {', '.join(known)}")
