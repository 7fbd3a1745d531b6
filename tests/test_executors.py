"""Executors: how many workers there are, and how they end."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time

import pytest

from experiments import executors
from experiments.errors import InputError
from experiments.executors import available_cores, make_executor, what_was_lost
from experiments.interruption import held_back
from experiments.records import RecordError
from tests.platforms import linux


def test_ended_workers_are_not_taken_for_a_crash(monkeypatch):
    """Red where workers end before their manager knows why: it fails futures that are cancelled."""
    unhandled = []
    monkeypatch.setattr(threading, "excepthook", unhandled.append)

    def interrupted():
        with make_executor("processes", 2) as pool:
            pool.submit(abs, -2).result()  # a worker is there
            for future in [pool.submit(time.sleep, 60) for _ in range(20)]:
                future.cancel()
            raise KeyboardInterrupt

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            interrupted()
    assert unhandled == []


def _writes(folder):
    with held_back():
        (folder / "begun").touch()
        time.sleep(1)
        (folder / "finished").touch()
    time.sleep(600)


@pytest.mark.parametrize("number", [None, signal.SIGINT])
def test_a_worker_finishes_what_it_writes_and_ends(tmp_path, number):
    """It ends with its pool, or with it by Ctrl-C, which a terminal sends to all."""

    def interrupted():
        with make_executor("processes", 1) as pool:
            worker = pool.submit(os.getpid).result()
            pool.submit(_writes, tmp_path)
            while not (tmp_path / "begun").exists():
                time.sleep(0.01)
            if number is not None:
                os.kill(worker, number)
            raise KeyboardInterrupt

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (tmp_path / "finished").exists()
    assert time.monotonic() - begun < 300  # what comes after it would take longer


@linux
@pytest.mark.parametrize("blocked", [True, False])
def test_workers_leave_the_process_as_it_was(blocked):
    with make_executor("processes", 1) as pool:
        how = signal.SIG_BLOCK if blocked else signal.SIG_UNBLOCK
        before = signal.pthread_sigmask(how, [signal.SIGINT])
        try:
            assert pool.submit(abs, -2).result() == 2
            assert (signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])) == blocked
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_a_failure_ends_no_other_process():
    other = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
    other.start()
    try:
        pool = make_executor("processes", 1)
        with contextlib.suppress(ZeroDivisionError), pool:
            pool.submit(abs, -2).result()
            raise ZeroDivisionError
        other.join(timeout=1)
        assert other.is_alive()
    finally:
        other.kill()
        other.join()


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("50000 100000\n", 1),
        ("9900000 100000\n", 8),
        ("max 100000\n", 8),
        ("", 8),
        (None, 8),
    ],
)
def test_a_container_has_as_many_cores_as_its_time_is_worth(tmp_path, monkeypatch, quota, cores):
    file = tmp_path / "cpu.max"
    if quota is not None:
        file.write_text(quota)
    monkeypatch.setattr(executors, "_QUOTA", file)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert available_cores() == cores


@linux
def test_a_process_that_is_bound_to_one_core_has_one(monkeypatch, tmp_path):
    monkeypatch.setattr(executors, "_QUOTA", tmp_path / "none")
    allowed = os.sched_getaffinity(0)
    assert available_cores() == len(allowed)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert available_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("threads",), "'threads' is unknown; known: serial, processes, dask"),
        (("processes", 0), "at least 1, got 0"),
        (("serial", 2), "--workers needs --executor processes"),
        (("dask", 2, "tcp://host:1"), "--workers needs --executor processes"),
        (("dask",), "need each other"),
        (("processes", 2, "tcp://host:1"), "need each other"),
    ],
    ids=str,
)
def test_an_impossible_executor_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_executor(*arguments)


def test_only_the_loss_of_a_worker_is_called_one():
    assert what_was_lost(ValueError("wrong data")) is None
    assert what_was_lost(RecordError("full disk")) is None


@pytest.mark.parametrize(
    ("workers", "message"),
    [(0, "at least 1, got 0"), (1.5, r"an integer, got 1\.5"), ("2", "an integer, got '2'")],
)
def test_workers_are_counted(workers, message):
    with pytest.raises(InputError, match=f"the number of workers must be {message}"):
        make_executor("processes", workers)
