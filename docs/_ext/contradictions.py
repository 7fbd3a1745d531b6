"""Differences on a page: questions on which reports contradict each other, and single changes."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from docutils import nodes
from matplotlib.ticker import MaxNLocator
from sphinx.util.docutils import SphinxDirective

from _ext.pictures import picture
from _ext.questions import CHANGES, CONTRADICTIONS
from _ext.runs import records_of
from _ext.study_directive import not_run
from _ext.style import canvas, styled
from _ext.tables import Cell, minus, spanning, table
from experiments.catalog import study
from experiments.figures import WIDE
from experiments.quantities import formatted, formatted_range
from experiments.records import on_one_device
from experiments.statements import Reported
from experiments.statistics import mean_interval

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

    from _ext.questions import Contradiction, Side
    from experiments.figures import Palette
    from experiments.statistics import Interval


@dataclass(frozen=True)
class Measurement:
    """One side under one completion of its report.

    Parameters
    ----------
    side, completion
        What was measured, and under which completion, for people.
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


def conclusion(asked: Contradiction, measured: list[Measurement]) -> str:
    """Say what the measured differences decide, setting by setting, and whether that settles it.

    Parameters
    ----------
    asked
        The question.
    measured
        The differences that decide it.
    """
    unclear, still_open = "neither sign is ruled out", "runs are missing or lost"
    places: dict[str, list[str]] = {asked.above: [], asked.below: [], unclear: [], still_open: []}
    for each in measured:
        interval = each.interval if each.known else None
        told = unclear
        if interval is None:
            told = still_open
        elif interval.low > 0:
            told = asked.above
        elif interval.high < 0:
            told = asked.below
        alike = [other.side.what for other in measured if other.side.report == each.side.report]
        what = f": {each.side.what}" if len(set(alike)) > 1 else ""
        places[told].append(f"{each.side.report} ({each.completion}{what})")
    parts = "; ".join(f"{told} in {', '.join(where)}" for told, where in places.items() if where)
    if places[asked.above] and places[asked.below]:
        verdict = "Both stand, each where it was measured."
    elif places[still_open] or places[unclear]:
        verdict = "The question stays open."
    else:
        verdict = "Nothing that was measured points the other way."
    return f"{parts[:1].upper()}{parts[1:]}. {verdict}"


_PLACES = {
    "reproduced": "inside the range of one further run under",
    "not_reproduced": "outside the range of one further run under",
    "undecided": "in a range too wide to confirm it under",
}


def sizes(measured: list[Measurement]) -> str:
    """Say where the differences that reports give lie among runs; empty where none gives any.

    Each is judged as a number that a claim reports, and has a sentence.
    """
    places: dict[str, dict[str, list[str]]] = {}
    for each in measured:
        side = each.side
        if side.reported is None:
            continue
        statement = Reported(side.report, side.quantity, side.reported, side.half_unit)
        number = f"{side.report} gives {statement.expected}"
        under = places.setdefault(number, {how: [] for how in _PLACES.values()})
        # On a difference, the size of the test set has no bearing.
        judgement = statement.judge(each.values, test_images=0, grid=side.quantity.grid)
        if (run := judgement.interval) is not None:
            place = formatted_range(run.low, run.high, side.quantity.unit)
            under[_PLACES[judgement.verdict]].append(f"{each.completion} ({place})")
    told = []
    for number, under in places.items():
        hows = [f"{how} {', '.join(of)}" for how, of in under.items() if of]
        how = f"which lies {', and '.join(hows)}" if hows else "with too few runs to tell"
        told.append(f"{number}, {how}.")
    return " ".join(told)


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
    # "Adam at learning rate 0.001" would leave a picture's label no room.
    short = study(side.report).completions[completion].partition(" at ")[0]
    return Measurement(side, short, values, missing)


