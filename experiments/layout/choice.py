"""The choice of layouts: in which of them the missing runs are done soonest, and carrying it out.

Which is fastest depends on the network and on the machine, so each architecture among the missing
runs is measured in every layout that fits (:mod:`experiments.layout.candidates`), once for a
machine (:mod:`experiments.layout.cache`). What is chosen finishes the training of all missing runs
soonest. Evaluation is not measured: it is taken to gain by a layout as training does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from experiments import datasets
from experiments.executors import make_executor
from experiments.failures import Failures
from experiments.fleet import architecture
from experiments.layout.candidates import Layout, rated
from experiments.layout.rates import fleet_holds
from experiments.layout.schedule import Group, soonest
from experiments.runs import Run
from experiments.sweep import attempt

if TYPE_CHECKING:
    from experiments.datasets import Dataset
    from experiments.layout.cache import Kept
    from experiments.layout.candidates import Measure
    from experiments.recipe import Recipe

_LARGEST_FLEET = 8


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
        rates = rated(recipe, most, len(runs), cores, kept, measure)
        groups.append(Group(members, _images_seen(recipe, data), rates))
    layouts = soonest(groups)
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


def _sentence(group: Group, layout: Layout, cores: int) -> str:
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


def _images_seen(recipe: Recipe, data: Dataset) -> int:
    """Return how many images a run trains on, each counted as often as it is seen."""
    return recipe.epochs * recipe.images_an_epoch(recipe.train_size(len(data.train_labels)))
