"""Bounds of a mean over seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from experiments.errors import InputError
from experiments.statements.statement import Judgement, Statement, too_few_seeds
from experiments.statistics import Interval, mean_interval

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Within(Statement):
    """The mean over seeds lies strictly between two bounds.

    Decided by the t-interval of the mean, on the test set at hand; where seeds change nothing, by
    the value. Of a difference paired by seed, ``above=0`` says that the first is larger, two bounds
    say that they are similar.

    Parameters
    ----------
    claim, quantity
        As in :class:`~experiments.statements.statement.Statement`.
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
            return too_few_seeds(len(values))
        place = f"the mean over seeds lies in {self._range(interval)}, which is"
        claimed = self.expected
        if math.isfinite(self.above) and math.isfinite(self.below):
            claimed = f"within {claimed}"
        if self.above < interval.low and interval.high < self.below:
            return Judgement("reproduced", interval, f"{place} {claimed}")
        if interval.high <= self.above or self.below <= interval.low:
            return Judgement("not_reproduced", interval, f"{place} not {claimed}")
        return Judgement("undecided", interval, f"{place} only in part {claimed}")
