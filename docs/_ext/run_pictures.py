"""Pictures of the runs of a study: curves, last accuracies, measured against reported."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from docutils import nodes
from docutils.parsers.rst import directives

from _ext.pictures import picture
from _ext.runs import verdicts_of
from _ext.study_directive import StudyDirective, not_run
from experiments.figures import (
    draw_curves,
    draw_final_accuracies,
    draw_measured_against_reported,
)
from experiments.quantities import formatted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

    from experiments.records import Record
    from experiments.study import Study


class _PictureDirective(StudyDirective):
    """A picture of some roles, and a word on those that it cannot show."""

    def worth_drawing(self, runs: Iterable[str]) -> bool:
        """Whether roles were run, and not only the one that the others are compared with."""
        return any(role != self.options.get("reference") for role in runs)

    def is_news(self, name: str) -> bool:
        """Whether no other picture beside this one, in its section or tab, lacked the recipe."""
        lacked = self.env.temp_data.setdefault("convlaws:lacked", set())
        assert isinstance(lacked, set)
        known = (self.state.inliner.parent, name) in lacked
        lacked.add((self.state.inliner.parent, name))
        return not known

    def not_drawn(self, study: Study, every: Mapping[str, Sequence[Record]]) -> list[nodes.Node]:
        """Name the recipes without a record, and those that were lost in their first epoch."""
        shown: list[nodes.Node] = []
        absent = [name for name, records in every.items() if not records]
        absent = [name for name in absent if self.is_news(name)]
        if missing := [name for name in absent if name not in study.on_request]:
            shown.append(not_run(self.env, study, ", ".join(missing), self.store))
        shown += self.on_request(study, absent)
        lost = [name for name, records in every.items() if records and not _trained(records)]
        if lost:
            text = f"The loss of {', '.join(lost)} diverged in the first epoch."
            shown.append(nodes.paragraph("", text))
        return shown


class CurvesDirective(_PictureDirective):
    """Draw the curves of some roles under one completion."""

    option_spec: ClassVar = {
        "roles": directives.unchanged_required,
        "reference": directives.unchanged_required,
        "completion": directives.unchanged_required,
    }

    def show(self, study: Study) -> list[nodes.Node]:
        completion, roles = self.options["completion"], self.options["roles"].split()
        every = {role: self.records(study, role, completion) for role in roles}
        runs = {role: _trained(records) for role, records in every.items() if _trained(records)}
        shown: list[nodes.Node] = []
        if self.worth_drawing(runs):
            name = "-".join(("curves", study.name, *roles, completion)).replace(".", "_")
            alt = f"Curves of loss and accuracy under {study.completions[completion]}. " + " ".join(
                _described(role, records) for role, records in runs.items()
            )
            figure = picture(self.env, name, partial(draw_curves, runs), alt)
            figure += nodes.caption("", f"{study.completions[completion]}: {_seeds(runs)}.")
            shown.append(figure)
        names = {f"{role}.{completion}": records for role, records in every.items()}
        return shown + self.not_drawn(study, names)


class FinalAccuraciesDirective(_PictureDirective):
    """Draw the test accuracies of some roles after an epoch, by default the last, a row each."""

    option_spec: ClassVar = {
        "roles": directives.unchanged_required,
        "reference": directives.unchanged_required,
        "epoch": directives.positive_int,
    }

    def show(self, study: Study) -> list[nodes.Node]:
        roles = self.options["roles"].split()
        every = {
            f"{role}.{name}": self.records(study, role, name)
            for role in roles
            for name in study.completions
        }
        runs = {name: _trained(records) for name, records in every.items() if _trained(records)}
        shown: list[nodes.Node] = []
        rows = {
            role: {name: runs.get(f"{role}.{name}", []) for name in study.completions}
            for role in roles
        }
        rows = {role: each for role, each in rows.items() if any(each.values())}
        if self.worth_drawing(rows):
            name = "-".join(("accuracies", study.name, *roles)).replace(".", "_")
            epoch = self.options.get("epoch")
            alt = "Test accuracies. " + " ".join(
                _described(name, records, epoch) for name, records in runs.items()
            )
            figure = picture(self.env, name, partial(draw_final_accuracies, rows, epoch), alt)
            figure += nodes.caption("", _FINAL)
            shown.append(figure)
        return shown + self.not_drawn(study, every)


class ReportedFigureDirective(StudyDirective):
    """Draw every reported accuracy against what was measured under each completion."""

    def show(self, study: Study) -> list[nodes.Node]:
        findings = [
            finding
            for verdict in verdicts_of(study.name, self.store)
            for finding in verdict.findings
        ]
        drawn = [
            (finding, finding.measurement.mean)
            for finding in findings
            if finding.quantity.unit == "accuracy"
            and finding.statement.reported
            and finding.interval
            and finding.measurement.mean is not None
        ]
        if not drawn:
            return [not_run(self.env, study, "error bars need two seeds", self.store)]
        alt = "Reported against measured accuracies. " + " ".join(
            f"{finding.quantity}, {finding.completion}: reported {finding.statement.expected}, "
            f"measured {formatted(measured, finding.quantity.unit)}."
            for finding, measured in drawn
        )
        name = f"reported-{study.name}"
        draw = partial(draw_measured_against_reported, findings, list(study.completions))
        return [picture(self.env, name, draw, alt)]


_FINAL = "A small point is a seed, a large one their mean with the 95 % t-interval of the mean."


def _trained(records: Sequence[Record]) -> list[Record]:
    """Return the records with a curve: of runs that lasted an epoch."""
    return [record for record in records if record.curves.test_loss]


def _described(role: str, records: list[Record], epoch: int | None = None) -> str:
    """Say in words where a role's curves are after an epoch, by default the last."""
    if any(record.diverged for record in records):
        return f"{role}: the loss diverged for at least one seed."
    last = -1 if epoch is None else epoch - 1
    train = np.mean([record.curves.train_accuracy[last] for record in records])
    test = np.mean([record.curves.test_accuracy[last] for record in records])
    lengths = sorted({epoch or len(record.curves.test_accuracy) for record in records})
    epochs = f"{lengths[0]} to {lengths[-1]}" if len(lengths) > 1 else str(lengths[0])
    return (
        f"{role}: after {epochs} epochs {formatted(float(train), 'accuracy')} train and "
        f"{formatted(float(test), 'accuracy')} test accuracy, "
        f"{f'mean of {len(records)} seeds' if len(records) > 1 else 'one seed'}."
    )


def _seeds(runs: dict[str, list[Record]]) -> str:
    return ", ".join(
        f"{role} ({len(records)} {'seed' if len(records) == 1 else 'seeds'})"
        for role, records in runs.items()
    )


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives."""
    app.add_directive("curves", CurvesDirective)
    app.add_directive("final-accuracies", FinalAccuraciesDirective)
    app.add_directive("reported-figure", ReportedFigureDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
