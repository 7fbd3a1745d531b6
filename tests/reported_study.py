"""A study whose verdicts are reported, and the text that its reader sees."""

from __future__ import annotations

import io

from rich.console import Console

from experiments.catalog import study

STUDY = study("nni-2023-ex1")


def rendered(renderable, width: int = 100) -> str:
    """Return what a console of a width shows."""
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(renderable)
    return console.file.getvalue()
