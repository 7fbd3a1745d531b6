"""Whether a record that was read, or is to be written, holds what some run could have measured."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from experiments.arguments import check_device_name, check_name

if TYPE_CHECKING:
    from experiments.records import Record

_COUNTS = {"seed": 0, "parameters": 1, "train_size": 1, "test_size": 1}
"""Fields of a record that count something, and the least that they count."""

_MADE: dict[str, tuple[type | tuple[type, ...], str]] = {
    "wall_seconds": ((int, float), "a number"),
    "training_seconds": ((int, float), "a number"),
    "threads": (int, "an integer"),
    "hardware": (str, "a name"),
    "python": (str, "a version"),
    "torch": (str, "a version"),
    "numpy": (str, "a version"),
}
"""What every record says of how it was made: times, costs and pages are read from it."""

_LEAST = {"wall_seconds": 0, "training_seconds": 0, "threads": 1}


def check(record: Record) -> None:
    """Refuse a record that no run can have made.

    Raises
    ------
    ValueError
        If a field is of another type or out of its range, or the curves do not fit the recipe.
    """
    check_name("a study's", record.study)
    check_device_name(record.device)
    for name, least in _COUNTS.items():
        _check_count(name, getattr(record, name), least)
    if not isinstance(record.diverged, bool):
        raise ValueError(f"diverged is {record.diverged!r}, expected true or false")
    _check_curves(record)
    for name in ("final_train_loss", "final_train_accuracy", "best_train_accuracy"):
        if (value := getattr(record, name)) is not None:
            _check_measured(name, value)
    _check_provenance(record.provenance)


def _check_count(name: str, value: Any, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}, expected an integer")
    if value < least:
        raise ValueError(f"{name} is {value}, expected at least {least}")


def _check_curves(record: Record) -> None:
    """Refuse curves that do not end together, or not where the recipe ends."""
    recipe, curves = record.recipe, dataclasses.asdict(record.curves)
    if not recipe.validation:
        del curves["validation_loss"], curves["validation_accuracy"]
    lengths = {len(curve) for curve in curves.values()}
    early = record.diverged or recipe.patience is not None
    fewest = 0 if early else recipe.epochs
    if len(lengths) != 1 or not fewest <= max(lengths) <= recipe.epochs:
        raise ValueError(f"the curves have {sorted(lengths)} epochs, expected {recipe.epochs}")
    for name, curve in curves.items():
        for value in curve:
            _check_measured(f"a value of {name}", value)


def _check_measured(name: str, value: Any) -> None:
    """Refuse what is no loss or, by its name, no accuracy."""
    if not isinstance(value, float) or not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}, expected a finite number")
    if value < 0 or (name.endswith("accuracy") and value > 1):
        raise ValueError(f"{name} is {value}, which none can be")


def _check_provenance(made: Mapping[str, Any]) -> None:
    for name, (kind, expected) in _MADE.items():
        if name not in made:
            raise ValueError(f"the provenance lacks {name}")
        if not isinstance(made[name], kind) or isinstance(made[name], bool):
            raise ValueError(f"{name} in the provenance is {made[name]!r}, expected {expected}")
    for name, least in _LEAST.items():
        if not made[name] >= least:  # what is no number is not
            raise ValueError(f"{name} in the provenance is {made[name]}, expected at least {least}")
