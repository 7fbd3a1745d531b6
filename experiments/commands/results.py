"""``list``, ``report``, ``show``: what the catalogue holds, and what was measured."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from experiments import catalog, lookup, reporting
from experiments.commands import common
from experiments.records import DEFAULT_STORE, Store
from experiments.tables import plain_table
from experiments.verdicts import judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from experiments.recipe import Recipe
    from experiments.study import Study


def list_(as_json: common.JsonOption = False) -> None:
    """List the reports of the catalogue and their recipes."""
    if as_json:
        common.print_json(
            [
                {
                    "report": study.name,
                    "title": study.title,
                    "completions": study.completions,
                    "recipes": [recipe.to_dict() for recipe in study.recipes],
                }
                for study in catalog.studies()
            ]
        )
        return
    for study in catalog.studies():
        common.out.print(f"[bold]{study.name}[/bold]  {study.title}", _roles(study))
        for completion, description in study.completions.items():
            common.out.print(f"completion {completion}: {description}", style="dim")
        common.out.print()


def _roles(study: Study) -> Table:
    """Return a row for each role of a study, with what its completions agree on or range over."""
    table = plain_table("role", "network")
    for header in ("data", "rate", "epochs", "batch"):
        table.add_column(header, no_wrap=True, header_style="dim")
    for role in study.roles:
        recipes = [study.recipe(role, completion) for completion in study.completions]
        recipe = recipes[0]
        table.add_row(
            role,
            f"{recipe.network}, {recipe.filters} filters" if recipe.filters else recipe.network,
            recipe.dataset,
            _range(each.optimizer.lr for each in recipes),
            _length(recipes),
            _range(each.batch for each in recipes),
        )
    return table


def _range(values: Iterable[float]) -> str:
    """Return what completions agree on, or from the least to the most."""
    found = [*values]
    least, most = min(found), max(found)
    return f"{least:g}" if least == most else f"{least:g}–{most:g}"


def _length(recipes: Sequence[Recipe]) -> str:
    """Return the number of epochs, and how long they are where they are no passes over the data."""
    epochs = _range(recipe.epochs for recipe in recipes)
    steps = [recipe.steps for recipe in recipes if recipe.steps]
    return f"{epochs} × {_range(steps)} steps" if steps else epochs


def report(
    reports: common.Reports = None,
    store: common.StoreOption = DEFAULT_STORE,
    as_json: common.JsonOption = False,
) -> None:
    """Compare what was measured with what was reported, with verdicts."""
    studies = common.studies(reports)
    verdicts = {study.name: judge(study, Store(store).records(study.name)) for study in studies}
    if as_json:
        common.print_json(
            [row for each in verdicts.values() for row in reporting.report_data(each)]
        )
        return
    for study in studies:
        common.out.print(reporting.report_table(study, verdicts[study.name], store))


def show(
    report: common.Report,
    recipe: Annotated[
        str,
        typer.Argument(
            help="A recipe, e.g. filters-3-lr-0.01.adam; filters-3-lr-0.01.adam@bfloat16 for a "
            "variant of it."
        ),
    ],
    store: common.StoreOption = DEFAULT_STORE,
    as_json: common.JsonOption = False,
) -> None:
    """Show one recipe: its settings, what each seed measured, and where that comes from."""
    study = catalog.study(report)
    found = {
        each.name: (each, lookup.records(study, each, Store(store)))
        for each in lookup.recipes(study, [recipe])
    }
    if as_json:
        common.print_json(
            [
                {
                    "report": study.name,
                    "recipe": each.to_dict(),
                    "digest": each.digest,
                    "records": [json.loads(record.to_json()) for record in records],
                }
                for each, records in found.values()
            ]
        )
        return
    for each, records in found.values():
        common.out.print(reporting.recipe_summary(study, each, records, store))
