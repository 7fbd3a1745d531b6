"""The equivalence study on a page: what bfloat16 changes, and which recipes may use it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from _ext import precision_pictures
from _ext.chips import chip
from _ext.measurements import provenance
from _ext.pictures import picture
from _ext.runs import equivalences_of
from _ext.tables import Cell, table
from experiments.advice import how_to_pair, in_store
from experiments.equivalence import FEWEST, MARGIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

    from experiments.equivalence import Equivalence

_CHIPS = {True: "licensed", False: "not_licensed", None: "undecided"}


class _PrecisionDirective(SphinxDirective):
    """A directive that shows what was trained in both precisions."""

    @property
    def store(self) -> Path:
        return Path(self.config.convlaws_records)

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        return self.show(equivalences_of(self.store))

    def show(self, found: Sequence[Equivalence]) -> list[nodes.Node]:
        raise NotImplementedError


class DifferencesDirective(_PrecisionDirective):
    """Draw and tabulate every recipe; where nothing was run, say how to."""

    def show(self, found: Sequence[Equivalence]) -> list[nodes.Node]:
        if not found:
            return [_not_run(self.store)]
        alt = (
            "Difference of final test accuracies, bfloat16 − float32, in percentage points, "
            f"against a band of ±{100 * MARGIN:g}. "
            + " ".join(
                f"{each.study.name}, {each.recipe.name}: {each}, {_verdict(each)}."
                for each in found
            )
        )
        drawn = picture(
            self.env,
            "precision-differences",
            partial(precision_pictures.differences, found),
            alt,
        )
        runs = [run for each in found for run in each.runs]
        return [drawn, _table(found), *([provenance(runs)] if runs else [])]


class CommandsDirective(_PrecisionDirective):
    """Show the commands that make the study's records, and the one that judges them."""

    def show(self, found: Sequence[Equivalence]) -> list[nodes.Node]:
        lines: list[str] = []
        for report in dict.fromkeys(each.study.name for each in found):
            chosen = [each for each in found if each.study.name == report]
            seeds = [run.seed + 1 for each in chosen for run in each.runs]
            names = [each.recipe.name for each in chosen]
            lines += how_to_pair(report, names, max(FEWEST, *seeds, 0), self.store)
        if not found:
            lines += how_to_pair("REPORT", ["RECIPE"], FEWEST, self.store)
        lines.append(f"python -m experiments precision{in_store(self.store)}")
        text = "\n".join(f"$ {line}" for line in lines)
        return [nodes.literal_block(text, text, language="console")]


class LicencesDirective(_PrecisionDirective):
    """Say which recipes may be trained in bfloat16."""

    def show(self, found: Sequence[Equivalence]) -> list[nodes.Node]:
        names = [f"{each.study.name}.{each.recipe.name}" for each in found if each.licensed]
        if not names:
            text = "No recipe may be trained in bfloat16 so far; all of them run in float32."
            return [nodes.paragraph("", text)]
        said = nodes.paragraph("", "May be trained in bfloat16: ")
        for index, name in enumerate(names):
            said += [nodes.Text(", " * bool(index)), nodes.literal("", name)]
        said += nodes.Text(". All others run in float32.")
        return [said]


def _not_run(store: Path) -> nodes.paragraph:
    _, command = how_to_pair("REPORT", ["RECIPE"], FEWEST, store)
    said = nodes.paragraph("", "", chip("not_run"))
    said += nodes.Text(
        " The study has not been run: no recipe was trained in bfloat16 at full length; "
    )
    said += [nodes.literal("", command), nodes.Text(" trains one.")]
    return said


def _table(found: Sequence[Equivalence]) -> nodes.container:
    head = ["recipe", "pairs", "difference (pp)", "verdict", "why", "speed"]
    rows: list[list[Cell]] = [
        [
            nodes.literal("", f"{each.study.name}.{each.recipe.name}"),
            str(each.pairs),
            str(each).removesuffix(" pp"),
            chip(_CHIPS[each.licensed]),
            each.reason,
            "–" if each.speed is None else f"×{each.speed:.2f}",
        ]
        for each in found
    ]
    return table(head, rows)


def _verdict(each: Equivalence) -> str:
    return "licensed" if each.licensed else each.reason


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register every directive that shows the study; the records are those of the site."""
    app.setup_extension("_ext.measurements")
    app.add_directive("precision-differences", DifferencesDirective)
    app.add_directive("precision-commands", CommandsDirective)
    app.add_directive("precision-licences", LicencesDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
