"""Layouts: how many processes train at once, on how many threads each, in fleets of how many.

Which is fastest depends on the network and on the machine, so each architecture among the missing
runs is measured in every layout that fits (:mod:`experiments.layout.rates`), once for a machine
(:mod:`experiments.layout.cache`). What is chosen finishes the training of all missing runs soonest.
Evaluation is not measured: it is taken to gain by a layout as training does.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from experiments import datasets
from experiments.executors import make_executor
from experiments.failures import Failures
from experiments.fleet import architecture
from experiments.layout.rates import fleet_holds
from experiments.runs import Run
from experiments.sweep import attempt

if TYPE_CHECKING:
    from experiments.datasets import Dataset
    from experiments.layout.cache import Kept
    from experiments.recipe import Recipe

_LEAST_GAIN = 1.05
"""A fleet of twice the size has to train so many times the images a second."""

_LARGEST_FLEET = 8
_LONGEST_STEP = 0.5
"""Seconds. Fleets save what a step costs whatever the network's size; where a step takes longer,
they gain nothing that is worth the measurement."""

_START_SECONDS = 4.0
"""What worker processes take before they train: they import PyTorch and load the data."""


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


@dataclass(frozen=True)
class _Group:
    """The missing runs of one architecture, with what its layouts are worth."""

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


def choose(
    runs: Sequence[Run],
    cores: int,
    kept: Kept,
    measure: Measure,
    say: Callable[[str], None],
) -> dict[Run, Layout]:
    """Return the layout that each run is to be carried out in.

    Parameters
    ----------
    runs
        All that are missing, on the CPU.
    cores
        How many cores there are to share.
    kept
        What was measured before; what is measured now is added.
    measure
        How a layout is measured.
    say
        Called with a line about each architecture.
    """
    alike: dict[Recipe, list[Run]] = {}
    for run in runs:
        alike.setdefault(architecture(run.recipe), []).append(run)
    groups = []
    for recipe, members in alike.items():
        data = datasets.load(recipe.dataset, members[0].data_root)
        most = min(_LARGEST_FLEET, len(members)) if fleet_holds(recipe, data) else 1
        rates = _rates(recipe, most, len(runs), cores, kept, measure)
        groups.append(_Group(members, _images_seen(recipe, data), rates))
    layouts = _soonest(groups)
    for group, layout in zip(groups, layouts, strict=True):
        say(_sentence(group, layout, cores))
    found = {
        run: layout for group, layout in zip(groups, layouts, strict=True) for run in group.runs
    }
    return {run: found[run] for run in runs}


def carry_out(layouts: Mapping[Run, Layout]) -> None:
    """Execute runs, those of one layout together, and wait until all have finished.

    A failure does not stop the others; it is raised at the end.

    Raises
    ------
    Exception
        As :func:`experiments.sweep.sweep`.
    """
    together: dict[Layout, list[Run]] = {}
    for run, layout in layouts.items():
        together.setdefault(layout, []).append(replace(run, threads=layout.threads))
    failures = Failures()
    for layout, runs in together.items():
        alone = layout.workers == 1
        with (
            failures.caught(runs),
            make_executor(
                "serial" if alone else "processes", None if alone else layout.workers
            ) as pool,
        ):
            attempt(runs, pool, layout.fleet, failures)
    failures.raise_first()


def _rates(
    recipe: Recipe, most: int, missing: int, cores: int, kept: Kept, measure: Measure
) -> dict[Layout, float]:
    """Return the rates of the layouts that may be chosen: those kept, if none is lacking."""
    known = kept.rates(recipe)
    try:
        return _worth_it(recipe.batch, most, missing, cores, lambda layout: known[str(layout)])
    except KeyError:
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


def _images_seen(recipe: Recipe, data: Dataset) -> int:
    """Return how many images a run trains on, each counted as often as it is seen."""
    return recipe.epochs * recipe.images_an_epoch(recipe.train_size(len(data.train_labels)))


def _soonest(groups: Sequence[_Group]) -> list[Layout]:
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


def _seconds(groups: Sequence[_Group], layouts: Sequence[Layout]) -> float:
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


def _sentence(group: _Group, layout: Layout, cores: int) -> str:
    """Say what was chosen, and how much faster it is than one run on all cores."""
    names = list(dict.fromkeys(run.recipe.name for run in group.runs))
    who = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
    rate = f"({group.rates[layout]:,.0f} images/s)"
    if layout == Layout(1, cores):
        return f"{who}: one run on all cores {rate}"
    processes = "process" if layout.workers == 1 else "processes"
    threads = "thread" if layout.threads == 1 else "threads"
    fleets = "" if layout.fleet == 1 else f" with fleets of {layout.fleet}"
    gain = group.rates[layout] / group.rates[Layout(1, cores)]
    return (
        f"{who}: {layout.workers} {processes} of {layout.threads} {threads}{fleets}, "
        f"{gain:.2f} times one run on all cores {rate}"
    )
