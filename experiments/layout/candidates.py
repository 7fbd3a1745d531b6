"""Candidates: the layouts of an architecture that may be chosen, and how fast each of them is.

Rates that were kept are used where they are complete; otherwise all are measured anew, for what is
compared should come from one moment.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from experiments.layout.cache import Kept
    from experiments.recipe import Recipe

_LEAST_GAIN = 1.05
"""A fleet of twice the size has to train so many times the images a second."""

_LONGEST_STEP = 0.5
"""Seconds. Fleets save what a step costs whatever the network's size; where a step takes longer,
they gain nothing that is worth the measurement."""


@dataclass(frozen=True)
class Layout:
    """How the cores are shared out.

    Parameters
    ----------
    workers
        Processes that train at once.
    threads
        Threads of each.
    fleet
        How many runs each trains as one program.
    """

    workers: int
    threads: int
    fleet: int = 1

    def __str__(self) -> str:
        return f"{self.workers}x{self.threads}x{self.fleet}"


Measure = Callable[["Recipe", Layout], float]
"""Returns the images a second of an architecture in a layout, of all its processes together."""


def rated(
    recipe: Recipe, most: int, missing: int, cores: int, kept: Kept, measure: Measure
) -> dict[Layout, float]:
    """Return the layouts that may be chosen, with the images a second of each.

    Parameters
    ----------
    recipe
        The architecture.
    most
        Runs that may be trained as one program.
    missing
        Runs of all architectures, which need no more places than they are.
    cores
        How many cores there are to share.
    kept
        What was measured before; what is measured now is added.
    measure
        How a layout is measured.
    """
    known = kept.rates(recipe)
    with contextlib.suppress(KeyError):
        return _worth_it(recipe.batch, most, missing, cores, lambda layout: known[str(layout)])
    measured: dict[str, float] = {}

    def rate(layout: Layout) -> float:
        measured[str(layout)] = measure(recipe, layout)
        return measured[str(layout)]

    rates = _worth_it(recipe.batch, most, missing, cores, rate)
    kept.keep(recipe, {**known, **measured})
    return rates


def _worth_it(
    batch: int, most: int, missing: int, cores: int, rate: Callable[[Layout], float]
) -> dict[Layout, float]:
    """Return the rates of single runs, and of larger fleets as long as each gains enough.

    No layout asks for more cores, or for more runs at once, than there are.
    """
    rates = {}
    for threads in _thread_counts(cores):
        layout = Layout(min(cores // threads, missing), threads)
        least = 0.0
        while layout.fleet <= most and layout.workers * layout.fleet <= missing:
            found = rate(layout)
            if found < least:
                break
            rates[layout] = found
            if layout.workers * layout.fleet * batch / found > _LONGEST_STEP:
                break
            least = _LEAST_GAIN * found
            layout = replace(layout, fleet=2 * layout.fleet)
    return rates


def _thread_counts(cores: int) -> Iterator[int]:
    """Yield all cores, and the powers of two below."""
    yield cores
    for power in range((cores - 1).bit_length()):
        yield 2**power
