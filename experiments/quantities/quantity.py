"""A quantity: what a claim speaks of, read off the records as one number for each seed.

A run that diverged before the epoch in question has the value NaN.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from experiments.errors import InputError
from experiments.records import Record, Runs, on_equal_machines

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
    """A number that each seed's runs yield; built by the functions of this package.

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
    proportions
        Root of the sum of the squared weights of the accuracies that it is made of: 1 for one.
    validated
        Whether its runs must have been measured on images that were held out.
    patient
        Whether it is of the weights that patience kept, so that patience must have ended its runs.
    """

    what: str
    where: str
    unit: Unit
    reads: Mapping[str, int]
    values: Callable[[Runs], dict[int, float]]
    of_test_set: bool = False
    seedless: bool = False
    grid: float = 0.0
    proportions: float = 0.0
    validated: bool = False
    patient: bool = False

    def grid_of(self, images: int) -> float:
        """Return the distance of the values that can be told apart, accuracies included.

        An accuracy is a count over a number of images, and so known to one of them.

        Parameters
        ----------
        images
            Size of the smallest set that accuracies are measured on; 0 where it is not known.
        """
        return math.hypot(self.grid, self.proportions / images if images else 0.0)

    def __str__(self) -> str:
        return f"{self.what}, {self.where}"


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
    validated: bool = False,
) -> Quantity:
    """Return a quantity that one value of every record of one role makes up.

    Parameters
    ----------
    what, unit, of_test_set, grid, validated
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
        proportions=float(unit == "accuracy"),
        validated=validated,
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
        raise InputError(f"cannot subtract {second.unit} from {first.unit}")
    return combined(
        (first, second),
        lambda values: values[0] - values[1],
        what=_minus(first.what, second.what),
        where=_minus(first.where, second.where),
        unit="points" if first.unit == "accuracy" else first.unit,
        grid=math.hypot(first.grid, second.grid),
        proportions=math.hypot(first.proportions, second.proportions),
    )


def combined(
    quantities: Sequence[Quantity],
    combine: Callable[[Sequence[float]], float],
    *,
    what: str,
    where: str,
    unit: Unit,
    grid: float,
    proportions: float,
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
    what, where, unit, grid, proportions
        As in :class:`Quantity`. The grid is one whose rounding has the variance of what the
        rounding of the quantities makes of the number.
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
        grid=grid,
        proportions=proportions,
        validated=any(quantity.validated for quantity in quantities),
        patient=any(quantity.patient for quantity in quantities),
    )


def absolute(quantity: Quantity) -> Quantity:
    """Return a quantity without its sign: of a difference, how far apart the two are."""
    return dataclasses.replace(
        quantity,
        what=f"|{quantity.what}|",
        values=lambda runs: {seed: abs(value) for seed, value in quantity.values(runs).items()},
    )


def _minus(first: str, second: str) -> str:
    """Name a difference; what both have in common is said once."""
    if first == second:
        return first
    return " − ".join(f"({name})" if " − " in name else name for name in (first, second))
