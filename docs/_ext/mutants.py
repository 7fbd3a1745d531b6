"""The mutation run on a page, from its stored results and the reasons why mutants survive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mutant_report
from docutils import nodes
from docutils.nodes import make_id
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from _ext.chips import chip
from _ext.places import DOCS, ROOT
from _ext.tables import table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mutant_report import Module, Mutant
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

RESULTS = DOCS / "results" / "mutants.json"
REASONS = ROOT / "tests" / "mutation" / "survivors.toml"


class MutantsDirective(SphinxDirective):
    """Show how many mutants of each module were noticed, and each survivor with its reason."""

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        try:
            modules = mutant_report.load_results(RESULTS)
            reasons = mutant_report.load_reasons(REASONS)
        except ValueError as error:
            raise ExtensionError(str(error)) from error
        if not modules:
            note = nodes.Text(" No results are stored; the command above stores them.")
            return [nodes.paragraph("", "", chip("not_run"), note)]
        if found := mutant_report.findings(modules, reasons, ROOT):
            raise ExtensionError("\n".join(found))
        return [
            *scores(modules),
            *(survivors(module, reasons) for module in modules.values() if module.survivors),
        ]


def scores(modules: dict[str, Module]) -> list[nodes.Node]:
    """Return the table of all modules, and which sources are not those that were mutated."""
    head, *rows = mutant_report.table(modules.values())
    stale = [
        name
        for name, module in modules.items()
        if mutant_report.digest(ROOT / f"{name}.py") != module.source
    ]
    shown: list[nodes.Node] = [table(head, rows)]
    if stale:
        shown.append(nodes.paragraph("", f"Changed since this run: {', '.join(stale)}."))
    return shown


def survivors(module: Module, reasons: dict[Mutant, str]) -> nodes.section:
    """Return a section with the survivors of one module: what changes where, and why it may."""
    title = nodes.title("", f"Survivors of {module.name}")
    section = nodes.section("", title, ids=[make_id(f"survivors-{module.name}")])
    for (function, was, reason), becomes in _together(module.survivors, reasons).items():
        lines = [f"- {was}", *(f"+ {line}" for line in becomes if line)]
        section += nodes.paragraph("", "", nodes.literal("", function), nodes.Text(f": {reason}"))
        section += nodes.literal_block("", "\n".join(lines), language="diff")
    return section


def _together(
    survivors: Iterable[Mutant], reasons: dict[Mutant, str]
) -> dict[tuple[str, str, str], list[str]]:
    """Gather what becomes of each line for the same reason; only what is gone has none."""
    together: dict[tuple[str, str, str], list[str]] = {}
    for each in survivors:
        reason = reasons.get(each, "gone since this run")
        together.setdefault((each.function, each.was, reason), []).append(each.becomes)
    return together


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive ``mutants``."""
    app.add_directive("mutants", MutantsDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
