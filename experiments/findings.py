"""Findings: a statement, what was measured of it under one completion, and its verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from experiments.quantities import formatted_range
from experiments.records import on_one_device
from experiments.statements import Judgement
from experiments.statistics import binomial_interval, mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from experiments.quantities import Unit
    from experiments.records import Record
    from experiments.statements import Statement, Verdict
    from experiments.statistics import Interval
    from experiments.study import Study


FITS_LATE = "fits, but late"
"""What people read of a late reading in place of "reproduced": it reproduces no claim."""


@dataclass(frozen=True)
class Finding:
    """One statement of a claim, measured under one completion.

    Parameters
    ----------
    claim, completion, reading
        What was judged, under which completion, and in which reading; "" where it is part of all.
    late
        Whether the reading was added, or is judged in another way, since runs were seen.
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
    too_few
        Whether it is open, and these seeds are fewer than a verdict takes.
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
    too_few: bool
    missing: tuple[str, ...]
    need: str
    seedless: bool
    records: tuple[str, ...]

    @property
    def what(self) -> str:
        """What was measured, and in which reading, for people."""
        notes = [f"reading: {self.reading}"] * bool(self.reading) + ["late"] * self.late
        return f"{self.quantity} ({', '.join(notes)})" if notes else self.quantity

    @property
    def fits_late(self) -> bool:
        """Whether what was measured fits, but in a late reading."""
        return self.late and self.verdict == "reproduced"

    @property
    def outcome(self) -> str:
        """The verdict as people read it."""
        return spoken(self.verdict, fits_late=self.fits_late)

    @property
    def next_run(self) -> str:
        """Where one further run is expected, as people read it; "" where no number was reported."""
        if self.reported is None or self.interval is None:
            return ""
        return formatted_range(self.interval.low, self.interval.high, self.unit)


def spoken(verdict: Verdict, *, fits_late: bool = False) -> str:
    """Return a verdict as people read it."""
    return FITS_LATE if fits_late else verdict.replace("_", " ")


def find(
    study: Study, statement: Statement, completion: str, every: Mapping[str, Sequence[Record]]
) -> Finding:
    """Measure a statement under a completion, and judge it.

    Parameters
    ----------
    study, statement, completion
        What is judged, and where.
    every
        For each role that the statement reads, its records under the completion, of all devices.
    """
    quantity = statement.quantity
    missing = tuple(f"{role}.{completion}" for role in quantity.reads if not every[role])
    need = "; ".join(study.on_request[name] for name in missing if name in study.on_request)
    runs = on_one_device(every)
    by_seed = dict(sorted(quantity.values(runs).items()))
    values = list(by_seed.values())
    used = [runs[role][seed] for role in quantity.reads for seed in by_seed]
    test_images = min((record.test_size for record in used), default=0)
    held_out = [record.recipe.validation for record in used if quantity.validated]
    grid = quantity.grid_of(min([test_images, *filter(None, held_out)]))
    if missing:
        needs = f"; needs {need}" if need else ""
        judgement = Judgement("not_run", None, f"no records of {', '.join(missing)}{needs}")
    else:
        judgement = statement.judge(values, test_images, grid)
    measured = seed_interval = test_set_interval = None
    if values and math.isfinite(mean := float(np.mean(values))):
        measured = mean
        seed_interval = mean_interval(values, grid=grid)
        if quantity.of_test_set:
            test_set_interval = binomial_interval(mean, test_images)
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
        measured=measured,
        seed_interval=seed_interval,
        test_set_interval=test_set_interval,
        interval=judgement.interval,
        seeds=tuple(by_seed),
        verdict=judgement.verdict,
        reason=judgement.reason,
        too_few=judgement.too_few,
        missing=missing,
        need=need,
        seedless=quantity.seedless,
        records=tuple(record.place.as_posix() for record in used),
    )
