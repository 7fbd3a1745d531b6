"""Gallery: every figure of a study, drawn from its records into a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from experiments.errors import InputError
from experiments.figures.plots import (
    MOST_LABELS,
    draw_curves,
    draw_final_accuracies,
    draw_measured_against_reported,
)
from experiments.figures.theme import save
from experiments.records import by_seed
from experiments.verdicts import judge

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from experiments.records import Record
    from experiments.study import Study


def write_figures(study: Study, records: Iterable[Record], folder: Path) -> list[Path]:
    """Write the figures of a study, each in a light and a dark form, and return their paths.

    ``curves-<completion>-<n>``
        Loss and accuracy of the roles over the epochs, as many roles a figure as have colours.
    ``accuracies``
        Test accuracy of every role under every completion, after the last epoch.
    ``reported``
        Every reported accuracy against what was measured.

    What has no records is not drawn, and a study without any has no figure.

    Parameters
    ----------
    study
        The study.
    records
        Records of the study, of which one for each seed counts
        (:func:`experiments.records.selection.by_seed`).
    folder
        Is made where it is not there.

    Raises
    ------
    ValueError
        If the records come from different versions of one data set, or the folder cannot be
        written.
    """
    records = list(records)
    chosen = by_seed(records, study.recipes)
    runs = {
        role: {name: list(chosen[f"{role}.{name}"].values()) for name in study.completions}
        for role in study.roles
    }
    trained = {  # a recipe without epochs, or a run that diverged in the first, has no curve
        role: {
            name: [run for run in each if run.curves.test_loss] for name, each in by_name.items()
        }
        for role, by_name in runs.items()
    }
    drawings = {}
    for name in study.completions:
        roles = [role for role in study.roles if trained[role][name]]
        for start in range(0, len(roles), MOST_LABELS):
            part = {role: trained[role][name] for role in roles[start : start + MOST_LABELS]}
            number = start // MOST_LABELS + 1
            drawings[f"curves-{name}-{number}"] = draw_curves(part)
    rows = {role: by_name for role, by_name in trained.items() if any(by_name.values())}
    if rows:
        drawings["accuracies"] = draw_final_accuracies(rows)
    findings = [each for verdict in judge(study, records) for each in verdict.findings]
    if any(
        each.quantity.unit == "accuracy" and each.statement.reported and each.interval
        for each in findings
    ):
        drawings["reported"] = draw_measured_against_reported(findings, list(study.completions))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [path for name, drawn in drawings.items() for path in save(drawn, folder / name)]
    except OSError as error:
        raise InputError(
            f"cannot write figures to {folder}: {error.strerror}; name another folder"
        ) from error
