"""Progress: runs and epochs done, with rates and remaining time, polled from the store."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from experiments.runs import Run

_POLL_SECONDS = 0.5
_RATE_SECONDS = 3600.0
"""How far back the rates look: an epoch may take minutes, and recipes differ."""


@contextmanager
def progress(runs: Sequence[Run], console: Console) -> Iterator[None]:
    """Show what becomes of the runs while the block works; quiet where there is no terminal."""
    if not console.is_terminal:  # nor is a store, which may be far away, asked for what none sees
        yield
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    stop = threading.Event()
    with Progress(
        *columns,
        console=console,
        speed_estimate_period=_RATE_SECONDS,
    ) as shown:
        finished = shown.add_task("runs", total=len(runs))
        epochs = shown.add_task("epochs", total=sum(run.recipe.epochs for run in runs))

        def update() -> None:
            shown.update(finished, completed=sum(run.record_path.is_file() for run in runs))
            shown.update(epochs, completed=sum(run.epochs_done() for run in runs))

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


class RateColumn(ProgressColumn):
    """How many are done a second, a minute or an hour: the shortest in which one is."""

    def render(self, task: Task) -> Text:
        """Return the rate of a task; nothing before it is known."""
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        if speed >= 1:
            return Text(f"{speed:.1f}/s")
        if 60 * speed >= 1:
            return Text(f"{60 * speed:.1f}/min")
        return Text(f"{3600 * speed:.1f}/h")
