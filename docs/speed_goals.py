"""The goals of speed, each held against the stored JSON of a bench run and the results of the race.

What a goal asks for was set before it was measured, on another machine: two cores with AMX units
for bfloat16, where a product of matrices ran at 2,900 GFLOP/s in bfloat16 and 437 in float32.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import goal_outcomes as outcomes

if TYPE_CHECKING:
    from goal_outcomes import Outcome, Sources


@dataclass(frozen=True)
class Goal:
    """What a part of the project should be able to do.

    Parameters
    ----------
    what
        What is measured.
    aim
        How good it should be, as text.
    outcome
        What became of it; None where it was not measured.
    need
        What measuring it takes, where it could not be.
    """

    what: str
    aim: str
    outcome: Callable[[Sources], Outcome | None] = lambda _: None
    need: str = ""


_GPU = "a GPU"

_LAST_RUNG = {
    "3-filters": (2.69,),
    "20-filters": (3.15, 4.4),
    "assignment-3": (4.31, 5.5),
    "batch-norm": (3.71,),
    "tp1-cnn": (5.00, 6.4),
    "mnist-2017": (3.60,),
}
"""How many times as fast as the tutorial's loop: what autocast gave on the machine of the goals,
and what a backward pass by hand did."""

GOALS: dict[str, tuple[Goal, ...]] = {
    "training": (
        *(
            Goal(
                f"{network}, beside the tutorial’s loop",
                f"{aim}×",
                partial(outcomes.training, network, aim),
            )
            for network, aims in _LAST_RUNG.items()
            for aim in aims
        ),
        Goal("3-filters in a fleet, beside one alone", "10×", partial(outcomes.fleet, 10)),
        Goal("small networks in fleets, beside the tutorial’s loop", "20×", need=_GPU),
        Goal("all reports, 5 seeds of each recipe", "10 minutes", need=_GPU),
        Goal("80.26 % on CIFAR-10", "1 s of training", need=_GPU),
    ),
    "time to accuracy": (
        Goal("the whole interval above 80.26 %, 6 views", "yes", partial(outcomes.race, 6)),
        Goal("the same with one view of each image", "6 s", partial(outcomes.single_view, 6)),
        Goal("90 %, 6 views", "75 s", partial(outcomes.most_accurate, 75, 0.9)),
    ),
    "signals": tuple(
        goal
        for question, name in (("convolution", "convolutions"), ("filter gradient", "gradients"))
        for goal in (
            Goal(
                f"“auto” for {name}, beside the fastest, median",
                "1.05",
                partial(outcomes.choosing, question, 1.05, statistics.median),
            ),
            Goal(
                f"“auto” for {name}, beside the fastest, worst",
                "1.5",
                partial(outcomes.choosing, question, 1.5, max),
            ),
            Goal(
                "the same by the costs it ships with, median",
                "1.25",
                partial(outcomes.shipped, question, 1.25),
            ),
        )
    )
    + tuple(
        Goal(
            f"gradient of {taps:,} taps by blocks, 2^{power} samples, beside one transform",
            f"{aim}×",
            partial(outcomes.blocked, 2**power, taps, aim),
        )
        for power in (16, 18, 20)
        for taps, aim in ((128, 3), (1024, 2))
    )
    + (
        Goal(
            "all singular values, 64 to 64 channels, 32×32",
            "75 ms",
            partial(outcomes.spectrum, 0.075),
        ),
    ),
    "benches": (
        Goal("a default run on two cores", "4 minutes", partial(outcomes.default_run, 240)),
    ),
}
"""By chapter."""
