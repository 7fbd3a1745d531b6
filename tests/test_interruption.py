"""Ctrl-C and SIGTERM: they end what runs, and leave no lock of an executor taken."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import Future, ProcessPoolExecutor

import pytest

from experiments.executors import completed, make_executor
from experiments.interruption import held_back, sigterm_interrupts

both = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)


@pytest.fixture(autouse=True)
def _interrupts():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with sigterm_interrupts():
        yield
    signal.signal(signal.SIGINT, before)


@both
def test_an_interrupt_waits_for_the_end_of_the_block(number):
    reached = []
    handler = signal.getsignal(number)

    def interrupted():
        with held_back():
            signal.raise_signal(number)
            reached.append("the end")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert reached == ["the end"]
    assert signal.getsignal(number) is handler


def test_nothing_is_raised_where_nothing_came():
    with held_back():
        pass


def test_a_failure_in_the_block_is_not_lost():
    def failed():
        with held_back():
            signal.raise_signal(signal.SIGINT)
            raise ZeroDivisionError

    with pytest.raises(KeyboardInterrupt) as interrupt:
        failed()
    assert isinstance(interrupt.value.__context__, ZeroDivisionError)


def test_an_ignored_interrupt_stays_ignored():
    """As in a job that a shell has put in the background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with held_back():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@both
@pytest.mark.parametrize("early", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_an_interrupt_as_the_block_ends_leaves_none_held_back(monkeypatch, early, number):
    """It strikes when its own handler is back, and the other's may not be."""
    put, handler = signal.signal, signal.getsignal(early)

    def interrupted(which, what):
        put(which, what)
        if what is handler:
            signal.raise_signal(early)

    monkeypatch.setattr(signal, "signal", interrupted)
    with pytest.raises(KeyboardInterrupt), held_back():
        pass
    monkeypatch.undo()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


def test_another_thread_holds_nothing_back():
    """Python lets only the main thread set handlers, and interrupts only that one."""
    failures = []

    def hold():
        try:
            with held_back():
                pass
        except ValueError as error:
            failures.append(error)

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert failures == []


def test_sigterm_says_that_it_was_sigterm():
    with pytest.raises(KeyboardInterrupt) as interrupt:
        signal.raise_signal(signal.SIGTERM)
    assert interrupt.value.args == (signal.SIGTERM,)


@both
def test_a_submission_is_finished_before_it_is_interrupted(monkeypatch, number):
    """Red where the interrupt strikes between the pool's locks."""
    finished = []

    def submit(*_):
        signal.raise_signal(number)
        finished.append("submission")
        return Future()

    monkeypatch.setattr(ProcessPoolExecutor, "submit", submit)
    with pytest.raises(KeyboardInterrupt), make_executor("processes", 1) as pool:
        pool.submit(abs, -2)
    assert finished == ["submission"]


class _Interrupted(Future):
    """Is interrupted with its lock taken."""

    def add_done_callback(self, fn):
        with self._condition:
            signal.raise_signal(signal.SIGINT)
            self.was_registered = True
        super().add_done_callback(fn)


def test_an_interrupt_leaves_no_future_locked():
    future = _Interrupted()
    with pytest.raises(KeyboardInterrupt):
        next(completed([future]))
    assert future.was_registered

    thread = threading.Thread(target=future.set_result, args=(1,), daemon=True)  # as a manager does
    thread.start()
    thread.join(timeout=10)
    assert future.done()


def test_futures_are_completed_as_they_finish():
    first, second = Future(), Future()
    futures = completed([first, second])
    second.set_result("second")
    assert next(futures) is second
    first.cancel()
    assert next(futures) is first
    assert list(futures) == []
