"""An integer that every run gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from experiments.arguments import as_whole
from experiments.statements.statement import Judgement, Statement, too_few_seeds

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Exactly(Statement):
    """Every run gives this integer; one run is enough where seeds do not change it.

    Parameters
    ----------
    claim, quantity
        As in :class:`~experiments.statements.statement.Statement`.
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
            return too_few_seeds(len(values))
        found = sorted({self._format(value) for value in values if value != self.value})
        if found:
            return Judgement("not_reproduced", None, f"{', '.join(found)} and not {self.expected}")
        return Judgement("reproduced", None, f"{self.expected} in every run")
