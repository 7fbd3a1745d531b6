"""Measurements on a page: tables of measured against reported, and facts of the runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from docutils import nodes

from _ext.chips import chip, opening
from _ext.runs import runs_of, verdicts_of
from _ext.study_directive import StudyDirective, not_run, told_commands
from _ext.tables import Cell, spanning, table
from experiments.records import DEFAULT_STORE
from experiments.reporting import measured_text
from experiments.statements import FEWEST_SEEDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

    from experiments.findings import Finding
    from experiments.records import Record
    from experiments.study import Study


class MissingDirective(StudyDirective):
    """Say which recipes have no record, and how many seeds the others have at least.

    The page goes on with the command that runs what is missing.
    """

    def show(self, study: Study) -> list[nodes.Node]:
        runs = runs_of(study.name, self.store)
        waiting = [name for name in study.on_request if not runs[name]]
        asked_for = [recipe.name for recipe in study.recipes if recipe.name not in waiting]
        missing = [name for name in asked_for if not runs[name]]
        if missing:
            names = ", ".join(missing)
            what = f"{len(missing)} of {len(asked_for)} recipes: {names}"
            told_commands(self.env).add(study.name)
            told = not_run(self.env, study, what, self.store)
        else:
            told = nodes.paragraph("", _seeds_told({name: len(runs[name]) for name in asked_for}))
        return [told, *self.on_request(study, waiting)]


def _seeds_told(counts: dict[str, int]) -> str:
    """Say with how many seeds every recipe was run, and which with too few for a verdict."""
    few = [f"{name} ({count})" for name, count in counts.items() if count < FEWEST_SEEDS]
    if few:
        takes = f"these with fewer seeds than the {FEWEST_SEEDS} that a verdict takes"
        return f"Every recipe was run, {takes}: {', '.join(few)}."
    return f"Every recipe was run, with at least {min(counts.values())} seeds."


class CompletionsDirective(StudyDirective):
    """Show each claim's verdict under each completion, where there are several, and as a whole.

    A completion that the report rules out does not apply. A claim's name leads to its parts, where
    the page has a `measured` table.
    """

    def show(self, study: Study) -> list[nodes.Node]:
        completions = list(study.completions) if len(study.completions) > 1 else []
        rows: list[list[Cell]] = []
        for verdict in verdicts_of(study.name, self.store):
            by_completion = verdict.by_completion
            chips: list[Cell] = [
                chip(by_completion[each]) if each in by_completion else "does not apply"
                for each in completions
            ]
            name = nodes.literal("", verdict.claim.removeprefix(f"{study.name}-"))
            link = nodes.reference(
                "", "", name, refid=measured_anchor(verdict.claim), internal=True
            )
            rows.append([link, *chips, chip(verdict.verdict)])
        return [table(["claim", *completions, "claim as a whole"], rows)]


class MeasuredDirective(StudyDirective):
    """Show every part of every claim: what was measured, what was reported, and the verdict."""

    def show(self, study: Study) -> list[nodes.Node]:
        shown: list[nodes.Node] = []
        for verdict in verdicts_of(study.name, self.store):
            head = nodes.paragraph("", "", chip(verdict.verdict), nodes.Text(" "))
            anchor = measured_anchor(verdict.claim)
            head["ids"].append(anchor)
            domain = self.env.domains.standard_domain
            domain.note_hyperlink_target(anchor, self.env.docname, anchor, verdict.claim)
            head += nodes.literal("", verdict.claim)
            shown += [head, nodes.paragraph("", verdict.sentence)]
            needs = [each for each in verdict.findings if each.need]
            if needs:
                shown.append(nodes.paragraph("", f"{needs[0].quantity}: {verdict.reason}."))
            measured = [each for each in verdict.findings if each not in needs]
            if measured:
                shown.append(_measured(measured, len(study.completions_of(verdict.claim))))
        return shown


class RunsDirective(StudyDirective):
    """Show what was run: seeds, parameters, wall time and machine of every recipe."""

    def show(self, study: Study) -> list[nodes.Node]:
        rows: list[list[Cell]] = []
        every: list[Record] = []
        for recipe in study.recipes:
            records = list(runs_of(study.name, self.store)[recipe.name].values())
            every += records
            rows.append([nodes.literal("", recipe.name), *_facts(records)])
        columns = ["recipe", "seeds", "parameters", "minutes a run", "device", "threads"]
        shown: list[nodes.Node] = [table(columns, rows, classes=["runs"])]
        if every:
            shown.insert(0, provenance(every))
        return shown


def _measured(findings: Sequence[Finding], completions: int) -> nodes.container:
    """Return the table of a claim's findings: a group of rows a quantity, a row a completion."""
    columns = {
        "seeds": [str(len(finding.measurement.seeds)) for finding in findings],
        "mean ± seeds ± test set": [measured_text(finding) for finding in findings],
        "next run": [finding.next_run for finding in findings],
        "claimed": [finding.statement.expected for finding in findings],
    }
    columns = {name: cells for name, cells in columns.items() if any(cells)}
    rows: list[list[Cell]] = []
    for index, finding in enumerate(findings):
        verdict = opening("late" if finding.fits_late else finding.verdict, finding.reason)
        first = [spanning(finding.what, completions)] if index % completions == 0 else []
        cells = [column[index] for column in columns.values()]
        rows.append([*first, finding.completion, verdict, *cells])
    return table(["measured", "under", "verdict", *columns], rows, classes=["measured"])


def measured_anchor(claim: str) -> str:
    """Return what links to the measured parts of a claim lead to."""
    return f"measured-{claim}"


def _facts(records: list[Record]) -> list[Cell]:
    if not records:
        return [chip("not_run"), "", "", "", ""]
    minutes = np.mean([record.provenance["wall_seconds"] for record in records]) / 60
    threads = sorted({record.provenance["threads"] for record in records})
    return [
        str(len(records)),
        f"{records[0].parameters:,}",
        f"{minutes:.1f}",
        ", ".join(sorted({record.device for record in records})),
        ", ".join(map(str, threads)),
    ]


def provenance(records: Sequence[Record]) -> nodes.paragraph:
    """Say how long these runs took, on what, and with which versions."""

    def distinct(key: str) -> str:
        return ", ".join(sorted({str(record.provenance[key]) for record in records}))

    hours = sum(record.provenance["wall_seconds"] for record in records) / 3600
    return nodes.paragraph(
        "",
        f"{len(records)} runs, {hours:.1f} hours in sum, on {distinct('hardware')}, with Python "
        f"{distinct('python')}, torch {distinct('torch')} and numpy {distinct('numpy')}, "
        f"trained in {', '.join(sorted({record.recipe.precision for record in records}))}.",
    )


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the folder of the records, and every directive that shows what is in it."""
    app.add_config_value("convlaws_records", str(DEFAULT_STORE), "env")
    app.setup_extension("_ext.run_pictures")
    app.add_directive("missing-runs", MissingDirective)
    app.add_directive("completions", CompletionsDirective)
    app.add_directive("measured", MeasuredDirective)
    app.add_directive("runs", RunsDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
