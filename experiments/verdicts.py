"""From findings to verdicts: what is said of a claim under all completions together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from experiments.findings import Finding, find
from experiments.records import by_recipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from experiments.records import Record
    from experiments.statements import Verdict
    from experiments.study import Study


@dataclass(frozen=True)
class ClaimVerdict:
    """A claim, its sentence, its verdict over completions and readings, and what is behind it.

    Only completions that apply to the claim count (:meth:`experiments.study.Study.completions_of`).

    A late reading leaves the claim ``undecided`` where all of its parts hold. Else
    it is
    ``reproduced`` if in some reading under some completion every part is; ``not_reproduced`` if in
    every reading under every completion some part is refuted; ``not_run`` if there are no runs for
    any; else ``undecided``.
    """

    claim: str
    sentence: str
    findings: tuple[Finding, ...]

    @cached_property
    def by_reading(self) -> dict[tuple[str, str], Verdict]:
        """The verdict under each completion in each reading: the conjunction of the parts."""
        completions = dict.fromkeys(finding.completion for finding in self.findings)
        return {
            (completion, reading): self._together(self._parts(completion, reading))
            for completion in completions
            for reading in self._readings
        }

    @staticmethod
    def _together(parts: Sequence[Finding]) -> Verdict:
        verdict = _conjunction([part.verdict for part in parts])
        if verdict == "reproduced" and any(part.late for part in parts):
            return "undecided"
        return verdict

    @property
    def by_completion(self) -> dict[str, Verdict]:
        """The claim's verdict under each completion, whichever its reading."""
        verdicts: dict[str, list[Verdict]] = {}
        for (completion, _), verdict in self.by_reading.items():
            verdicts.setdefault(completion, []).append(verdict)
        return {completion: _disjunction(each) for completion, each in verdicts.items()}

    @property
    def verdict(self) -> Verdict:
        """The claim's verdict."""
        return _disjunction(list(self.by_reading.values()))

    @property
    def needs(self) -> tuple[str, ...]:
        """What the runs need that are made on request and are missing."""
        return tuple(dict.fromkeys(finding.need for finding in self.findings if finding.need))

    @property
    def reason(self) -> str:
        """Which completions came out how; what was not run, or what runs on request need."""
        if self.needs:
            return f"needs {'; '.join(self.needs)}"
        if self.verdict == "not_run":
            missing = dict.fromkeys(name for finding in self.findings for name in finding.missing)
            return f"no records of {', '.join(missing)}"
        groups: dict[Verdict, dict[str, list[str]]] = {}
        for (completion, reading), verdict in self.by_reading.items():
            groups.setdefault(verdict, {}).setdefault(completion, []).append(reading)
        if len(self.by_reading) == 1:
            return "under the one completion that applies"
        if len(groups) == 1:
            return "under every completion" + " in every reading" * any(self._readings)
        told = (
            (verdict, ", ".join(self._named(*one) for one in each.items()))
            for verdict, each in groups.items()
        )
        return "; ".join(f"{verdict.replace('_', ' ')} under {names}" for verdict, names in told)

    @property
    def example(self) -> Finding:
        """One part that came out as the claim did: the first that seeds can change, if any does."""
        parts = [
            part
            for way, verdict in self.by_reading.items()
            if verdict == self.verdict
            for part in self._parts(*way)
            if part.verdict == self.verdict
        ]
        return next((part for part in parts if not part.seedless), (parts or self.findings)[0])

    @property
    def deciding_seeds(self) -> int | None:
        """How many seeds the verdict rests on; None where it is open, or no seed changes it.

        Of what reproduces the claim, the way with most seeds counts, and of its parts the one with
        fewest. Of what refutes it, every way counts, and of its parts the one with most, for one is
        enough.
        """
        if self.verdict not in ("reproduced", "not_reproduced"):
            return None
        ways = [way for way, verdict in self.by_reading.items() if verdict == self.verdict]
        seeds = [seeds for way in ways if (seeds := self._seeds(*way)) is not None]
        return (max if self.verdict == "reproduced" else min)(seeds, default=None)

    def _seeds(self, completion: str, reading: str) -> int | None:
        """Return how many seeds decide under a completion in a reading; None if none is needed."""
        parts = [part for part in self._parts(completion, reading) if part.verdict == self.verdict]
        counts = [len(part.seeds) for part in parts if not part.seedless]
        if self.verdict == "reproduced":
            return min(counts, default=None)
        return max(counts) if len(counts) == len(parts) else None

    def _parts(self, completion: str, reading: str) -> list[Finding]:
        return [
            finding
            for finding in self.findings
            if finding.completion == completion and finding.reading in ("", reading)
        ]

    @property
    def _readings(self) -> list[str]:
        named = dict.fromkeys(finding.reading for finding in self.findings if finding.reading)
        return [*named] or [""]

    def _named(self, completion: str, readings: Sequence[str]) -> str:
        """Name a completion, and readings of it unless they are all there are."""
        if len(readings) == len(self._readings):
            return completion
        return f"{completion} ({', '.join(readings)})"


def judge(study: Study, records: Iterable[Record]) -> tuple[ClaimVerdict, ...]:
    """Judge every claim of a study by its records.

    Raises
    ------
    ValueError
        As :func:`select`.
    """
    by_name = by_recipe(records, study.recipes)
    findings = []
    for statement in study.statements:
        for completion in study.completions_of(statement.claim):
            runs = {role: by_name[f"{role}.{completion}"] for role in statement.quantity.reads}
            findings.append(find(study, statement, completion, runs))
    return tuple(
        ClaimVerdict(
            claim,
            study.sentence(claim),
            tuple(finding for finding in findings if finding.claim == claim),
        )
        for claim in study.claims
    )


def select(study: Study, records: Iterable[Record]) -> dict[str, dict[int, Record]]:
    """Return the records that count: for each recipe's name, the record of each seed.

    Where a seed was run on both kinds of device, the CPU's record is taken.

    Raises
    ------
    ValueError
        As :func:`experiments.records.by_recipe`.
    """
    chosen: dict[str, dict[int, Record]] = {}
    for name, each in by_recipe(records, study.recipes).items():
        chosen[name] = {}
        for record in each:  # "cpu" comes before "cuda"
            chosen[name].setdefault(record.seed, record)
    return chosen


def _disjunction(verdicts: Sequence[Verdict]) -> Verdict:
    if "reproduced" in verdicts:
        return "reproduced"
    return verdicts[0] if len(set(verdicts)) == 1 else "undecided"


def _conjunction(verdicts: Sequence[Verdict]) -> Verdict:
    for verdict in ("not_reproduced", "not_run", "undecided"):
        if verdict in verdicts:
            return verdict
    return "reproduced"
