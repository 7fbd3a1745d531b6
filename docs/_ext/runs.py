"""The records behind the site: read once, refused where they are stale, judged claim by claim."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from sphinx.errors import ExtensionError

from experiments.catalog import studies, study
from experiments.records import ENGINE_VERSION, RecordError, Store, by_recipe
from experiments.verdicts import ClaimVerdict, judge, select

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from experiments.records import Record
    from experiments.study import Study

    Runs = Mapping[str, Mapping[int, Record]]


@cache
def runs_of(name: str, store: Path) -> Runs:
    """Return the records of the study of this name, by recipe and seed.

    Raises
    ------
    sphinx.errors.ExtensionError
        If a record cannot be read, or is stale.
    """
    return select(study(name), _current(name, store))


@cache
def records_of(name: str, store: Path) -> Mapping[str, Sequence[Record]]:
    """Return the records of the study of this name, by recipe, of all devices; as `runs_of`."""
    return by_recipe(_current(name, store), study(name).recipes)


@cache
def verdicts_of(name: str, store: Path) -> tuple[ClaimVerdict, ...]:
    """Return the verdict on every claim of the study of this name; raises as `runs_of`."""
    return judge(study(name), _current(name, store))


@cache
def claim_verdicts(store: Path) -> dict[str, ClaimVerdict]:
    """Return the verdicts of all studies by claim; raises as `runs_of`."""
    return {
        verdict.claim: verdict for each in studies() for verdict in verdicts_of(each.name, store)
    }


def stale(of: Study, records: Iterable[Record]) -> list[str]:
    """Say of each record why it is no measurement of the study as it stands; [] if all are."""
    digests = {recipe.digest for recipe in of.recipes}
    found = []
    for record in records:
        name = f"{record.recipe.name}, seed {record.seed} ({record.key[:12]})"
        if record.engine != ENGINE_VERSION:
            found.append(f"{name}: engine {record.engine}, now {ENGINE_VERSION}")
        elif record.recipe.digest not in digests:
            found.append(f"{name}: its recipe is not in the catalogue")
    return found


@cache
def _current(name: str, store: Path) -> tuple[Record, ...]:
    if not store.exists():  # nothing was run so far
        return ()
    try:
        records = tuple(Store(store).records(name))
    except RecordError as error:
        raise ExtensionError(str(error)) from error
    if found := stale(study(name), records):
        raise ExtensionError(
            f"records of {name} are stale, so their figures would show something else than "
            f"the catalogue says: delete them from {store / name} and run "
            f"`python -m experiments run {name}` again:\n" + "\n".join(found)
        )
    return records
