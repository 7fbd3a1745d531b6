"""Runs: the cells of a sweep, and the batches in which a worker carries them out.

A batch is one run, or several of one architecture that are trained as a fleet. A worker writes its
own records, so a batch that is killed costs no other; a run by itself goes on from its last
checkpoint. A fleet that memory does not hold is trained as two of half the size.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import checkpoint, heartbeat
from experiments.checkpoint import Checkpoint
from experiments.checkpoint_notes import RunIdentity
from experiments.errors import SweepError
from experiments.fleet import Member, train_fleet
from experiments.memory import give_back, too_small
from experiments.recipe import Recipe
from experiments.records import ENGINE_VERSION, Record, Store
from experiments.training import EpochCallback, TrainedCallback, train

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

    @property
    def checkpoint(self) -> Checkpoint:
        """From where the run goes on if it was interrupted."""
        run = RunIdentity(self.study, self.recipe.digest, self.seed, self.device, ENGINE_VERSION)
        return Checkpoint(checkpoint.path(self.store, self.key), self.key, run)

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

    def execute(self, *, yielding: bool = False) -> tuple[Run, ...]:
        """Train, and write the record of each run that has none, if the store has room for it.

        One record that cannot be written does not keep the others from being written.

        Parameters
        ----------
        yielding
            Whether runs that another process trains are left to it.

        Returns
        -------
        tuple of Run
            Those that were left.

        Raises
        ------
        Exception
            Whatever the training or :meth:`Run.write` raises.
        """
        with _ONE_AT_A_TIME, ExitStack() as stack:
            open_ = missing(self.runs)  # another sweep may have been faster
            left = [run for run in open_ if yielding and heartbeat.elsewhere(run.heartbeat_path)]
            todo = [run for run in open_ if run not in left]
            if not todo:
                return tuple(left)
            check_stores(todo)
            beats = {run: stack.enter_context(run.beating()) for run in todo}
            failures: list[Exception] = []
            for run, record in _fitting(todo, beats):
                try:
                    run.write(record)
                    run.checkpoint.discard()
                except Exception as error:
                    failures.append(error)
            if failures:
                raise failures[0]  # the sweep sees which records are missing
            return tuple(left)


def missing(runs: Iterable[Run]) -> list[Run]:
    """Return the runs whose record is not in the store, under whatever name of their recipe."""
    runs = list(runs)
    keys = {
        (store, study): store.keys(study)
        for store, study in dict.fromkeys((run.store, run.study) for run in runs)
    }
    return [run for run in runs if not run.key.startswith(keys[run.store, run.study])]


def check_records(runs: Iterable[Run]) -> None:
    """Raise a RecordError if the record of one of the runs is there and cannot be read."""
    runs = list(runs)
    there = {
        (store, study): frozenset(store.names(study))
        for store, study in dict.fromkeys((run.store, run.study) for run in runs)
    }
    for run in runs:
        if run.record_path.name in there[run.store, run.study]:
            run.store.read(run.record_path)


def check_stores(runs: Iterable[Run]) -> None:
    """Raise a RecordError if a record of one of the runs could not be written."""
    for store in dict.fromkeys(run.store for run in runs):
        store.check_writable()


def _fitting(
    runs: Sequence[Run], beats: Mapping[Run, Callable[[int], None]]
) -> Iterator[tuple[Run, Record]]:
    """Yield the record of each run; where memory does not hold them all, train half of them first.

    However well a size was measured to fit, another program may have taken its memory since.
    """

    def tell(epoch: int) -> None:
        for run in runs:
            beats[run](epoch)

    try:
        records = _trained(runs, tell, resumable=True)
    except Exception as error:
        if len(runs) == 1 or not too_small(error):
            raise
    else:
        yield from zip(runs, records, strict=True)
        return
    give_back()  # only now: the error held what was trained
    tell(0)
    middle = len(runs) // 2
    for half in (runs[:middle], runs[middle:]):
        yield from _fitting(half, beats)


def _trained(
    runs: Sequence[Run],
    on_epoch: EpochCallback,
    on_trained: TrainedCallback | None = None,
    *,
    resumable: bool = False,
) -> list[Record]:
    """Return the records of runs that agree in all but recipe and seed.

    On CUDA a single run is a fleet of one, for a fleet's steps are captured and replayed. Where
    runs are ``resumable``, one by itself keeps a checkpoint; fleets keep none.
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
        kept = first.checkpoint if resumable else None
        return [train(first.recipe, first.seed, checkpoint=kept, **options)]
    return train_fleet([Member(run.recipe, run.seed) for run in runs], **options)
