"""A curve's value at one epoch, a given one, the last, or one that a rule chooses; or over several.

Where the learning rate does not depend on the number of epochs, the first 20 epochs of a 30-epoch
run are, bit for bit, the 20-epoch run of the same seed: a quantity at epoch 20 may be read from
either.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, get_args

import numpy as np

from experiments.arguments import as_whole
from experiments.errors import InputError
from experiments.quantities.quantity import Metric, Quantity, of_each_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from experiments.records import Record


def at_epoch(metric: Metric, role: str, epoch: int) -> Quantity:
    """Return a curve's value at an epoch (from 1).

    ``train_*`` are running means over the epoch, while the weights change.

    Raises
    ------
    ValueError
        If the epoch or the metric is none.
    """
    if as_whole("an epoch", epoch) < 1:
        raise InputError(f"epochs count from 1, got {epoch}")

    def value(record: Record) -> float:
        curve = curve_of(record, metric)
        return curve[epoch - 1] if epoch <= len(curve) else math.nan

    return _of_curve(metric, role, f"at epoch {epoch}", value, epoch)


def median_over_epochs(metric: Metric, role: str, first: int, last: int) -> Quantity:
    """Return the median of a curve over the epochs ``first`` to ``last`` (from 1), both included.

    Single epochs that stray, as in a curve that a large learning rate makes jump, leave it alone.

    Raises
    ------
    ValueError
        If there are no such epochs, or the metric is none.
    """
    first, last = as_whole("an epoch", first), as_whole("an epoch", last)
    if not 1 <= first <= last:
        raise InputError(f"epochs count from 1, and on from the first; got {first} to {last}")

    def value(record: Record) -> float:
        curve = curve_of(record, metric)[:last]
        return float(np.median(curve[first - 1 :])) if len(curve) == last else math.nan

    when = f"in the median of epochs {first} to {last}"
    return _of_curve(metric, role, when, value, last)


def at_the_end(metric: Metric, role: str) -> Quantity:
    """Return a curve's last value, wherever patience ended the run."""

    def value(record: Record) -> float:
        return math.nan if record.diverged else curve_of(record, metric)[-1]

    return _of_curve(metric, role, "at the end", value, 1)


def at_lowest_validation_loss(metric: Metric, role: str) -> Quantity:
    """Return a curve's value at the epoch whose weights early stopping would keep."""

    def value(record: Record) -> float:
        kept = record.curves.kept
        return math.nan if record.diverged or kept is None else curve_of(record, metric)[kept]

    return _of_curve(metric, role, "at the lowest validation loss", value, 1, validated=True)


def at_lowest_test_loss(metric: Metric, role: str, last: int) -> Quantity:
    """Return a curve's value at the epoch of the lowest test loss among the first ``last``.

    A choice that looks at the test set: what a report that picks its epoch from a plot does, and
    optimistic for that reason.
    """

    def value(record: Record) -> float:
        losses = record.curves.test_loss[:last]
        return curve_of(record, metric)[int(np.argmin(losses))] if len(losses) == last else math.nan

    return _of_curve(metric, role, f"at the lowest test loss of {last} epochs", value, last)


def check_metric(metric: str) -> None:
    """Raise an InputError if there is no such curve."""
    if metric not in get_args(Metric):
        raise InputError(f"metric {metric!r} is unknown; known: {', '.join(get_args(Metric))}")


def curve_of(record: Record, metric: Metric) -> list[float]:
    """Return a record's curve."""
    curve: list[float] = getattr(record.curves, metric)
    return curve


def _of_curve(
    metric: Metric,
    role: str,
    when: str,
    value: Callable[[Record], float],
    last: int,
    *,
    validated: bool = False,
) -> Quantity:
    check_metric(metric)
    return of_each_run(
        metric.replace("_", " "),
        role,
        "accuracy" if metric.endswith("accuracy") else "nats",
        value,
        where=f"{role} {when}",
        last=last,
        of_test_set=metric == "test_accuracy",
        validated=validated or metric.startswith("validation"),
    )
