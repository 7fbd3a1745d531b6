"""What became of the goals of signals: choosers, blocks, a gradient and singular values."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import bench_results
from bench_choices import behind, choices, peers_of
from bench_results import chosen, times
from goal_outcomes import Outcome, ratio_said, said

from theory.methods.fast_convolution import block_cells, whole_cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench_results import Bench
    from goal_outcomes import Sources


def choosing(
    question: str, statistic: Callable[..., float], aim: float, sources: Sources
) -> Outcome | None:
    """Hold our chooser against the fastest of all methods."""
    benches = bench_results.of(sources.results, question, ("algorithm", "samples", "taps"))
    cells = choices(benches).get("theory auto")
    if not cells:
        return None
    outcome = _at_most(cells, aim, statistic)
    if outcome.reached:
        return outcome
    known = bench_results.knowing(chosen(benches, method="theory auto"), question, ("chosen",))
    by_name = {}
    for bench in known:
        named = _called_by_name(bench, "chosen", benches)
        if named is not None:
            by_name[_cell(bench)] = named
    without = _without_choosing(by_name, max(cells, key=cells.__getitem__), statistic, benches)
    return replace(outcome, distance=f"{outcome.distance}{without}")


def _without_choosing(
    by_name: Mapping[tuple[int, int], Bench],
    worst: tuple[int, int],
    statistic: Callable[..., float],
    benches: list[Bench],
) -> str:
    """Say how far the chosen methods are behind where they are named, so that nothing is chosen."""
    if statistic is not max and by_name:
        ratios = [behind(bench, benches) for bench in by_name.values()]
        return (
            f" Called by name, the methods that it chose take {statistic(ratios):.3f} times as "
            "long as the fastest."
        )
    if worst not in by_name:
        return ""
    named = by_name[worst]
    fastest = max(peers_of(named, benches), key=lambda peer: times(named, peer))
    (name, least), (ours, seconds) = (
        (each["extra_info"]["method"], 1e6 * each["stats"]["median"]) for each in (fastest, named)
    )
    return f" There {name} takes {least:.1f} µs, and {ours}, called by name, {seconds:.1f} µs."


def _called_by_name(bench: Bench, choice: str, benches: list[Bench]) -> Bench | None:
    """Return the bench of the method that was chosen; None if one call takes too long for it."""
    method = f"theory {bench['extra_info'][choice]}"
    return next(iter(chosen(peers_of(bench, benches), method=method)), None)


def _cell(bench: Bench) -> tuple[int, int]:
    return bench["extra_info"]["samples"], bench["extra_info"]["taps"]


def shipped(question: str, aim: float, sources: Sources) -> Outcome | None:
    """Hold what the chooser would choose by the costs that it ships with against the fastest."""
    benches = bench_results.of(sources.results, question, ("algorithm", "samples", "taps"))
    cells = {}
    own = chosen(benches, method="theory auto")
    for bench in bench_results.knowing(own, question, ("chosen", "chosen_as_shipped")):
        facts = bench["extra_info"]
        taken = bench
        if facts["chosen"] != facts["chosen_as_shipped"]:
            named = _called_by_name(bench, "chosen_as_shipped", benches)
            if named is None:
                return Outcome("not measured at every size", reached=False)
            taken = named
        cells[_cell(bench)] = behind(taken, benches)
    return _at_most(cells, aim, statistics.median) if cells else None


def _at_most(
    cells: Mapping[tuple[int, int], float], aim: float, statistic: Callable[..., float]
) -> Outcome:
    found = statistic(cells.values())
    sizes = f"{len(cells)} size{'s' * (len(cells) > 1)}"
    worst = max(cells, key=cells.__getitem__)
    where = f"Worst with {worst[0]:,} samples and {worst[1]:,} taps."
    if statistic is not max:
        where = f"At most {aim:g} at {sum(ratio <= aim for ratio in cells.values())} of {sizes}."
    reached = found <= aim
    return Outcome(f"{said(found, 3, aim, reached=reached)} over {sizes}", reached, where)


def blocked(samples: int, taps: int, aim: float, sources: Sources) -> Outcome | None:
    """Hold the filter gradient by blocks against the one by one transform of the whole signal.

    A transform of F cells counts F log F; the whole takes three, the blocks two each and one more.
    """
    benches = bench_results.of(sources.results, "filter gradient", ("method", "samples", "taps"))
    at = {
        bench["extra_info"]["method"]: bench
        for bench in chosen(benches, samples=samples, taps=taps)
    }
    if not {"theory fft", "theory blocked-fft", "scipy matmul_toeplitz"} <= at.keys():
        return None
    whole, blocks = at["theory fft"], at["theory blocked-fft"]
    peer = at["scipy matmul_toeplitz"]
    ratio = times(whole, blocks)
    (one,), (block,) = whole_cells((samples,)), block_cells((taps,), (samples,))
    count = math.ceil((samples - taps + 1) / (block - taps + 1))
    saved = 3 * one * math.log(one) / ((2 * count + 1) * block * math.log(block))
    return Outcome(
        *ratio_said(ratio, aim),
        f"By their lengths, the transforms of the blocks are {saved:.1f} times less work. SciPy’s "
        f"Toeplitz product takes {times(peer, blocks):.2f} times as long as the blocks.",
    )


def gradient(method: str, samples: int, taps: int, aim: float, sources: Sources) -> Outcome | None:
    """Time one filter gradient."""
    facts = ("method", "library", "samples", "taps")
    benches = bench_results.of(sources.results, "filter gradient", facts)
    benches = chosen(benches, samples=samples, taps=taps)
    own = chosen(benches, method=method)
    peers = [bench for bench in benches if bench["extra_info"]["library"] != "theory"]
    if not own or not peers:
        return None
    seconds = own[0]["stats"]["median"]
    rest = "; ".join(
        f"{peer['extra_info']['method']} {1e6 * peer['stats']['median']:,.0f} µs" for peer in peers
    )
    reached = seconds <= aim
    measured = said(1e6 * seconds, 0, 1e6 * aim, reached=reached)
    return Outcome(f"{measured} µs", reached, f"In the same run: {rest}.")


def spectrum(aim: float, sources: Sources) -> Outcome | None:
    """Time all singular values of the largest layer."""
    benches = bench_results.of(sources.results, "spectrum", ("method", "channels", "cells"))
    at = {
        bench["extra_info"]["method"]: bench["stats"]["median"]
        for bench in chosen(benches, channels=64, cells=32 * 32)
    }
    ours, one = at.get("theory"), at.get("theory, one thread")
    peers = {name: each for name, each in at.items() if not name.startswith("theory")}
    if ours is None or one is None or not peers:
        return None
    best = min(peers, key=peers.__getitem__)
    reached = ours <= aim
    return Outcome(
        f"{said(1000 * ours, 0, 1000 * aim, reached=reached)} ms",
        reached,
        f"{peers[best] / ours:.1f} times as fast as the fastest peer ({best}). One thread takes "
        f"{one * 1000:.0f} ms, so two at twice its rate would take {one * 500:.0f} ms.",
    )
