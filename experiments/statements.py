"""A claim as a statement about a measured quantity, and what decides it.

A statement is written beside the recipes, before the runs. A claim with several parts has several
statements. Where a report leaves open what it measured, and not only what it ran, a part has
several readings, each a statement with a name. A reading that was added when runs had been seen, or
judged in another way since, is marked as late: it may leave a claim open, but reproduces none. What
has only become stricter since is not marked. Each statement is judged on the values of all seeds
under one completion:

``reproduced`` or ``not_reproduced``
    Error bars of 95 % decide it.
``undecided``
    They are too wide, or there are fewer seeds than a verdict takes, though what they say is shown:
    `FEWEST_SEEDS`, or `FEWEST_EQUAL` where they have no spread and nothing says that they must
    agree.
``not_run``
    There are no runs.

Where every run of two or more diverged, the statement is not reproduced, for the reports describe
networks that trained; where only some did, it is undecided, for the rest are no fair sample.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from experiments.arguments import as_number, as_whole
from experiments.errors import InputError
from experiments.quantities import Quantity, formatted, formatted_range, formatted_reported
from experiments.statistics import (
    Interval,
    mean_interval,
    prediction_interval,
    prediction_rank,
    two_test_sets_sd,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

FEWEST_SEEDS = 3
"""Two that agree by chance have no error bars to speak of."""

FEWEST_EQUAL = 5
"""Seeds without any spread tell of no more than how often runs are like them: with five, at 95 %,
that most are, for ``0.05 ** (1 / 5) > 1 / 2``; with four that is not so yet."""

Verdict = Literal["reproduced", "not_reproduced", "undecided", "not_run"]


@dataclass(frozen=True)
class Judgement:
    """A verdict, the interval that decided it (None where none did), and one sentence why.

    ``too_few`` says that it is open, and was judged on fewer seeds than a verdict takes.
    """

    verdict: Verdict
    interval: Interval | None
    reason: str
    too_few: bool = False


@dataclass(frozen=True)
class Statement(ABC):
    """One part of a claim: what is measured, and (in the subclass) what is said about it.

    Parameters
    ----------
    claim, quantity
        Whose part it is, and what is measured.
    reading
        The name of a reading of the claim; a part without one belongs to all of them.
    late
        Whether the reading was added, or is judged in another way, since runs of it were seen.
    """

    claim: str
    quantity: Quantity
    reading: str = field(default="", kw_only=True)
    late: bool = field(default=False, kw_only=True)

    @property
    def reported(self) -> float | None:
        """The number that the report gives, if it gives one."""
        return None

    @property
    def rounding(self) -> float:
        """How far that number may lie from what was rounded to it."""
        return 0.0

    @property
    @abstractmethod
    def expected(self) -> str:
        """What the claim says of the quantity, for people."""

    def judge(self, values: Sequence[float], test_images: int, grid: float) -> Judgement:
        """Judge the statement on one value for each seed.

        Parameters
        ----------
        values
            In the quantity's unit; NaN for a run that diverged.
        test_images
            Size of the test set.
        grid
            Distance of the values that can be told apart.
        """
        count, alike = len(values), len(set(values)) == 1
        few = count < FEWEST_SEEDS and not self.quantity.seedless
        lost = sum(math.isnan(value) for value in values)
        if lost:
            reason = f"the loss diverged for {lost} of {count} seeds"
            if lost == count >= 2:
                return Judgement("not_reproduced", None, reason)
            return Judgement("undecided", None, reason, too_few=few)
        judgement = self._decide(values, test_images, grid)
        if judgement.verdict == "undecided":
            return replace(judgement, too_few=few or judgement.too_few)
        if self.quantity.seedless:
            return judgement
        if few:
            reason = f"{judgement.reason}, but {count} seeds are too few for a verdict"
        elif count < FEWEST_EQUAL and alike and not grid:
            each = f"{self._format(values[0])} with each of {count} seeds"
            reason = f"{each}: without any spread a verdict takes {FEWEST_EQUAL}"
        else:
            return judgement
        return Judgement("undecided", judgement.interval, reason, too_few=True)

    @abstractmethod
    def _decide(self, values: Sequence[float], test_images: int, grid: float) -> Judgement: ...

    def _format(self, value: float) -> str:
        return formatted(value, self.quantity.unit)

    def _range(self, interval: Interval) -> str:
        return formatted_range(interval.low, interval.high, self.quantity.unit)


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
        As in :class:`Statement`.
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
            return _too_few_seeds(len(values))
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


@dataclass(frozen=True)
class Within(Statement):
    """The mean over seeds lies strictly between two bounds.

    Decided by the t-interval of the mean, on the test set at hand; where seeds change nothing, by
    the value. Of a difference paired by seed, ``above=0`` says that the first is larger, two bounds
    say that they are similar.

    Parameters
    ----------
    claim, quantity
        As in :class:`Statement`.
    above, below
        The bounds, in the quantity's unit.

    Raises
    ------
    ValueError
        If there is no bound, or nothing between them.
    """

    above: float = -math.inf
    below: float = math.inf

    def __post_init__(self) -> None:
        if not self.above < self.below or (math.isinf(self.above) and math.isinf(self.below)):
            raise InputError(
                f"claim {self.claim!r}: give a bound, and above < below; "
                f"got above={self.above}, below={self.below}"
            )

    @property
    def expected(self) -> str:
        """The bounds."""
        if math.isinf(self.below):
            return f"> {self._bound(self.above)}"
        if math.isinf(self.above):
            return f"< {self._bound(self.below)}"
        return self._range(Interval(self.above, self.below))

    def _bound(self, value: float) -> str:
        return self._format(value) if value else "0"

    def _decide(self, values: Sequence[float], test_images: int, grid: float) -> Judgement:
        interval = mean_interval(values, grid=grid)
        if self.quantity.seedless and values:
            interval = Interval(min(values), max(values))
        if interval is None:
            return _too_few_seeds(len(values))
        place = f"{self._range(interval)}, where the mean over seeds lies"
        if self.above < interval.low and interval.high < self.below:
            return Judgement("reproduced", interval, f"{place}, is {self.expected}")
        if interval.high <= self.above or self.below <= interval.low:
            return Judgement("not_reproduced", interval, f"{place}, is not {self.expected}")
        return Judgement("undecided", interval, f"{place}, is only in part {self.expected}")


@dataclass(frozen=True)
class Exactly(Statement):
    """Every run gives this integer; one run is enough where seeds do not change it.

    Parameters
    ----------
    claim, quantity
        As in :class:`Statement`.
    value
        The integer.

    Raises
    ------
    ValueError
        If it is none.
    """

    value: int

    def __post_init__(self) -> None:
        as_whole(f"claim {self.claim!r}: value", self.value)

    @property
    def reported(self) -> float:
        """The number that the report gives."""
        return self.value

    @property
    def expected(self) -> str:
        """The reported number."""
        return self._format(self.value)

    def _decide(self, values: Sequence[float], test_images: int, grid: float) -> Judgement:
        if len(values) < (1 if self.quantity.seedless else 2):
            return _too_few_seeds(len(values))
        found = sorted({self._format(value) for value in values if value != self.value})
        if found:
            return Judgement("not_reproduced", None, f"{', '.join(found)} and not {self.expected}")
        return Judgement("reproduced", None, f"{self.expected} in every run")


def _too_few_seeds(count: int) -> Judgement:
    reason = f"seeds with every run: {count}; error bars need two"
    return Judgement("undecided", None, reason, too_few=True)
