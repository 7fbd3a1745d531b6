"""What became of the goals of training: the ladder, layouts and fleets beside the tutorial."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import bench_results
from bench_results import chosen, gain, speed
from goal_outcomes import Outcome, ratio_said, where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench_results import Bench, Results
    from goal_outcomes import Sources

LAST_RUNGS = {"float32": "+ fused optimiser", "bfloat16": "+ bfloat16"}
"""The engine's rung of the training ladder in each precision."""

TUTORIAL = "tutorial loop"

FLEET = "a fleet of 8 rates"
"""The fleet whose step is profiled."""


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
        distance += where(sources, network, LAST_RUNGS["bfloat16"])
    limit = ratio_at_most(sources.results, network, ratio)
    if limit is not None:
        distance += (
            f" By its profile at most {limit:.1f}×{': the goal lies beyond' * (limit < aim)}."
        )
    return Outcome(*ratio_said(ratio, aim), distance)


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
    return replace(found, distance=found.distance + where(sources, network, FLEET))


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
    measured, reached = ratio_said(ratio, aim)
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
