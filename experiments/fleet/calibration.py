"""How many members of a fleet are fastest: measured, with a few steps of each size that fits."""

from __future__ import annotations

import math
import time
from functools import cache
from typing import TYPE_CHECKING

from experiments import datasets
from experiments.device import reproducible
from experiments.fleet.members import Member, architecture
from experiments.fleet.training import FleetRun
from experiments.memory import give_back, too_small

if TYPE_CHECKING:
    from pathlib import Path

    from experiments.datasets import Dataset
    from experiments.recipe import Recipe

_STEPS = 20
_LEAST_GAIN = 1.05
"""A fleet of twice the size has to carry so many times the steps a second."""


def fastest_size(recipe: Recipe, device: str, data_root: Path | None, *, most: int) -> int:
    """Return the size of the fleets that train a recipe's architecture fastest, per member.

    Sizes 1, 2, 4, … and that of all members are tried until one is no faster, or the device's
    memory is full: by the steps, or by what else a run does. What was measured once in a process is
    remembered.

    Parameters
    ----------
    recipe
        Any recipe of the architecture.
    device, data_root
        As in :func:`experiments.training.train`.
    most
        How many members there are, at most.
    """
    best, fewest_seconds = 0, math.inf
    while best < most:
        size = min(2 * best, most) or 1
        least_gain = _LEAST_GAIN if size == 2 * best else 1  # the last step may be a small one
        seconds = _seconds_a_member(architecture(recipe), device, data_root, size)
        if not seconds * least_gain < fewest_seconds:  # not even one may fit
            break
        best, fewest_seconds = size, seconds
    return max(1, best)


@cache
def _seconds_a_member(recipe: Recipe, device: str, data_root: Path | None, size: int) -> float:
    """Return the time of some steps, divided by the members; infinity if memory is too small."""
    data = datasets.load(recipe.dataset, data_root)
    try:
        with reproducible(None):
            return _seconds(recipe, device, data, size) / size
    except Exception as error:
        if not too_small(error):
            raise
        return math.inf
    finally:
        give_back()  # what this process keeps, its workers cannot have


def _seconds(recipe: Recipe, device: str, data: Dataset, size: int) -> float:
    run = FleetRun([Member(recipe, seed) for seed in range(size)], data, device)
    views = run.draw()[:, : _STEPS * recipe.batch].to(device)
    seconds = math.inf
    for _ in range(3):  # the first warms up
        started = time.perf_counter()
        run.train_on(views)
        seconds = min(seconds, time.perf_counter() - started)
    run.rehearse()
    return seconds
