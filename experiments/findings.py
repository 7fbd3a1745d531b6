"""Findings: a statement, what was measured of it under one completion, and its verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from experiments.quantities import formatted_range
from experiments.records import on_one_device
from experiments.statements import Judgement
from experiments.statistics import binomial_interval, mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from experiments.quantities import Quantity
    from experiments.records import Record
    from experiments.statements import Statement, Verdict
    from experiments.statistics import Interval
    from experiments.study import Study


FITS_LATE = "fits, but late"
"""What people read of a late reading in place of "reproduced": it reproduces no claim."""


@dataclass(frozen=True)
class Measurement:
    """A quantity read off the runs of one completion: a value for each seed.

    Parameters
    ----------
    quantity
        What was measured.
    seeds
        The seeds that count: those with every run the quantity needs.
    values
        One for each of them, in the quantity's unit; NaN for a run that diverged.
    test_images
        Size of the smallest test set; 0 without runs.
    grid
        Distance of the values that can be told apart.
    records
        The files behind the values, relative to the store.
    """

    quantity: Quantity
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    test_images: int
    grid: float
    records: tuple[str, ...]

    @cached_property
    def mean(self) -> float | None:
        """Mean over seeds; None without runs, or where a run diverged."""
        mean = float(np.mean(self.values)) if self.values else math.nan
        return mean if math.isfinite(mean) else None

    @property
    def seed_interval(self) -> Interval | None:
        """95% t-interval of the mean over seeds; None without one, or for fewer than two seeds."""
        return None if self.mean is None else mean_interval(self.values, grid=self.grid)

    @property
    def test_set_interval(self) -> Interval | None:
        """95% binomial interval of one test accuracy; None for other quantities."""
        if self.mean is None or not self.quantity.of_test_set:
            return None
        return binomial_interval(self.mean, self.test_images)


@dataclass(frozen=True)
class Finding:
    """One statement of a claim under one completion: what was measured, and its judgement.

    Parameters
    ----------
    statement, completion
        What was judged, and under which completion.
    measurement
        What the runs gave.
    judgement
        What follows; ``not_run`` where a recipe is missing.
    missing
        The recipes without a record.
    need
        What a run of those needs, where a study runs them only on request; else empty.
    """

    statement: Statement
    completion: str
    measurement: Measurement
    judgement: Judgement
    missing: tuple[str, ...]
    need: str

    @property
    def quantity(self) -> Quantity:
        """What was measured."""
        return self.statement.quantity

    @property
    def verdict(self) -> Verdict:
        """The verdict."""
        return self.judgement.verdict

    @property
    def interval(self) -> Interval | None:
        """The interval that decided it, or None."""
        return self.judgement.interval

    @property
    def reason(self) -> str:
        """One sentence why."""
        return self.judgement.reason

    @property
    def what(self) -> str:
        """What was measured, and in which reading, for people."""
        reading, late = self.statement.reading, self.statement.late
        notes = [f"reading: {reading}"] * bool(reading) + ["late"] * late
        return f"{self.quantity} ({', '.join(notes)})" if notes else str(self.quantity)

    @property
    def fits_late(self) -> bool:
        """Whether what was measured fits, but in a late reading."""
        return self.statement.late and self.verdict == "reproduced"

    @property
    def outcome(self) -> str:
        """The verdict as people read it."""
        return spoken(self.verdict, fits_late=self.fits_late)

    @property
    def next_run(self) -> str:
        """Where one further run is expected, as people read it; "" where no number was reported."""
        if self.statement.reported is None or self.interval is None:
            return ""
        return formatted_range(self.interval.low, self.interval.high, self.quantity.unit)


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
    missing = tuple(f"{role}.{completion}" for role in statement.quantity.reads if not every[role])
    need = "; ".join(study.on_request[name] for name in missing if name in study.on_request)
    found = measure(statement.quantity, every)
    if missing:
        needs = f"; needs {need}" if need else ""
        judgement = Judgement("not_run", None, f"no records of {', '.join(missing)}{needs}")
    else:
        judgement = statement.judge(found.values, found.test_images, found.grid)
    return Finding(statement, completion, found, judgement, missing, need)


def measure(quantity: Quantity, every: Mapping[str, Sequence[Record]]) -> Measurement:
    """Read a quantity off the records of one completion.

    Parameters
    ----------
    quantity
        What is measured.
    every
        As for :func:`find`.
    """
    runs = on_one_device(every)
    by_seed = dict(sorted(quantity.values(runs).items()))
    used = [runs[role][seed] for role in quantity.reads for seed in by_seed]
    test_images = min((record.test_size for record in used), default=0)
    held_out = [record.recipe.validation for record in used if quantity.validated]
    return Measurement(
        quantity=quantity,
        seeds=tuple(by_seed),
        values=tuple(by_seed.values()),
        test_images=test_images,
        grid=quantity.grid_of(min([test_images, *filter(None, held_out)])),
        records=tuple(record.place.as_posix() for record in used),
    )
