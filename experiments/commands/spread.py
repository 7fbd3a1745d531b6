"""How ``run`` spreads its runs: over which executor, processes, threads and fleets."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from experiments import executors
from experiments.commands import common
from experiments.commands.progress import progress
from experiments.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Executor
    from pathlib import Path

    from experiments.datasets import Dataset
    from experiments.layout import Layout
    from experiments.recipe import Recipe
    from experiments.runs import Run


class ExecutorName(StrEnum):
    """How to spread runs."""

    serial = "serial"
    processes = "processes"
    dask = "dask"
    auto = "auto"


@dataclass(frozen=True)
class Spread:
    """How runs are spread.

    Parameters
    ----------
    place, workers, scheduler
        The executor, as in :func:`experiments.executors.make_executor`.
    threads
        CPU threads of a run; None leaves PyTorch's setting.
    fleet
        How many runs are trained together, as in :func:`experiments.sweep.batches`.
    by_layout
        Whether the layouts of this machine are measured, and all this is left to the fastest.
    """

    place: executors.ExecutorName
    workers: int | None
    scheduler: str | None
    threads: int | None
    fleet: int | None
    by_layout: bool

    @property
    def here(self) -> bool:
        """Whether the runs are carried out on this machine."""
        return self.place != "dask"

    def pool(self) -> Executor:
        """Return the executor.

        Raises
        ------
        ValueError
            As :func:`experiments.executors.make_executor`.
        """
        return executors.make_executor(self.place, self.workers, self.scheduler)

    def carry_out(self, runs: Sequence[Run], pool: Executor, data_root: Path | None) -> None:
        """Carry the runs out on an executor, and show how far they are.

        Raises
        ------
        Exception
            As :func:`experiments.sweep.sweep`.
        """
        from experiments import layout, sweep  # PyTorch takes seconds to import

        layouts = _layouts(runs, data_root) if self.by_layout else None
        with progress(runs, common.err):
            if layouts is None:
                sweep.sweep(runs, pool, self.fleet)
            else:
                layout.carry_out(layouts)


def settle(
    executor: ExecutorName,
    device: common.Device,
    *,
    workers: int | None,
    scheduler: str | None,
    threads: int | None,
    fleet: int | None,
) -> Spread:
    """Return what the options of ``run`` mean, those that were not given included.

    Raises
    ------
    InputError
        If an option is left to the executor, or lacks, or there are not so many cores.
    """
    on_cpu = device is common.Device.cpu
    place: executors.ExecutorName = "serial"
    if executor is ExecutorName.auto:
        _leave_to_auto({"--workers": workers, "--threads": threads, "--fleet": fleet})
    elif executor is ExecutorName.processes:
        place = "processes"
        workers = workers or (executors.available_cores() if on_cpu else 1)
        threads = threads or max(1, executors.available_cores() // workers)
    elif executor is ExecutorName.dask:
        place = "dask"
        threads = threads or 1
        if not on_cpu and fleet is None:
            raise InputError(
                "give --fleet N: how many runs are fastest together on the workers' GPUs is not "
                "measured from here"
            )
    if place != "dask":
        common.require_cores(threads)
    by_layout = executor is ExecutorName.auto and on_cpu
    return Spread(place, workers, scheduler, threads, fleet, by_layout)


def _leave_to_auto(settings: Mapping[str, int | None]) -> None:
    """Refuse what the executor is to choose.

    Raises
    ------
    InputError
        If any of these has been chosen by hand.
    """
    given = [option for option, value in settings.items() if value is not None]
    if given:
        raise InputError(
            f"--executor auto chooses {', '.join(settings)} itself; leave {' and '.join(given)} "
            "out, or name an executor"
        )


def _layouts(runs: Sequence[Run], data_root: Path | None) -> dict[Run, Layout]:
    """Return the layout of each run, and say it; what is not known of this machine is measured."""
    from experiments import datasets
    from experiments.layout import Kept, choose, timing

    def data_of(recipe: Recipe) -> Dataset:
        return datasets.load(recipe.dataset, data_root)

    def say(line: str) -> None:
        common.err.print(line, soft_wrap=True, highlight=False)

    if not runs:
        return {}
    cores = executors.available_cores()
    with common.err.status("measuring layouts") as status, timing(cores, data_of) as measure:

        def measured(recipe: Recipe, layout: Layout) -> float:
            status.update(f"measuring {recipe.network}, {layout}")
            return measure(recipe, layout)

        return choose(runs, cores, Kept(cores, say), measured, say)
