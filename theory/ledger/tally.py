"""The tally: what all trials of a run, together, say about the claims.

Each trial reports its rulings and its outcome; `Tally.settle` merges them claim by claim into
settled, failed, disputed and untried, and the rest prints or writes the result.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from theory.atomic import write_whole
from theory.ledger.claims import Claim, claims
from theory.ledger.trials import CERTAINTIES, VERDICTS, Certainty, Ruling, Verdict


@dataclass(frozen=True)
class Settled:
    """The merged verdict of all trials of one claim."""

    verdict: Verdict
    certainty: Certainty | None
    correction: str | None
    condition: str | None
    trials: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What a run says about every claim that a trial can settle.

    Attributes
    ----------
    settled : dict from claim id to Settled
        All trials of the claim passed and agree.
    failed : dict from claim id to list of str
        Trials of the claim that failed.
    disputed : dict from claim id to str
        Why the trials of the claim do not fit together.
    textless : list of str
        Settled claims whose correction or condition no trial of this run gave.
    untried : list of str
        No trial of the claim was run to its end.
    """

    settled: dict[str, Settled]
    failed: dict[str, list[str]]
    disputed: dict[str, str]
    textless: list[str]
    untried: list[str]


@dataclass
class Tally:
    """Collects the rulings and outcomes of the trials, in whatever order they come."""

    _rulings: dict[str, tuple[Ruling, ...]] = field(default_factory=dict)
    _passed: set[str] = field(default_factory=set)
    _failed: set[str] = field(default_factory=set)
    _skipped: set[str] = field(default_factory=set)

    def add(self, nodeid: str, rulings: Iterable[Ruling], outcome: str, *, body: bool) -> None:
        """Take in one phase of one test.

        Parameters
        ----------
        nodeid : str
            The test. The cases of a parametrised test are one trial, which passes if all do; a
            skipped case leaves the trial unfinished, and what it says does not count.
        rulings : iterable of Ruling
            What the test says about claims.
        outcome : {"passed", "failed", "skipped"}
            How the phase came out.
        body : bool
            Whether the phase was the test itself, rather than its set-up or tear-down.
        """
        trial = nodeid.split("[")[0]
        self._rulings[trial] = tuple(rulings)
        if outcome == "failed":
            self._failed.add(trial)
        elif outcome == "skipped":
            self._skipped.add(trial)
        elif body:
            self._passed.add(trial)

    def settle(self) -> Outcome:
        """Merge everything taken in so far."""
        by_claim: dict[str, dict[str, Ruling]] = defaultdict(dict)
        for trial in sorted((self._passed - self._skipped) | self._failed):
            for ruling in self._rulings[trial]:
                for claim_id in ruling.claims:
                    by_claim[claim_id][trial] = ruling
        outcome = Outcome({}, {}, {}, [], [])
        for claim in triable():
            rulings = by_claim.get(claim.id)
            if not rulings:
                outcome.untried.append(claim.id)
            elif dispute := _dispute(rulings):
                outcome.disputed[claim.id] = dispute
            elif failed := sorted(self._failed & rulings.keys()):
                outcome.failed[claim.id] = failed
            else:
                outcome.settled[claim.id] = settled = _merge(rulings)
                if settled.verdict != "holds" and not (settled.correction or settled.condition):
                    outcome.textless.append(claim.id)
        return outcome


def triable() -> list[Claim]:
    """Return the claims that a trial can settle: all but the empirical ones."""
    return [claim for claim in claims().values() if not claim.empirical]


def _dispute(rulings: Mapping[str, Ruling]) -> str | None:
    verdicts = {trial: ruling.verdict for trial, ruling in rulings.items()}
    if len(set(verdicts.values())) > 1:
        return ", ".join(f"{trial} says {verdict}" for trial, verdict in verdicts.items())
    texts = [trial for trial, ruling in rulings.items() if ruling.text]
    if len(texts) > 1:
        return f"{' and '.join(texts)} both give the text; exactly one trial does"
    return None


def _merge(rulings: Mapping[str, Ruling]) -> Settled:
    """Return what the trials say together.

    It is as certain as the trial that gives the text, for other trials may settle a part of the
    claim only; where none gives one, as the strongest.
    """
    order = (*CERTAINTIES, None)
    strongest = min(rulings.values(), key=lambda ruling: order.index(ruling.certainty))
    spoken = next((ruling for ruling in rulings.values() if ruling.text), strongest)
    return Settled(
        verdict=spoken.verdict,
        certainty=spoken.certainty,
        correction=spoken.correction,
        condition=spoken.condition,
        trials=tuple(rulings),
    )


def table(outcome: Outcome) -> list[str]:
    """Return the lines of the table of reports against verdicts."""
    columns = (*VERDICTS, "failed", "disputed", "untried", "claims")
    counts: dict[str, Counter[str]] = {claim.report: Counter() for claim in triable()}
    for claim in triable():
        for row in (counts[claim.report], counts.setdefault("all reports", Counter())):
            row[_column(outcome, claim.id)] += 1
            row["claims"] += 1
    width = max(map(len, counts))
    lines = [" " * width + "".join(f"{column:>10}" for column in columns)]
    for name, row in counts.items():
        cells = (str(row[column] or "·") for column in columns)
        lines.append(f"{name:<{width}}" + "".join(f"{cell:>10}" for cell in cells))
    return lines


def _column(outcome: Outcome, claim: str) -> str:
    if claim in outcome.settled:
        return outcome.settled[claim].verdict
    if claim in outcome.failed:
        return "failed"
    return "disputed" if claim in outcome.disputed else "untried"


def write(outcome: Outcome, path: Path) -> None:
    """Write the settled claims as JSON, whole or not at all.

    Parameters
    ----------
    outcome : Outcome
        What the run said.
    path : pathlib.Path
        The file: an object from claim id to ``verdict``, ``certainty``, ``correction``,
        ``condition`` and ``trials`` (node ids).

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    verdicts = {claim: asdict(settled) for claim, settled in outcome.settled.items()}
    write_whole(path, f"{json.dumps(verdicts, indent=2, ensure_ascii=False)}\n".encode())
