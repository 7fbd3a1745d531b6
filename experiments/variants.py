"""Variants: a recipe of the catalogue on other data, at another precision, or of another length.

A variant is a recipe of its own, with its own key and a name that says what differs, such as
``conv-fc.adam@mnist``, ``conv-fc.adam@bfloat16`` or ``conv-fc.adam@epochs-2``. It answers another
question than the report did, so its records lie apart, in a store inside the store, and no verdict
is drawn from them.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any, get_args

from experiments.arguments import as_number
from experiments.errors import InputError
from experiments.recipe import DatasetName, Precision
from experiments.records import Store

if TYPE_CHECKING:
    from experiments.recipe import Recipe
    from experiments.study import Study

_FOLDER = "variants"
_EPOCHS = re.compile(r"epochs-(\d{1,12})", re.ASCII)

_LONGEST = 1000
"""Times as long as in the catalogue; what is beyond is a slip, and no name for a file."""


def variant(
    recipe: Recipe,
    *,
    dataset: str | None = None,
    precision: str | None = None,
    epochs_scale: float = 1.0,
) -> Recipe:
    """Return the recipe with other settings; the recipe itself where they are its own.

    Parameters
    ----------
    recipe
        A recipe of the catalogue.
    dataset
        As in :class:`~experiments.recipe.Recipe`; None leaves it. Whether the network fits its
        images, and has a score for each of its classes, shows when it is built.
    precision
        As in :class:`~experiments.recipe.Recipe`; None leaves it.
    epochs_scale
        Factor of the epochs, which are rounded, but to no less than 1. A recipe that only measures
        its initial network, with no epoch at all, stays as it is.

    Raises
    ------
    ValueError
        If the data set or the precision is unknown, or the factor is not between 0 and 1,000.
    """
    epochs_scale = as_number("the factor of the epochs", epochs_scale)
    if not 0 < epochs_scale <= _LONGEST:
        raise InputError(
            f"epochs are scaled by a positive number up to {_LONGEST:,}, got {epochs_scale:g}"
        )
    epochs = max(1, round(epochs_scale * recipe.epochs)) if recipe.epochs else 0
    if dataset is not None and dataset not in get_args(DatasetName):
        known = ", ".join(get_args(DatasetName))
        raise InputError(f"data set {dataset!r} is unknown; known: {known}")
    settings = {"dataset": dataset, "precision": precision, "epochs": epochs}
    return _changed(recipe, {name: each for name, each in settings.items() if each is not None})


def named(recipe: Recipe, marks: str) -> Recipe:
    """Return the variant that these marks mean; the recipe itself where they change nothing.

    Parameters
    ----------
    recipe
        A recipe of the catalogue.
    marks
        What follows the first ``@``: ``"mnist"``, ``"bfloat16"``, ``"epochs-2"``, or several of
        these in any order, with ``@`` between them.

    Raises
    ------
    ValueError
        If a mark is unknown or makes the recipe too long, or there are two for one setting.
    """
    changes: dict[str, Any] = {}
    longest = _LONGEST * recipe.epochs if recipe.epochs else -1
    for mark in marks.split("@"):
        change: dict[str, Any]
        if mark in get_args(DatasetName):
            change = {"dataset": mark}
        elif mark in get_args(Precision):
            change = {"precision": mark}
        elif (match := _EPOCHS.fullmatch(mark)) and int(match[1]) <= longest:
            change = {"epochs": int(match[1])}
        else:
            lengths = [f"epochs-<n> up to {longest:,}"] if recipe.epochs else []
            known = ", ".join((*get_args(DatasetName), *get_args(Precision), *lengths))
            raise InputError(f"{recipe.name} has no variant {mark!r}; known: {known}")
        if twice := changes.keys() & change:
            raise InputError(f"{recipe.name}@{marks} names its {min(twice)} twice; leave one out")
        changes |= change
    return _changed(recipe, changes)


def home(study: Study, recipe: Recipe, store: Store) -> Store:
    """Return where the records of a recipe belong: those of a variant lie apart."""
    return store if recipe in study.recipes else apart(store)


def apart(store: Store) -> Store:
    """Return the store inside a store that holds the records of variants."""
    return Store(store.root / _FOLDER)


def _changed(recipe: Recipe, settings: dict[str, Any]) -> Recipe:
    """Return the recipe with these settings, and those that are new to it behind its name."""
    changed = dataclasses.replace(recipe, **settings)
    marks: list[str] = []
    if changed.dataset != recipe.dataset:
        marks.append(changed.dataset)
    if changed.precision != recipe.precision:
        marks.append(changed.precision)
    if changed.epochs != recipe.epochs:
        marks.append(f"epochs-{changed.epochs}")
    return dataclasses.replace(changed, name="@".join((recipe.name, *marks)))
