"""What a run comes to as a whole: its sizes, how long it went on, whether it learnt, its time."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from experiments.quantities.quantity import Quantity, of_each_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from experiments.records import Record


def parameters(role: str) -> Quantity:
    """Return the number of trainable parameters."""
    return _seedless("parameters", role, lambda record: record.parameters)


def size_of_training_set(role: str) -> Quantity:
    """Return the number of images that a run trains on."""
    return _seedless("training images", role, lambda record: record.train_size)


def size_of_test_set(role: str) -> Quantity:
    """Return the number of images that a run is tested on."""
    return _seedless("test images", role, lambda record: record.test_size)


def steps_taken(role: str, *, every: int = 0) -> Quantity:
    """Return the number of updates until the run ended.

    Parameters
    ----------
    role
        The runs.
    every
        Updates between the moments at which a run may end, where early stopping ends it; 0 where
        its recipe says how many it takes.
    """

    def value(record: Record) -> float:
        if record.diverged:
            return math.nan
        steps = record.recipe.steps_an_epoch(record.train_size)
        return float(steps * len(record.curves.train_loss))

    return of_each_run("steps", role, "count", value, grid=float(every))


def best_train_accuracy(role: str) -> Quantity:
    """Return the accuracy on the training set of the weights that early stopping would keep."""

    def value(record: Record) -> float:
        accuracy = record.best_train_accuracy
        return math.nan if accuracy is None else accuracy

    where = f"{role} at the lowest validation loss"
    kept = of_each_run("train accuracy", role, "accuracy", value, where=where, validated=True)
    return dataclasses.replace(kept, patient=True)


def final_train_loss(role: str) -> Quantity:
    """Return the loss of the final weights on the whole training set, as it is when they are used.

    The loss of an epoch, for comparison, is that of weights which change meanwhile, with dropout.
    """

    def value(record: Record) -> float:
        loss = record.final_train_loss
        return math.nan if loss is None else loss

    return of_each_run("train loss", role, "nats", value, where=f"{role}, final weights")


def final_train_accuracy(role: str) -> Quantity:
    """Return the accuracy of the final weights on the whole training set."""

    def value(record: Record) -> float:
        accuracy = record.final_train_accuracy
        return math.nan if accuracy is None else accuracy

    return of_each_run("train accuracy", role, "accuracy", value, where=f"{role}, final weights")


def epochs_with_finite_loss(role: str) -> Quantity:
    """Return the number of epochs of a run that did not diverge, which its recipe decides."""

    def value(record: Record) -> float:
        return math.nan if record.diverged else float(len(record.curves.train_loss))

    quantity = of_each_run("epochs with a finite loss", role, "count", value)
    return dataclasses.replace(quantity, seedless=True)


def failed(role: str, epoch: int) -> Quantity:
    """Return 1 for a run that learnt nothing by an epoch, else 0.

    Its training loss is then not finite, or no lower than that of giving every class the same
    probability, ln 10 for ten classes: where the steps are too large, the loss either overflows or
    stays with units that have died.
    """

    def value(record: Record) -> float:
        losses, chance = record.curves.train_loss, math.log(record.recipe.classes)
        return float(len(losses) < epoch or losses[epoch - 1] >= chance)

    return of_each_run(
        "share of runs that learnt nothing",
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


def _seedless(what: str, role: str, value: Callable[[Record], int]) -> Quantity:
    quantity = of_each_run(what, role, "count", lambda record: float(value(record)))
    return dataclasses.replace(quantity, seedless=True)
