"""``run``: train what the store does not hold yet."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from experiments import catalog, lookup
from experiments.advice import in_store
from experiments.commands import common
from experiments.commands.spread import ExecutorName, settle
from experiments.interruption import sigterm_interrupts
from experiments.records import DEFAULT_STORE, Store
from experiments.variants import home, variant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from experiments.recipe import Recipe
    from experiments.study import Study


class Precision(StrEnum):
    """How forward passes are computed."""

    float32 = "float32"
    bfloat16 = "bfloat16"


def run(
    report: common.Report,
    recipes: Annotated[
        list[str] | None,
        typer.Argument(
            help="Recipes (filters-3-lr-0.01.adam) or roles. Default: all but those that "
            "run only when named, which `status` lists."
        ),
    ] = None,
    seeds: common.SeedsOption = 3,
    device: common.DeviceOption = common.Device.cpu,
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Another data set than the recipes': cifar10, mnist, mnist-pairs, or digits, "
            "which needs no download.",
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
        typer.Option(help="How to spread runs; auto measures what is fastest, once per machine."),
    ] = ExecutorName.serial,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Worker processes; by default one per core, on CUDA just one."),
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="The Dask scheduler: tcp://host:8786.")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="CPU threads per run; by default processes share the cores."),
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

    Stop it whenever you like, and the same command goes on from there. Finished runs are kept. A
    run in progress on the CPU goes on from its last checkpoint, which is at most a minute and an
    epoch old. Runs that are trained as one program, as all are on CUDA, begin again.

    On small networks, several processes of one thread each get more runs done than one process:

        python -m experiments run nni-2023-ex1 --executor processes

    To measure how many processes, threads and runs as one program are fastest:

        python -m experiments run nni-2023-ex1 --executor auto

    Records made on other data, or with another precision or number of epochs, than the catalogue
    says are kept apart, in STORE/variants, and count for no verdict.
    """
    from experiments import sweep  # PyTorch takes seconds to import
    from experiments.runs import check_records, check_stores, missing

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
    spread = settle(
        executor, device, workers=workers, scheduler=scheduler, threads=threads, fleet=fleet
    )
    Store(store).check_folder()
    with spread.pool() as pool:
        runs = sweep.plan(
            study,
            range(seeds),
            Store(store),
            recipes=chosen,
            device=device.value,
            data_root=data_root,
            threads=spread.threads,
            here=spread.here,
        )
        check_records(runs)  # or one that is damaged would count as done
        todo = missing(runs)
        check_stores(todo)
        _announce(study, chosen, Store(store))
        if not recipes:
            _leave_out(study)
        left = f"{len(todo)} {'is' if len(todo) == 1 else 'are'}" if todo else "nothing is"
        common.err.print(
            f"{study.name}: {len(runs) - len(todo)} of {len(runs)} runs are in {store}; "
            f"{left} missing",
            soft_wrap=True,
        )
        with _interruptible():
            spread.carry_out(todo, pool, data_root)
    if todo and not common.err.is_terminal:  # where the bars of progress say it
        common.err.print(f"{study.name}: {len(todo)} run{'s' * (len(todo) != 1)} done")
    if as_json:
        common.print_json(
            {"report": study.name, "store": str(store), "runs": len(runs), "ran": len(todo)}
        )


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the command with one line, and as a shell expects it."""
    try:
        with sigterm_interrupts():
            yield
    except KeyboardInterrupt as interrupt:
        common.err.print(
            "interrupted; finished runs and checkpoints are kept, "
            "the same command goes on from there"
        )
        number = interrupt.args[0] if interrupt.args else signal.SIGINT
        raise typer.Exit(128 + number) from None


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
            highlight=False,
        )


def _leave_out(study: Study) -> None:
    """Say which recipes are run only when they are named, and why."""
    for name, need in study.on_request.items():
        common.err.print(
            f"{study.name}: {name} is left out, for it needs {need}; name it to run it",
            soft_wrap=True,
        )
