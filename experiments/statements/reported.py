"""A number of a report, held against what one further run would give."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from experiments.arguments import as_number
from experiments.errors import InputError
from experiments.quantities import formatted, formatted_reported
from experiments.statements.statement import Judgement, Statement, too_few_seeds
from experiments.statistics import (
    Interval,
    prediction_interval,
    prediction_rank,
    two_test_sets_sd,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Reported(Statement):
    """The report's number is what one further run could give.

    The number, give or take its rounding, is held against the prediction interval for one further
    run. What refutes a test accuracy is an interval of seeds and of the possibility of another test
    set (:func:`~experiments.statistics.two_test_sets_sd`); what confirms it is one of seeds alone,
    for an interval that is wide out of caution is rash where it agrees. A number between the two is
    undecided. A loss, or a difference of two accuracies, is held against the seeds alone, as on the
    same test images: the records do not say which of them a run got wrong. No run has an accuracy
    below 0 or above 1, and the interval ends there.

    Parameters
    ----------
    claim, quantity
        As in :class:`~experiments.statements.statement.Statement`.
    value
        The number, in the quantity's unit.
    half_unit
        Half a unit of its last printed digit: 0.005 for "82%", the default for accuracies and
        differences of them.
    resolution
        Largest half-width of the prediction interval that can confirm the number. A wider
        interval agrees with almost anything, so agreement with it decides nothing. By default, of
        two accuracies more than ten points apart at most one can be confirmed.

    Raises
    ------
    ValueError
        If either is left out for a quantity in another unit, or negative, or the value is not
        finite or no such accuracy.
    """

    value: float
    half_unit: float = math.nan
    resolution: float = math.nan

    def __post_init__(self) -> None:
        defaults = {"half_unit": 0.005, "resolution": 0.05}
        for name in (each for each in defaults if math.isnan(getattr(self, each))):
            if self.quantity.unit not in ("accuracy", "points"):
                raise InputError(
                    f"claim {self.claim!r}: give the {name} of a number in {self.quantity.unit}"
                )
            object.__setattr__(self, name, defaults[name])
        who = f"claim {self.claim!r}"
        if not math.isfinite(as_number(f"{who}: value", self.value)):
            raise InputError(f"{who}: value must be finite, got {self.value}")
        if self.quantity.unit == "accuracy" and not 0 <= self.value <= 1:
            raise InputError(f"{who}: an accuracy is a fraction of 1, got {self.value}")
        for name in defaults:
            if getattr(self, name) < 0:
                raise InputError(f"{who}: {name} must not be negative, got {getattr(self, name)}")

    @property
    def reported(self) -> float:
        """The number that the report gives."""
        return self.value

    @property
    def rounding(self) -> float:
        """Half a unit of the number's last digit."""
        return self.half_unit

    @property
    def expected(self) -> str:
        """The reported number, with the report's digits."""
        return formatted_reported(self.value, self.quantity.unit, self.half_unit)

    def _decide(self, values: Sequence[float], test_images: int, grid: float) -> Judgement:
        noise = 0.0
        if self.quantity.of_test_set and values:
            noise = two_test_sets_sd(float(np.mean(values)), test_images)
        interval = prediction_interval(values, noise_sd=noise, grid=grid)
        by_seeds = prediction_interval(values, grid=grid)
        if interval is None or by_seeds is None:
            return too_few_seeds(len(values))
        possible = interval.within(0, 1) if self.quantity.unit == "accuracy" else interval
        place = f"{self._range(possible)}, where one further run is expected"
        if rank := prediction_rank(len(values)):
            place += f" (by ranks {rank} and {len(values) + 1 - rank} of {len(values)})"
        if not self._may_lie_in(interval):
            return Judgement("not_reproduced", possible, f"{self.expected} lies outside {place}")
        if not self._may_lie_in(by_seeds):
            reason = (
                f"{self.expected} lies in {place} on another test set, but outside "
                f"{self._range(by_seeds)}, where it is on this one"
            )
            return Judgement("undecided", possible, reason)
        told = f"{self.expected}{self._before_rounding(interval)} lies in {place}"
        if interval.half_width > self.resolution:
            unit = "points" if self.quantity.unit == "accuracy" else self.quantity.unit
            limit = formatted(self.resolution, unit).removeprefix("+")
            reason = f"{told}, but more than ± {limit} is too wide to confirm it"
            return Judgement("undecided", possible, reason)
        return Judgement("reproduced", possible, told)

    def _may_lie_in(self, interval: Interval) -> bool:
        """Whether the number, before it was rounded, may lie in an interval."""
        return interval.low - self.half_unit <= self.value <= interval.high + self.half_unit

    def _before_rounding(self, interval: Interval) -> str:
        """Say what the number may have been, where only that lies in an interval."""
        if interval.low <= self.value <= interval.high:
            return ""
        step = math.copysign(self.half_unit, interval.low - self.value)
        unrounded = formatted_reported(self.value + step, self.quantity.unit, self.half_unit / 10)
        return f", which may have been {unrounded} before it was rounded,"
