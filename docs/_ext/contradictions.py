"""Contradictions between reports: the same question, measured in each report's own setting."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from docutils import nodes
from matplotlib.ticker import MaxNLocator
from sphinx.util.docutils import SphinxDirective

from _ext.chips import chip
from _ext.pictures import picture
from _ext.runs import records_of
from _ext.style import canvas, styled
from experiments.catalog import study
from experiments.quantities import (
    at_epoch,
    at_lowest_test_loss,
    at_lowest_validation_loss,
    at_the_end,
    difference,
    formatted,
    formatted_range,
)
from experiments.reporting import how_to_run
from experiments.statistics import mean_interval
from experiments.verdicts import on_one_device

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

    from experiments.figures import Palette
    from experiments.quantities import Quantity
    from experiments.statistics import Interval


@dataclass(frozen=True)
class Side:
    """What one report says on the question.

    Parameters
    ----------
    report
        Its id, which is also the name of its study.
    what
        What is measured, for people.
    quantity
        What is measured: a test accuracy, or a difference of two.
    claimed
        What the report says of it, for people.
    reported
        The report's number, if it gives one; a fraction of 1.
    """

    report: str
    what: str
    quantity: Quantity
    claimed: str
    reported: float | None = None


@dataclass(frozen=True)
class Measurement:
    """One side under one completion of its report.

    Parameters
    ----------
    side, completion
        What was measured, and under which completion.
    values
        One for each seed with every run; NaN where a run diverged.
    missing
        The recipes without a record.
    """

    side: Side
    completion: str
    values: tuple[float, ...]
    missing: tuple[str, ...]

    @property
    def known(self) -> bool:
        """Whether there is something to draw."""
        return bool(self.values) and all(math.isfinite(value) for value in self.values)

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return float(np.mean(self.values))

    @property
    def interval(self) -> Interval | None:
        """95 % t-interval of the mean; None for fewer than two seeds."""
        return mean_interval(self.values)

    @property
    def label(self) -> str:
        """Report, completion and what is measured."""
        return f"{self.side.report}, {self.completion}: {self.side.what}"

    def __str__(self) -> str:
        unit = self.side.quantity.unit
        if not self.values:
            return "not run"
        if not self.known:
            lost = sum(math.isnan(value) for value in self.values)
            return f"the loss diverged for {lost} of {len(self.values)} seeds"
        mean, seeds = formatted(self.mean, unit), len(self.values)
        if self.interval is None:
            return f"{mean} (one seed)"
        place = formatted_range(self.interval.low, self.interval.high, unit)
        return f"{mean} ({place}, {seeds} seeds)"


def _early_stopped(role: str) -> Quantity:
    return at_lowest_validation_loss("test_accuracy", role)


def _best_of(epochs: int, role: str) -> Quantity:
    return at_lowest_test_loss("test_accuracy", role, epochs)


def _after_20(role: str) -> Quantity:
    return at_epoch("test_accuracy", role, 20)


def _at_the_end(role: str) -> Quantity:
    return at_the_end("test_accuracy", role)


CONTRADICTIONS: dict[str, tuple[Side, ...]] = {
    "batch-normalisation": (
        Side(
            "assignment-3",
            "with − without it",
            difference(_early_stopped("batch-norm"), _early_stopped("task-2")),
            "slightly higher",
        ),
        Side(
            "tp1-cnn",
            "with − without it, on the last rung",
            difference(_after_20("batch-norm"), _after_20("dropout")),
            "78 % instead of 80.22 %",
            0.78 - 0.8022,
        ),
    ),
    "depth": (
        Side(
            "nn4i-2023-a1",
            "four stages − one",
            difference(_best_of(8, "stages-4"), _best_of(8, "stages-1")),
            "higher",
        ),
        Side(
            "nn4i-2023-a1",
            "blocks of three convolutions − of one",
            difference(_best_of(5, "block-3x3"), _best_of(5, "block-3x1")),
            "higher",
        ),
        Side(
            "assignment-3",
            "stages of two convolutions − of one",
            difference(_early_stopped("double-conv"), _early_stopped("task-2")),
            "not higher",
        ),
    ),
    "linear": (
        Side(
            "nni-2023-ex1",
            "with − without nonlinearities",
            difference(_after_20("filters-20-lr-0.001"), _after_20("linear-20")),
            "70 % and 37 %",
            0.70 - 0.37,
        ),
        Side(
            "nn4i-2023-a1",
            "with − without nonlinearities",
            difference(_best_of(5, "block-3x3"), _best_of(5, "linear-large")),
            "a 15 % drop",
            0.15,
        ),
        Side(
            "mnist-2017",
            "with − without nonlinearities (MNIST)",
            difference(_at_the_end("baseline"), _at_the_end("linear")),
            "higher",
        ),
    ),
    "size": (
        Side(
            "mnist-2017",
            "3,274,634 − 963,438 parameters, 250 examples",
            difference(_at_the_end("examples-250"), _at_the_end("reduced-250")),
            "88.95 % and 90.6 %",
            0.8895 - 0.906,
        ),
        Side(
            "nn4i-2023-a1",
            "1,147,466 − 288,554 parameters, 50,000 examples",
            difference(_best_of(8, "stages-3"), _best_of(8, "stages-3-narrow")),
            "a small improvement",
        ),
    ),
    "sixty-thousand": (
        Side(
            "nn4i-2023-a1",
            "one convolution, 61,618 parameters",
            _best_of(8, "conv-fc"),
            "very poor, for so few parameters",
        ),
        Side(
            "nn4i-2023-a1",
            "two convolutions, 46,590 parameters",
            _best_of(8, "fewer-parameters"),
            "nothing, for it is the network of nni-2023-ex1",
        ),
        Side(
            "nni-2023-ex1",
            "two convolutions, 46,590 parameters",
            _after_20("filters-20-lr-0.001"),
            "70 %",
            0.70,
        ),
        Side(
            "nni-2023-ex1",
            "one convolution, 158,330 parameters",
            at_epoch("test_accuracy", "conv-fc", 30),
            "worse than two convolutions",
        ),
    ),
}


def measurements(sides: tuple[Side, ...], store: Path) -> list[Measurement]:
    """Measure every side under every completion of its report, as far as there are records.

    Raises
    ------
    sphinx.errors.ExtensionError
        If a record cannot be read, or is stale.
    """
    return [
        _measured(side, completion, store)
        for side in sides
        for completion in study(side.report).completions
    ]


def _measured(side: Side, completion: str, store: Path) -> Measurement:
    every = records_of(side.report, store)
    records = {role: every[f"{role}.{completion}"] for role in side.quantity.reads}
    missing = tuple(f"{role}.{completion}" for role in records if not records[role])
    values = () if missing else tuple(side.quantity.values(on_one_device(records)).values())
    return Measurement(side, completion, values, missing)


@styled
def draw(palette: Palette, measured: list[Measurement]) -> Figure:
    """Draw a row for each measurement: seeds, mean, interval, and the report's number."""
    reports = list(dict.fromkeys(each.side.report for each in measured))
    figure = canvas(1.0 + 0.42 * len(measured))
    axes = figure.subplots()
    for row, each in enumerate(measured):
        _draw_row(axes, row, each, palette, palette.colors[reports.index(each.side.report)])
    is_difference = measured[0].side.quantity.unit == "points"
    if is_difference:
        axes.axvline(0, color=palette.ink, linewidth=0.8)
    axes.set_yticks(range(len(measured)), [each.label.replace(": ", ":\n") for each in measured])
    axes.set(
        xlabel="difference of test accuracies (points)" if is_difference else "test accuracy (%)",
        ylim=(len(measured) - 0.5, -0.5),
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="x")
    return figure


