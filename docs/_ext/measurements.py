"""Measurements on a page: curves, tables of measured against reported, and facts of the runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from _ext.chips import chip
from _ext.pictures import picture
from _ext.runs import runs_of, verdicts_of
from _ext.tables import Cell, spanning, table
from experiments.catalog import study
from experiments.figures import draw_curves, draw_measured_against_reported
from experiments.quantities import formatted, formatted_range
from experiments.records import DEFAULT_STORE
from experiments.reporting import how_to_run
from theory.ledger import claims

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

    from experiments.records import Record
    from experiments.statistics import Interval
    from experiments.study import Study
    from experiments.verdicts import Finding


class _StudyDirective(SphinxDirective):
    """A directive whose argument names a study of the catalogue."""

    required_arguments = 1

    @property
    def store(self) -> Path:
        return Path(self.config.convlaws_records)

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        try:
            chosen = study(self.arguments[0])
        except ValueError as error:
            raise self.error(str(error)) from error
        return self.show(chosen)

    def show(self, study: Study) -> list[nodes.Node]:
        raise NotImplementedError

    def not_run(self, study: Study, what: str) -> nodes.paragraph:
        paragraph = nodes.paragraph("", "", chip("not_run"))
        paragraph += nodes.Text(f" {what}; ")
        paragraph += nodes.literal("", how_to_run(study, self.store))
        paragraph += nodes.Text(" runs what is missing.")
        return paragraph


class CurvesDirective(_StudyDirective):
    """Draw the curves of some roles under one completion."""

    option_spec: ClassVar = {
        "roles": directives.unchanged_required,
        "completion": directives.unchanged_required,
    }

    def show(self, study: Study) -> list[nodes.Node]:
        completion, roles = self.options["completion"], self.options["roles"].split()
        every = {role: runs_of(study.name, self.store)[f"{role}.{completion}"] for role in roles}
        runs = {role: list(records.values()) for role, records in every.items() if records}
        absent = [role for role in roles if role not in runs]
        shown: list[nodes.Node] = []
        if runs:
            name = "-".join(("curves", study.name, *roles, completion)).replace(".", "_")
            alt = f"Curves of loss and accuracy under {study.completions[completion]}. " + " ".join(
                _described(role, records) for role, records in runs.items()
            )
            figure = picture(self.env, name, lambda theme: draw_curves(runs, theme), alt)
            figure += nodes.caption("", f"{study.completions[completion]}: {_seeds(runs)}.")
            shown.append(figure)
        if absent:
            missing = ", ".join(f"{role}.{completion}" for role in absent)
            shown.append(self.not_run(study, missing))
        return shown


class ReportedFigureDirective(_StudyDirective):
    """Draw every reported accuracy against what was measured under each completion."""

    def show(self, study: Study) -> list[nodes.Node]:
        findings = [
            finding
            for verdict in verdicts_of(study.name, self.store)
            for finding in verdict.findings
        ]
        drawn = [
            finding
            for finding in findings
            if finding.unit == "accuracy" and finding.reported and finding.interval
        ]
        if not drawn:
            return [self.not_run(study, "error bars need two seeds")]
        alt = "Reported against measured accuracies. " + " ".join(
            f"{finding.quantity}, {finding.completion}: reported {finding.expected}, "
            f"measured {_value(finding)}."
            for finding in drawn
        )
        name = f"reported-{study.name}"
        return [
            picture(
                self.env, name, lambda theme: draw_measured_against_reported(findings, theme), alt
            )
        ]


class CompletionsDirective(_StudyDirective):
    """Show each claim's verdict under each completion, and over all of them."""

    def show(self, study: Study) -> list[nodes.Node]:
        rows: list[list[Cell]] = []
        for verdict in verdicts_of(study.name, self.store):
            by_completion = verdict.by_completion
            chips = [chip(by_completion[completion]) for completion in study.completions]
            name = nodes.literal("", verdict.claim.removeprefix(f"{study.name}-"))
            rows.append([name, *chips, chip(verdict.verdict)])
        return [table(["claim", *study.completions, "claim as a whole"], rows)]


