"""From records to verdicts: each statement under each completion, then each claim."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from experiments.quantities import formatted_range
from experiments.records import Record, by_recipe
from experiments.statements import Judgement, Statement, Verdict
from experiments.statistics import Interval, binomial_interval, mean_interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from experiments.quantities import Runs, Unit
    from experiments.study import Study


@dataclass(frozen=True)
class Finding:
    """One statement of a claim, measured under one completion.

    Parameters
    ----------
    claim, completion, reading
        What was judged, under which completion, and in which reading; "" where it is part of all.
    late
        Whether the reading was added when runs had been seen.
    quantity, unit
        What was measured; accuracies are fractions of 1, losses are in nats.
    expected
        What the claim says of it, for people.
    reported, rounding
        The report's number, or None where it gives none; how far it may lie from what was rounded.
    measured
        Mean over seeds; None without runs, or where a run diverged.
    seed_interval
        95% t-interval of the mean over seeds; None for fewer than two.
    test_set_interval
        95% binomial interval of one test accuracy; None for other quantities.
    interval
        The interval that decided the verdict, or None.
    seeds
        The seeds that count: those with every run the quantity needs.
    verdict, reason
        The verdict, and one sentence why.
    missing
        The recipes without a record; the verdict is then ``not_run``.
    need
        What a run of those needs, where a study runs them only on request; else empty.
    seedless
        Whether the quantity is the same for every seed.
    records
        The files behind the measurement, relative to the store.
    """

    claim: str
    completion: str
    reading: str
    late: bool
    quantity: str
    unit: Unit
    expected: str
    reported: float | None
    rounding: float
    measured: float | None
    seed_interval: Interval | None
    test_set_interval: Interval | None
    interval: Interval | None
    seeds: tuple[int, ...]
    verdict: Verdict
    reason: str
    missing: tuple[str, ...]
    need: str
    seedless: bool
    records: tuple[str, ...]

    @property
    def what(self) -> str:
        """What was measured, and in which reading, for people."""
        if not self.reading:
            return self.quantity
        return f"{self.quantity} (reading: {self.reading}{', added late' * self.late})"

    @property
    def next_run(self) -> str:
        """Where one further run is expected, as people read it; "" where no number was reported."""
        if self.reported is None or self.interval is None:
            return ""
        return formatted_range(self.interval.low, self.interval.high, self.unit)


@dataclass(frozen=True)
class ClaimVerdict:
    """A claim, its sentence, its verdict over all completions and readings, and what is behind it.

    A reading that was added late leaves the claim ``undecided`` where all of its parts hold. Else
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
            return "under the one completion there is"
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
        for completion in study.completions:
            runs = {role: by_name[f"{role}.{completion}"] for role in statement.quantity.reads}
            findings.append(_find(study, statement, completion, runs))
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


def on_one_device(runs: Mapping[str, Sequence[Record]]) -> Runs:
    """Return the runs of the seeds that every role has on one kind of device, the CPU's first.

    What is subtracted or averaged over roles then never mixes devices.
    """
    keyed = {role: {(run.seed, run.device): run for run in each} for role, each in runs.items()}
    shared = set.intersection(*(set(each) for each in keyed.values())) if keyed else set()
    device = dict(sorted(shared, reverse=True))
    return {
        role: {seed: each[seed, device[seed]] for seed in sorted(device)}
        for role, each in keyed.items()
    }


def _find(
    study: Study, statement: Statement, completion: str, every: Mapping[str, Sequence[Record]]
) -> Finding:
    quantity = statement.quantity
    missing = tuple(f"{role}.{completion}" for role in quantity.reads if not every[role])
    need = "; ".join(study.on_request[name] for name in missing if name in study.on_request)
    runs = on_one_device(every)
    values = {} if missing else dict(sorted(quantity.values(runs).items()))
    used = [runs[role][seed] for role in quantity.reads for seed in values]
    test_images = used[0].test_size if used else 0
    if missing:
        needs = f"; needs {need}" if need else ""
        judgement = Judgement("not_run", None, f"no records of {', '.join(missing)}{needs}")
    else:
        judgement = statement.judge(list(values.values()), test_images)
    measured = float(np.mean(list(values.values()))) if values else math.nan
    known = math.isfinite(measured)
    return Finding(
        claim=statement.claim,
        completion=completion,
        reading=statement.reading,
        late=statement.late,
        quantity=str(quantity),
        unit=quantity.unit,
        expected=statement.expected,
        reported=statement.reported,
        rounding=statement.rounding,
        measured=measured if known else None,
        seed_interval=mean_interval(list(values.values()), grid=quantity.grid) if known else None,
        test_set_interval=(
            binomial_interval(measured, test_images) if known and quantity.of_test_set else None
        ),
        interval=judgement.interval,
        seeds=tuple(values),
        verdict=judgement.verdict,
        reason=judgement.reason,
        missing=missing,
        need=need,
        seedless=quantity.seedless,
        records=tuple(record.place.as_posix() for record in used),
    )


def _disjunction(verdicts: Sequence[Verdict]) -> Verdict:
    if "reproduced" in verdicts:
        return "reproduced"
    return verdicts[0] if len(set(verdicts)) == 1 else "undecided"


def _conjunction(verdicts: Sequence[Verdict]) -> Verdict:
    for verdict in ("not_reproduced", "not_run", "undecided"):
        if verdict in verdicts:
            return verdict
    return "reproduced"
