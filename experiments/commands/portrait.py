"""``portrait``: train one run anew, and keep what its network looks at."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from experiments import catalog, lookup
from experiments.commands import common
from experiments.commands.progress import progress
from experiments.errors import InputError
from experiments.records import DEFAULT_STORE, Store

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from experiments.augmentation import Inputs
    from experiments.portrait import Portrait
    from experiments.recipe import Recipe
    from experiments.records import Record
    from experiments.study import Study


def portrait(
    report: common.Report,
    recipe: Annotated[str, typer.Argument(help="A recipe, e.g. task-2.sgd.")],
    seed: Annotated[int, typer.Option(min=0, help="Which run of it.")] = 0,
    images: Annotated[int, typer.Option(min=1, help="How many test images it is shown.")] = 4,
    device: common.DeviceOption = common.Device.cpu,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="CPU threads. Default: as many as the record's run had."),
    ] = None,
    data_root: common.DataRootOption = None,
    store: common.StoreOption = DEFAULT_STORE,
) -> None:
    """Train one run, and keep its filters and what they make of some images.

    Records hold no weights. This trains the run once more, which takes as long as it did, and
    writes its record if the store has none. A file of the same name with .portrait.npz behind it
    is kept beside the record. From it the documentation draws the filters of the first
    convolution, and the maps of the first and of the last. On another processor, or on more or
    fewer threads, training may end at other weights than the record's. Then nothing is kept.
    """
    from experiments import datasets, sweep  # PyTorch takes seconds to import
    from experiments import portrait as portraits
    from experiments.augmentation import inputs_of
    from experiments.training import initialised

    common.require_cores(threads)
    study = catalog.study(report)
    (run,) = sweep.plan(
        study,
        [seed],
        Store(store),
        recipes=[_only(study, recipe)],
        device=device.value,
        data_root=data_root,
        threads=threads,
    )
    run.store.check_writable()
    known = run.store.read(run.record_path) if run.record_path.is_file() else None
    if known is not None and threads is None and device is common.Device.cpu:
        run = replace(run, threads=known.provenance["threads"])
        common.require_cores(run.threads)
    path = portraits.place(run.record_path)
    data = datasets.load(run.recipe.dataset, run.data_root)
    if images > (held := len(data.test_images)):
        raise InputError(f"--images {images}: {data.name} has {held} for tests; give no more")

    taken: list[Portrait] = []

    def sit(network: nn.Module, inputs: Inputs) -> None:
        shown = data.test_images[:images].to(next(network.parameters()).device)
        taken[:] = [portraits.take(network, inputs.evaluation(shown))]

    inputs = inputs_of(run.recipe, data.train_images)
    untrained = initialised(run.recipe, seed, inputs, data, run.data_root)
    try:
        sit(untrained, inputs)  # before hours of training
    except InputError as error:
        raise InputError(f"{study.name} {run.recipe.name} has no portrait: {error}") from error
    with progress([run], common.err), run.beating() as beat:
        record = run.train(beat, sit)
    if known is None:
        run.write(record)
    else:
        _check_same(record, known, run.record_path)
    (shown,) = taken
    portraits.save(shown, path)
    print(path)


def _only(study: Study, name: str) -> Recipe:
    """Return the one recipe that a name means; refuse a role of several."""
    chosen = lookup.recipes(study, [name])
    if len(chosen) != 1:
        raise InputError(
            f"{name!r} names {len(chosen)} recipes of {study.name}; name one of "
            + ", ".join(each.name for each in chosen)
        )
    return chosen[0]


def _check_same(record: Record, known: Record, path: Path) -> None:
    """Refuse a run that did not measure what its record says: its weights are others."""
    if record == known:
        return
    was, here = (
        f"{made['threads']} threads of {made['hardware']} with PyTorch {made['torch']}"
        for made in (known.provenance, record.provenance)
    )
    raise InputError(
        f"this run measured something else than its record ({path}), which was made "
        f"on {was}, and this one on {here}; make the portrait there, or with another --store"
    )
