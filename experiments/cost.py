"""Cost: what the records of a report took, in core-hours and in images a second.

Hours are those of whole runs, with every measurement between and after the epochs; images a second
are those of the training alone. Both depend on the machine and on what else it had to do, so
neither is ever averaged over different machines.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from experiments.records import by_recipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from experiments.recipe import Recipe
    from experiments.records import Record
    from experiments.study import Study


@dataclass(frozen=True, order=True)
class Machine:
    """Where and how runs were trained.

    Parameters
    ----------
    device, hardware
        ``"cpu"`` or ``"cuda"``, and the name of the processor or the card.
    threads
        CPU threads a run.
    fleet
        How many runs were trained as one program.
    """

    device: str
    hardware: str
    threads: int
    fleet: int

    def __str__(self) -> str:
        threads = f", {self.threads} thread{'s' * (self.threads > 1)} a run"
        fleet = f", fleets of {self.fleet}" if self.fleet > 1 else ""
        return self.hardware + (threads if self.device == "cpu" else "") + fleet


UNITS = {"cpu": "core-hours", "cuda": "GPU-hours"}
"""What hours are of, by kind of device."""


@dataclass(frozen=True)
class Cost:
    """What the runs of one recipe took on one kind of machine.

    Parameters
    ----------
    recipe
        The recipe.
    machine
        Where and how they were trained.
    runs
        How many there are.
    hours
        Their hours in sum: of one core on the CPU, of the card on CUDA. A member's time is its
        share of its fleet's.
    images_per_second
        Median of training images a second, over the runs that did not diverge: of those the epoch
        that went wrong is in the seconds and not in the curves. None where none is left, or no
        image was trained on.
    """

    recipe: Recipe
    machine: Machine
    runs: int
    hours: float
    images_per_second: float | None


def costs(study: Study, records: Iterable[Record]) -> tuple[Cost, ...]:
    """Return the cost of every recipe of a study that was run, machine by machine.

    Parameters
    ----------
    study
        The study.
    records
        Its records; those that no longer count are passed over.

    Raises
    ------
    ValueError
        If the records come from different versions of one data set.
    """
    # what is one recipe under two names was run once
    distinct = {recipe.digest: recipe for recipe in reversed(study.recipes)}.values()
    recipes = {recipe.name: recipe for recipe in reversed(distinct)}
    runs: dict[tuple[Machine, str], list[Record]] = {}
    for name, records_of_it in by_recipe(records, recipes.values()).items():
        for run in records_of_it:
            runs.setdefault((_machine(run), name), []).append(run)
    by_machine = sorted(runs.items(), key=lambda each: each[0][0])  # recipes keep their order
    return tuple(_cost(recipes[name], machine, found) for (machine, name), found in by_machine)


def hours(found: Iterable[Cost], device: str) -> float:
    """Return the hours in sum on one kind of device, as in :class:`Cost`."""
    return sum(each.hours for each in found if each.machine.device == device)


def _machine(run: Record) -> Machine:
    made = run.provenance
    return Machine(run.device, made["hardware"], made["threads"], made.get("fleet", 1))


def _cost(recipe: Recipe, machine: Machine, runs: Sequence[Record]) -> Cost:
    seconds = sum(run.provenance["wall_seconds"] for run in runs)
    rates = [
        _images(run) / run.provenance["training_seconds"]
        for run in runs
        if run.provenance["training_seconds"] and not run.diverged
    ]
    return Cost(
        recipe=recipe,
        machine=machine,
        runs=len(runs),
        hours=seconds * (machine.threads if machine.device == "cpu" else 1) / 3600,
        images_per_second=median(rates) if rates else None,
    )


def _images(run: Record) -> int:
    """Return how many images were trained on, each as often as it was seen."""
    return run.recipe.images_an_epoch(run.train_size) * len(run.curves.train_loss)
