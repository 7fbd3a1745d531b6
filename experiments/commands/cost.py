"""``cost``: what the stored runs took."""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.table import Table

from experiments.commands import common
from experiments.cost import UNITS, costs, hours
from experiments.records import DEFAULT_STORE, Store
from experiments.tables import plain_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from experiments.cost import Cost
    from experiments.study import Study


def cost(
    reports: common.Reports = None,
    store: common.StoreOption = DEFAULT_STORE,
    as_json: common.JsonOption = False,
) -> None:
    """Say what the stored runs took: hours per report, and images a second per recipe.

    Hours are those of whole runs, times their threads; images a second those of training alone.
    Times of different machines are never mixed: each has a table of its own. Runs at another
    precision or length than the catalogue's are not counted.
    """
    every = [
        (study, costs(study, Store(store).records(study.name))) for study in common.studies(reports)
    ]
    if as_json:
        common.print_json([_data(study, found) for study, found in every])
        return
    for study, found in every:
        common.out.print(f"[bold]{study.name}[/bold]  {_total(found)}")
        for machine, rows in groupby(found, key=lambda each: each.machine):
            common.out.print(f"on {machine}", style="dim", highlight=False)
            common.out.print(_table(rows))
        common.out.print()


def _total(found: Sequence[Cost]) -> str:
    sums = {unit: hours(found, device) for device, unit in UNITS.items()}
    counted = [f"{spent:.1f} {unit}" for unit, spent in sums.items() if spent]
    return ", ".join([f"{sum(each.runs for each in found)} runs", *counted])


def _table(found: Iterable[Cost]) -> Table:
    numbers = ("runs", "hours", "images/s")
    table = plain_table("recipe", *numbers, right=numbers)
    for each in found:
        rate = "–" if each.images_per_second is None else f"{each.images_per_second:,.0f}"
        table.add_row(each.recipe.name, str(each.runs), f"{each.hours:.2f}", rate)
    return table


def _data(study: Study, found: Sequence[Cost]) -> dict[str, Any]:
    return {
        "report": study.name,
        "core_hours": hours(found, "cpu"),
        "gpu_hours": hours(found, "cuda"),
        "recipes": [
            {
                "recipe": each.recipe.name,
                **asdict(each.machine),
                "runs": each.runs,
                "hours": each.hours,
                "images_per_second": each.images_per_second,
            }
            for each in found
        ],
    }
