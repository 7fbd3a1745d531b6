"""What became of a goal of speed, and what all goals are held against.

Each chapter of the goals has a module: `training_goals`, `race_goals` and `signal_goals`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import bench_results
from bench_results import chosen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench_results import Results

    from experiments.speed import Result


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


def said(value: float, digits: int, aim: float, *, reached: bool) -> str:
    """Return a figure as text; one that misses its goal has digits enough not to read as the goal.

    Value and aim are in the unit that is shown.
    """
    while not reached and f"{value:.{digits}f}" == f"{aim:.{digits}f}":
        digits += 1
    return f"{value:.{digits}f}"


def ratio_said(ratio: float, aim: float) -> tuple[str, bool]:
    """Return a ratio that is to be as large as a goal, and whether it is."""
    reached = ratio >= aim
    return f"{said(ratio, 2, aim, reached=reached)}×", reached


def where(sources: Sources, network: str, way: str) -> str:
    """Say which kinds of work take most of a step."""
    steps = bench_results.of(sources.results, "step", ("network", "way", "shares"))
    found = chosen(steps, network=network, way=way, device="cpu")
    if not found:
        return ""
    shares = found[0]["extra_info"]["shares"]
    most = sorted(((share, kind) for kind, share in shares.items()), reverse=True)[:4]
    shown = ", ".join(f"{kind} {share:.0%}" for share, kind in most)
    return f" Of a step of “{way}”: {shown}."


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
    minutes = said(seconds / 60, 1, aim / 60, reached=reached)
    over = "" if reached else f"It takes {seconds - aim:.0f} s too long."
    return Outcome(f"{minutes} minutes", reached, over)
