"""``export`` and ``figures``: records in other forms, written to a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.commands import common
from experiments.records import DEFAULT_STORE, Store


def export(
    tensorboard: Annotated[
        Path,
        typer.Option(
            "--tensorboard",
            metavar="DIR",
            parser=common.folder,
            help="Folder for the event files.",
        ),
    ],
    reports: common.Reports = None,
    store: common.StoreOption = DEFAULT_STORE,
) -> None:
    """Write the curves of all records for TensorBoard, one folder a record.

    Look at them with: tensorboard --logdir DIR
    """
    from experiments.export import export_tensorboard  # PyTorch takes seconds to import

    studies = common.studies(reports)
    records = (record for study in studies for record in Store(store).records(study.name))
    count = export_tensorboard(records, tensorboard)
    common.err.print(f"{count} records written to {tensorboard}", soft_wrap=True)


def figures(
    reports: common.Reports = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", parser=common.folder, help="Folder for the figures.")
    ] = Path("figures"),
    store: common.StoreOption = DEFAULT_STORE,
) -> None:
    """Draw the figures of each report from its records: SVG, for light and for dark pages.

    DIR/REPORT gets the curves, the test accuracy of every recipe, and reported against measured.
    """
    from experiments.figures import write_figures  # so does Matplotlib

    for study in common.studies(reports):
        paths = write_figures(study, Store(store).records(study.name), out / study.name)
        for path in paths:
            print(path)
        if not paths:
            common.err.print(f"{study.name}: no records, no figure")
