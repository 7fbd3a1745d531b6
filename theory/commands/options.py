"""What the commands share: options, and the console that tables are printed on."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

KwargsOption = Annotated[
    str, typer.Option("--kwargs", help="Arguments of the class or function, as a JSON object.")
]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, help="Fixes random weights and random inputs.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print JSON instead of what is for people.")
]


def console() -> Console:
    """Return the console for standard output: as wide as a terminal, else 100 columns."""
    return Console(width=None if sys.stdout.isatty() else 100, highlight=False)
