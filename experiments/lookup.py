"""Lookup: from the names that people type to recipes, and from recipes to their records."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from experiments import catalog, variants
from experiments.errors import InputError
from experiments.records import by_recipe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from experiments.recipe import Recipe
    from experiments.records import Record, Store
    from experiments.study import Study


def recipes(study: Study, names: Sequence[str]) -> list[Recipe]:
    """Return the recipes of a study that the names mean; those run by default for no name.

    Parameters
    ----------
    study
        The study.
    names
        Each the name of a recipe, of a role (its recipe under every completion), or of a variant
        of a recipe (:mod:`experiments.variants`).

    Raises
    ------
    ValueError
        If there is no such recipe or role; the message suggests one.
    """
    if not names:
        return list(study.by_default)
    by_name = _by_name(study)
    chosen: dict[str, Recipe] = {}
    for name in names:
        base, _, marks = name.partition("@")
        if base not in by_name:
            raise InputError(f"{study.name} has no recipe or role {base!r}; {_hint(base, by_name)}")
        for recipe in by_name[base]:
            meant = variants.named(recipe, marks) if marks else recipe
            chosen[meant.name] = meant
    return list(chosen.values())


def recipe(name: str) -> tuple[Study, Recipe]:
    """Return the one recipe of the whole catalogue that a name means, and its study.

    Parameters
    ----------
    name
        The name of a recipe, of a role that has one recipe only, or of a variant of either; with
        ``<report>.`` before it where several reports have one of this name.

    Raises
    ------
    ValueError
        If there is no such recipe, or more than one.
    """
    base, _, marks = name.partition("@")
    by_name: dict[str, list[tuple[Study, Recipe]]] = {}
    for study in catalog.studies():
        for short, found in _by_name(study).items():
            for known in (short, f"{study.name}.{short}"):
                by_name.setdefault(known, []).extend((study, each) for each in found)
    if base not in by_name:
        raise InputError(f"no report has a recipe or role {base!r}; {_hint(base, by_name)}")
    if len(by_name[base]) > 1:
        full = ", ".join(f"{study.name}.{each.name}" for study, each in by_name[base])
        raise InputError(f"{base!r} means several recipes; name one of {full}")
    ((study, meant),) = by_name[base]
    return study, variants.named(meant, marks) if marks else meant


def records(study: Study, recipe: Recipe, store: Store) -> list[Record]:
    """Return every record of a recipe by the present engine, on any device, in order of seeds.

    Raises
    ------
    ValueError
        If the records come from different versions of one data set.
    experiments.records.RecordError
        If the store does not exist or a record cannot be read.
    """
    store.check_folder()
    home = variants.home(study, recipe, store)
    if not store.root.is_dir():
        home = store  # for the error to name what is missing
    elif not home.root.is_dir():
        return []  # no variant of anything was ever run
    every = home.records(study.name)
    return by_recipe(every, [recipe])[recipe.name]


def all_records(study: Study, store: Store) -> list[Record]:
    """Return every record of a study, and of every variant of its recipes.

    Raises
    ------
    experiments.records.RecordError
        If the store does not exist or a record cannot be read.
    """
    found, apart = list(store.records(study.name)), variants.apart(store)
    return found + list(apart.records(study.name)) if apart.root.is_dir() else found


def _by_name(study: Study) -> dict[str, list[Recipe]]:
    """Return what each name means: a recipe, or those of a role under every completion."""
    roles = {
        role: [study.recipe(role, completion) for completion in study.completions]
        for role in study.roles
    }
    return {recipe.name: [recipe] for recipe in study.recipes} | roles


def _hint(name: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]}?" if near else "see: python -m experiments list"
