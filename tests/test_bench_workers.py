"""Probed workers on trial: the memory of every process counts, and of each call its own alone."""

from __future__ import annotations

import importlib
import mmap
import os
import sys
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool

import pytest

from experiments.executors import make_executor
from tests.platforms import linux

probe = importlib.import_module("benches.probe")
workers_module = importlib.import_module("benches.workers")

WORKERS = 2

MARGIN = 2**20 + 16 * max(32, 2 * (os.cpu_count() or 1)) * mmap.PAGESIZE
"""Bytes: objects, and what Linux does not count at once.

A processor keeps up to max(32, twice their number) pages of a process's count to itself
(percpu_counter_batch); there are four counts, read twice a call, and two calls at most.
"""

SIZE = max(2**26, 4 * MARGIN)
"""Bytes that a call of a test writes to."""


@pytest.fixture(scope="module")
def pool():
    """Return workers that share a processor, where the system can bind them to it."""
    bound = sys.platform == "linux"
    before = os.sched_getaffinity(0) if bound else set()
    if bound:
        os.sched_setaffinity(0, {min(before)})
    try:
        with make_executor("processes", WORKERS) as pool:
            yield pool
    finally:
        if bound:
            os.sched_setaffinity(0, before)


@pytest.fixture
def workers(pool):
    workers = workers_module.ProbedWorkers(pool)
    for call in [workers.submit(len, ()) for _ in range(2 * WORKERS)]:  # imports what it needs
        call.result()
    workers.peak_memory_bytes()
    return workers


def written(size):
    """Return the arguments of a call that writes to so many bytes and gives them back."""
    return eval, f"len(b'x' * {size})"


@linux
def test_what_all_calls_take_is_seen(workers):
    """Red where a process is forgotten, or the memory is that of the process that asks."""
    calls = [workers.submit(*written(size)) for size in (SIZE, 2 * SIZE)]
    assert [call.result() for call in calls] == [SIZE, 2 * SIZE]
    assert workers.peak_memory_bytes() == pytest.approx(3 * SIZE, abs=MARGIN)


@linux
def test_a_call_does_not_pay_for_those_before(workers):
    """Red where a process remembers its peak, or the sum goes on."""
    for size in (SIZE, SIZE, 1):
        workers.submit(*written(size)).result()
    assert workers.peak_memory_bytes() == pytest.approx(2 * SIZE, abs=MARGIN)
    workers.submit(*written(1)).result()
    assert workers.peak_memory_bytes() <= MARGIN


class Known(Executor):
    """Makes no call, and knows what each takes."""

    def __init__(self, peaks):
        self._peaks = iter(peaks)

    def submit(self, fn, /, *args, **kwargs):
        """Return the next peak."""
        future: Future = Future()
        future.set_result(probe.Probe(None, 0.0, next(self._peaks)))
        return future


@pytest.mark.parametrize(
    ("peaks", "together"), [((1, 0, 4), 5), ((None, None, None), None), ((1, None, 4), None)]
)
def test_where_one_process_does_not_tell_nothing_is_told(peaks, together):
    workers = workers_module.ProbedWorkers(Known(peaks))
    for _ in peaks:
        workers.submit(len, ()).result()
    assert workers.peak_memory_bytes() == together


def test_what_a_call_raises_comes_back(pool):
    workers = workers_module.ProbedWorkers(pool)
    with pytest.raises(ZeroDivisionError):
        workers.submit(divmod, 1, 0).result()


def test_a_killed_process_is_told_as_one():
    with make_executor("processes", 1) as pool:
        killed = workers_module.ProbedWorkers(pool).submit(os._exit, 1)
        with pytest.raises(BrokenProcessPool):
            killed.result()
