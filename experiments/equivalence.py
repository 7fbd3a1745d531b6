"""Equivalence: whether a recipe that is trained in bfloat16 still measures what float32 does.

A difference that cannot be told from zero is no proof of equality: few seeds hide a large one. So
the burden lies with bfloat16. It is licensed for a recipe where the whole 95 % interval of the
difference of final test accuracies, paired by seed, lies within a margin that was fixed before the
runs. Where patience ends the runs, final are the weights that they keep. Everything else runs in
float32, and so do all runs that a verdict rests on.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from experiments.comparison import (
    KEPT_TEST_ACCURACY,
    TEST_ACCURACY,
    Comparison,
    compare,
    pair,
)
from experiments.records import by_recipe, on_equal_machines
from experiments.variants import variant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from experiments.comparison import Difference
    from experiments.recipe import Recipe
    from experiments.records import Record
    from experiments.statistics import Interval
    from experiments.study import Study

MARGIN = 0.005
"""The whole interval has to lie between minus and plus this; a fraction of 1."""

FEWEST = 5
"""Pairs that a licence takes."""


@dataclass(frozen=True)
class Equivalence:
    """A recipe in bfloat16 held against itself in float32.

    Parameters
    ----------
    study, recipe
        The recipe, as the catalogue has it, and its study.
    seeds
        Seeds of the pairs in which no loss diverged.
    difference
        Mean over these pairs of final test accuracy, bfloat16 - float32; a fraction of 1. None
        where there is no such pair.
    interval
        Its 95 % t-interval over the pairs; None for fewer than two.
    licensed
        Whether the recipe may be trained in bfloat16; None where there are too few pairs to say.
    reason
        What decided, for people.
    diverged
        Seeds of the pairs in which the loss of either run diverged. None of them can be compared,
        so none is left out in silence: a single one costs the licence.
    differences
        The difference of each pair, in the order of ``seeds``.
    speed
        Images a second of training in bfloat16 over those in float32: the median over the pairs
        that were measured on the same hardware, with as many threads and in fleets of one size;
        None where no pair was.
    runs
        The records of all pairs.
    """

    study: Study
    recipe: Recipe
    seeds: tuple[int, ...]
    difference: float | None
    interval: Interval | None
    licensed: bool | None
    reason: str
    diverged: tuple[int, ...]
    differences: tuple[float, ...]
    speed: float | None
    runs: tuple[Record, ...]

    @property
    def pairs(self) -> int:
        """Number of all pairs."""
        return len(self.seeds) + len(self.diverged)

    def __str__(self) -> str:
        if self.difference is None:
            return "–"
        error = "" if self.interval is None else f" ± {100 * self.interval.half_width:.2f}"
        return f"{100 * self.difference:+.2f}{error} pp"


def equivalences(study: Study, records: Iterable[Record]) -> tuple[Equivalence, ...]:
    """Return the equivalence of every recipe of a study that was run in bfloat16 at full length.

    Parameters
    ----------
    study
        The study.
    records
        Its records, and those of its variants (:func:`experiments.lookup.all_records`). A variant
        with another number of epochs is passed over.

    Raises
    ------
    ValueError
        If the records come from different versions of one data set.
    """
    reduced = {
        recipe: variant(recipe, precision="bfloat16")
        for recipe in study.recipes
        if recipe.precision == "float32" and recipe.epochs
    }
    runs = by_recipe(records, [*reduced, *reduced.values()])
    return tuple(
        _equivalence(study, recipe, runs[changed.name], runs[recipe.name])
        for recipe, changed in reduced.items()
        if runs[changed.name]
    )


def _equivalence(
    study: Study, recipe: Recipe, reduced: Sequence[Record], reference: Sequence[Record]
) -> Equivalence:
    pairs = pair(reduced, reference)
    found = compare(reduced, reference) if pairs else Comparison((), (), ())
    what = TEST_ACCURACY if recipe.patience is None else KEPT_TEST_ACCURACY
    difference = next((each for each in found.differences if each.what == what), None)
    licensed, reason = _judged(list(pairs.values()), difference)
    return Equivalence(
        study=study,
        recipe=recipe,
        seeds=found.seeds,
        difference=difference.difference if difference else None,
        interval=difference.interval if difference else None,
        licensed=licensed,
        reason=reason,
        diverged=found.diverged,
        differences=difference.each if difference else (),
        speed=_speed([pairs[seed] for seed in found.seeds]),
        runs=tuple(run for both in pairs.values() for run in both),
    )


def _judged(
    pairs: Sequence[tuple[Record, Record]], difference: Difference | None
) -> tuple[bool | None, str]:
    """Return whether bfloat16 is licensed, and why."""
    lost = "; ".join(_lost(pairs))
    if len(pairs) < FEWEST:
        count = f"{len(pairs)} pair{'s' * (len(pairs) != 1)}; {FEWEST} are needed"
        return None, f"{count}; {lost}" if lost else count
    if lost or difference is None or difference.interval is None:  # none only where all diverged
        return False, lost
    band, interval = f"±{100 * MARGIN:g} points", difference.interval
    if interval.low >= -MARGIN and interval.high <= MARGIN:
        return True, f"the interval lies within {band}"
    large = abs(difference.difference) > MARGIN
    faults = ["the difference is too large"] if large else []
    if interval.half_width > MARGIN or not large:
        faults.append("the interval is too wide")
    return False, f"not within {band}: {' and '.join(faults)}"


def _lost(pairs: Sequence[tuple[Record, Record]]) -> Iterator[str]:
    """Say in which precision the loss diverged, and for which seeds."""
    for which, where in (
        ((True, False), "bfloat16 alone"),
        ((False, True), "float32 alone"),
        ((True, True), "both precisions"),
    ):
        seeds = [str(a.seed) for a, b in pairs if (a.diverged, b.diverged) == which]
        if seeds:
            yield f"the loss diverged in {where}: seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}"


def _speed(pairs: Sequence[tuple[Record, Record]]) -> float | None:
    """Return the median ratio of the speeds of the pairs that were measured on equal machines."""
    equal = [tuple(map(_epochs_a_second, both)) for both in pairs if on_equal_machines(both)]
    ratios = [reduced / reference for reduced, reference in equal if reduced and reference]
    return median(ratios) if ratios else None


def _epochs_a_second(run: Record) -> float | None:
    """Return the speed of the updates: an epoch shows as many images in either precision."""
    seconds = run.provenance["training_seconds"]
    return len(run.curves.train_loss) / seconds if seconds else None
