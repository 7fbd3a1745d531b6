"""``race``: how many seconds of training a test accuracy takes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from experiments.commands import common
from experiments.errors import InputError
from experiments.records import DEFAULT_STORE, Store
from experiments.tables import plain_table

if TYPE_CHECKING:
    from experiments.speed import Result, Settings, Split, Summary

DEFAULT_VIEWS = 6


def race(
    recipe: Annotated[
        str, typer.Argument(help="A recipe of the race; --list names them all.")
    ] = "whole",
    seeds: common.SeedsOption = 5,
    target: Annotated[
        float | None,
        typer.Option(metavar="PERCENT", help="Test accuracy to reach.", show_default="80.26"),
    ] = None,
    views: Annotated[
        int, typer.Option(help="Views of a test image whose scores are averaged: 1, 2 or 6.")
    ] = DEFAULT_VIEWS,
    validation: Annotated[
        bool,
        typer.Option("--validation", help="Hold out training images and measure on those."),
    ] = False,
    device: common.DeviceOption = common.Device.cpu,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; by default PyTorch's choice.")
    ] = None,
    data_root: common.DataRootOption = None,
    store: common.StoreOption = DEFAULT_STORE,
    names: Annotated[
        bool, typer.Option("--list", help="List the recipes, and what each is for.")
    ] = False,
    as_json: common.JsonOption = False,
) -> None:
    """Train on CIFAR-10 against the clock, once per seed, and compare the mean with a target.

    The target is reached if the 95 % interval of the mean over seeds lies above it. Results are
    kept in STORE/time-to-accuracy; seeds that are there already are not run again, so a race can
    be run one seed at a time, when the machine has nothing else to do:

        python -m experiments race --seeds 1
        python -m experiments race --seeds 2

    Choose settings with --validation, which never looks at the test images. Other recipes leave
    one idea out, or train for longer:

        python -m experiments race --list
        python -m experiments race without-muon --seeds 3
    """
    from experiments import speed  # PyTorch takes seconds to import

    if names:
        _list(as_json)
        return
    if views not in speed.VIEWS:
        raise InputError(f"{views} views are not offered; choose 1, 2 or 6 with --views")
    if target is not None and not 0 < target < 100:
        raise InputError(f"the target is an accuracy between 0 and 100 percent, got {target:g}")
    goal = speed.TARGET if target is None else target / 100
    split: Split = "validation" if validation else "test"
    results = _run(recipe, seeds, split, device.value, threads, data_root, store)
    found = speed.summary(results, views)
    if as_json:
        common.print_json(_data(recipe, results, found, goal))
        return
    common.out.print(_table(results))
    common.out.print(_verdict(found, goal), soft_wrap=True)


def _run(
    recipe: str,
    seeds: int,
    split: Split,
    device: str,
    threads: int | None,
    data_root: Path | None,
    store: Path,
) -> list[Result]:
    """Return the results of all seeds, after running those that the store does not hold."""
    import torch  # takes seconds, as what follows does

    from experiments import datasets, speed
    from experiments.device import check_device
    from experiments.provenance import hardware

    settings, kept = speed.recipe(recipe), speed.Results(store)
    paths = [kept.path(recipe, settings, seed, split, device) for seed in range(seeds)]
    results = {seed: found for seed, path in enumerate(paths) if (found := kept.find(path))}
    there, missing = list(results.values()), [s for s in range(seeds) if s not in results]
    if missing:
        check_device(device)
        common.require_cores(threads)
        _check_way(there, hardware(device), threads or torch.get_num_threads(), store)
        Store(store).check_writable()
        if device == "cpu":
            _warn_of_emulation(settings)
    elif threads is not None:
        _check_way(there, None, threads, store)
    if missing or data_root is not None:
        data = datasets.load("cifar10", data_root)
        if any(result.dataset_fingerprint != data.fingerprint for result in there):
            raise InputError(
                f"{store} holds results on another version of CIFAR-10; name another --store"
            )
    with _progress() as shown:
        for seed in missing:
            task = shown.add_task(f"seed {seed}", total=None)

            def on_step(step: int, steps: int, task: TaskID = task) -> None:
                shown.update(task, completed=step, total=steps)

            results[seed] = speed.race(
                settings,
                seed,
                data,
                split=split,
                device=device,
                threads=threads,
                on_step=on_step,
            )
            kept.write(paths[seed], results[seed])
    return [results[seed] for seed in range(seeds)]


def _warn_of_emulation(settings: Settings) -> None:
    from theory.processor import multiplies_bfloat16

    if settings.precision == "bfloat16" and not multiplies_bfloat16():
        common.err.print(
            "this processor only emulates bfloat16, which is slow: `race without-bfloat16` "
            "computes in float32",
            soft_wrap=True,
        )


def _check_way(results: list[Result], machine: str | None, threads: int, store: Path) -> None:
    """Refuse other threads than those of the stored results, and another machine if one is given.

    Their seconds have no common median.
    """
    ways = {result.machine if machine else (None, result.machine[1]) for result in results}
    if other := ways - {(machine, threads)}:
        stored = " and ".join(sorted(_way(*each) for each in other))
        raise InputError(
            f"{store} holds results with {stored}, and seconds depend on them; to race with "
            f"{_way(machine, threads)}, name another --store"
        )


def _way(machine: str | None, threads: int) -> str:
    count = f"{threads} thread{'s' * (threads > 1)}"
    return f"{count} of {machine}" if machine else count


def _progress() -> Progress:
    """Return a display of seeds and steps; quiet where there is no terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=common.err, disable=not common.err.is_terminal)


def _list(as_json: bool) -> None:
    from experiments import speed

    if as_json:
        common.print_json(
            {
                name: {"for": each.purpose} | each.settings.to_dict()
                for name, each in speed.RECIPES.items()
            }
        )
        return
    table = plain_table("recipe", "epochs", "what it is for")
    for name, each in speed.RECIPES.items():
        table.add_row(name, f"{each.settings.epochs:g}", each.purpose)
    common.out.print(table)


def _data(name: str, results: list[Result], found: Summary, goal: float) -> dict[str, Any]:
    return {
        "recipe": name,
        "target": goal,
        "reached": found.above(goal),
        "summary": dataclasses.asdict(found) | {"interval": found.interval and found.interval.ends},
        "results": [result.to_dict() for result in results],
    }


def _table(results: list[Result]) -> Table:
    views = sorted(results[0].accuracy)
    heads = ("seed", *(f"{n} view{'s' * (n > 1)}" for n in views), "seconds", "processor seconds")
    table = plain_table(*heads, right=heads)
    for result in results:
        table.add_row(
            str(result.seed),
            *(f"{result.accuracy[n]:.2%}" for n in views),
            f"{result.training_seconds:.1f}",
            f"{result.processor_seconds:.1f}",
        )
    return table


def _verdict(found: Summary, goal: float) -> str:
    mean = f"\nmean {100 * found.mean:.2f} %"
    seconds = f"median {found.median_seconds:.1f} s of training"
    if found.interval is None:
        return f"{mean}, {seconds}; one seed has no interval: add --seeds 5"
    where = "above" if found.above(goal) else "not above"
    return (
        f"{mean} (95 % interval over {found.seeds} seeds: {100 * found.interval.low:.2f} to "
        f"{100 * found.interval.high:.2f} %), {where} {100 * goal:g} %; {seconds}"
    )
