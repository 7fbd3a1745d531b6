"""Prospects: how many seeds would decide what is open, if further seeds were like those there are.

Of a claim that is undecided, each way in which it may come out is judged again on more and more
seeds, with the mean and the spread of those there are. The first number of seeds that decides it is
its prospect. This is no forecast: few seeds tell little of either, and a mean that moves may decide
it sooner, later, or the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass
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
        How many of each recipe would decide the way; None where no number up to `MOST_SEEDS` does.
    verdict
        Which verdict it would have then; ``undecided`` without such a number.
    recipes
        The recipes that lack some of these seeds, each with those missing and what a run takes.
    """

    study: Study
    claim: ClaimVerdict
    way: Way
    seeds: int | None
    verdict: Verdict
    recipes: tuple[RecipeStatus, ...]

    @property
    def claim_verdict(self) -> Verdict:
        """What the claim would be then, if its other ways stay as they are."""
        others = [way.verdict for way in self.claim.ways if way is not self.way]
        return disjunction([self.verdict, *others])

    @property
    def runs(self) -> int:
        """How many runs are missing."""
        return sum(len(each.missing) for each in self.recipes)

    @property
    def seconds(self) -> float | None:
        """Wall time of the missing runs, one after the other; None where that is not known."""
        times = [each.remaining_seconds for each in self.recipes]
        return None if None in times else sum(filter(None, times))

    @property
    def order(self) -> tuple[bool, bool, float]:
        """What to sort by: first what takes the least time, last what nothing decides."""
        seconds = self.seconds
        return self.seeds is None, seconds is None, seconds or 0.0


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
    found = [
        _prospect(study, claim, way, here, device)
        for claim in judge(study, here)
        if claim.verdict == "undecided"
        for way in claim.ways
        if way.verdict == "undecided" and not way.fits_late
    ]
    return sorted(found, key=lambda each: each.order)


def _prospect(
    study: Study, claim: ClaimVerdict, way: Way, records: Sequence[Record], device: str
) -> Prospect:
    open_parts = [part for part in way.parts if part.verdict == "undecided"]
    read = {f"{role}.{way.completion}" for part in open_parts for role in part.quantity.reads}
    fewest = min(len(part.measurement.seeds) for part in open_parts)
    for seeds in range(fewest + 1, MOST_SEEDS + 1):
        verdict = conjunction([foreseen(part, seeds) for part in way.parts])
        late = any(part.statement.late for part in way.parts)
        if verdict == "not_reproduced" or (verdict == "reproduced" and not late):
            recipes = status(study, records, (), range(seeds), device).recipes
            lacking = (each for each in recipes if each.recipe.name in read and each.missing)
            return Prospect(study, claim, way, seeds, verdict, tuple(lacking))
    return Prospect(study, claim, way, None, "undecided", ())


def foreseen(finding: Finding, seeds: int) -> Verdict:
    """Return the verdict of a finding if it had so many seeds, the further ones like its own.

    They are normal quantiles with the mean and the standard deviation of the values there are. A
    finding that is decided stays so, and so does one with fewer than two values, or with a run that
    diverged.

    Parameters
    ----------
    finding
        What was measured.
    seeds
        How many there would be; not fewer than there are count.
    """
    found = finding.measurement
    count = len(found.values)
    if finding.verdict != "undecided" or count < 2 or found.mean is None:
        return finding.verdict
    values = _like(found.values, max(seeds, count))
    return finding.statement.judge(values, found.test_images, found.grid).verdict


def _like(values: Sequence[float], count: int) -> list[float]:
    """Return so many values with the mean and the standard deviation of some."""
    spread = float(np.std(values, ddof=1))
    if not spread:  # also that they are all one value
        return [values[0]] * count
    quantiles = [NormalDist().inv_cdf((index + 0.5) / count) for index in range(count)]
    scale = spread / float(np.std(quantiles, ddof=1))
    return [float(np.mean(values)) + scale * quantile for quantile in quantiles]
