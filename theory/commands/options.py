"""What the commands share: options, the console that tables are printed on, a sign of work."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from theory.command_line import table_width

if TYPE_CHECKING:
    from collections.abc import Iterator

_QUIET_SECONDS = 2.0
"""What is over sooner needs no sign that it is being worked on."""

KwargsOption = Annotated[
    str, typer.Option("--kwargs", help="Arguments of the class or function, as a JSON object.")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Fixes random numbers.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text for people.")]


def console() -> Console:
    """Return the console for standard output: as wide as a terminal, else 100 columns."""
    return Console(width=table_width(), highlight=False)


@contextmanager
def working(what: str, on: Console) -> Iterator[None]:
    """Show on a terminal that work goes on, and for how long, once it has gone on for a while."""
    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    shown = Progress(
        *columns, console=on, transient=True, redirect_stdout=False, disable=not on.is_interactive
    )
    shown.add_task(what)
    begin = threading.Timer(_QUIET_SECONDS, shown.start)
    begin.daemon = True
    begin.start()
    try:
        yield
    finally:
        begin.cancel()
        begin.join()
        shown.stop()
