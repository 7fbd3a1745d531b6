"""What became of the goals of the race: accuracy above the target, and how fast."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import bench_results
from goal_outcomes import Outcome, said, where

from experiments.speed import TARGET, WHOLE, summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from goal_outcomes import Sources

    from experiments.speed import Result, Summary

RACE_STEPS = ("full-size images", "half-size images")
"""The steps of the race that are profiled, of the whole recipe; the second of small images."""

FEWEST_SEEDS = 5
"""Of a recipe of the race that is said to be above its target."""


def race(views: int, aim: float, sources: Sources) -> Outcome | None:
    """Say whether the race's recipe is above the target, its whole interval, and how fast."""
    results = sources.race.get("whole")
    if not results:
        return None
    found = summary(results, views)
    return Outcome(_accuracy(found, f"{100 * found.mean:.2f}"), found.above(aim))


def fastest(views: int, aim: float, sources: Sources) -> Outcome | None:
    """Find the fastest recipe that is above the target, by seeds enough."""
    above = [
        (found.median_seconds, name)
        for name, results in sources.race.items()
        for found in [summary(results, views)]
        if found.seeds >= FEWEST_SEEDS and found.above(TARGET)
    ]
    if not sources.race:
        return None
    if not above:
        return Outcome(f"no recipe with {FEWEST_SEEDS} seeds or more is above", reached=False)
    seconds, name = min(above)
    results = sources.race[name]
    needed = sources.work(results) / aim / 1e9
    reached = seconds <= aim
    return Outcome(
        f"{said(seconds, 1, aim, reached=reached)} s",
        reached,
        f"Of recipes with {FEWEST_SEEDS} seeds or more, the fastest above is "
        f"“{name.replace('-', ' ')}”. It would have to run at {needed:,.0f} GFLOP/s"
        f"{_share_there(sources, results, needed)}.{_where_of_race(sources, results)}",
    )


def most_accurate(limit: float, aim: float, sources: Sources) -> Outcome | None:
    """Find the most accurate recipe that takes no longer than a limit (s)."""
    within = [
        (found, results)
        for results in sources.race.values()
        for found in [summary(results, 6)]
        if found.median_seconds <= limit
    ]
    if not within:
        return None
    best, results = max(within, key=lambda each: each[0].mean)
    rate = sources.work(results) / best.median_seconds / 1e9
    reached = best.mean >= aim
    mean = said(100 * best.mean, 2, 100 * aim, reached=reached)
    return Outcome(
        _accuracy(best, mean),
        reached,
        f"{100 * (aim - best.mean):.1f} points are missing. It ran at {rate:,.0f} GFLOP/s"
        f"{_share_there(sources, results, rate)}.{_where_of_race(sources, results)}",
    )


def _where_of_race(sources: Sources, results: Sequence[Result]) -> str:
    """Say where the time of a recipe's steps goes, of those that were profiled."""
    settings = results[0].settings
    if replace(settings, epochs=WHOLE.epochs, small=WHOLE.small) != WHOLE:
        return ""
    ways = RACE_STEPS if settings.small else RACE_STEPS[:1]
    return "".join(where(sources, "race", way) for way in ways)


def _accuracy(found: Summary, mean: str) -> str:
    spread = "" if found.interval is None else f" ± {100 * found.interval.half_width:.2f}"
    seeds = f"{found.seeds} seed{'s' * (found.seeds > 1)}"
    return f"{mean}{spread} % in {found.median_seconds:.1f} s ({seeds})"


def _share_there(sources: Sources, results: Sequence[Result], rate: float) -> str:
    """Say how much of the fastest product a rate is, if their processors have the same name."""
    ceiling = bench_results.fastest_product(sources.results, "cpu", "bfloat16")
    benched = sources.results.get("machine_info", {}).get("processor")
    if ceiling is None or {result.machine[0] for result in results} != {benched}:
        return ""
    return f", {rate / ceiling:.0%} of the fastest product of matrices in bfloat16"
