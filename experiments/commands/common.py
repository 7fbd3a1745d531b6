"""What the commands share: consoles, options, and how JSON is printed."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from experiments import catalog, executors
from experiments.errors import InputError
from experiments.records import DEFAULT_STORE
from theory.command_line import table_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from experiments.study import Study

out = Console(width=table_width())
err = Console(stderr=True, markup=False)  # brackets in a path are its own


class Device(StrEnum):
    """Where to train."""

    cpu = "cpu"
    cuda = "cuda"


def folder(path: str) -> Path:
    """Refuse what a variable that is not set leaves, and pathlib takes for the present folder."""
    if not path:
        raise typer.BadParameter("no folder is named: give . for the present one")
    return Path(path)


Report = Annotated[str, typer.Argument(help="A report of the catalogue, e.g. nni-2023-ex1.")]
Reports = Annotated[
    list[str] | None,
    typer.Argument(metavar="REPORT", help="Reports; all of them where none is named."),
]
StoreOption = Annotated[
    Path,
    typer.Option(
        "--store",
        metavar="DIR",
        parser=folder,
        show_default="docs/results of the checkout" if DEFAULT_STORE.is_absolute() else "results",
        help="Folder of the records.",
    ),
]
DataRootOption = Annotated[
    Path | None,
    typer.Option(
        "--data-root",
        metavar="DIR",
        parser=folder,
        help="Data folder; else CONVLAWS_DATA, else a download.",
    ),
]
SeedsOption = Annotated[int, typer.Option("--seeds", min=1, help="Seeds 0 to N-1.")]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where to train.")]
CountedDeviceOption = Annotated[
    Device, typer.Option("--device", help="Count the runs on this kind of device.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def require_cores(threads: int | None) -> None:
    """Refuse more threads than there are cores to run on here: they would only wait."""
    cores = executors.available_cores()
    if threads is not None and threads > cores:
        raise InputError(f"--threads {threads}: there are {cores} cores to run on; give no more")


def studies(names: Sequence[str] | None) -> list[Study]:
    """Return the studies of these names; all of the catalogue where none is named."""
    return [catalog.study(name) for name in names] if names else list(catalog.studies())


def print_json(data: Any) -> None:
    """Print JSON-ready data on stdout."""
    print(json.dumps(data, indent=1))


def duration(seconds: float) -> str:
    """Return a time as people say it: "45 s", "12 min", "3 h 20 min"."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"
