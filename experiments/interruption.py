"""Ctrl-C, and SIGTERM as batch systems send it: both end the runs, but not while a lock is held.

Python calls a signal's handler between any two instructions of the main thread. A handler that
raises where a lock of :mod:`concurrent.futures` has just been taken leaves it taken for ever, and
the thread that manages the workers waits for it as long.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt, as Ctrl-C does; its argument is the signal's number."""

    def end(number: int, _: object) -> None:
        raise KeyboardInterrupt(number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def held_back() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait for the end of this block, where they would raise inside it."""
    if threading.current_thread() is not threading.main_thread():  # signals interrupt that alone
        yield
        return
    arrived: list[int] = []
    holding = True
    before = {number: signal.getsignal(number) for number in _ENDING}
    raising = {number: handler for number, handler in before.items() if callable(handler)}

    def hold(number: int, frame: FrameType | None) -> None:
        if holding:
            arrived.append(number)
        else:  # an interrupt that came as the block ended has left this handler behind
            raising[signal.Signals(number)](number, frame)

    try:
        for number in raising:
            signal.signal(number, hold)
        yield
    finally:
        holding = False
        for number, handler in raising.items():
            signal.signal(number, handler)
        for held in arrived:
            signal.raise_signal(held)
