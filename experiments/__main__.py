"""Command line: ``python -m experiments list | run | report | show``."""

from __future__ import annotations

import difflib
import json
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from experiments import catalog, reporting
from experiments.recipe import Recipe
from experiments.records import DEFAULT_STORE, Store, SweepError
from experiments.study import Study
from experiments.verdicts import judge, select

if TYPE_CHECKING:
    from experiments.sweep import Run

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=(
        "Regenerate the reports' results: run what is missing from the store of records, then hold "
        "what was measured against what was reported."
    ),
)
_out = Console(width=None if sys.stdout.isatty() else 100)
_err = Console(stderr=True)
_POLL_SECONDS = 0.5


class Device(StrEnum):
    """Where to train."""

    cpu = "cpu"
    cuda = "cuda"


class ExecutorName(StrEnum):
    """How to spread runs."""

    serial = "serial"
    processes = "processes"


Report = Annotated[str, typer.Argument(help="A report of the catalogue, e.g. nni-2023-ex1.")]
StoreOption = Annotated[Path, typer.Option("--store", help="Folder of the records.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the reports of the catalogue and their recipes."""
    if as_json:
        _print_json(
            [
                {
                    "report": study.name,
                    "title": study.title,
                    "completions": study.completions,
                    "recipes": [recipe.to_dict() for recipe in study.recipes],
                }
                for study in catalog.studies()
            ]
        )
        return
    for study in catalog.studies():
        table = Table("role", "network", "filters", "rate", "epochs", "batch", "completions")
        for role in study.roles:
            recipe = study.recipe(role, next(iter(study.completions)))
            table.add_row(
                role,
                recipe.network,
                str(recipe.filters),
                f"{recipe.optimizer.lr:g}",
                str(recipe.epochs),
                str(recipe.batch),
                ", ".join(study.completions),
            )
        _out.print(f"[bold]{study.name}[/bold]  {study.title}", table)


@app.command()
def run(
    report: Report,
    recipes: Annotated[
        list[str] | None,
        typer.Argument(help="Recipes (filters-3-lr-0.01.adam) or roles; all where none is named."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Run seeds 0 to N-1.")] = 3,
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.cpu,
    executor: Annotated[ExecutorName, typer.Option(help="How to spread runs.")] = (
        ExecutorName.serial
    ),
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes.")] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads a run; by default the cores are shared.")
    ] = None,
    data_root: Annotated[
        Path | None, typer.Option(help="Data folder; else CONVLAWS_DATA, else a download.")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Run what the store does not hold yet.

    Stop it whenever you like: finished runs are kept, and the same command goes on from there.

    On small networks, one thread for each of several processes carries more runs than one process:

        python -m experiments run nni-2023-ex1 --executor processes
    """
    from experiments import sweep  # PyTorch takes seconds to import

    study = catalog.study(report)
    if executor is ExecutorName.processes:
        workers = workers or os.cpu_count() or 1
        threads = threads or max(1, (os.cpu_count() or 1) // workers)
    elif workers:
        raise ValueError("--workers needs --executor processes")
    runs = sweep.plan(
        study,
        range(seeds),
        Store(store),
        recipes=_chosen(study, recipes or []),
        device=device.value,
        data_root=data_root,
        threads=threads,
    )
    todo = sweep.missing(runs)
    _err.print(
        f"{study.name}: {len(runs) - len(todo)} of {len(runs)} runs are in {store}; "
        + (f"{len(todo)} are missing" if todo else "nothing is missing"),
        soft_wrap=True,
    )
    if todo:
        try:
            with _progress(todo), sweep.make_executor(executor, workers) as pool:
                sweep.sweep(todo, pool)
        except KeyboardInterrupt:
            _err.print("interrupted; finished runs are kept, the same command goes on from there")
            raise typer.Exit(130) from None
    if as_json:
        _print_json(
            {"report": study.name, "store": str(store), "runs": len(runs), "ran": len(todo)}
        )


@app.command("report")
def report_(
    reports: Annotated[
        list[str] | None, typer.Argument(help="Reports; all of the catalogue where none is named.")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Hold what was measured against what was reported, with verdicts."""
    studies = [catalog.study(name) for name in reports] if reports else catalog.studies()
    verdicts = {study.name: judge(study, Store(store).records(study.name)) for study in studies}
    if as_json:
        _print_json([row for each in verdicts.values() for row in reporting.report_data(each)])
        return
    for study in studies:
        _out.print(reporting.report_table(study, verdicts[study.name], store))


@app.command()
def show(
    report: Report,
    recipe: Annotated[str, typer.Argument(help="A recipe, e.g. filters-3-lr-0.01.adam.")],
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Show one recipe: its settings, what each seed measured, and where that comes from."""
    study = catalog.study(report)
    matching = _chosen(study, [recipe])
    selected = select(study, Store(store).records(study.name))
    if as_json:
        _print_json(
            [
                json.loads(record.to_json())
                for each in matching
                for record in selected[each.name].values()
            ]
        )
        return
    for each in matching:
        _out.print(reporting.recipe_summary(each, selected[each.name]))


def _chosen(study: Study, names: Sequence[str]) -> list[Recipe]:
    """Return the recipes that the names mean, each a recipe's or a role's; all for no name."""
    if not names:
        return list(study.recipes)
    by_name = {recipe.name: [recipe] for recipe in study.recipes}
    for role in study.roles:
        by_name[role] = [study.recipe(role, completion) for completion in study.completions]
    chosen: dict[str, Recipe] = {}
    for name in names:
        if name not in by_name:
            near = difflib.get_close_matches(name, by_name, 1)
            hint = f"did you mean {near[0]}?" if near else "see: python -m experiments list"
            raise ValueError(f"{study.name} has no recipe or role {name!r}; {hint}")
        chosen |= {recipe.name: recipe for recipe in by_name[name]}
    return list(chosen.values())


@contextmanager
def _progress(runs: Sequence[Run]) -> Iterator[None]:
    """Show runs and epochs done, polled from the store; quiet where stderr is no terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    stop = threading.Event()
    with Progress(*columns, console=_err, disable=not _err.is_terminal) as progress:
        finished = progress.add_task("runs", total=len(runs))
        epochs = progress.add_task("epochs", total=sum(run.recipe.epochs for run in runs))

        def update() -> None:
            progress.update(finished, completed=sum(r.record_path.is_file() for r in runs))
            progress.update(epochs, completed=sum(r.epochs_done() for r in runs))

        def watch() -> None:
            while not stop.wait(_POLL_SECONDS):
                update()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()
            update()


def _print_json(data: Any) -> None:
    print(json.dumps(data, indent=1))


def main() -> None:
    """Run the command line; what a user can mend becomes one line and exit code 2."""
    try:
        app()
    except (ValueError, SweepError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
