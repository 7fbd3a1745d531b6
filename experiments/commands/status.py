"""``status``: what is done, in progress and missing, and how long the rest will take."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table

from experiments import checkpoint_notes, heartbeat
from experiments.commands import common
from experiments.records import DEFAULT_STORE, Store
from experiments.status import StudyStatus
from experiments.status import status as study_status
from experiments.tables import plain_table

if TYPE_CHECKING:
    from experiments.checkpoint_notes import CheckpointNote
    from experiments.status import RecipeStatus


def status(
    reports: common.Reports = None,
    seeds: common.SeedsOption = 3,
    device: common.CountedDeviceOption = common.Device.cpu,
    store: common.StoreOption = DEFAULT_STORE,
    as_json: common.JsonOption = False,
) -> None:
    """Say what is done, in progress and missing, and how long the rest will take.

    The time is estimated from the wall times of the records of the same recipe, on this processor
    if there are any; or else from the checkpoints of its runs, or from the records of its role
    under the other completions. For a run that was stopped, only the epochs after its checkpoint
    count.
    """
    records = Store(store)
    records.check_folder()
    running = heartbeat.alive(records)
    kept = checkpoint_notes.read_all(records)
    found = [
        study_status(study, records.records(study.name), running, range(seeds), device.value, kept)
        for study in common.studies(reports)
    ]
    if as_json:
        common.print_json([_data(each) for each in found])
        return
    for each in found:
        common.out.print(f"[bold]{each.study.name}[/bold]  {each.study.title}", _table(each))
        notes = (*_elsewhere(each), *_ways(each), *_on_request(each))
        common.out.print(_summary(each), *notes, "", sep="\n")


def _data(found: StudyStatus) -> dict[str, Any]:
    return {
        "report": found.study.name,
        "at_once": found.at_once,
        "remaining_seconds": found.remaining_seconds,
        "unknown": list(found.unknown),
        "on_request": dict(found.study.on_request),
        "recipes": [
            {
                "recipe": each.recipe.name,
                "done": list(each.done),
                "running": [asdict(run) for run in each.running],
                "missing": list(each.missing),
                "stopped": [_stopped(note) for note in each.stopped],
                "epochs": each.recipe.epochs,
                "run_seconds": each.run_seconds,
                "basis": each.basis,
                "elsewhere": each.elsewhere,
                "remaining_seconds": each.remaining_seconds,
            }
            for each in found.recipes
        ],
    }


def _stopped(note: CheckpointNote) -> dict[str, Any]:
    way = {"threads": note.threads, "hardware": note.hardware, "torch": note.torch}
    return {"seed": note.run.seed, "epoch": note.epoch} | way


def _table(found: StudyStatus) -> Table:
    heads = ("recipe", "done", "in progress", "missing", "a run", "left")
    table = plain_table(*heads, right=("done", "missing", "a run", "left"))
    for each in found.recipes:
        table.add_row(*_row(each))
    return table


def _row(each: RecipeStatus) -> list[str]:
    epochs = each.recipe.epochs
    begun = [f"seed {run.seed}: {run.epoch} of {epochs} epochs" for run in each.running]
    begun += [
        f"seed {note.run.seed}: stopped after {note.epoch} of {epochs} epochs"
        for note in each.stopped
    ]
    guess = "~" if each.basis == "role" else ""
    return [
        each.recipe.name,
        str(len(each.done)),
        ", ".join(begun),
        str(len(each.missing)),
        "?" if each.run_seconds is None else guess + common.duration(each.run_seconds),
        "?" if each.remaining_seconds is None else common.duration(each.remaining_seconds),
    ]


def _summary(found: StudyStatus) -> str:
    done = sum(len(each.done) for each in found.recipes)
    missing = sum(len(each.missing) for each in found.recipes)
    line = f"{done} runs done, {found.in_progress} in progress, {missing} missing"
    if stopped := sum(len(each.stopped) for each in found.recipes):
        line += f", {stopped} of them stopped halfway"
    if not found.in_progress + missing:
        return line
    sum_of_runs = found.remaining_seconds
    if sum_of_runs:
        line += f"; {common.duration(sum_of_runs)} of runs are left"
        if found.at_once > 1:
            line += f", {common.duration(sum_of_runs / found.at_once)} with {found.at_once} at once"
    if found.unknown:
        line += f"; unknown for {len(found.unknown)} recipes, whose roles were never run"
    return line


def _elsewhere(found: StudyStatus) -> list[str]:
    """Say how many times are of runs on other processors."""
    if not (count := len(found.elsewhere)):
        return []
    return [
        f"the times of {count} recipe{'s' * (count > 1)} are those of other processors than this "
        "one, or of one whose model the records do not tell"
    ]


def _ways(found: StudyStatus) -> list[str]:
    """Say in which ways runs that were stopped go on."""
    stopped = (note for each in found.recipes for note in each.stopped)
    ways = dict.fromkeys((note.threads, note.hardware, note.torch) for note in stopped)
    return [
        f"what was stopped goes on from there on {threads} thread{'s' * (threads > 1)} of "
        f"{hardware} with PyTorch {torch}; in another way it starts again"
        for threads, hardware, torch in ways
    ]


def _on_request(found: StudyStatus) -> list[str]:
    return [
        f"{name} is run only when it is named, for it needs {need}"
        for name, need in found.study.on_request.items()
    ]
