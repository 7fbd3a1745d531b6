"""From findings to verdicts: what is said of a claim under all completions together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from experiments.findings import FITS_LATE, Finding, find, spoken
from experiments.records import by_recipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from experiments.records import Record
    from experiments.statements import Statement, Verdict
    from experiments.study import Study


@dataclass(frozen=True)
class Way:
    """One way in which a claim may come out: its parts under one completion, in one reading.

    A part without a reading belongs to all. ``reading`` is "" where no part has one.
    """

    completion: str
    reading: str
    parts: tuple[Finding, ...]

    @property
    def name(self) -> str:
        """The completion, and the reading if there is one, for people."""
        return f"{self.completion} ({self.reading})" if self.reading else self.completion

    @cached_property
    def fits_late(self) -> bool:
        """Whether all parts fit, but one of them in a late reading."""
        fits = all(part.verdict == "reproduced" for part in self.parts)
        return fits and any(part.statement.late for part in self.parts)

    @cached_property
    def verdict(self) -> Verdict:
        """The conjunction of the parts; but a late reading reproduces nothing."""
        if self.fits_late:
            return "undecided"
        return conjunction([part.verdict for part in self.parts])

    @property
    def outcome(self) -> str:
        """How it came out, for people."""
        return spoken(self.verdict, fits_late=self.fits_late)

    @property
    def deciding(self) -> list[Finding]:
        """The parts that came out as the whole did."""
        if self.fits_late:
            return [part for part in self.parts if part.statement.late]
        return [part for part in self.parts if part.verdict == self.verdict]

    @property
    def lacks_runs(self) -> bool:
        """Whether it is open, and a part was not run or with too few seeds for any verdict."""
        return self.verdict in ("undecided", "not_run") and any(
            part.missing or part.judgement.too_few for part in self.parts
        )

    @property
    def deciding_seeds(self) -> int | None:
        """How many seeds the verdict rests on; None where it is open, or no seed changes it.

        What reproduces is as strong as its weakest part, what refutes as its strongest.
        """
        counts = [
            len(part.measurement.seeds) for part in self.deciding if not part.quantity.seedless
        ]
        if self.verdict == "reproduced":
            return min(counts, default=None)
        if self.verdict == "not_reproduced" and len(counts) == len(self.deciding):
            return max(counts)
        return None


@dataclass(frozen=True)
class ClaimVerdict:
    """A claim, its sentence, its verdict over completions and readings, and what is behind it.

    Only completions that apply to the claim count (:meth:`experiments.study.Study.completions_of`).
    The claim is ``reproduced`` if it is so in some way (:class:`Way`), ``not_reproduced`` or
    ``not_run`` if it is so in every way, else ``undecided``.
    """

    claim: str
    sentence: str
    findings: tuple[Finding, ...]

    @cached_property
    def ways(self) -> tuple[Way, ...]:
        """The claim under each completion in each reading."""
        completions = dict.fromkeys(finding.completion for finding in self.findings)
        readings = dict.fromkeys(filter(None, (each.statement.reading for each in self.findings)))
        return tuple(
            Way(
                completion,
                reading,
                tuple(
                    finding
                    for finding in self.findings
                    if finding.completion == completion
                    and finding.statement.reading in ("", reading)
                ),
            )
            for completion in completions
            for reading in readings or ("",)
        )

    @property
    def by_completion(self) -> dict[str, Verdict]:
        """The claim's verdict under each completion, whichever its reading."""
        verdicts: dict[str, list[Verdict]] = {}
        for way in self.ways:
            verdicts.setdefault(way.completion, []).append(way.verdict)
        return {completion: disjunction(each) for completion, each in verdicts.items()}

    @cached_property
    def verdict(self) -> Verdict:
        """The claim's verdict."""
        return disjunction([way.verdict for way in self.ways])

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
        groups: dict[str, list[Way]] = {}
        for way in self.ways:
            groups.setdefault(way.outcome, []).append(way)
        if len(groups) > 1:
            return "; ".join(f"{out} under {self._named(ways)}" for out, ways in groups.items())
        late = f"{FITS_LATE} " * self.ways[0].fits_late
        if len(self.ways) == 1:
            return f"{late}under the one completion that applies"
        # "not reproduced under every completion" could mean that under one it was
        each = "any" if self.verdict == "not_reproduced" else "every"
        in_readings = f" in {each} reading" * bool(self.ways[0].reading)
        return f"{late}under {each} completion{in_readings}"

    @property
    def undecided_for(self) -> str:
        """Why the claim is undecided, in a few words; "" where it is not."""
        if self.verdict != "undecided":
            return ""
        if any(way.fits_late for way in self.ways):
            return "only a late reading fits"
        lacking = any(way.lacks_runs for way in self.ways)
        return "runs are missing" if lacking else "error bars too wide"

    @property
    def example(self) -> Finding:
        """One part that came out as the claim did: the first that seeds can change, if any does."""
        parts = [part for way in self._deciding for part in way.deciding]
        return next(
            (part for part in parts if not part.quantity.seedless), (parts or self.findings)[0]
        )

    @property
    def deciding_seeds(self) -> int | None:
        """How many seeds the verdict rests on; None where it is open, or no seed changes it.

        Of the ways that reproduce the claim the strongest counts; what refutes it needs every way,
        and is as strong as the weakest.
        """
        seeds = [count for way in self._deciding if (count := way.deciding_seeds) is not None]
        return (max if self.verdict == "reproduced" else min)(seeds, default=None)

    @property
    def _deciding(self) -> list[Way]:
        """The ways that came out as the claim did."""
        return [way for way in self.ways if way.verdict == self.verdict]

    def _named(self, ways: Sequence[Way]) -> str:
        """Name ways by their completions, and by their readings unless they are all there are."""
        completions: dict[str, list[str]] = {}
        for way in ways:
            completions.setdefault(way.completion, []).append(way.reading)
        all_readings = len({way.reading for way in self.ways})
        return ", ".join(
            completion if len(readings) == all_readings else f"{completion} ({', '.join(readings)})"
            for completion, readings in completions.items()
        )


def judge(study: Study, records: Iterable[Record]) -> tuple[ClaimVerdict, ...]:
    """Judge every claim of a study by its records.

    Raises
    ------
    ValueError
        As :func:`experiments.records.selection.by_recipe`.
    """
    by_name = by_recipe(records, study.recipes)

    def found(statement: Statement, completion: str) -> Finding:
        runs = {role: by_name[f"{role}.{completion}"] for role in statement.quantity.reads}
        return find(study, statement, completion, runs)

    return tuple(
        ClaimVerdict(
            claim,
            study.sentence(claim),
            tuple(
                found(statement, completion)
                for statement in study.statements
                if statement.claim == claim
                for completion in study.completions_of(claim)
            ),
        )
        for claim in study.claims
    )


def disjunction(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict of a claim from those of its ways."""
    if "reproduced" in verdicts:
        return "reproduced"
    return verdicts[0] if len(set(verdicts)) == 1 else "undecided"


def conjunction(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict of a way from those of its parts."""
    for verdict in ("not_reproduced", "not_run", "undecided"):
        if verdict in verdicts:
            return verdict
    return "reproduced"
