"""``compare``: two recipes held against each other, paired by seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from experiments import lookup
from experiments.advice import how_to_run
from experiments.commands import common
from experiments.comparison import Comparison, differing_settings
from experiments.comparison import compare as compare_records
from experiments.errors import InputError
from experiments.quantities import formatted, formatted_with_bars
from experiments.records import DEFAULT_STORE, Store
from experiments.tables import plain_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from experiments.recipe import Recipe
    from experiments.records import Record
    from experiments.study import Study

_NOTE = (
    "Means over paired seeds, ± 95 % t-interval of the difference over the pairs. Both were "
    "measured on the same test set, whose own noise is not in the interval. pp: percentage points."
)


def compare(
    a: Annotated[
        str,
        typer.Argument(
            help="A recipe, as filters-3-lr-0.01.adam or nni-2023-ex1.filters-3-lr-0.01.adam, or "
            "a role that has one recipe, as task-2; with @bfloat16 or @epochs-2 behind it, a "
            "variant."
        ),
    ],
    b: Annotated[str, typer.Argument(help="Another recipe.")],
    store: common.StoreOption = DEFAULT_STORE,
    as_json: common.JsonOption = False,
) -> None:
    """Compare two recipes: differences paired by seed, with intervals."""
    (one, first), (other, second) = (lookup.recipe(name) for name in (a, b))
    if first.digest == second.digest:
        raise InputError(f"A and B are one recipe, {first.name}; name another to compare it with")
    left, right = _runs(one, first, Store(store)), _runs(other, second, Store(store))
    found, settings = compare_records(left, right), differing_settings(first, second)
    warnings = _warnings(first, second)
    if as_json:
        differing = [
            {"setting": name, "first": values[0], "second": values[1]}
            for name, values in settings.items()
        ]
        common.print_json(
            {**_data(first, second, found), "settings": differing, "warnings": warnings}
        )
        return
    common.out.print(Text(f"A: {first.name}\nB: {second.name}\n"))
    if settings:
        common.out.print(_settings_table(settings), "", sep="\n")
    common.out.print(_table(found))
    for warning in warnings:
        common.out.print(f"\n{warning}", style="yellow")
    if found.diverged:
        seeds = ", ".join(map(str, found.diverged))
        common.out.print(
            f"left out, for a loss diverged: seeds {seeds}; the rest is no fair sample",
            style="yellow",
        )
    common.out.print(f"\npaired seeds: {', '.join(map(str, found.seeds)) or 'none'}")
    common.out.print(Text(_NOTE, "dim"))


def _runs(study: Study, recipe: Recipe, store: Store) -> list[Record]:
    records = lookup.records(study, recipe, store)
    if not records:
        command = how_to_run(study, store.root, recipe)
        raise InputError(f"no records of {recipe.name}; run: {command}")
    return records


def _warnings(first: Recipe, second: Recipe) -> list[str]:
    """Say it where what is measured at the end is not of one age."""
    if (first.epochs, first.steps) == (second.epochs, second.steps):
        return []
    return [
        f"A is trained for {_length(first)}, B for {_length(second)}: their last epochs and final "
        "weights are not of one age"
    ]


def _length(recipe: Recipe) -> str:
    steps = f" of {recipe.steps:,} steps" if recipe.steps else ""
    return f"{recipe.epochs} epoch{'s' * (recipe.epochs != 1)}{steps}"


def _settings_table(settings: Mapping[str, tuple[Any, Any]]) -> Table:
    table = plain_table("setting", "A", "B")
    for name, values in settings.items():
        table.add_row(name, *("–" if value in (None, "") else str(value) for value in values))
    return table


def _data(first: Recipe, second: Recipe, found: Comparison) -> dict[str, Any]:
    return {
        "first": first.name,
        "second": second.name,
        "seeds": list(found.seeds),
        "diverged": list(found.diverged),
        "differences": [
            {
                "what": each.what,
                "unit": each.unit,
                "first": each.first,
                "second": each.second,
                "difference": each.difference,
                "interval": each.interval and each.interval.ends,
                "larger": each.larger,
            }
            for each in found.differences
        ],
    }


def _table(found: Comparison) -> Table:
    numbers = ("A", "B", "A − B")
    table = plain_table("", *numbers, "larger", right=numbers)
    for each in found.differences:
        table.add_row(
            each.what,
            formatted(each.first, each.unit),
            formatted(each.second, each.unit),
            formatted_with_bars(
                each.difference,
                "points" if each.unit == "accuracy" else each.unit,
                each.interval,
            ),
            {"first": "A", "second": "B", None: "undecided"}[each.larger],
        )
    return table
