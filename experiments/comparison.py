"""Comparison: two recipes held against each other, seed by seed.

Two runs of one seed on one kind of device share what the seed draws, such as the order of the
images. Their difference is free of what they share, so its t-interval over the pairs is the right
error bar. It speaks of seeds alone: both were measured on one and the same test set.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from experiments.errors import InputError
from experiments.records import on_one_device
from experiments.statistics import Interval, mean_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from experiments.quantities import Unit
    from experiments.recipe import Recipe
    from experiments.records import Record


@dataclass(frozen=True)
class Difference:
    """One measure of both recipes, and the difference of the pairs.

    Parameters
    ----------
    what, unit
        What is measured; accuracies are fractions of 1, losses are in nats.
    first, second
        Mean over the pairs of each recipe.
    difference
        Mean of first - second.
    interval
        95% t-interval of the difference; None for fewer than two pairs.
    each
        first - second of every pair, in order of seeds.
    """

    what: str
    unit: Unit
    first: float
    second: float
    difference: float
    interval: Interval | None
    each: tuple[float, ...]

    @property
    def larger(self) -> Literal["first", "second"] | None:
        """Which recipe has the larger value; None where the interval leaves it open."""
        if self.interval is None or 0 in self.interval:
            return None
        return "first" if self.interval.low > 0 else "second"


@dataclass(frozen=True)
class Comparison:
    """Every difference between two recipes.

    Parameters
    ----------
    seeds
        The seeds of the pairs that count.
    diverged
        Seeds that were left out because the loss of either run diverged. The rest is then no fair
        sample of all seeds.
    differences
        One for each measure; none where every pair diverged.
    """

    seeds: tuple[int, ...]
    diverged: tuple[int, ...]
    differences: tuple[Difference, ...]


TEST_ACCURACY = "test accuracy, last epoch"
"""What the difference of final test accuracies is called."""

KEPT_TEST_ACCURACY = "test accuracy, kept weights"
"""What it is called where patience ends the runs: of the weights of the lowest validation loss."""

_MEASURES: tuple[tuple[str, Unit, Callable[[Record], float | None]], ...] = (
    (KEPT_TEST_ACCURACY, "accuracy", lambda run: _kept(run)),
    (TEST_ACCURACY, "accuracy", lambda run: _last(run.curves.test_accuracy)),
    ("test loss, last epoch", "nats", lambda run: _last(run.curves.test_loss)),
    ("test loss, lowest", "nats", lambda run: min(run.curves.test_loss, default=None)),
    ("train accuracy, final weights", "accuracy", lambda run: run.final_train_accuracy),
    ("train loss, final weights", "nats", lambda run: run.final_train_loss),
)


def pair(first: Sequence[Record], second: Sequence[Record]) -> dict[int, tuple[Record, Record]]:
    """Return the two runs of every seed that both recipes have on one kind of device.

    Parameters
    ----------
    first, second
        The records of each recipe. Where a seed has a pair on both kinds of device, the CPU's
        counts.
    """
    left, right = on_one_device({"first": first, "second": second}).values()
    return {seed: (left[seed], right[seed]) for seed in left}


def differing_settings(first: Recipe, second: Recipe) -> dict[str, tuple[Any, Any]]:
    """Return the settings in which two recipes differ, with the value of each.

    Those of the optimiser are called ``optimizer.lr`` and the like.
    """
    left, right = (_settings(recipe) for recipe in (first, second))
    return {name: (left[name], right[name]) for name in left if left[name] != right[name]}


def _settings(recipe: Recipe) -> dict[str, Any]:
    settings = recipe.to_dict()
    del settings["name"]
    optimizer = settings.pop("optimizer")
    return settings | {f"optimizer.{name}": value for name, value in optimizer.items()}


def compare(first: Sequence[Record], second: Sequence[Record]) -> Comparison:
    """Compare the records of two recipes, paired by seed and device.

    Parameters
    ----------
    first, second
        The records of each recipe, paired as by :func:`pair`.

    Raises
    ------
    ValueError
        If no seed was run under both on one kind of device, or they were run on different data.
    """
    pairs = pair(first, second)
    if not pairs:
        raise InputError(
            "no seed was run under both recipes on one kind of device, so nothing can be paired"
        )
    data = {run.dataset_fingerprint: run.recipe.dataset for both in pairs.values() for run in both}
    if len(data) > 1:
        raise InputError(
            f"the recipes were run on different data ({', '.join(data.values())}), so their "
            "differences say nothing of the recipes; compare two of one data set"
        )
    lost = [seed for seed, runs in pairs.items() if any(run.diverged for run in runs)]
    kept = {seed: runs for seed, runs in sorted(pairs.items()) if seed not in lost}
    differences = []
    for what, unit, value in _MEASURES:
        values = [(value(a), value(b)) for a, b in kept.values()]
        known = [(a, b) for a, b in values if a is not None and b is not None]
        if known and len(known) == len(kept):
            images = min(run.test_size for both in kept.values() for run in both)
            differences.append(_difference(what, unit, known, images))
    return Comparison(tuple(kept), tuple(sorted(lost)), tuple(differences))


def _difference(
    what: str, unit: Unit, values: Sequence[tuple[float, float]], images: int
) -> Difference:
    each = [a - b for a, b in values]
    grid = math.sqrt(2) / images if unit == "accuracy" else 0.0  # each of the two is a count
    return Difference(
        what=what,
        unit=unit,
        first=fmean(a for a, _ in values),
        second=fmean(b for _, b in values),
        difference=math.fsum(each) / len(each),
        interval=mean_interval(each, grid=grid),
        each=tuple(each),
    )


def _last(curve: Sequence[float]) -> float | None:
    return curve[-1] if curve else None


def _kept(run: Record) -> float | None:
    kept = run.curves.kept
    return None if run.recipe.patience is None or kept is None else run.curves.test_accuracy[kept]