def _draw_row(axes: Axes, row: int, each: Measurement, palette: Palette, color: str) -> None:
    reported = each.side.reported
    if reported is not None:
        axes.vlines(100 * reported, row - 0.35, row + 0.35, color=palette.ink, linewidth=2)
    if not each.known:
        place = axes.get_yaxis_transform()
        note = axes.text(0.99, row, str(each), transform=place, ha="right", va="center")
        note.set_backgroundcolor(palette.paper)
        return
    values = [100 * value for value in each.values]
    axes.plot(values, [row] * len(values), ".", color=color, alpha=0.5)
    error = None if each.interval is None else 100 * each.interval.half_width
    axes.errorbar(100 * each.mean, row, xerr=error, color=color, marker="o", capsize=3)


class ContradictionDirective(SphinxDirective):
    """Show what each report says on a question, what was measured, and what is missing."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        name = self.arguments[0]
        if name not in CONTRADICTIONS:
            raise self.error(f"no contradiction {name!r}; known: {', '.join(CONTRADICTIONS)}")
        store = Path(self.config.convlaws_records)
        measured = measurements(CONTRADICTIONS[name], store)
        shown: list[nodes.Node] = []
        if any(each.known for each in measured):
            alt = " ".join(f"{each.label}: {each}." for each in measured)
            shown.append(picture(self.env, f"contradiction-{name}", draw(measured), alt))
        shown.append(_list(measured))
        for report in dict.fromkeys(each.side.report for each in measured):
            missing = [
                recipe for each in measured if each.side.report == report for recipe in each.missing
            ]
            if missing:
                shown.append(_missing(report, missing, store))
        return shown


def _list(measured: list[Measurement]) -> nodes.bullet_list:
    items = nodes.bullet_list()
    for each in measured:
        paragraph = nodes.paragraph("", f"{each.label}: claimed {each.side.claimed}; ")
        paragraph += nodes.strong("", str(each))
        paragraph += nodes.Text(".")
        items += nodes.list_item("", paragraph)
    return items


def _missing(report: str, recipes: list[str], store: Path) -> nodes.paragraph:
    names = ", ".join(dict.fromkeys(recipes))
    paragraph = nodes.paragraph("", "", chip("not_run"), nodes.Text(f" {names}; "))
    paragraph += nodes.literal("", how_to_run(study(report), store))
    paragraph += nodes.Text(" runs what is missing.")
    return paragraph


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive ``contradiction``; the folder of the records is that of the site."""
    app.setup_extension("_ext.measurements")
    app.add_directive("contradiction", ContradictionDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
