"""Runs of the digits in two precisions, paired by seed."""

from __future__ import annotations

from experiments.catalog import study
from experiments.equivalence import equivalences
from experiments.records import Store
from experiments.variants import apart

DIGITS = study("digits")
RECIPE, OTHER = DIGITS.recipes[:2]
SMALL = [0.001, 0.003, 0.002, 0.001, 0.003]
"""Differences with mean 0.2 points, whose interval reaches 0.32 points."""


def only(records):
    """Return what the records of one recipe say of bfloat16."""
    (found,) = equivalences(DIGITS, records)
    return found


def stored(folder, runs_in):
    """Store five pairs of one recipe and three of another, some variants of other lengths too."""
    noise = [0.005, -0.003, 0.001]
    for run in (
        *runs_in("float32", [0.75] * 5),
        *runs_in("float32", [0.5] * 3, recipe=OTHER),
    ):
        Store(folder).write(run)
    for run in (
        *runs_in("bfloat16", [0.75 + each for each in SMALL], seconds=80.0),
        *runs_in("bfloat16", [0.5 + each for each in noise], recipe=OTHER),
        *runs_in("bfloat16", [0.1] * 5, epochs_scale=0.1),
        *runs_in("float32", [0.1] * 5, epochs_scale=0.1),
    ):
        apart(Store(folder)).write(run)
    return folder
