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

from experiments.quantities import Quantity, formatted, formatted_range

if TYPE_CHECKING:
    from collections.abc import Sequence

    from experiments.statistics import Interval

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


def too_few_seeds(count: int) -> Judgement:
    """Return that a statement is open for want of runs."""
    reason = f"seeds with every run: {count}; error bars need two"
    return Judgement("undecided", None, reason, too_few=True)
