"""What became of each goal of speed, by the stored JSON of a bench run and results of the race."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import bench_results
from bench_choices import behind, choices, peers_of
from bench_results import chosen, gain, speed, times

from experiments.speed import TARGET, summary
from theory.fast_convolution import block_cells, whole_cells

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench_results import Bench, Results

    from experiments.speed import Result, Summary

LAST_RUNGS = {"float32": "+ fused optimiser", "bfloat16": "+ bfloat16"}
"""The engine's rung of the training ladder in each precision."""

TUTORIAL = "tutorial loop"

FLEET = "a fleet of 8 rates"
"""The fleet whose step is profiled."""

RACE_STEPS = ("full-size images", "half-size images")
"""The steps of the race that are profiled."""

FEWEST_SEEDS = 5
"""Of a recipe of the race that is said to be above its target."""


@dataclass(frozen=True)
class Sources:
    """What was measured.

    Parameters
    ----------
    results
        A bench run.
    race
        The results of the race on the CPU, by the name of their recipe.
    work
        From the results of one recipe of the race to the floating-point operations of its training.
    """

    results: Results
    race: Mapping[str, Sequence[Result]]
    work: Callable[[Sequence[Result]], float]


@dataclass(frozen=True)
class Outcome:
    """What became of a goal.

    Parameters
    ----------
    measured
        The figure, as text.
    reached
        Whether it is as good as the goal.
    distance
        What stands in the way, where something does.
    """

    measured: str
    reached: bool
    distance: str = ""


def _said(value: float, digits: int, aim: float, *, reached: bool) -> str:
    """Return a figure as text; one that misses its goal has digits enough not to read as the goal.

    Value and aim are in the unit that is shown.
    """
    while not reached and f"{value:.{digits}f}" == f"{aim:.{digits}f}":
        digits += 1
    return f"{value:.{digits}f}"


def _times(ratio: float, aim: float) -> tuple[str, bool]:
    """Return a ratio that is to be as large as a goal, and whether it is."""
    reached = ratio >= aim
    return f"{_said(ratio, 2, aim, reached=reached)}×", reached


def training(network: str, aim: float, sources: Sources) -> Outcome | None:
    """Hold the engine's last rung against the tutorial's loop."""
    ladder = bench_results.of(sources.results, "training", ("network", "rung", "gflops"))
    ladder = chosen(ladder, network=network, device="cpu")
    rungs = {bench["extra_info"]["rung"]: bench for bench in ladder}
    rung, base = rungs.get(LAST_RUNGS["bfloat16"]), rungs.get(TUTORIAL)
    if rung is None or base is None:
        return None
    ratio = gain(rung, base)
    needed = aim * base["extra_info"]["gflops"]
    ceiling = bench_results.fastest_product(sources.results, "cpu", "bfloat16")
    distance = _share_of_product(needed, ceiling, "bfloat16")
    alone = bench_results.fastest_convolutions(sources.results, network, "cpu", "bfloat16")
    if alone is not None:
        distance += f" The convolutions alone reach {alone:,.0f}."
    if ceiling is None or needed < ceiling:
        distance += _where(sources, network, LAST_RUNGS["bfloat16"])
    limit = ratio_at_most(sources.results, network, ratio)
    if limit is not None:
        distance += (
            f" By its profile at most {limit:.1f}×{': the goal lies beyond' * (limit < aim)}."
        )
    return Outcome(*_times(ratio, aim), distance)


def ratio_at_most(results: Results, network: str, ratio: float) -> float | None:
    """Return what the last rung's ratio would be if its step were convolutions and products only.

    They would take as long as they do, by their shares under the profiler.
    """
    steps = bench_results.of(results, "step", ("network", "way", "shares"))
    found = chosen(steps, network=network, way=LAST_RUNGS["bfloat16"], device="cpu")
    if not found:
        return None
    shares = found[0]["extra_info"]["shares"]
    return ratio / (shares["convolutions"] + shares["matrix products"])


