"""A sweep: the runs that are missing from the store, sent to an executor.

Any :class:`concurrent.futures.Executor` will do. A worker writes its own record, so a run that is
killed loses only itself, and running again does only what is missing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from experiments import datasets, heartbeat
from experiments.executors import loss
from experiments.recipe import Recipe
from experiments.records import Store, SweepError, record_key
from experiments.study import Study
from experiments.training import check_device, train
from experiments.variants import home

_ONE_AT_A_TIME = threading.Lock()
"""PyTorch's random state and number of threads belong to the process, so a process trains one
network at a time, even where an executor calls it from several threads, as Dask's workers may."""


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

    def execute(self) -> Path:
        """Train, write the record and return its path; do nothing where it is there already.

        Raises
        ------
        SweepError
            If this process has other data, or another engine, than the one that planned the run.
        Exception
            Whatever the training or the store raises.
        """
        with _ONE_AT_A_TIME:
            if self.record_path.is_file():  # another sweep was faster
                return self.record_path
            with heartbeat.beating(
                self.heartbeat_path,
                study=self.study,
                recipe=self.recipe.name,
                seed=self.seed,
                device=self.device,
            ) as tell:
                record = train(
                    self.recipe,
                    self.seed,
                    study=self.study,
                    device=self.device,
                    data_root=self.data_root,
                    threads=self.threads,
                    on_epoch=tell,
                )
                if record.key != self.key:
                    raise SweepError(
                        f"a worker measured {self.recipe.name} on other data, or with another "
                        "version of the engine, than this process has; give all workers the same"
                    )
                return self.store.write(record)

    def epochs_done(self) -> int:
        """Return how many epochs are done, whichever process runs them."""
        if self.record_path.is_file():
            return self.recipe.epochs
        beat = heartbeat.read(self.heartbeat_path)
        return 0 if beat is None else beat.epoch


def plan(
    study: Study,
    seeds: Iterable[int],
    store: Store,
    *,
    recipes: Sequence[Recipe] | None = None,
    device: str = "cpu",
    data_root: Path | None = None,
    threads: int | None = None,
) -> list[Run]:
    """Return every run of a study, seed by seed, whether or not its record exists.

    Folders become absolute, for a worker may start in another one than this process did. The
    records of recipes that are not the study's own (:mod:`experiments.variants`) lie apart.

    Raises
    ------
    ValueError
        If the device is not there.
    experiments.datasets.DataError
        If the data cannot be had: a record's key covers the data's fingerprint.
    """
    check_device(device)
    recipes = study.recipes if recipes is None else recipes
    store = Store(store.root.absolute())
    root = data_root or os.environ.get(datasets.DATA_VARIABLE) or None
    data_root = None if root is None else Path(root).expanduser().absolute()
    fingerprints = {
        name: datasets.load(name, data_root).fingerprint
        for name in dict.fromkeys(recipe.dataset for recipe in recipes)
    }
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


def sweep(runs: Sequence[Run], executor: Executor) -> None:
    """Execute the runs and wait until all have finished.

    One run's failure does not stop the others; it is raised at the end.

    Raises
    ------
    SweepError
        If a worker process was killed, or a Dask scheduler was lost.
    Exception
        Whatever a run raised: a wrong data file, a store that cannot be written.
    """
    failure: Exception | None = None
    futures: list[Future[Path]] = []
    for store in dict.fromkeys(run.store for run in runs):
        store.check_writable()
    try:
        futures.extend(executor.submit(run.execute) for run in runs)
        for future in as_completed(futures):
            try:
                future.result()
            except Exception as error:
                failure = failure or error
    except BrokenProcessPool as error:  # before all runs were submitted
        failure = error
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    if failure is None:
        return
    if lost := loss(failure):
        raise SweepError(
            f"{lost}; finished records are kept, run the same command again to resume"
        ) from failure
    raise failure
