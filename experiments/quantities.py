"""What a claim speaks of, read off the records: one number for each seed.

Where the learning rate does not depend on the number of epochs, the first 20 epochs of a 30-epoch
run are, bit for bit, the 20-epoch run of the same seed: a quantity at epoch 20 may be read from
either.

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
    pass

Runs = Mapping[str, Mapping[int, Record]]
"""For each role its runs: one record for each seed."""

Metric = Literal[
    "train_loss",
    "train_accuracy",
    "test_loss",
    "test_accuracy",
    "validation_loss",
    "validation_accuracy",
]
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
    if epoch < 1:
        raise ValueError(f"epochs count from 1, got {epoch}")

    def value(record: Record) -> float:
        curve = curve_of(record, metric)
        return curve[epoch - 1] if epoch <= len(curve) else math.nan

    return _of_curve(metric, role, f"at epoch {epoch}", value, epoch)


def at_the_end(metric: Metric, role: str) -> Quantity:
    """Return a curve's last value, wherever patience ended the run."""
    return _of_curve(metric, role, "at the end", _unless_diverged(metric, lambda record: -1))


def at_lowest_validation_loss(metric: Metric, role: str) -> Quantity:
    """Return a curve's value at the epoch whose weights early stopping would keep."""
    return _of_curve(
        metric,
        role,
        "at the lowest validation loss",
        _unless_diverged(metric, lambda record: int(np.argmin(record.curves.validation_loss))),
    )


def at_lowest_test_loss(metric: Metric, role: str, last: int) -> Quantity:
    """Return a curve's value at the epoch of the lowest test loss among the first ``last``.

    A choice that looks at the test set: what a report that picks its epoch from a plot does, and
    optimistic for that reason.
    """
    return _of_curve(
        metric,
        role,
        f"at the lowest test loss of {last} epochs",
        _unless_diverged(metric, lambda record: int(np.argmin(record.curves.test_loss[:last]))),
        last,
    )


def steps_taken(role: str) -> Quantity:
    """Return the number of updates until the run ended."""

    def value(record: Record) -> float:
        if record.diverged:
            return math.nan
        steps = record.recipe.steps or math.ceil(record.train_size / record.recipe.batch)
        return float(steps * len(record.curves.train_loss))

    return Quantity(
        what="steps", where=role, unit="count", reads={role: 0}, values=each_seed(role, value)
    )


def best_train_accuracy(role: str) -> Quantity:
    """Return the accuracy on the training set of the weights that early stopping would keep."""

    def value(record: Record) -> float:
        accuracy = record.best_train_accuracy
        return math.nan if accuracy is None else accuracy

    return Quantity(
        what="train accuracy",
        where=f"{role} at the lowest validation loss",
        unit="accuracy",
        reads={role: 0},
        values=each_seed(role, value),
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
        values=each_seed(role, value),
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


def parameters(role: str) -> Quantity:
    """Return the number of trainable parameters."""
    return Quantity(
        what="parameters",
        where=role,
        unit="count",
        reads={role: 0},
        values=each_seed(role, lambda record: float(record.parameters)),
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
        values=each_seed(role, value),
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


def each_seed(role: str, value: Callable[[Record], float]) -> Callable[[Runs], dict[int, float]]:
    """Return what takes a value of every record of a role."""
    return lambda runs: {seed: value(record) for seed, record in runs[role].items()}


def curve_of(record: Record, metric: Metric) -> list[float]:
    """Return a record's curve."""
    curve: list[float] = getattr(record.curves, metric)
    return curve


def _unless_diverged(metric: Metric, index: Callable[[Record], int]) -> Callable[[Record], float]:
    return lambda record: math.nan if record.diverged else curve_of(record, metric)[index(record)]


def _of_curve(
    metric: Metric, role: str, when: str, value: Callable[[Record], float], last: int = 0
) -> Quantity:
    if metric not in get_args(Metric):
        raise ValueError(f"metric {metric!r} is unknown; known: {', '.join(get_args(Metric))}")
    return Quantity(
        what=metric.replace("_", " "),
        where=f"{role} {when}",
        unit="accuracy" if metric.endswith("accuracy") else "nats",
        reads={role: last},
        values=each_seed(role, value),
        of_test_set=metric == "test_accuracy",
    )