def layout(network: str, aim: float, sources: Sources) -> Outcome | None:
    """Hold runs in the fastest layout that the engine chooses among against the tutorial's loop."""
    # in a fleet that it measures, each member has a seed of its own
    layouts = [
        bench
        for bench in _layouts(network, sources)
        if (facts := bench["extra_info"]).get("seeds", facts.get("members")) == facts.get("members")
    ]
    found = _beside_the_tutorial(layouts, network, aim, sources)
    if found is None:
        return None
    distance = found.distance
    if not chosen(layouts, precision="bfloat16"):
        distance += " The stored run has no layout in bfloat16."
    if not chosen(_of_layouts(sources), network=network, layout=TUTORIAL):
        distance += " Its layouts took no turns with the loop."
    return replace(found, distance=distance.strip())


def fleet(network: str, aim: float, sources: Sources) -> Outcome | None:
    """Hold the fastest fleet of a network, each of its members counting, against the loop."""
    crews = bench_results.of(sources.results, "fleet", ("network", "crew", "images"))
    crews = [
        bench
        for bench in crews
        if bench["extra_info"]["crew"] != "alone"
        and bench["extra_info"].get("library", "theory") == "theory"
    ]
    crews = chosen(crews, network=network, device="cpu")
    crews += [b for b in _layouts(network, sources) if b["extra_info"].get("members", 1) > 1]
    found = _beside_the_tutorial(crews, network, aim, sources)
    if found is None:
        return None
    return replace(found, distance=found.distance + _where(sources, network, FLEET))


def _of_layouts(sources: Sources) -> list[Bench]:
    layouts = bench_results.of(sources.results, "layouts", ("network", "layout", "images"))
    return chosen(layouts, device="cpu")


def _layouts(network: str, sources: Sources) -> list[Bench]:
    layouts = chosen(_of_layouts(sources), network=network)
    return [bench for bench in layouts if bench["extra_info"]["layout"] != TUTORIAL]


def _beside_the_tutorial(
    benches: Sequence[Bench], network: str, aim: float, sources: Sources
) -> Outcome | None:
    """Hold the fastest of some benches, beside the tutorial's loop, against a goal.

    The loop is the one that took turns with a bench, or that of the ladder, by the medians.
    """
    ladder = bench_results.of(sources.results, "training", ("network", "rung", "gflops"))
    apart = chosen(ladder, network=network, rung=TUTORIAL, device="cpu")
    in_turns = chosen(_of_layouts(sources), network=network, layout=TUTORIAL)

    def beside(bench: Bench) -> tuple[float, Bench] | None:
        if in_turns and bench["group"] == in_turns[0]["group"]:
            return gain(bench, in_turns[0]), in_turns[0]
        return (speed(bench) / speed(apart[0]), apart[0]) if apart else None

    held = [(*found, bench) for bench in benches if (found := beside(bench))]
    if not held:
        return None
    ratio, base, fastest = max(held, key=lambda each: each[0])
    facts = fastest["extra_info"]
    precision = facts.get("precision", "float32")  # of fleets, and of layouts in older runs
    ceiling = bench_results.fastest_product(sources.results, "cpu", precision)
    measured, reached = _times(ratio, aim)
    return Outcome(
        f"{measured} ({facts.get('layout') or facts['crew']})",
        reached,
        _share_of_product(aim * base["extra_info"]["gflops"], ceiling, precision),
    )


def _share_of_product(needed: float, ceiling: float | None, precision: str) -> str:
    if ceiling is None:
        return ""
    return (
        f"The goal needs {needed:,.0f} GFLOP/s, {needed / ceiling:.0%} of the fastest product of "
        f"matrices in {precision}."
    )


