"""Executors: where the runs of a sweep are carried out.

Each is a :class:`concurrent.futures.Executor`: this process, worker processes of this machine, or
the workers of a Dask cluster.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import (
    CancelledError,
    Executor,
    Future,
    InvalidStateError,
    ProcessPoolExecutor,
)
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal, TypeVar, get_args

from experiments.arguments import as_count
from experiments.errors import InputError
from experiments.interruption import held_back

ExecutorName = Literal["serial", "processes", "dask"]

Result = TypeVar("Result")

_SECONDS_TO_WAIT_FOR_WORKERS = 60
_POLL_SECONDS = 1.0


_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Where Linux says how much time a container may have, in how much: "200000 100000", or "max"."""


def available_cores() -> int:
    """Return how many cores this process may use: fewer than the machine has, where it is bound.

    To some of them, or in a container to a share of their time, which is rounded up.
    """
    bound = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if bound else os.cpu_count() or 1
    try:
        time, period = map(int, _QUOTA.read_text().split())
    except (OSError, ValueError):
        return cores
    return min(cores, max(1, -(-time // period)))


def make_executor(
    name: ExecutorName, workers: int | None = None, scheduler: str | None = None
) -> Executor:
    """Return the executor of this name.

    Parameters
    ----------
    name
        ``"serial"`` runs in this process; ``"processes"`` on worker processes of this machine;
        ``"dask"`` on the workers of a cluster.
    workers
        Number of worker processes; by default one a core. Only for ``"processes"``.
    scheduler
        Address of the cluster's scheduler, such as ``"tcp://host:8786"``. Only for ``"dask"``.

    Raises
    ------
    ValueError
        If the name is unknown, a setting does not belong to it, the number of workers is no
        positive integer, ``distributed`` is not installed, the address is none, or no scheduler
        with a worker answers.
    """
    if name not in get_args(ExecutorName):
        known = ", ".join(get_args(ExecutorName))
        raise InputError(f"executor {name!r} is unknown; known: {known}")
    if workers is not None and name != "processes":
        raise InputError("--workers needs --executor processes")
    if workers is not None:
        workers = as_count("the number of workers", workers)
    if (scheduler is not None) != (name == "dask"):
        raise InputError(
            "--scheduler ADDRESS and --executor dask need each other; "
            "'dask scheduler' starts a scheduler and prints its address"
        )
    if scheduler is not None:
        return _DaskExecutor(scheduler)
    if name == "serial":
        return _SerialExecutor()
    return _ProcessExecutor(
        workers or available_cores(),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
    )


def completed(futures: Sequence[Future[Result]]) -> Iterator[Future[Result]]:
    """Yield futures as they finish, and take none of their locks while waiting.

    :func:`concurrent.futures.as_completed` takes them, and Ctrl-C can leave them taken
    (:mod:`experiments.interruption`).
    """
    finished: SimpleQueue[Future[Result]] = SimpleQueue()
    for future in futures:
        with held_back():
            future.add_done_callback(finished.put)
    for _ in futures:
        yield finished.get()


def what_was_lost(error: BaseException) -> str | None:
    """Say what was lost if a run failed for want of a worker or a scheduler; else None."""
    if isinstance(error, CancelledError):  # Dask cancels what it can no longer learn of
        return "the Dask scheduler was lost"
    killed: list[type[BaseException]] = [BrokenProcessPool]
    if distributed := sys.modules.get("distributed"):  # only where it is in use can it be the cause
        killed.append(distributed.KilledWorker)
    if isinstance(error, tuple(killed)):
        return "a worker process was killed (out of memory? then use fewer workers)"
    return None


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
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with held_back():  # other threads of this process can take the signal for it
                return super().submit(fn, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> bool | None:
        if exc_type is None:
            return super().__exit__(exc_type, exc_value, traceback)
        workers = [*(self._processes or {}).values()]
        manager: Any = self._executor_manager_thread
        with held_back():
            # Told first, the thread that manages the workers does not take their end for a crash,
            # of which it would inform futures that are cancelled already.
            self.shutdown(wait=False, cancel_futures=True)
            for worker in workers:  # a run in progress may have hours to go
                worker.terminate()
            if manager is not None:
                manager.join()
        return None


class _DaskExecutor(Executor):
    """The workers of a Dask cluster, which repeats on another worker what a lost one had begun."""

    def __init__(self, scheduler: str) -> None:
        try:
            from distributed import Client
        except ImportError as error:
            raise InputError(
                f"the dask executor cannot be imported ({error}); "
                "install it: pip install -e '.[cluster]'"
            ) from error
        try:
            self._client = Client(scheduler)
        except OSError as error:
            raise InputError(
                f"no Dask scheduler answers at {scheduler}; 'dask scheduler' starts one and prints "
                "its address"
            ) from error
        except ValueError as error:
            raise InputError(
                f"{scheduler!r} is no address of a Dask scheduler ({error}); one is like "
                "tcp://host:8786"
            ) from error
        try:
            self._client.wait_for_workers(1, timeout=_SECONDS_TO_WAIT_FOR_WORKERS)
        except TimeoutError as error:
            self._client.close()
            raise InputError(
                f"the Dask scheduler at {scheduler} has no worker; start one: "
                f"dask worker {scheduler} --nthreads 1"
            ) from error
        self._executor = self._client.get_executor(pure=False)
        self._pending: set[Future[Any]] = set()
        self._stop = threading.Event()
        threading.Thread(target=self._give_up_with_the_scheduler, daemon=True).start()

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = self._executor.submit(fn, *args, **kwargs)
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._stop.set()
        if self._client.status != "closed":
            self._executor.shutdown(wait=wait and not cancel_futures)
            self._client.close()

    def _give_up_with_the_scheduler(self) -> None:
        """Fail what waits on a client that has closed itself, for it would wait for ever."""
        while not self._stop.wait(_POLL_SECONDS):
            if self._client.status == "closed":
                for future in list(self._pending):
                    with contextlib.suppress(InvalidStateError):  # it was done a moment ago
                        future.set_exception(CancelledError())

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> bool | None:
        self.shutdown(cancel_futures=exc_type is not None)
        return None


def _start_worker() -> None:
    """Make a worker die quietly: at Ctrl-C, at SIGTERM, and when its parent is gone.

    By a handler of Python's, which `held_back` lets wait: a file that is being written is finished.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda ending, _: os._exit(128 + ending))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent,), daemon=True).start()


def _exit_after(parent: Any) -> None:
    parent.join()
    os._exit(1)
