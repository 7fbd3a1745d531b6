"""Which records count for a recipe, and which of them may be held together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from experiments.errors import InputError
from experiments.recipe import Recipe
from experiments.records.record import ENGINE_VERSION, Record

Runs = Mapping[str, Mapping[int, Record]]
"""For each role, or for each recipe's name, its runs: one record for each seed."""


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


def by_seed(records: Iterable[Record], recipes: Iterable[Recipe]) -> Runs:
    """Return, for each recipe's name, the record of each seed: the CPU's, if there is one.

    Raises
    ------
    ValueError
        As :func:`by_recipe`.
    """
    found = by_recipe(records, recipes)
    return {name: on_one_device({name: each})[name] for name, each in found.items()}


def on_one_device(runs: Mapping[str, Sequence[Record]]) -> Runs:
    """Return the runs of the seeds that every role has on one kind of device, the CPU's first.

    What is subtracted or averaged over roles then never mixes devices.
    """
    keyed = {role: {(run.seed, run.device): run for run in each} for role, each in runs.items()}
    shared = set.intersection(*(set(each) for each in keyed.values())) if keyed else set()
    device = dict(sorted(shared, reverse=True))
    return {
        role: {seed: each[seed, device[seed]] for seed in sorted(device)}
        for role, each in keyed.items()
    }


def on_equal_machines(records: Iterable[Record]) -> bool:
    """Return whether times can be compared: a member's time is its share of its fleet's.

    Processors of one name may be of different models, where the records tell.
    """
    made = [record.provenance for record in records]
    ways = {(each.get("hardware"), each.get("threads"), each.get("fleet", 1)) for each in made}
    models = {each["processor_model"] for each in made if "processor_model" in each}
    return len(ways) == 1 and len(models) <= 1
