"""What a claim speaks of, read off the records: one number for each seed.

Where the learning rate does not depend on the number of epochs, the first 20 epochs of a 30-epoch
run are, bit for bit, the 20-epoch run of the same seed: a quantity at epoch 20 may be read from
either.

A run that diverged before the epoch in question has the value NaN.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from experiments.errors import InputError
from experiments.records import Record
from experiments.statistics import Interval

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
Unit = Literal["accuracy", "points", "share", "nats", "count", "seconds"]


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
        Accuracies, differences of them (points) and shares of anything else are fractions of 1;
        losses are in nats.
    reads
        The roles that are read, each with the number of epochs that its runs must have at least.
    values
        Returns the value for every seed that has one.
    of_test_set
        Whether the value is a proportion of the test set, and so has binomial noise.
    seedless
        Whether every seed gives the same value.
    grid
        Distance of the values that can be told apart, such as one epoch; 0 for any that are close.
    """

    what: str
    where: str
    unit: Unit
    reads: Mapping[str, int]
    values: Callable[[Runs], dict[int, float]]
    of_test_set: bool = False
    seedless: bool = False
    grid: float = 0.0

    def __str__(self) -> str:
        return f"{self.what}, {self.where}"


def at_epoch(metric: Metric, role: str, epoch: int) -> Quantity:
    """Return a curve's value at an epoch (from 1).

    ``train_*`` are running means over the epoch, while the weights change.

    Raises
    ------
    ValueError
        If the epoch or the metric is none.
    """
    if epoch < 1:
        raise InputError(f"epochs count from 1, got {epoch}")

    def value(record: Record) -> float:
        curve = curve_of(record, metric)
        return curve[epoch - 1] if epoch <= len(curve) else math.nan

    return _of_curve(metric, role, f"at epoch {epoch}", value, epoch)


def at_the_end(metric: Metric, role: str) -> Quantity:
    """Return a curve's last value, wherever patience ended the run."""

    def value(record: Record) -> float:
        return math.nan if record.diverged else curve_of(record, metric)[-1]

    return _of_curve(metric, role, "at the end", value, 1)


def at_lowest_validation_loss(metric: Metric, role: str) -> Quantity:
    """Return a curve's value at the epoch whose weights early stopping would keep."""

    def value(record: Record) -> float:
        if record.diverged:
            return math.nan
        return curve_of(record, metric)[int(np.argmin(record.curves.validation_loss))]

    return _of_curve(metric, role, "at the lowest validation loss", value, 1)


def at_lowest_test_loss(metric: Metric, role: str, last: int) -> Quantity:
    """Return a curve's value at the epoch of the lowest test loss among the first ``last``.

    A choice that looks at the test set: what a report that picks its epoch from a plot does, and
    optimistic for that reason.
    """

    def value(record: Record) -> float:
        losses = record.curves.test_loss[:last]
        return curve_of(record, metric)[int(np.argmin(losses))] if len(losses) == last else math.nan

    return _of_curve(metric, role, f"at the lowest test loss of {last} epochs", value, last)


def steps_taken(role: str) -> Quantity:
    """Return the number of updates until the run ended."""

    def value(record: Record) -> float:
        if record.diverged:
            return math.nan
        return float(steps_an_epoch(record) * len(record.curves.train_loss))

    return of_each_run("steps", role, "count", value)


def best_train_accuracy(role: str) -> Quantity:
    """Return the accuracy on the training set of the weights that early stopping would keep."""

    def value(record: Record) -> float:
        accuracy = record.best_train_accuracy
        return math.nan if accuracy is None else accuracy

    return of_each_run(
        "train accuracy", role, "accuracy", value, where=f"{role} at the lowest validation loss"
    )


def final_train_accuracy(role: str) -> Quantity:
    """Return the accuracy of the final weights on the whole training set."""

    def value(record: Record) -> float:
        accuracy = record.final_train_accuracy
        return math.nan if accuracy is None else accuracy

    return of_each_run("train accuracy", role, "accuracy", value, where=f"{role}, final weights")


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
        raise InputError(f"cannot subtract {second.unit} from {first.unit}")
    return combined(
        (first, second),
        lambda values: values[0] - values[1],
        what=_minus(first.what, second.what),
        where=_minus(first.where, second.where),
        unit="points" if first.unit == "accuracy" else first.unit,
    )


def combined(
    quantities: Sequence[Quantity],
    combine: Callable[[Sequence[float]], float],
    *,
    what: str,
    where: str,
    unit: Unit,
) -> Quantity:
    """Return one number from several quantities, paired by seed: only seeds that all have count.

    Seconds are combined only where all runs of a seed had equal processors, as many threads, and
    fleets of one size.

    Parameters
    ----------
    quantities
        What is combined.
    combine
        Takes the values of one seed, in the order of ``quantities``.
    what, where, unit
        As in :class:`Quantity`.
    """
    reads: dict[str, int] = {}
    for quantity in quantities:
        for role, epochs in quantity.reads.items():
            reads[role] = max(epochs, reads.get(role, 0))

    def values(runs: Runs) -> dict[int, float]:
        each = [quantity.values(runs) for quantity in quantities]
        return {
            seed: combine([every[seed] for every in each])
            for seed in each[0]
            if all(seed in others for others in each)
            and (unit != "seconds" or on_equal_machines([runs[role][seed] for role in reads]))
        }

    return Quantity(
        what=what,
        where=where,
        unit=unit,
        reads=reads,
        values=values,
        seedless=all(quantity.seedless for quantity in quantities),
        grid=math.hypot(*(quantity.grid for quantity in quantities)),
    )


