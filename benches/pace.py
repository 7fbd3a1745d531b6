"""Pace: how many calls make a round, and whether a call is made at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from benches.probe import probe

if TYPE_CHECKING:
    from collections.abc import Callable

SHORTEST_ROUND = 0.001
"""Seconds; shorter calls are timed several in a row, for the sake of the clock."""

FEWEST_ROUNDS = 9
"""Nine against nine are the fewest by which a rank test tells a change among a thousand benches."""


MOST_ROUNDS = 50


def rounds_within(budget: float, seconds: float) -> int:
    """Return how many rounds of so many seconds are made within a budget; one if there is none.

    They are `FEWEST_ROUNDS` at least, whatever that takes, and `MOST_ROUNDS` at most.
    """
    return max(FEWEST_ROUNDS, min(MOST_ROUNDS, round(budget / seconds))) if budget else 1


def repeats(seconds: float) -> int:
    """Return how many calls in a row make a round, of a call that takes so many seconds."""
    return max(1, round(SHORTEST_ROUND / seconds))


def skip_unless_feasible(
    part: Callable[[], Any],
    times: float,
    where: str,
    *,
    longest: float,
    largest: float,
) -> None:
    """Skip this bench if its call would take too long or too much, judging by a part of it.

    Parameters
    ----------
    part
        The same call on less input, of which time and memory grow at least in proportion.
    times
        How much more the whole input is.
    where
        Which method, at which size; for the reason.
    longest, largest
        Seconds, and GiB of memory, that one call may take.
    """
    probe(part)  # the first call of a library pays for its set-up
    tries = [probe(part) for _ in range(3)]
    seconds = min(found.seconds for found in tries) * times
    gibibytes = (tries[-1].peak_memory_bytes or 0) * times / 2**30
    if seconds > longest:
        pytest.skip(f"{where}: one call takes about {seconds:.1f} s, more than {longest:g} s")
    if gibibytes > largest:
        pytest.skip(f"{where}: one call takes about {gibibytes:.0f} GiB, more than {largest} GiB")
