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
import race_goals
import signal_goals
import training_goals

from experiments.speed import TARGET

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
        How good it should be.
    said
        From the aim to its text.
    outcome
        From the aim to what became of it; None where it was not measured.
    need
        What measuring it takes, where it could not be.
    """

    what: str
    aim: float
    said: Callable[[float], str]
    outcome: Callable[[float, Sources], Outcome | None] = lambda *_: None
    need: str = ""


_GPU = "a GPU"

_TIMES = "{:g}×".format
_RATIO = "{:g}".format


def _duration(seconds: float) -> str:
    units = (("minutes", 60), ("s", 1), ("ms", 1e-3), ("µs", 1e-6))
    unit, size = next((unit, size) for unit, size in units if seconds >= size)
    return f"{seconds / size:g} {unit}"


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


NETWORKS = ("3-filters", "20-filters", "assignment-3", "batch-norm", "tp1-cnn", "mnist-2017")

LADDER: dict[str, tuple[float, ...]] = {
    training_goals.TUTORIAL: (6905, 3297, 1379, 1215, 1411, 1559),
    "resident bytes": (2.30, 1.42, 1.14, 1.19, 1.08, 1.47),
    "+ channels last": (2.38, 1.79, 1.40, 1.46, 1.31, 1.48),
    "+ pool before ReLU": (2.45, 1.93, 1.51, 1.55, 1.73, 1.56),
    training_goals.LAST_RUNGS["float32"]: (2.47, 1.95, 1.49, 1.53, 1.78, 2.02),
    training_goals.LAST_RUNGS["bfloat16"]: (2.69, 3.15, 4.31, 3.71, 5.00, 3.60),
}
"""The training ladder on the machine of the goals: images a second of the tutorial's loop, and how
many times as fast each rung was, for each of `NETWORKS`."""

_BY_HAND = {"20-filters": 4.4, "assignment-3": 5.5, "tp1-cnn": 6.4, "mnist-2017": 4.1}
"""The same of a backward pass by hand."""

GOALS: dict[str, tuple[Goal, ...]] = {
    "training": (
        *(
            Goal(
                network if aim == last else f"{network}, its backward pass by hand",
                aim,
                _TIMES,
                partial(training_goals.training, network),
            )
            for network, last in zip(
                NETWORKS, LADDER[training_goals.LAST_RUNGS["bfloat16"]], strict=True
            )
            for aim in (last, *([_BY_HAND[network]] if network in _BY_HAND else []))
        ),
        *(
            Goal(
                f"{network}, as the engine lays it out",
                aim,
                _TIMES,
                partial(training_goals.layout, network),
            )
            for network, aim in zip(
                NETWORKS, LADDER[training_goals.LAST_RUNGS["bfloat16"]], strict=True
            )
        ),
        Goal(
            "3-filters, in fleets",
            10,
            _TIMES,
            partial(training_goals.fleet, "3-filters"),
        ),
        Goal("small networks, in fleets", 20, _TIMES, need=_GPU),
        Goal("all reports, 5 seeds of each recipe", 600, _duration, need=_GPU),
        Goal("training to 80.26 % on CIFAR-10", 1, _duration, need=_GPU),
    ),
    "time to accuracy": (
        Goal(
            "accuracy above which the whole interval lies, 6 views",
            TARGET,
            _percent,
            partial(race_goals.race, 6),
        ),
        *(
            Goal(
                f"training until the whole interval lies above that, {views}",
                seconds,
                _duration,
                partial(race_goals.fastest, count),
            )
            for views, count, seconds in (("6 views", 6, 7.1), ("1 view", 1, 6))
        ),
        Goal(
            "accuracy within 75 s of training, 6 views",
            0.9,
            _percent,
            partial(race_goals.most_accurate, 75),
        ),
    ),
    "signals": (
        *(
            goal
            for question, name in (
                ("convolution", "convolutions"),
                ("filter gradient", "gradients"),
            )
            for goal in (
                Goal(
                    f"“auto” for {name}, beside the fastest, median",
                    1.05,
                    _RATIO,
                    partial(signal_goals.choosing, question, statistics.median),
                ),
                Goal(
                    f"“auto” for {name}, beside the fastest, worst",
                    1.5,
                    _RATIO,
                    partial(signal_goals.choosing, question, max),
                ),
                Goal(
                    f"“auto” for {name} by the costs it ships with, median",
                    1.25,
                    _RATIO,
                    partial(signal_goals.shipped, question),
                ),
            )
        ),
        *(
            Goal(
                f"gradient of {taps:,} taps by blocks, 2^{power} samples, beside one transform",
                aim,
                _TIMES,
                partial(signal_goals.blocked, 2**power, taps),
            )
            for power in (16, 18, 20)
            for taps, aim in ((128, 3), (1024, 2))
        ),
        Goal(
            "gradient of 2,048 taps by one transform, 4,096 samples",
            58e-6,
            _duration,
            partial(signal_goals.gradient, "theory fft", 4096, 2048),
        ),
        Goal(
            "all singular values, 64 to 64 channels, 32×32",
            0.075,
            _duration,
            signal_goals.spectrum,
        ),
    ),
    "benches": (Goal("a default run on two cores", 240, _duration, outcomes.default_run),),
}
"""By chapter."""