def absolute(quantity: Quantity) -> Quantity:
    """Return a quantity without its sign: of a difference, how far apart the two are."""
    return dataclasses.replace(
        quantity,
        what=f"|{quantity.what}|",
        values=lambda runs: {seed: abs(value) for seed, value in quantity.values(runs).items()},
    )


def parameters(role: str) -> Quantity:
    """Return the number of trainable parameters."""
    return _seedless("parameters", role, lambda record: record.parameters)


def size_of_training_set(role: str) -> Quantity:
    """Return the number of images that a run trains on."""
    return _seedless("training images", role, lambda record: record.train_size)


def size_of_test_set(role: str) -> Quantity:
    """Return the number of images that a run is tested on."""
    return _seedless("test images", role, lambda record: record.test_size)


def epochs_with_finite_loss(role: str) -> Quantity:
    """Return the number of epochs of a run that did not diverge."""

    def value(record: Record) -> float:
        return math.nan if record.diverged else float(len(record.curves.train_loss))

    return of_each_run("epochs with a finite loss", role, "count", value)


def failed(role: str, epoch: int) -> Quantity:
    """Return 1 for a run that learnt nothing by an epoch, else 0.

    Its training loss is then not finite, or no lower than ln 10, that of guessing ten classes:
    where the steps are too large, the loss either overflows or stays with units that have died.
    """

    def value(record: Record) -> float:
        losses = record.curves.train_loss
        return float(len(losses) < epoch or losses[epoch - 1] >= math.log(10))

    return of_each_run(
        "runs that learnt nothing",
        role,
        "count",
        value,
        where=f"{role} at epoch {epoch}",
        last=epoch,
    )


def seconds_an_epoch(role: str) -> Quantity:
    """Return the mean time that the updates of an epoch took, evaluation left out.

    It depends on the machine: a difference counts only the seeds that ran on equal ones.
    """

    def value(record: Record) -> float:
        if record.diverged:
            return math.nan
        return float(record.provenance["training_seconds"]) / len(record.curves.train_loss)

    return of_each_run("training time of an epoch", role, "seconds", value, last=1)


def formatted(value: float, unit: Unit) -> str:
    """Return a value as people read it: 0.712 as "71.2 %", a difference of 0.02 as "+2.0 pp"."""
    match unit:
        case "accuracy":
            return f"{100 * value:.1f} %"
        case "points":
            return f"{100 * value:+.1f} pp"
        case "share":
            return f"{100 * value:.0f} %"
        case "nats":
            return f"{value:.3f}"
        case "count":
            return f"{value:,.1f}".removesuffix(".0")
        case "seconds":
            return f"{value:.1f} s"


def formatted_range(low: float, high: float, unit: Unit) -> str:
    """Return a range as people read it: "71.2 to 73.4 %"."""
    number, _, _ = formatted(low, unit).partition(" ")
    return f"{number} to {formatted(high, unit)}"


def formatted_half_width(interval: Interval, unit: Unit) -> str:
    """Return what stands behind "±", without sign or unit: "1.3" for 1.3 %."""
    return formatted(interval.half_width, unit).partition(" ")[0].removeprefix("+")


def of_each_run(
    what: str,
    role: str,
    unit: Unit,
    value: Callable[[Record], float],
    *,
    where: str | None = None,
    last: int = 0,
    of_test_set: bool = False,
    grid: float = 0.0,
) -> Quantity:
    """Return a quantity that one value of every record of one role makes up.

    Parameters
    ----------
    what, unit, of_test_set, grid
        As in :class:`Quantity`.
    role
        The runs.
    value
        Takes the value of a record, NaN where it has none.
    where
        As in :class:`Quantity`; by default the role.
    last
        How many epochs a run must have at least.
    """
    return Quantity(
        what=what,
        where=where or role,
        unit=unit,
        reads={role: last},
        values=lambda runs: {seed: value(record) for seed, record in runs[role].items()},
        of_test_set=of_test_set,
        grid=grid,
    )


def steps_an_epoch(record: Record) -> int:
    """Return the number of updates in an epoch of a record's run."""
    return record.recipe.steps or math.ceil(record.train_size / record.recipe.batch)


def curve_of(record: Record, metric: Metric) -> list[float]:
    """Return a record's curve."""
    curve: list[float] = getattr(record.curves, metric)
    return curve


def on_equal_machines(records: Iterable[Record]) -> bool:
    """Return whether times can be compared: a member's time is its share of its fleet's."""
    ways = {
        (made.get("hardware"), made.get("threads"), made.get("fleet", 1))
        for made in (record.provenance for record in records)
    }
    return len(ways) == 1


def _seedless(what: str, role: str, value: Callable[[Record], int]) -> Quantity:
    quantity = of_each_run(what, role, "count", lambda record: float(value(record)))
    return dataclasses.replace(quantity, seedless=True)


def _minus(first: str, second: str) -> str:
    """Name a difference; what both have in common is said once."""
    if first == second:
        return first
    return " − ".join(f"({name})" if " − " in name else name for name in (first, second))


def _of_curve(
    metric: Metric, role: str, when: str, value: Callable[[Record], float], last: int = 0
) -> Quantity:
    if metric not in get_args(Metric):
        raise InputError(f"metric {metric!r} is unknown; known: {', '.join(get_args(Metric))}")
    return of_each_run(
        metric.replace("_", " "),
        role,
        "accuracy" if metric.endswith("accuracy") else "nats",
        value,
        where=f"{role} {when}",
        last=last,
        of_test_set=metric == "test_accuracy",
    )
