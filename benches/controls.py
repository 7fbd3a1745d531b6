"""Controls: third-party peers of one version, which tell a slower machine from a slower program."""

from __future__ import annotations

import statistics
from typing import Any

from benches.rounds import kept

Results = dict[str, Any]
"""A bench, as pytest-benchmark saves it."""

ONE_BY_ONE = ("audit", "diagnose", "gemm", "norm", "spectrum")
"""Questions whose peers took no turns: what was slow for one of them need not have been for others,
and their rounds are no pairs."""

_WORK = ("bytes", "images")
"""How much was done; times for different amounts are not comparable."""


def is_control(old: Results, new: Results) -> bool:
    """Whether a bench is of a third-party peer, of one version in both runs."""
    one, other = (
        (facts.get("library", "theory"), facts.get("library_version"))
        for facts in (old["extra_info"], new["extra_info"])
    )
    return one == other and one[0] != "theory" and one[1] is not None


def slowdowns(
    pair: tuple[Results, Results], pairs: list[tuple[Results, Results]]
) -> tuple[list[float], list[float]] | None:
    """Return how many times as long as in the old run controls took, in each round of both runs.

    They are those of the bench's group with as many rounds; the median of them counts. None where
    there is none, or none that took turns with the bench, or the bench is a control itself.
    """
    if is_control(*pair) or pair[0]["group"].partition(",")[0] in ONE_BY_ONE:
        return None
    controls = [
        (old, new)
        for old, new in pairs
        if old["group"] == pair[0]["group"]
        and is_control(old, new)
        and same_work(old, new)
        and all(len(times_of(a)) == len(times_of(b)) for a, b in zip((old, new), pair, strict=True))
    ]
    if not controls:
        return None

    def factors(run: int) -> list[float]:
        each = ([t / c[0]["stats"]["median"] for t in times_of(c[run])] for c in controls)
        return [statistics.median(at_once) for at_once in zip(*each, strict=True)]

    return factors(0), factors(1)


def judged(
    pair: tuple[Results, Results], slowed: tuple[list[float], list[float]] | None
) -> tuple[list[float], list[float]]:
    """Return the old and the new times, over the slowdown of the controls if there are some."""
    old, new = map(times_of, pair)
    if slowed is None:
        return old, new
    before, after = slowed
    return (
        [time / factor for time, factor in zip(old, before, strict=True)],
        [time / factor for time, factor in zip(new, after, strict=True)],
    )


def same_work(old: Results, new: Results) -> bool:
    """Whether a bench did as much in both runs."""
    return all(old["extra_info"].get(fact) == new["extra_info"].get(fact) for fact in _WORK)


def times_of(bench: Results) -> list[float]:
    """Return the single times (s) of a bench."""
    return kept(bench["stats"]["data"])
