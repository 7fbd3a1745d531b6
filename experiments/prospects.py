"""Prospects: how many seeds would decide what is open, if further seeds were like those there are.

Of a claim that is undecided, each way in which it may come out is judged again on more and more
seeds, with the mean and the spread of those there are. The first number of seeds that decides it is
its prospect. Further runs count for every part that reads them: a number that few seeds confirm may
lie outside where many expect one further run. This is no forecast: few seeds tell little of either,
and a mean that moves may decide it sooner, later, or the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from experiments.status import status
from experiments.verdicts import conjunction, disjunction, judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from experiments.findings import Finding
    from experiments.records import Record
    from experiments.statements import Verdict
    from experiments.status import RecipeStatus
    from experiments.study import Study
    from experiments.verdicts import ClaimVerdict, Way

_Seeds = Mapping[str, set[int]]
"""For each recipe's name, the seeds that it has."""

MOST_SEEDS = 20
"""Seeds up to which is looked: error bars shrink by less and less, runs cost as much as ever."""


@dataclass(frozen=True)
class Prospect:
    """What would decide one open way of an undecided claim.

    Parameters
    ----------
    study, claim, way
        What is open.
    seeds
        The way is decided once `recipes` have the seeds from 0 on up to this number, this one left
        out; None where no number up to `MOST_SEEDS` does.
    verdict
        Which verdict it would have then; ``undecided`` without such a number.
    claim_verdict
        What the claim would be then. Its other ways change with the same runs, if they read them.
    recipes
        The recipes that lack some of these seeds, each with those missing and what a run takes.
        What refutes one part refutes the way, and needs no runs of the others.
    """

    study: Study
    claim: ClaimVerdict
    way: Way
    seeds: int | None
    verdict: Verdict
    claim_verdict: Verdict
    recipes: tuple[RecipeStatus, ...]

    @property
    def without_spread(self) -> bool:
        """Whether some open part has fewer than two values, of which nothing can be foreseen."""
        return any(len(part.measurement.values) < 2 for part in _open_parts(self.way))

    @property
    def runs(self) -> int:
        """How many runs are missing."""
        return sum(len(each.missing) for each in self.recipes)

    @property
    def seconds(self) -> float:
        """Wall time of the missing runs, one after the other: each of their recipes was run."""
        return sum(each.remaining_seconds or 0.0 for each in self.recipes)

    @property
    def order(self) -> tuple[bool, float]:
        """What to sort by: first what takes the least time, last what nothing decides."""
        return self.seeds is None, self.seconds


def prospects(study: Study, records: Iterable[Record], device: str = "cpu") -> list[Prospect]:
    """Return what would decide each open way of the undecided claims, the cheapest first.

    Ways without any prospect come last. A way of which a recipe was never run has none to tell, nor
    has one that only a late reading fits: they are left out.

    Parameters
    ----------
    study
        The study.
    records
        Its records.
    device
        ``"cpu"`` or ``"cuda"``: whose records count.

    Raises
    ------
    ValueError
        As :func:`experiments.status.status` and :func:`experiments.verdicts.judge`.
    """
    here = [record for record in records if record.device == device]
    recipes = status(study, here, (), range(MOST_SEEDS), device).recipes
    found = [
        _prospect(study, claim, way, recipes)
        for claim in judge(study, here)
        if claim.verdict == "undecided"
        for way in claim.ways
        if way.verdict == "undecided" and not way.fits_late
    ]
    return sorted(found, key=lambda each: each.order)


def _prospect(
    study: Study, claim: ClaimVerdict, way: Way, recipes: Sequence[RecipeStatus]
) -> Prospect:
    parts = _open_parts(way)
    before = {each.recipe.name: {*each.done} for each in recipes}
    for seeds in range(1, MOST_SEEDS + 1):
        found = []
        for chosen in (parts, *([part] for part in parts)):
            names = {name for part in chosen for name in _read(part)}
            lacking = tuple(
                replace(each, missing=missing)
                for each in recipes
                if each.recipe.name in names
                and (missing := tuple(seed for seed in each.missing if seed < seeds))
            )
            after = before | {each.recipe.name: {*each.done, *each.missing} for each in lacking}
            verdict = _of_way(way, before, after)
            if verdict != "undecided":
                whole = disjunction([_of_way(each, before, after) for each in claim.ways])
                found.append(Prospect(study, claim, way, seeds, verdict, whole, lacking))
        if found:
            return min(found, key=lambda each: each.order)
    return Prospect(study, claim, way, None, "undecided", "undecided", ())


def _open_parts(way: Way) -> list[Finding]:
    return [part for part in way.parts if part.verdict == "undecided"]


def _read(part: Finding) -> list[str]:
    """Return the names of the recipes that a part reads."""
    return [f"{role}.{part.completion}" for role in part.quantity.reads]


def _of_way(way: Way, before: _Seeds, after: _Seeds) -> Verdict:
    """Return the verdict of a way after further runs; a late reading reproduces nothing."""
    verdicts = []
    for part in way.parts:
        new = _shared(part, after) - _shared(part, before)
        verdicts.append(foreseen(part, len(part.measurement.seeds) + len(new)))
    verdict = conjunction(verdicts)
    late = verdict == "reproduced" and any(part.statement.late for part in way.parts)
    return "undecided" if late else verdict


def _shared(part: Finding, seeds: _Seeds) -> set[int]:
    """Return the seeds that every recipe of a part has."""
    return set.intersection(*(seeds[name] for name in _read(part)))


def foreseen(finding: Finding, seeds: int) -> Verdict:
    """Return the verdict of a finding if it had so many seeds, the further ones like its own.

    They are normal quantiles with the mean and the standard deviation of the values there are. A
    finding without further seeds stays as it is, and so does one with fewer than two values, or
    with a run that diverged.

    Parameters
    ----------
    finding
        What was measured.
    seeds
        How many there would be.
    """
    found = finding.measurement
    count = len(found.values)
    if seeds <= count or count < 2 or found.mean is None:
        return finding.verdict
    values = _like(found.values, seeds)
    return finding.statement.judge(values, found.test_images, found.grid).verdict


def _like(values: Sequence[float], count: int) -> list[float]:
    """Return so many values with the mean and the standard deviation of some."""
    if len(set(values)) == 1:  # the spread may be off zero by rounding
        return [values[0]] * count
    spread = float(np.std(values, ddof=1))
    quantiles = [NormalDist().inv_cdf((index + 0.5) / count) for index in range(count)]
    scale = spread / float(np.std(quantiles, ddof=1))
    return [float(np.mean(values)) + scale * quantile for quantile in quantiles]