def _where(sources: Sources, network: str, way: str) -> str:
    """Say which kinds of work take most of a step."""
    steps = bench_results.of(sources.results, "step", ("network", "way", "shares"))
    found = chosen(steps, network=network, way=way, device="cpu")
    if not found:
        return ""
    shares = found[0]["extra_info"]["shares"]
    most = sorted(((share, kind) for kind, share in shares.items()), reverse=True)[:4]
    shown = ", ".join(f"{kind} {share:.0%}" for share, kind in most)
    return f" Of a step of “{way}”: {shown}."


def choosing(
    question: str, statistic: Callable[..., float], aim: float, sources: Sources
) -> Outcome | None:
    """Hold our chooser against the fastest of all methods."""
    ratios = choices(bench_results.of(sources.results, question, ("algorithm", "samples", "taps")))
    cells = ratios.get("theory auto")
    return _at_most(cells, aim, statistic) if cells else None


def shipped(question: str, aim: float, sources: Sources) -> Outcome | None:
    """Hold what the chooser would choose by the costs that it ships with against the fastest."""
    benches = bench_results.of(sources.results, question, ("algorithm", "samples", "taps"))
    cells = {}
    own = chosen(benches, method="theory auto")
    for bench in bench_results.knowing(own, question, ("chosen", "chosen_as_shipped")):
        facts = bench["extra_info"]
        taken = bench
        if facts["chosen"] != facts["chosen_as_shipped"]:
            method = f"theory {facts['chosen_as_shipped']}"
            named = chosen(peers_of(bench, benches), method=method)
            if not named:  # left out, because one call takes too long
                return Outcome("not measured at every size", reached=False)
            taken = named[0]
        cells[facts["samples"], facts["taps"]] = behind(taken, benches)
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
    return Outcome(f"{_said(found, 3, aim, reached=reached)} over {sizes}", reached, where)


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
        *_times(ratio, aim),
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
    measured = _said(1e6 * seconds, 0, 1e6 * aim, reached=reached)
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
        f"{_said(1000 * ours, 0, 1000 * aim, reached=reached)} ms",
        reached,
        f"{peers[best] / ours:.1f} times as fast as the fastest peer ({best}). One thread takes "
        f"{one * 1000:.0f} ms, so two at twice its rate would take {one * 500:.0f} ms.",
    )


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
        (found.median_seconds, results)
        for results in sources.race.values()
        for found in [summary(results, views)]
        if found.seeds >= FEWEST_SEEDS and found.above(TARGET)
    ]
    if not sources.race:
        return None
    if not above:
        return Outcome(f"no recipe with {FEWEST_SEEDS} seeds or more is above", reached=False)
    seconds, results = min(above, key=lambda each: each[0])
    needed = sources.work(results) / aim / 1e9
    reached = seconds <= aim
    return Outcome(
        f"{_said(seconds, 1, aim, reached=reached)} s",
        reached,
        f"Of recipes with {FEWEST_SEEDS} seeds or more, the fastest above would have to run at "
        f"{needed:,.0f} GFLOP/s{_share_there(sources, results, needed)}."
        f"{_where_of_race(sources)}",
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
    mean = _said(100 * best.mean, 2, 100 * aim, reached=reached)
    return Outcome(
        _accuracy(best, mean),
        reached,
        f"{100 * (aim - best.mean):.1f} points are missing. It ran at {rate:,.0f} GFLOP/s"
        f"{_share_there(sources, results, rate)}.{_where_of_race(sources)}",
    )


def _where_of_race(sources: Sources) -> str:
    return "".join(_where(sources, "race", way) for way in RACE_STEPS)


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


def default_run(aim: float, sources: Sources) -> Outcome | None:
    """Say how long the stored run took, if it was one of all benches on two cores."""
    results = sources.results
    if (
        results.get("scale") != "default"
        or not results.get("whole")
        or results["machine_info"]["cpus"] != 2
    ):
        return None
    seconds = results["seconds"]
    reached = seconds <= aim
    minutes = _said(seconds / 60, 1, aim / 60, reached=reached)
    over = "" if reached else f"It takes {seconds - aim:.0f} s too long."
    return Outcome(f"{minutes} minutes", reached, over)
