"""A sweep: the runs that are missing from the store, sent to an executor in batches.

Any :class:`concurrent.futures.Executor` will do. A batch is one run, or several of one architecture
that are trained as a fleet. A worker writes its own records, so a batch that is killed loses only
itself, and running again does only what is missing.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from experiments import datasets, heartbeat
from experiments.device import check_device
from experiments.errors import SweepError
from experiments.executors import completed, what_was_lost
from experiments.fleet import Member, architecture, fastest_size, train_fleet
from experiments.interruption import held_back
from experiments.networks import pretrained
from experiments.recipe import Recipe
from experiments.records import Record, Store, record_key
from experiments.study import Study
from experiments.training import EpochCallback, TrainedCallback, train
from experiments.variants import home

_ONE_AT_A_TIME = threading.Lock()
"""PyTorch's random state and number of threads belong to the process, so a process carries out one
batch at a time, even where an executor calls it from several threads, as Dask's workers may."""


@dataclass(frozen=True)
class Run:
    """One cell of a sweep: a recipe under a seed on a device, and where its record belongs."""

    study: str
    recipe: Recipe
    seed: int
    device: str
    store: Store
    key: str
    data_root: Path | None = None
    threads: int | None = None

    @property
    def record_path(self) -> Path:
        """Where the record lies once the run has finished."""
        return self.store.path(self.study, self.recipe, self.seed, self.device, self.key)

    @property
    def heartbeat_path(self) -> Path:
        """Where a run in progress says how many of its epochs are done."""
        return heartbeat.path(self.store, self.key)

    def beating(self) -> AbstractContextManager[Callable[[int], None]]:
        """Keep a heartbeat while the run is carried out (:func:`experiments.heartbeat.beating`)."""
        return heartbeat.beating(
            self.heartbeat_path,
            study=self.study,
            recipe=self.recipe.name,
            seed=self.seed,
            device=self.device,
        )

    def train(self, on_epoch: EpochCallback, on_trained: TrainedCallback | None = None) -> Record:
        """Train this run by itself, as a sweep would, and return its record."""
        (record,) = _trained([self], on_epoch, on_trained)
        return record

    def write(self, record: Record) -> None:
        """Write the record of this run.

        Raises
        ------
        SweepError
            If this process has other data, or another engine, than the one that planned the run.
        experiments.records.RecordError
            If the store cannot be written.
        """
        if record.key != self.key:
            raise SweepError(
                f"a worker measured {self.recipe.name} on other data, or with another version of "
                "the engine, than this process has; give all workers the same"
            )
        self.store.write(record)

    def epochs_done(self) -> int:
        """Return how many epochs are done, whichever process runs them."""
        if self.record_path.is_file():
            return self.recipe.epochs
        beat = heartbeat.read(self.heartbeat_path)
        return 0 if beat is None else beat.epoch


@dataclass(frozen=True)
class Batch:
    """What one worker carries out at a time: one run, or several that are trained as a fleet."""

    runs: tuple[Run, ...]

    def execute(self) -> None:
        """Train, and write the record of each run that has none, if the store has room for it.

        One record that cannot be written does not keep the others from being written.

        Raises
        ------
        Exception
            Whatever the training or :meth:`Run.write` raises.
        """
        with _ONE_AT_A_TIME, ExitStack() as stack:
            todo = missing(self.runs)  # another sweep may have been faster
            if not todo:
                return
            for store in {run.store for run in todo}:
                store.check_writable()
            beats = [stack.enter_context(run.beating()) for run in todo]

            def tell(epoch: int) -> None:
                for beat in beats:
                    beat(epoch)

            failure: Exception | None = None
            for run, record in zip(todo, _trained(todo, tell), strict=True):
                try:
                    run.write(record)
                except Exception as error:
                    failure = failure or error
            if failure is not None:
                raise failure


def _trained(
    runs: Sequence[Run],
    on_epoch: EpochCallback,
    on_trained: TrainedCallback | None = None,
) -> list[Record]:
    """Return the records of runs that agree in all but recipe and seed.

    On CUDA a single run is a fleet of one, for a fleet's steps are captured and replayed.
    """
    first = runs[0]
    options: dict[str, Any] = {
        "study": first.study,
        "device": first.device,
        "data_root": first.data_root,
        "threads": first.threads,
        "on_epoch": on_epoch,
        "on_trained": on_trained,
    }
    if len(runs) == 1 and first.device == "cpu":
        return [train(first.recipe, first.seed, **options)]
    return train_fleet([Member(run.recipe, run.seed) for run in runs], **options)


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
        If they are to be carried out here, and the device is not there.
    experiments.image_files.DataError
        If the data, whose fingerprints the records' keys cover, or weights to start from cannot be
        had.
    """
    if here:
        check_device(device)
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


def missing(runs: Iterable[Run]) -> list[Run]:
    """Return the runs whose record is not in the store."""
    return [run for run in runs if not run.record_path.is_file()]


def check_stores(runs: Iterable[Run]) -> None:
    """Raise a RecordError if a record of one of the runs could not be written."""
    for store in dict.fromkeys(run.store for run in runs):
        store.check_writable()


def batches(runs: Iterable[Run], fleet: int | None = None) -> list[Batch]:
    """Return the batches that runs are carried out in, in the order of their first runs.

    Parameters
    ----------
    runs
        What is to be carried out.
    fleet
        How many runs of one architecture to train together, at most. By default one on the CPU,
        and on CUDA as many as a short measurement finds to be fastest
        (:func:`experiments.fleet.fastest_size`). On CUDA fleets are of like sizes.
    """
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

    One batch's failure does not stop the others; it is raised at the end.

    Parameters
    ----------
    runs, executor
        What is to be carried out, and where.
    fleet
        As in :func:`batches`.

    Raises
    ------
    SweepError
        If a worker process was killed, or a Dask scheduler was lost.
    Exception
        Whatever a run raised: a wrong data file, a store that cannot be written.
    """
    failure: Exception | None = None
    futures: list[Future[None]] = []
    check_stores(runs)
    try:
        futures.extend(executor.submit(batch.execute) for batch in batches(runs, fleet))
        for future in completed(futures):
            try:
                future.result()
            except Exception as error:
                failure = failure or error
    except BrokenProcessPool as error:  # before all runs were submitted
        failure = error
    except BaseException:
        with held_back():
            for future in futures:
                future.cancel()
        raise
    if failure is None:
        return
    if lost := what_was_lost(failure):
        raise SweepError(
            f"{lost}; finished records are kept, run the same command again to resume"
        ) from failure
    raise failure
