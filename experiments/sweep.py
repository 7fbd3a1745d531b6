"""A sweep: the runs that are missing from the store, sent to an executor in batches.

Any :class:`concurrent.futures.Executor` will do. A batch that fails costs no other. A process that
is killed takes the pool that it belongs to with it; running again does only what is missing, from
the checkpoints of what was in progress.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

from experiments import datasets
from experiments.arguments import as_count, check_device_name
from experiments.device import check_device
from experiments.executors import completed
from experiments.failures import Failures
from experiments.fleet import architecture, fastest_size
from experiments.interruption import held_back
from experiments.networks import pretrained
from experiments.recipe import Recipe
from experiments.records import Store, record_key
from experiments.runs import Batch, Run
from experiments.study import Study
from experiments.variants import home


def plan(
    study: Study,
    seeds: Iterable[int],
    store: Store,
    *,
    recipes: Sequence[Recipe] | None = None,
    device: str = "cpu",
    data_root: Path | None = None,
    threads: int | None = None,
    here: bool = True,
) -> list[Run]:
    """Return every run of recipes, seed by seed, whether or not its record exists.

    Without ``recipes`` they are those that the study runs by default. Folders become absolute, for
    a worker may start in another one than this process did. The records of recipes that are not the
    study's own (:mod:`experiments.variants`) lie apart. ``here`` says that they will be carried out
    on this machine, and not on those of a cluster.

    Raises
    ------
    ValueError
        If a seed or the threads are no such number, the device is none, or the runs are to be
        carried out here and it is not there.
    experiments.image_files.DataError
        If the data, whose fingerprints the records' keys cover, or weights to start from cannot be
        had.
    """
    check_device_name(device)
    if here:
        check_device(device)
    if threads is not None:
        threads = as_count("threads", threads)
    # a seed that is named twice is one run, which a fleet would train as two members
    seeds = list(dict.fromkeys(as_count("a seed", seed, least=0) for seed in seeds))
    recipes = study.by_default if recipes is None else recipes
    store = Store(store.root.absolute())
    data_root = datasets.data_folder(data_root)
    fingerprints = {
        name: datasets.load(name, data_root).fingerprint
        for name in dict.fromkeys(recipe.dataset for recipe in recipes)
    }
    if any(recipe.initialisation == "imagenet" for recipe in recipes):
        pretrained.find(data_root)
    return [
        Run(
            study=study.name,
            recipe=recipe,
            seed=seed,
            device=device,
            store=home(study, recipe, store),
            key=record_key(recipe, seed, fingerprints[recipe.dataset], device),
            data_root=data_root,
            threads=threads,
        )
        for seed in seeds
        for recipe in recipes
    ]


def batches(runs: Sequence[Run], fleet: int | None = None) -> list[Batch]:
    """Return the batches that runs are carried out in, in the order of their first runs.

    Parameters
    ----------
    runs
        What is to be carried out.
    fleet
        How many runs of one architecture to train together, at most. By default one on the CPU,
        and on CUDA as many as a short measurement finds to be fastest
        (:func:`experiments.fleet.fastest_size`). On CUDA fleets are of like sizes.

    Raises
    ------
    ValueError
        If the fleets are to have less than one member.
    """
    if fleet is not None:
        fleet = as_count("the size of fleets", fleet)
    alike: dict[Run, list[Run]] = {}
    for run in runs:
        common = replace(run, recipe=architecture(run.recipe), seed=0, key="")
        alike.setdefault(common, []).append(run)
    found = [
        Batch(tuple(group[start : start + size]))
        for group in alike.values()
        for size in [_fleet_size(group, fleet)]
        for start in range(0, len(group), size)
    ]
    order = {run: position for position, run in enumerate(runs)}
    return sorted(found, key=lambda batch: order[batch.runs[0]])


def _fleet_size(group: Sequence[Run], most: int | None) -> int:
    first = group[0]
    if first.device == "cpu":
        return most or 1
    most = most or fastest_size(first.recipe, first.device, first.data_root, most=len(group))
    # A GPU that is not full takes as long for one run that is left over as for a fleet.
    return math.ceil(len(group) / math.ceil(len(group) / most))


def sweep(runs: Sequence[Run], executor: Executor, fleet: int | None = None) -> None:
    """Execute the runs, in batches, and wait until all have finished.

    One batch's failure does not stop the others; it is raised at the end, with a note of the run
    that it befell and of how many more failed.

    Parameters
    ----------
    runs, executor
        What is to be carried out, and where.
    fleet
        As in :func:`batches`.

    Raises
    ------
    ValueError
        As :func:`batches`.
    SweepError
        If a worker process was killed, or a Dask scheduler was lost.
    Exception
        Whatever a run raised: a wrong data file, a store that cannot be written.
    """
    failures = Failures()
    attempt(runs, executor, fleet, failures)
    failures.raise_first()


def attempt(runs: Sequence[Run], executor: Executor, fleet: int | None, failures: Failures) -> None:
    """Execute the runs as :func:`sweep` does, and add to the failures what they fail with.

    Runs that another sweep on the same store trains come last: by then it may have finished them.
    """
    left = _carried_out(runs, executor, fleet, failures, yielding=True)
    if left:
        _carried_out(left, executor, fleet, failures, yielding=False)


def _carried_out(
    runs: Sequence[Run],
    executor: Executor,
    fleet: int | None,
    failures: Failures,
    *,
    yielding: bool,
) -> list[Run]:
    """Execute the runs, and return those that were left to another process."""
    left: list[Run] = []
    futures: dict[Future[tuple[Run, ...]], Batch] = {}
    try:
        with failures.caught(runs, BrokenProcessPool):  # before all were submitted
            for batch in batches(runs, fleet):
                futures[executor.submit(batch.execute, yielding=yielding)] = batch
            for future in completed([*futures]):
                with failures.caught(futures[future].runs):
                    left += future.result()
    except BaseException:
        with held_back():
            for future in futures:
                future.cancel()
        raise
    return left
