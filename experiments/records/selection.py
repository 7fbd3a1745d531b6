"""Which records count for a recipe, and which of them may be held together."""

from __future__ import annotations

from collections.abc import Iterable

from experiments.errors import InputError
from experiments.recipe import Recipe
from experiments.records.record import ENGINE_VERSION, Record


def by_recipe(records: Iterable[Record], recipes: Iterable[Recipe]) -> dict[str, list[Record]]:
    """Return, for each recipe's name, its records, in order of seeds and devices.

    The records that count are those of the recipe as it stands, whatever its name was, by the
    present engine.

    Raises
    ------
    ValueError
        If records that count come from different versions of one data set.
    """
    by_digest: dict[str, list[Record]] = {}
    fingerprints: dict[str, str] = {}
    names = {recipe.name: recipe.digest for recipe in recipes}
    for record in sorted(records, key=lambda record: (record.seed, record.device)):
        digest, data = record.recipe.digest, record.recipe.dataset
        if record.engine != ENGINE_VERSION or digest not in names.values():
            continue
        fingerprint = fingerprints.setdefault(data, record.dataset_fingerprint)
        if fingerprint != record.dataset_fingerprint:
            raise InputError(
                f"the records of {record.study} come from different versions of data set {data!r}; "
                "keep one store for each"
            )
        by_digest.setdefault(digest, []).append(record)
    return {name: by_digest.get(digest, []) for name, digest in names.items()}