@styled
def draw(palette: Palette, measured: list[Measurement], width: float = WIDE) -> Figure:
    """Draw a row for each measurement: seeds, mean, interval, and the report's number."""
    reports = list(dict.fromkeys(each.side.report for each in measured))
    labels = _row_labels(measured, width)
    lines = max(label.count("\n") for label in labels) + 1
    figure = canvas(1.0 + (0.08 + 0.17 * lines) * len(measured), width)
    axes = figure.subplots()
    for row, each in enumerate(measured):
        _draw_row(axes, row, each, palette, palette.colors[reports.index(each.side.report)])
    is_difference = measured[0].side.quantity.unit == "points"
    if is_difference:
        axes.axvline(0, color=palette.ink, linewidth=0.8)
    axes.set_yticks(range(len(measured)), labels)
    label = "difference of test accuracies (points)" if is_difference else "test accuracy (%)"
    axes.set(
        xlabel=label if width >= WIDE else label.replace("test ", "test\n"),
        ylim=(len(measured) - 0.5, -0.5),
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="x")
    return figure


def _row_labels(measured: list[Measurement], width: float) -> list[str]:
    """Name the rows in lines that leave a figure room for them.

    What every row would say alike, report and completion, is left out.
    """
    alike = len({(each.side.report, each.completion) for each in measured}) == 1
    names = [each.side.what if alike else each.label for each in measured]
    letters = 60 if width >= WIDE else 22
    return [
        "\n".join(
            line
            for part in name.replace(": ", ":\n").split("\n")
            for line in textwrap.wrap(part, letters, break_on_hyphens=False)
        )
        for name in names
    ]


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


class _SidesDirective(SphinxDirective):
    """Show what is said on each side, what was measured, and what is missing."""

    required_arguments = 1
    kind: ClassVar[str]
    known: ClassVar[Iterable[str]]

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        name = self.arguments[0]
        if name not in self.known:
            raise self.error(f"no {self.kind} {name!r}; known: {', '.join(self.known)}")
        store = Path(self.config.convlaws_records)
        sides, told = self.asked(name, store)
        measured = measurements(sides, store)
        shown: list[nodes.Node] = []
        if any(each.known for each in measured):
            alt = " ".join(f"{each.label}: {each}." for each in measured)
            shown.append(picture(self.env, f"{self.kind}-{name}", partial(draw, measured), alt))
        shown += [_table(measured), *told]
        for report in dict.fromkeys(each.side.report for each in measured):
            missing = [
                recipe for each in measured if each.side.report == report for recipe in each.missing
            ]
            if missing:
                names = ", ".join(dict.fromkeys(missing))
                shown.append(not_run(self.env, study(report), names, store))
        return shown

    def asked(self, name: str, store: Path) -> tuple[tuple[Side, ...], list[nodes.Node]]:
        """Return the sides, and what they say together."""
        raise NotImplementedError


class ContradictionDirective(_SidesDirective):
    """Show a question on which reports contradict each other, and what was measured concludes."""

    kind = "contradiction"
    known = CONTRADICTIONS

    def asked(self, name: str, store: Path) -> tuple[tuple[Side, ...], list[nodes.Node]]:
        asked = CONTRADICTIONS[name]
        measured = measurements(asked.decides or asked.sides, store)
        told = [conclusion(asked, measured), sizes(measured)]
        return asked.sides, [nodes.paragraph("", minus(text)) for text in told if text]


class ChangesDirective(_SidesDirective):
    """Show what each change to the network of a report does."""

    kind = "changes"
    known = CHANGES

    def asked(self, name: str, store: Path) -> tuple[tuple[Side, ...], list[nodes.Node]]:
        return CHANGES[name], []


def _table(measured: list[Measurement]) -> nodes.container:
    """Return the table of a question: a group of rows a side, a row a completion."""
    rows: list[list[Cell]] = []
    for each in measured:
        side, alike = each.side, [other for other in measured if other.side is each.side]
        first = [
            spanning(text, len(alike))
            for text in (f"{side.report}: {side.what}", side.quantity.where, side.claimed)
            if each is alike[0]
        ]
        rows.append([*first, each.completion, nodes.strong("", minus(str(each)))])
    head = ["setting", f"{measured[0].side.quantity.what} of", "claimed", "under", "measured"]
    return table(head, rows, classes=["sides"])


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register ``contradiction`` and ``changes``; the folder of the records is that of the site."""
    app.setup_extension("_ext.measurements")
    app.add_directive("contradiction", ContradictionDirective)
    app.add_directive("changes", ChangesDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
