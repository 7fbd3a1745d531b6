"""``precision``: which recipes may be trained in bfloat16."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from experiments import lookup
from experiments.advice import how_to_pair
from experiments.commands import common
from experiments.equivalence import FEWEST, MARGIN, equivalences
from experiments.records import DEFAULT_STORE, Store
from experiments.tables import plain_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from experiments.equivalence import Equivalence

_LICENSED = {True: ("yes", "green"), False: ("no", "red"), None: ("undecided", "yellow")}
_NOTE = (
    "bfloat16 − float32: final test accuracy, mean over paired seeds ± 95 % t-interval over the "
    f"pairs. A licence takes {FEWEST} pairs, none of which diverged, and an interval that lies "
    f"within ±{100 * MARGIN:g} points. speed: images a second of training in bfloat16 over those "
    "in float32, median of the pairs on equal hardware and threads. pp: percentage points."
)


def precision(
    reports: common.Reports = None,
    store: common.StoreOption = DEFAULT_STORE,
    as_json: common.JsonOption = False,
) -> None:
    """Say which recipes may be trained in bfloat16, by their runs in both precisions.

    The runs in bfloat16 are made with `run REPORT RECIPE --precision bfloat16`, at full length.
    """
    found = [
        each
        for study in common.studies(reports)
        for each in equivalences(study, lookup.all_records(study, Store(store)))
    ]
    if as_json:
        common.print_json([_data(each) for each in found])
        return
    if found:
        common.out.print(_table(found))
    else:
        commands = how_to_pair("REPORT", ["RECIPE"], FEWEST, store)
        told = "no recipe was run in bfloat16 at full length; this runs one in both precisions:"
        common.out.print(told, *commands, sep="\n", soft_wrap=True, markup=False, highlight=False)
    names = ", ".join(f"{each.study.name}.{each.recipe.name}" for each in found if each.licensed)
    common.out.print(f"\nmay be trained in bfloat16: {names or 'none'}", highlight=False)
    common.out.print("all others run in float32, and so does every run that a verdict rests on")
    if found:
        common.out.print(Text(f"\n{_NOTE}", "dim"))


def _data(found: Equivalence) -> dict[str, Any]:
    return {
        "report": found.study.name,
        "recipe": found.recipe.name,
        "seeds": list(found.seeds),
        "diverged": list(found.diverged),
        "differences": list(found.differences),
        "difference": found.difference,
        "interval": found.interval and found.interval.ends,
        "licensed": found.licensed,
        "reason": found.reason,
        "speed": found.speed,
    }


def _table(found: Sequence[Equivalence]) -> Table:
    table = plain_table()
    table.add_column("recipe", overflow="fold", header_style="dim")
    for header in ("pairs", "bfloat16 − float32", "speed"):
        table.add_column(header, justify="right", no_wrap=True, header_style="dim")
    table.add_column("licensed", no_wrap=True, header_style="dim")
    table.add_column("why", header_style="dim")
    for each in found:
        word, style = _LICENSED[each.licensed]
        table.add_row(
            f"{each.study.name}\n{each.recipe.name}",
            str(each.pairs),
            str(each),
            "" if each.speed is None else f"×{each.speed:.2f}",
            Text(word, style),
            each.reason,
        )
    return table
