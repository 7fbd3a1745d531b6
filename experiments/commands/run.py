"""``run``: train what the store does not hold yet."""

from __future__ import annotations

import signal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments import catalog, lookup
from experiments.advice import in_store
from experiments.commands import common
from experiments.commands.progress import progress
from experiments.errors import InputError
from experiments.interruption import sigterm_interrupts
from experiments.records import DEFAULT_STORE, Store
from experiments.variants import home, variant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from experiments import executors
    from experiments.datasets import Dataset
    from experiments.layout import Layout
    from experiments.recipe import Recipe
    from experiments.runs import Run
    from experiments.study import Study


class Precision(StrEnum):
    """How forward passes are computed."""

    float32 = "float32"
    bfloat16 = "bfloat16"


class ExecutorName(StrEnum):
    """How to spread runs."""

    serial = "serial"
    processes = "processes"
    dask = "dask"
    auto = "auto"


def run(
    report: common.Report,
    recipes: Annotated[
        list[str] | None,
        typer.Argument(
            help="Recipes (filters-3-lr-0.01.adam) or roles. Default: all but those that "
            "wait to be named, which `status` lists."
        ),
    ] = None,
    seeds: common.SeedsOption = 3,
    device: common.DeviceOption = common.Device.cpu,
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Another data set than the recipes': cifar10, mnist, or digits, which needs no "
            "download.",
        ),
    ] = None,
    precision: Annotated[
        Precision | None, typer.Option(help="Another precision than the recipes'.")
    ] = None,
    epochs_scale: Annotated[
        float,
        typer.Option(metavar="F", help="Factor of every recipe's epochs: 0.1 for a rehearsal."),
    ] = 1.0,
    executor: Annotated[
        ExecutorName,
        typer.Option(help="How to spread runs; auto measures what is fastest, once a machine."),
    ] = ExecutorName.serial,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Worker processes; by default one a core, and on CUDA just one."),
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="The Dask scheduler: tcp://host:8786.")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="CPU threads a run; by default processes share the cores."),
    ] = None,
    fleet: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Runs of one architecture trained as one program; by default 1 on the CPU, and on "
            "CUDA as many as are fastest.",
        ),
    ] = None,
    data_root: common.DataRootOption = None,
    store: common.StoreOption = DEFAULT_STORE,
    as_json: common.JsonOption = False,
) -> None:
    """Run what the store does not hold yet.

    Stop it whenever you like, and the same command goes on from there: finished runs are kept, and
    of one in progress on the CPU the epochs up to its last checkpoint, at most a minute and an
    epoch ago. Runs that are trained as one program, as all are on CUDA, begin again.

    On small networks, one thread for each of several processes carries more runs than one process:

        python -m experiments run nni-2023-ex1 --executor processes

    How many processes, threads and runs as one program are fastest is measured by:

        python -m experiments run nni-2023-ex1 --executor auto

    Records made on other data, with another precision or number of epochs than the catalogue says
    lie apart, in STORE/variants, and count for no verdict.
    """
    from experiments import layout, sweep  # PyTorch takes seconds to import
    from experiments.executors import available_cores, make_executor
    from experiments.runs import check_stores, missing

    study = catalog.study(report)
    chosen = [
        variant(
            recipe,
            dataset=dataset,
            precision=precision and precision.value,
            epochs_scale=epochs_scale,
        )
        for recipe in lookup.recipes(study, recipes or [])
    ]
    by_layout = executor is ExecutorName.auto and device is common.Device.cpu
    place: executors.ExecutorName = "serial"
    if executor is ExecutorName.auto:
        _leave_to_auto({"--workers": workers, "--threads": threads, "--fleet": fleet})
    elif executor is ExecutorName.processes:
        place = "processes"
        workers = workers or (available_cores() if device is common.Device.cpu else 1)
        threads = threads or max(1, available_cores() // workers)
    elif executor is ExecutorName.dask:
        place = "dask"
        threads = threads or 1
        if device is common.Device.cuda and fleet is None:
            raise InputError(
                "give --fleet N: how many runs are fastest together on the workers' GPUs is not "
                "measured from here"
            )
    if place != "dask":
        common.require_cores(threads)
    Store(store).check_folder()
    with make_executor(place, workers, scheduler) as pool:
        runs = sweep.plan(
            study,
            range(seeds),
            Store(store),
            recipes=chosen,
            device=device.value,
            data_root=data_root,
            threads=threads,
            here=executor is not ExecutorName.dask,
        )
        todo = missing(runs)
        check_stores(todo)
        _announce(study, chosen, Store(store))
        if not recipes:
            _leave_out(study)
        common.err.print(
            f"{study.name}: {len(runs) - len(todo)} of {len(runs)} runs are in {store}; "
            + (f"{len(todo)} are missing" if todo else "nothing is missing"),
            soft_wrap=True,
        )
        try:
            with sigterm_interrupts():
                layouts = _layouts(todo, data_root) if by_layout else None
                with progress(todo, common.err):
                    if layouts is None:
                        sweep.sweep(todo, pool, fleet)
                    else:
                        layout.carry_out(layouts)
        except KeyboardInterrupt as interrupt:
            common.err.print(
                "interrupted; finished runs and checkpoints are kept, "
                "the same command goes on from there"
            )
            number = interrupt.args[0] if interrupt.args else signal.SIGINT
            raise typer.Exit(128 + number) from None
    if todo and not common.err.is_terminal:  # where the bars of progress say it
        common.err.print(f"{study.name}: {len(todo)} run{'s' * (len(todo) != 1)} done")
    if as_json:
        common.print_json(
            {"report": study.name, "store": str(store), "runs": len(runs), "ran": len(todo)}
        )


def _leave_to_auto(settings: Mapping[str, int | None]) -> None:
    """Refuse what the executor is to choose.

    Raises
    ------
    InputError
        If any of these has been chosen by hand.
    """
    given = [option for option, value in settings.items() if value is not None]
    if given:
        raise InputError(
            f"--executor auto chooses {', '.join(settings)} itself; leave {' and '.join(given)} "
            "out, or name an executor"
        )


def _layouts(runs: Sequence[Run], data_root: Path | None) -> dict[Run, Layout]:
    """Return the layout of each run, and say it; what is not known of this machine is measured."""
    from experiments import datasets
    from experiments.executors import available_cores
    from experiments.layout import Kept, choose, timing

    def data_of(recipe: Recipe) -> Dataset:
        return datasets.load(recipe.dataset, data_root)

    def say(line: str) -> None:
        common.err.print(line, soft_wrap=True, markup=False, highlight=False)

    if not runs:
        return {}
    cores = available_cores()
    with common.err.status("measuring layouts") as status, timing(cores, data_of) as measure:

        def measured(recipe: Recipe, layout: Layout) -> float:
            status.update(f"measuring {recipe.network}, {layout}")
            return measure(recipe, layout)

        return choose(runs, cores, Kept(cores, say), measured, say)


def _announce(study: Study, recipes: Sequence[Recipe], store: Store) -> None:
    """Say which recipes are not the catalogue's, and what that means for their records."""
    changed = [recipe for recipe in recipes if recipe not in study.recipes]
    if changed:
        apart = home(study, changed[0], store).root
        common.err.print(
            f"{study.name}: {len(changed)} of {len(recipes)} recipes are not the catalogue's, such "
            f"as {changed[0].name}; their records lie in {apart} and count for no verdict; see one "
            f"with: python -m experiments show {study.name} {changed[0].name}"
            f"{in_store(store.root)}",
            soft_wrap=True,
            markup=False,
            highlight=False,
        )


def _leave_out(study: Study) -> None:
    """Say which recipes are run only when they are named, and why."""
    for name, need in study.on_request.items():
        common.err.print(
            f"{study.name}: {name} is left out, for it needs {need}; name it to run it",
            soft_wrap=True,
        )
