"""A sweep: the runs that are missing from the store, sent to an executor.

Any :class:`concurrent.futures.Executor` will do. A worker writes its own record, so a run that is
killed loses only itself, and running again does only what is missing.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import datasets
from experiments.recipe import Recipe
from experiments.records import Store, SweepError, record_key
from experiments.study import Study
from experiments.training import check_device, train


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
        return self.store.root / ".running" / self.key

    def execute(self) -> Path:
        """Train, write the record and return its path; do nothing where it is there already."""
        if self.record_path.is_file():  # another sweep was faster
            return self.record_path
        self._beat(0)
        try:
            record = train(
                self.recipe,
                self.seed,
                study=self.study,
                device=self.device,
                data_root=self.data_root,
                threads=self.threads,
                on_epoch=self._beat,
            )
            return self.store.write(record)
        finally:
            with contextlib.suppress(OSError):
                self.heartbeat_path.unlink()

    def epochs_done(self) -> int:
        """Return how many epochs are done, whichever process runs them."""
        if self.record_path.is_file():
            return self.recipe.epochs
        try:
            return int(self.heartbeat_path.read_text() or 0)
        except OSError:
            return 0

    def _beat(self, epoch: int) -> None:
        with contextlib.suppress(OSError):  # a heartbeat is a courtesy, never a reason to fail
            self.heartbeat_path.parent.mkdir(parents=True, exist_ok=True)
            self.heartbeat_path.write_text(str(epoch))


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

    Raises
    ------
    ValueError
        If the device is not there.
    experiments.datasets.DataError
        If the data cannot be had: a record's key covers the data's fingerprint.
    """
    check_device(device)
    recipes = study.recipes if recipes is None else recipes
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
            store=store,
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
        If a worker process was killed.
    Exception
        Whatever a run raised: a wrong data file, a store that cannot be written.
    """
    failure: Exception | None = None
    futures: list[Future[Path]] = []
    for store in dict.fromkeys(run.store for run in runs):
        store.check_writable()
    try:
        futures += [executor.submit(run.execute) for run in runs]
        for future in as_completed(futures):
            try:
                future.result()
            except BrokenProcessPool:
                raise
            except Exception as error:
                failure = failure or error
    except BrokenProcessPool as error:
        raise SweepError(
            "a worker process was killed (out of memory?); finished records are kept, run the same "
            "command again to resume, perhaps with fewer --workers"
        ) from error
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    if failure is not None:
        raise failure


def make_executor(name: str, workers: int | None = None) -> Executor:
    """Return the executor of this name: ``"serial"``, or ``"processes"``.

    Parameters
    ----------
    name
        ``"serial"`` runs in this process; ``"processes"`` on worker processes of this machine.
    workers
        Number of worker processes; by default one a core.

    Raises
    ------
    ValueError
        If the name is unknown or the number of workers is not positive.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"the number of workers must be at least 1, got {workers}")
    if name == "serial":
        return _SerialExecutor()
    if name == "processes":
        return _ProcessExecutor(
            workers or os.cpu_count(),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
        )
    raise ValueError(f"executor {name!r} is unknown; known: serial, processes")


class _SerialExecutor(Executor):
    """Runs each call in this process, at once."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class _ProcessExecutor(ProcessPoolExecutor):
    """Worker processes that Ctrl-C ends at once and without a traceback."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        # A new worker inherits the mask: Ctrl-C waits until `_start_worker` can die of it quietly.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> bool | None:
        if exc_type is not None:  # a run in progress may have hours to go
            for worker in multiprocessing.active_children():
                worker.terminate()
        return super().__exit__(exc_type, exc_value, traceback)


def _start_worker() -> None:
    """Make a worker die quietly: at Ctrl-C, and when its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent,), daemon=True).start()


def _exit_after(parent: Any) -> None:
    parent.join()
    os._exit(1)
