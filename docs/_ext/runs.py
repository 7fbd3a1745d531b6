"""The records behind the site: read once, refused where they are stale, judged claim by claim."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from sphinx.errors import ExtensionError

from experiments.catalog import studies, study
from experiments.equivalence import equivalences
from experiments.records import ENGINE_VERSION, RecordError, Store, by_recipe, by_seed
from experiments.variants import apart, named
from experiments.verdicts import ClaimVerdict, judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from experiments.equivalence import Equivalence
    from experiments.recipe import Recipe
    from experiments.records import Record, Runs
    from experiments.study import Study


@cache
def runs_of(name: str, store: Path) -> Runs:
    """Return the records of the study of this name, by recipe and seed.

    Raises
    ------
    sphinx.errors.ExtensionError
        If a record cannot be read, or is stale.
    """
    return by_seed(current(name, store), study(name).recipes)


@cache
def records_of(name: str, store: Path) -> Mapping[str, Sequence[Record]]:
    """Return the records of the study of this name, by recipe, of all devices; as `runs_of`."""
    return by_recipe(current(name, store), study(name).recipes)


@cache
def verdicts_of(name: str, store: Path) -> tuple[ClaimVerdict, ...]:
    """Return the verdict on every claim of the study of this name; raises as `runs_of`."""
    return judge(study(name), current(name, store))


@cache
def claim_verdicts(store: Path) -> dict[str, ClaimVerdict]:
    """Return the verdicts of all studies by claim; raises as `runs_of`."""
    return {
        verdict.claim: verdict for each in studies() for verdict in verdicts_of(each.name, store)
    }


@cache
def equivalences_of(store: Path) -> tuple[Equivalence, ...]:
    """Return what was trained in both precisions, of all studies; raises as `runs_of`.

    Of the variants, too, each has to be one of a recipe as the catalogue has it now.
    """
    return tuple(
        found
        for each in studies()
        for found in equivalences(
            each, [*current(each.name, store), *_variants(each, apart(Store(store)).root)]
        )
    )


def stale(recipes: Iterable[Recipe], records: Iterable[Record]) -> list[str]:
    """Say of each record why it is no measurement of recipes as they stand; [] if all are."""
    digests = {recipe.digest for recipe in recipes}
    found = []
    for record in records:
        name = f"{record.recipe.name}, seed {record.seed} ({record.key[:12]})"
        if record.engine != ENGINE_VERSION:
            found.append(f"{name}: engine {record.engine}, now {ENGINE_VERSION}")
        elif record.recipe.digest not in digests:
            found.append(f"{name}: its recipe is not in the catalogue")
    return found


@cache
def current(name: str, store: Path) -> tuple[Record, ...]:
    """Return every record of the study of this name, in order of their files; as `runs_of`."""
    records = _read(name, store)
    if found := stale(study(name).recipes, records):
        raise _refused(found, store / name, f"run `python -m experiments run {name}`")
    return records


def _variants(of: Study, store: Path) -> tuple[Record, ...]:
    """Return the records of the study's variants, which have a store of their own."""
    records = _read(of.name, store)
    recipes = {recipe.name: recipe for recipe in of.recipes}
    meant = []
    for name in {record.recipe.name for record in records}:
        base, _, marks = name.partition("@")
        if base in recipes and marks:
            meant.append(named(recipes[base], marks))
    if found := stale(meant, records):
        raise _refused(found, store / of.name, "run these variants")
    return records


def _read(name: str, store: Path) -> tuple[Record, ...]:
    if not store.exists():  # nothing was run so far
        return ()
    try:
        return tuple(Store(store).records(name))
    except RecordError as error:
        raise ExtensionError(str(error)) from error


def _refused(found: Sequence[str], folder: Path, remedy: str) -> ExtensionError:
    return ExtensionError(
        f"records of {folder.name} are stale, so their figures would show something else than "
        f"the catalogue says: delete them from {folder} and {remedy} again:\n" + "\n".join(found)
    )
