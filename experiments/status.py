"""Status: which runs of a study are done, in progress or missing, and how long the rest will take.

A run takes as long as the earlier runs of its own recipe did. For a recipe without records the
checkpoints that its runs have left on this processor tell the pace. Where there is none either, its
role under the other completions stands in, step for step and evaluation for evaluation: the network
and the data are the same, only the optimiser or the like is not. Where a role has never been run
there is no estimate, and that is said, for networks differ in cost by orders of magnitude. Of
records only those count that were made on the processor most like this one; where none is known to
be of its model, that is said as well.

A run that was stopped and has a checkpoint is missing, but only its epochs to come count.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from experiments.arguments import as_count, check_device_name
from experiments.records import ENGINE_VERSION, by_seed
from theory.processor import model, processor

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from experiments.checkpoint_notes import CheckpointNote
    from experiments.heartbeat import Heartbeat
    from experiments.recipe import Recipe
    from experiments.records import Record
    from experiments.study import Study

Basis = Literal["recipe", "checkpoint", "role"]

_Processor = tuple[str, str]
"""A processor's name and model."""

_SAME = 2
"""The likeness of a record whose processor is known to be of this one's model."""


@dataclass(frozen=True)
class RecipeStatus:
    """How far one recipe is, on one kind of device.

    Parameters
    ----------
    recipe
        The recipe.
    done
        Seeds with a record.
    running
        Runs in progress.
    missing
        Seeds that are asked for, neither done nor in progress. Of a recipe that is run on request,
        only once one of its runs has begun.
    stopped
        The checkpoints that some of the missing runs go on from.
    run_seconds
        Estimated wall time of one run; None where nothing is known.
    basis
        Where the estimate comes from: the ``"recipe"``'s own records, a ``"checkpoint"`` of one of
        its runs, or the records of its ``"role"`` under other completions.
    elsewhere
        Whether these were made on other processors than this one, or do not tell its model. Never
        on CUDA, where they are not told apart.
    """

    recipe: Recipe
    done: tuple[int, ...]
    running: tuple[Heartbeat, ...]
    missing: tuple[int, ...]
    stopped: tuple[CheckpointNote, ...]
    run_seconds: float | None
    basis: Basis | None
    elsewhere: bool

    @property
    def remaining_runs(self) -> float:
        """Runs that are left; those that have begun count by the share of their epochs to come."""
        epochs = max(self.recipe.epochs, 1)
        reached = [run.epoch for run in self.running] + [run.epoch for run in self.stopped]
        begun = sum(min(epoch / epochs, 1) for epoch in reached)
        return len(self.running) + len(self.missing) - begun

    @property
    def remaining_seconds(self) -> float | None:
        """Wall time that is left if one run follows the other; None where nothing is known."""
        if not self.remaining_runs:
            return 0.0
        return None if self.run_seconds is None else self.remaining_runs * self.run_seconds


