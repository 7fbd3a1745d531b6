"""A schedule: in which layouts the runs of several architectures are done soonest, all together."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from experiments.layout.candidates import Layout

if TYPE_CHECKING:
    from experiments.runs import Run

_START_SECONDS = 4.0
"""What worker processes take before they train: they import PyTorch and load the data."""


@dataclass(frozen=True)
class Group:
    """The missing runs of one architecture, and how fast its layouts are.

    Parameters
    ----------
    runs
        The runs.
    images
        How many images each trains on, counted as often as they are seen.
    rates
        Images a second of the layouts that may be chosen, of all their processes together.
    """

    runs: Sequence[Run]
    images: int
    rates: Mapping[Layout, float]

    def batches(self, layout: Layout) -> list[float]:
        """Return the seconds of each batch, whose last may be a smaller fleet than the others."""
        whole, rest = divmod(len(self.runs), layout.fleet)
        share = layout.workers * self.images
        full = layout.fleet * share / self.rates[layout]
        # A smaller fleet takes no longer than a full one, nor than its members one by one.
        last = min(full, rest * share / self.rates[replace(layout, fleet=1)])
        return [full] * whole + [last] * bool(rest)


def soonest(groups: Sequence[Group]) -> list[Layout]:
    """Return a layout for each group, so that all of them together finish soonest.

    All start from one layout, or each from its fastest, and change one by one as long as that saves
    time: a layout that its own runs do not fill is filled by those of other groups, or given up.
    """
    fastest = [max(group.rates, key=group.rates.__getitem__) for group in groups]
    shared = dict.fromkeys(layout for group in groups for layout in group.rates)
    starts = [
        [one if one in group.rates else own for group, own in zip(groups, fastest, strict=True)]
        for one in shared
    ]
    layouts = min([fastest, *starts], key=lambda start: _seconds(groups, start))
    best = _seconds(groups, layouts)
    improved = True
    while improved:
        improved = False
        for index, group in enumerate(groups):
            for layout in group.rates:
                changed = [*layouts[:index], layout, *layouts[index + 1 :]]
                if (seconds := _seconds(groups, changed)) < best:
                    layouts, best, improved = changed, seconds, True
    return layouts


def _seconds(groups: Sequence[Group], layouts: Sequence[Layout]) -> float:
    """Return when all has finished, those of one layout together and one layout after another."""
    together: dict[Layout, list[float]] = {}
    for group, layout in zip(groups, layouts, strict=True):
        together.setdefault(layout, []).extend(group.batches(layout))
    total = 0.0
    for layout, batches in together.items():
        busy = [_START_SECONDS if layout.workers > 1 else 0.0] * layout.workers
        for seconds in sorted(batches, reverse=True):
            heapq.heapreplace(busy, busy[0] + seconds)
        total += max(busy)
    return total
