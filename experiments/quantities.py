"""What a claim speaks of, read off the records: one number for each seed.

The learning rate is constant, so the first 20 epochs of a 30-epoch run are, bit for bit, the
20-epoch run of the same seed: a quantity at epoch 20 may be read from either.

A run that diverged before the epoch in question has the value NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from experiments.records import Record

if TYPE_CHECKING:
    from jaxtyping import Float

Runs = Mapping[str, Mapping[int, Record]]
"""For each role its runs: one record for each seed."""

Metric = Literal["train_loss", "train_accuracy", "test_loss", "test_accuracy"]
Unit = Literal["accuracy", "points", "nats", "count"]


@dataclass(frozen=True)
class Quantity:
    """A number that each seed's runs yield; built by the functions of this module.

    Parameters
    ----------
    what
        What is measured, e.g. "test accuracy".
    where
        In which runs, and when, e.g. "linear-20 at epoch 20".
    unit
        Accuracies, and differences of them (points), are fractions of 1; losses are in nats.
    reads
        The roles that are read, each with the last epoch that is needed (0: no epoch is).
    values
        Returns the value for every seed that has one.
    of_test_set
        Whether the value is a proportion of the test set, and so has binomial noise.
    """

    what: str
    where: str
    unit: Unit
    reads: Mapping[str, int]
    values: Callable[[Runs], dict[int, float]]
    of_test_set: bool = False

    def __str__(self) -> str:
        return f"{self.what}, {self.where}"


def at_epoch(metric: Metric, role: str, epoch: int) -> Quantity:
    """Return a curve's value at an epoch (from 1).

    ``train_*`` are running means over the epoch, while the weights change.
    """
    if metric not in get_args(Metric):
        raise ValueError(f"metric {metric!r} is unknown; known: {', '.join(get_args(Metric))}")
    if epoch < 1:
        raise ValueError(f"epochs count from 1, got {epoch}")

    def value(record: Record) -> float:
        curve: list[float] = getattr(record.curves, metric)
        return curve[epoch - 1] if epoch <= len(curve) else math.nan

    return Quantity(
        what=metric.replace("_", " "),
        where=f"{role} at epoch {epoch}",
        unit="accuracy" if metric.endswith("accuracy") else "nats",
        reads={role: epoch},
        values=_each_seed(role, value),
        of_test_set=metric == "test_accuracy",
    )


def final_train_accuracy(role: str) -> Quantity:
    """Return the accuracy of the final weights on the whole training set."""

    def value(record: Record) -> float:
        accuracy = record.final_train_accuracy
        return math.nan if accuracy is None else accuracy

    return Quantity(
        what="train accuracy",
        where=f"{role}, final weights",
        unit="accuracy",
        reads={role: 0},
        values=_each_seed(role, value),
    )


def difference(first: Quantity, second: Quantity) -> Quantity:
    """Return ``first - second``, paired by seed: only seeds that have both count.

    Two runs of one seed share the order of the images, and the initial weights where the
    architecture is the same; the difference is free of what they share.

    Raises
    ------
    ValueError
        If the quantities have different units.
    """
    if first.unit != second.unit:
        raise ValueError(f"cannot subtract {second.unit} from {first.unit}")

    def values(runs: Runs) -> dict[int, float]:
        left, right = first.values(runs), second.values(runs)
        return {seed: left[seed] - right[seed] for seed in left if seed in right}

    roles = [*first.reads, *second.reads]
    return Quantity(
        what=first.what if first.what == second.what else f"{first.what} − {second.what}",
        where=f"{first.where} − {second.where}",
        unit="points" if first.unit == "accuracy" else first.unit,
        reads={role: max(first.reads.get(role, 0), second.reads.get(role, 0)) for role in roles},
        values=values,
    )


def loss_rise(role: str, epoch: int) -> Quantity:
    """Return how far the test loss at ``epoch`` lies above its minimum so far.

    The end of a noisy curve lies above the curve's own minimum even where nothing rises. So the
    epoch of the minimum is chosen for each seed from the mean curve of the other seeds: under a
    flat noisy curve the expected rise is 0. A lone curve is held against its own minimum, which
    can only make it look larger; one seed decides nothing.
    """

    def values(runs: Runs) -> dict[int, float]:
        curves = _test_losses(runs[role], epoch)
        result = dict.fromkeys(runs[role].keys() - curves.keys(), math.nan)
        for seed, curve in curves.items():
            others = [curves[other] for other in curves if other != seed] or [curve]
            lowest = int(np.mean(others, axis=0).argmin())
            result[seed] = float(curve[-1] - curve[lowest])
        return result

    return Quantity(
        what="test loss above its minimum",
        where=f"{role} at epoch {epoch}",
        unit="nats",
        reads={role: epoch},
        values=values,
    )


def parameters(role: str) -> Quantity:
    """Return the number of trainable parameters."""
    return Quantity(
        what="parameters",
        where=role,
        unit="count",
        reads={role: 0},
        values=_each_seed(role, lambda record: float(record.parameters)),
    )


def epochs_with_finite_loss(role: str) -> Quantity:
    """Return the number of epochs of a run that did not diverge."""

    def value(record: Record) -> float:
        return math.nan if record.diverged else float(len(record.curves.train_loss))

    return Quantity(
        what="epochs with a finite loss",
        where=role,
        unit="count",
        reads={role: 0},
        values=_each_seed(role, value),
    )


def formatted(value: float, unit: Unit) -> str:
    """Return a value as people read it: 0.712 as "71.2 %", a difference of 0.02 as "+2.0 pp"."""
    match unit:
        case "accuracy":
            return f"{100 * value:.1f} %"
        case "points":
            return f"{100 * value:+.1f} pp"
        case "nats":
            return f"{value:.3f}"
        case "count":
            return f"{value:,.0f}"


def formatted_range(low: float, high: float, unit: Unit) -> str:
    """Return a range as people read it: "71.2 to 73.4 %"."""
    number, _, _ = formatted(low, unit).partition(" ")
    return f"{number} to {formatted(high, unit)}"


def _each_seed(role: str, value: Callable[[Record], float]) -> Callable[[Runs], dict[int, float]]:
    return lambda runs: {seed: value(record) for seed, record in runs[role].items()}


def _test_losses(
    runs: Mapping[int, Record], epochs: int
) -> dict[int, Float[np.ndarray, " epochs"]]:
    curves = {seed: np.array(run.curves.test_loss[:epochs]) for seed, run in runs.items()}
    return {seed: curve for seed, curve in curves.items() if len(curve) == epochs}
