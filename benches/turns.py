"""Taking turns: peers timed round by round in changing order, then reported one by one.

A machine that is slow for a second is then slow for all of them. pytest-benchmark times one peer
at a time, but lets a bench bring its own clock: `Replay` is one that shows times measured before.
"""

from __future__ import annotations

import gc
import random
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager


class Replay:
    """A clock that stands still except while a replayed call runs.

    >>> clock = Replay()
    >>> call = clock.replayed([0.25, 0.5])
    >>> started = clock(); call(); clock() - started
    0.25
    """

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        """Return the time (s)."""
        return self._now

    def replayed(self, seconds: Sequence[float]) -> Callable[[], None]:
        """Return a call that takes, on this clock, so many seconds each time."""
        waiting = iter(seconds)

        def call() -> None:
            self._now += next(waiting)

        return call


def finished(call: Callable[[], Any], device: str) -> Callable[[], Any]:
    """Return the call, waiting for what it started on the device."""
    if device == "cpu":
        return call

    def waiting() -> Any:
        result = call()
        torch.cuda.synchronize()
        return result

    return waiting


@dataclass(frozen=True)
class Timed:
    """What the rounds of one call took; memory is the most that its first call held."""

    seconds: list[float]
    peak_memory_bytes: int | None


def take_turns(
    calls: Mapping[str, Callable[[], Any]],
    *,
    rounds: int,
    device: str,
    around: Mapping[str, Callable[[], AbstractContextManager[None]]] | None = None,
) -> dict[str, list[float]]:
    """Return the seconds of each round of each call; a round is one call of each.

    Every round has an order of its own, drawn with a fixed seed: who always came right after its
    like would find the caches filled for it. What is ``around`` a call happens in every round
    before and after it, and is not timed. Nor is the collection of garbage, which would fall to
    whoever's turn it is: as with `timeit`, it waits for the end of a turn.
    """
    around = around or {}
    waited = {name: finished(call, device) for name, call in calls.items()}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    order = random.Random(0)
    for _ in range(rounds):
        for name in order.sample(list(calls), len(calls)):
            with around.get(name, nullcontext)(), _garbage_left():
                started = time.perf_counter()
                waited[name]()
                seconds[name].append(time.perf_counter() - started)
    return seconds


@contextmanager
def _garbage_left() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