@dataclass(frozen=True)
class StudyStatus:
    """How far a study is: its recipes, in the order of the study."""

    study: Study
    recipes: tuple[RecipeStatus, ...]

    @property
    def in_progress(self) -> int:
        """Runs in progress."""
        return sum(len(each.running) for each in self.recipes)

    @property
    def at_once(self) -> int:
        """Processes that train. A fleet is one, and its time is shared out to its runs."""
        return len({(run.host, run.pid) for each in self.recipes for run in each.running})

    @property
    def remaining_seconds(self) -> float:
        """Wall time that is left if one run follows the other, of what can be estimated."""
        return sum(each.remaining_seconds or 0.0 for each in self.recipes)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The recipes whose remaining time cannot be estimated."""
        return tuple(each.recipe.name for each in self.recipes if each.remaining_seconds is None)

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """The recipes whose remaining time is that of runs made elsewhere."""
        return tuple(
            each.recipe.name for each in self.recipes if each.elsewhere and each.remaining_seconds
        )


def status(
    study: Study,
    records: Iterable[Record],
    heartbeats: Iterable[Heartbeat],
    seeds: Iterable[int],
    device: str = "cpu",
    checkpoints: Iterable[CheckpointNote] = (),
) -> StudyStatus:
    """Return how far a study is on one kind of device.

    Parameters
    ----------
    study
        The study.
    records
        Records of the study; those of other recipes, engines and devices are passed over.
    heartbeats
        Runs in progress, of any study.
    seeds
        The seeds that are asked for.
    device
        ``"cpu"`` or ``"cuda"``.
    checkpoints
        Notes of checkpoints of any study; their runs may be in progress, or done.

    Raises
    ------
    ValueError
        If a seed is no integer, or negative, the device is unknown, or the records come from
        different versions of one data set.
    """
    check_device_name(device)
    wanted = tuple(dict.fromkeys(as_count("a seed", seed, least=0) for seed in seeds))
    here = [record for record in records if record.device == device]
    done = by_seed(here, study.recipes)
    running: dict[str, list[Heartbeat]] = {recipe.name: [] for recipe in study.recipes}
    for heartbeat in heartbeats:
        ours = heartbeat.study == study.name and heartbeat.device == device
        if ours and heartbeat.seed not in done.get(heartbeat.recipe, {heartbeat.seed}):
            running[heartbeat.recipe].append(heartbeat)
    kept = [
        note for note in checkpoints if (note.run.study, note.run.device) == (study.name, device)
    ]
    own = {name: list(by_seed.values()) for name, by_seed in done.items()}
    this = processor(), model()
    result = []
    for recipe in study.recipes:
        begun = {*done[recipe.name], *(run.seed for run in running[recipe.name])}
        which = recipe.digest, ENGINE_VERSION
        stopped = {
            note.run.seed: note for note in kept if (note.run.digest, note.run.engine) == which
        }
        asked_for = wanted if begun or stopped or recipe.name not in study.on_request else ()
        missing = tuple(seed for seed in asked_for if seed not in begun)
        seconds, basis, elsewhere = _estimate(study, recipe, own, stopped.values(), this)
        result.append(
            RecipeStatus(
                recipe=recipe,
                done=tuple(sorted(done[recipe.name])),
                running=tuple(sorted(running[recipe.name], key=lambda run: run.seed)),
                missing=missing,
                stopped=tuple(stopped[seed] for seed in missing if seed in stopped),
                run_seconds=seconds,
                basis=basis,
                elsewhere=elsewhere,
            )
        )
    return StudyStatus(study, tuple(result))


def _estimate(
    study: Study,
    recipe: Recipe,
    records: dict[str, list[Record]],
    begun: Iterable[CheckpointNote],
    this: _Processor,
) -> tuple[float | None, Basis | None, bool]:
    """Return the expected wall time of one run of a recipe, what says so, and if elsewhere.

    Completions weigh alike, however many records each has.
    """
    likeness, own = _most_alike([records[recipe.name]], this)
    if own:
        seconds = fmean(float(record.provenance["wall_seconds"]) for record in own[0])
        return seconds, "recipe", likeness < _SAME
    paces = [
        note.wall_seconds / note.epoch for note in begun if (note.hardware, note.model) == this
    ]
    if paces:
        return recipe.epochs * fmean(paces), "checkpoint", False
    role, _, _ = recipe.name.rpartition(".")
    likeness, relatives = _most_alike(
        [records[f"{role}.{completion}"] for completion in study.completions], this
    )
    if relatives:
        expected = (fmean(_stretched(record, recipe) for record in each) for each in relatives)
        return fmean(expected), "role", likeness < _SAME
    return None, None, False


def _most_alike(
    groups: Sequence[Sequence[Record]], this: _Processor
) -> tuple[int, list[list[Record]]]:
    """Return the best likeness of all records, and of each group those of it, if there are any."""
    best = max((_likeness(record, this) for group in groups for record in group), default=_SAME)
    alike = ([record for record in group if _likeness(record, this) == best] for group in groups)
    return best, [group for group in alike if group]


def _likeness(record: Record, this: _Processor) -> int:
    """Return what a record's processor has of this one: 1 for its name, `_SAME` for its model, too.

    Only PyTorch knows the name of a card, and takes seconds to load: all count as the same.
    """
    if record.device == "cuda":
        return _SAME
    made = record.provenance
    name, number = this
    named = made["hardware"] == name
    return named + (named and made.get("processor_model") == number)


def _stretched(record: Record, recipe: Recipe) -> float:
    """Return what a run would take that trains and evaluates at the pace of a record's.

    Steps and epochs are those in the recipes: that some runs stop early will go for this one too.
    """
    training = float(record.provenance["training_seconds"])
    rest = float(record.provenance["wall_seconds"]) - training
    longer = _steps(recipe) / _steps(record.recipe)
    more_often = max(recipe.epochs, 1) / max(record.recipe.epochs, 1)
    return longer * training + more_often * rest


def _steps(recipe: Recipe) -> int:
    """Return the length of a run in steps, or in passes where the recipes of its role count so."""
    return max(recipe.epochs, 1) * (recipe.steps or 1)
