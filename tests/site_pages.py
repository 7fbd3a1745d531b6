"""Made-up records to build pages of the site from, and what a reader reads of them."""

from __future__ import annotations

import dataclasses
import re

from experiments.catalog import study
from experiments.records import ENGINE_VERSION, Curves, Record, record_key

STUDY = study("nni-2023-ex1")


def record(recipe, seed, /, **changes):
    """Make up a record, with curves that end at 80 % (train) and 50 % (test)."""
    steps = [epoch / recipe.epochs for epoch in range(1, recipe.epochs + 1)]
    whole = Record(
        key="",
        study=STUDY.name,
        recipe=recipe,
        seed=seed,
        device="cpu",
        dataset_fingerprint="data",
        engine=ENGINE_VERSION,
        parameters=3172,
        train_size=50_000,
        test_size=10_000,
        curves=Curves(
            train_loss=[2 - step for step in steps],
            train_accuracy=[0.8 * step + 0.001 * seed for step in steps],
            test_loss=[2 - 0.5 * step for step in steps],
            test_accuracy=[0.5 * step + 0.001 * seed for step in steps],
        ),
        final_train_loss=1.0,
        final_train_accuracy=0.8 + 0.001 * seed,
        diverged=False,
        provenance={
            "wall_seconds": 60.0,
            "training_seconds": 50.0,
            "threads": 1,
            "hardware": "a processor",
            "python": "3.11",
            "torch": "2.9",
            "numpy": "2.0",
        },
    )
    changed = dataclasses.replace(whole, **changes)
    key = record_key(changed.recipe, seed, "data", "cpu", changed.engine)
    return dataclasses.replace(changed, key=key)


def text(html):
    """Return what a reader reads."""
    return re.sub(r"<[^>]*>", "", html)


def words(html):
    """Return what a reader reads, a space between any two words."""
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())
