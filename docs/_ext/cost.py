"""What the runs cost, on a page: hours for each report, images a second for each recipe."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from _ext.runs import current
from _ext.tables import Cell, table
from experiments.catalog import studies
from experiments.cost import UNITS, Cost, costs, hours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

    from experiments.study import Study


class _CostDirective(SphinxDirective):
    """A directive that shows what the runs of all reports cost."""

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        store = Path(self.config.convlaws_records)
        every = [(each, costs(each, current(each.name, store))) for each in studies()]
        return self.show([(each, found) for each, found in every if found])

    def show(self, every: Sequence[tuple[Study, Sequence[Cost]]]) -> list[nodes.Node]:
        raise NotImplementedError


class SumDirective(_CostDirective):
    """Tabulate runs and hours, a row a report."""

    def show(self, every: Sequence[tuple[Study, Sequence[Cost]]]) -> list[nodes.Node]:
        if not every:
            return [nodes.paragraph("", "Nothing was run so far.")]
        everything = [cost for _, found in every for cost in found]
        used = [device for device in UNITS if hours(everything, device)]
        rows = [_sums(study.name, found, used) for study, found in every]
        head = ["report", "runs", *(UNITS[device] for device in used)]
        return [table(head, [*rows, _sums("all", everything, used)])]


class RecipesDirective(_CostDirective):
    """Tabulate runs, hours and images a second, a row a recipe, a table a report and machine."""

    def show(self, every: Sequence[tuple[Study, Sequence[Cost]]]) -> list[nodes.Node]:
        shown: list[nodes.Node] = []
        for study, found in every:
            for machine, group in groupby(found, key=lambda each: each.machine):
                shown += [
                    nodes.paragraph("", f"{study.name}, on {machine}:"),
                    table(["recipe", "runs", "hours", "images/s"], list(map(_row, group))),
                ]
        return shown


def _sums(name: str, found: Sequence[Cost], devices: Sequence[str]) -> list[Cell]:
    spent = [f"{hours(found, device):.1f}" for device in devices]
    return [name, str(sum(each.runs for each in found)), *spent]


def _row(each: Cost) -> list[Cell]:
    rate = "–" if each.images_per_second is None else f"{each.images_per_second:,.0f}"
    return [nodes.literal("", each.recipe.name), str(each.runs), f"{each.hours:.2f}", rate]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register what shows the cost."""
    app.setup_extension("_ext.measurements")
    app.add_directive("cost-sum", SumDirective)
    app.add_directive("cost-recipes", RecipesDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