class MeasuredDirective(_StudyDirective):
    """Show every part of every claim: what was measured, what was reported, and the verdict."""

    def show(self, study: Study) -> list[nodes.Node]:
        shown: list[nodes.Node] = []
        for verdict in verdicts_of(study.name, self.store):
            head = nodes.paragraph("", "", chip(verdict.verdict), nodes.Text(" "))
            head += nodes.literal("", verdict.claim)
            shown += [head, *_statement(verdict.claim)]
            shown.append(_measured(verdict.findings, len(study.completions)))
        return shown


class RunsDirective(_StudyDirective):
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
            shown.insert(0, _provenance(every))
        return shown


def _statement(claim: str) -> list[nodes.Node]:
    known = claims().get(claim)
    return [] if known is None else [nodes.paragraph("", known.statement)]


def _measured(findings: Sequence[Finding], completions: int) -> nodes.container:
    """Return the table of a claim's findings: a group of rows a quantity, a row a completion."""
    columns = {
        "seeds": [str(len(finding.seeds)) for finding in findings],
        "mean": [_value(finding) for finding in findings],
        "± seeds": [_half_width(finding, finding.seed_interval) for finding in findings],
        "± test set": [_half_width(finding, finding.test_set_interval) for finding in findings],
        "next run": [_next_run(finding) for finding in findings],
        "claimed": [finding.expected for finding in findings],
    }
    columns = {name: cells for name, cells in columns.items() if any(cells)}
    rows: list[list[Cell]] = []
    for index, finding in enumerate(findings):
        cells = [finding.completion, *(column[index] for column in columns.values())]
        first = [spanning(finding.quantity, completions)] if index % completions == 0 else []
        rows.append([*first, *cells, chip(finding.verdict)])
    return table(["measured", "under", *columns, "verdict"], rows, classes=["measured"])


def _half_width(finding: Finding, interval: Interval | None) -> str:
    if interval is None or finding.unit == "count":
        return ""
    return formatted(interval.half_width, finding.unit).lstrip("+")


def _next_run(finding: Finding) -> str:
    if finding.reported is None or finding.interval is None:
        return ""
    return formatted_range(finding.interval.low, finding.interval.high, finding.unit)


def _value(finding: Finding) -> str:
    return "–" if finding.measured is None else formatted(finding.measured, finding.unit)


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


def _provenance(records: list[Record]) -> nodes.paragraph:
    def distinct(key: str) -> str:
        return ", ".join(sorted({str(record.provenance[key]) for record in records}))

    hours = sum(record.provenance["wall_seconds"] for record in records) / 3600
    return nodes.paragraph(
        "",
        f"{len(records)} runs, {hours:.1f} hours in sum, on {distinct('hardware')}, with Python "
        f"{distinct('python')}, torch {distinct('torch')} and numpy {distinct('numpy')}, "
        f"trained in {', '.join(sorted({record.recipe.precision for record in records}))}.",
    )


def _described(role: str, records: list[Record]) -> str:
    """Say in words where a role's curves end."""
    if any(record.diverged for record in records):
        return f"{role}: the loss diverged for at least one seed."
    train = np.mean([record.curves.train_accuracy[-1] for record in records])
    test = np.mean([record.curves.test_accuracy[-1] for record in records])
    epochs = len(records[0].curves.test_accuracy)
    return (
        f"{role}: after {epochs} epochs {formatted(float(train), 'accuracy')} train and "
        f"{formatted(float(test), 'accuracy')} test accuracy, mean of {len(records)} seeds."
    )


def _seeds(runs: dict[str, list[Record]]) -> str:
    return ", ".join(
        f"{role} ({len(records)} {'seed' if len(records) == 1 else 'seeds'})"
        for role, records in runs.items()
    )


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the folder of the records, and the directives that show what is in it."""
    app.add_config_value("convlaws_records", str(DEFAULT_STORE), "env")
    app.add_directive("curves", CurvesDirective)
    app.add_directive("reported-figure", ReportedFigureDirective)
    app.add_directive("completions", CompletionsDirective)
    app.add_directive("measured", MeasuredDirective)
    app.add_directive("runs", RunsDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
