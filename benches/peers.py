"""Peers timed in turns: who may take part is found first, then all are timed round by round.

A method that chooses another one should take as long as the one it chooses. Timed one after the
other, on a machine that has other work now and then, it may seem to take half as long again.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from benches.pace import FEWEST_ROUNDS, repeats
from benches.probe import probe
from benches.turns import Timed, take_turns
from theory.methods.costs import SHIPPED, machine_costs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benches.probe import Probe
    from theory.methods.costs import Costs

_MOSTLY_WORK = 0.01
"""Seconds from which on the first call is about as fast as others."""


class NotInstalled(pytest.skip.Exception):  # type: ignore[name-defined]
    """A peer is not there to be timed: the run is then not one of all benches."""


def skip_without(library: str | None) -> None:
    """Skip this bench if the library that it needs is not installed."""
    if library is not None and importlib.util.find_spec(library) is None:
        raise NotInstalled(f"{library} is not installed: it comes with the extra 'peers'")


@dataclass(frozen=True)
class Entrant:
    """A call that computes the right thing, and what making it for the first time took."""

    call: Callable[[], Any]
    first: Probe

    def warm_seconds(self) -> float:
        """Return what a call takes after the first one, which fills caches, where that matters."""
        if self.first.seconds > _MOSTLY_WORK:
            return self.first.seconds
        return min(self.first.seconds, *(probe(self.call).seconds for _ in range(3)))


class Field:
    """The peers at one size: the times of those that took part, the reasons of those that did not.

    Parameters
    ----------
    names
        The peers.
    enter
        Returns the call of a peer after checking its answer. A peer for which it raises, or skips,
        takes no part, and stops no other.
    budget
        Seconds for all rounds of each peer, of which there are `FEWEST_ROUNDS` at least; None for
        one call of each.
    """

    def __init__(
        self, names: Iterable[str], enter: Callable[[str], Entrant], budget: float | None
    ) -> None:
        entrants: dict[str, Entrant] = {}
        self._reasons: dict[str, BaseException] = {}
        for name in names:
            try:
                entrants[name] = enter(name)
            except (Exception, pytest.skip.Exception) as reason:
                self._reasons[name] = reason
        seconds = {name: entrant.warm_seconds() for name, entrant in entrants.items()}
        turns = {name: 1 if budget is None else repeats(each) for name, each in seconds.items()}
        one_round = sum(turns[name] * seconds[name] for name in entrants)
        rounds = (
            1
            if budget is None or not entrants
            else max(FEWEST_ROUNDS, round(budget * len(entrants) / one_round))
        )
        calls = {name: _repeated(entrants[name].call, turns[name]) for name in entrants}
        timed = take_turns(calls, rounds=rounds, device="cpu")
        self._timed = {
            name: Timed(
                [each / turns[name] for each in timed[name]],
                entrants[name].first.peak_memory_bytes,
            )
            for name in entrants
        }

    def __getitem__(self, name: str) -> Timed:
        """Return the times of one call of a peer.

        Raises
        ------
        Exception, pytest.skip.Exception
            The reason why it took no part.
        """
        if name in self._reasons:
            raise self._reasons[name]
        return self._timed[name]


def choices(choose: Callable[[Costs], str]) -> dict[str, Any]:
    """Return what a chooser of ours chooses by the costs in use, and by those it ships with."""
    costs = machine_costs()
    return {
        "chosen": choose(costs),
        "chosen_as_shipped": choose(SHIPPED),
        "costs": "shipped" if costs == SHIPPED else "of this machine",
    }


def _repeated(call: Callable[[], Any], times: int) -> Callable[[], None]:
    def several() -> None:
        for _ in range(times):
            call()

    return several
