"""Figures from records and findings."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from experiments.errors import InputError
from experiments.figures.keys import key_below
from experiments.figures.theme import WIDE, Palette, style
from experiments.statistics import mean_interval

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from jaxtyping import Float
    from matplotlib.axes import Axes

    from experiments.findings import Finding
    from experiments.quantities import Metric
    from experiments.records import Record


MOST_LABELS = 5
"""How many labels have colours of their own in one figure."""


_MARKERS = "osD^v"
_SMALL = 4
_SPIKE = 3
"""How many times the highest median loss over seeds a seed's may be, and still be on the scale."""


def draw_curves(runs: Mapping[str, Sequence[Record]], width: float = WIDE) -> Figure:
    """Draw loss and accuracy over the epochs: mean over seeds, and a band from least to greatest.

    Labels are told apart by colour and, on the test set's curves, by marker.

    Parameters
    ----------
    runs
        For each label the records of its seeds. Curves end where the first of them diverged.
    width
        In inches. Loss and accuracy stand side by side if they have room.

    Raises
    ------
    ValueError
        If there are more labels than colours, or a label has no records.
    """
    with style() as palette:
        colors = _colors(runs, palette)
        rows = 1 if width >= WIDE else 2
        figure = Figure(figsize=(width, 2.9 * rows), layout="constrained")
        loss, accuracy = figure.subplots(rows, 2 // rows)
        for (label, records), color, marker in zip(runs.items(), colors, _MARKERS, strict=False):
            if not records:
                raise InputError(f"no records to draw for {label!r}")
            _band(loss, records, "train_loss", color, 1)
            _band(loss, records, "test_loss", color, 1, marker)
            _band(accuracy, records, "train_accuracy", color, 100)
            _band(accuracy, records, "test_accuracy", color, 100, marker)
        loss.set(xlabel="epoch", ylabel="cross-entropy (nats)", ylim=(0, None))
        _leave_out_a_spike(loss, runs.values())
        accuracy.set(xlabel="epoch", ylabel="accuracy (%)")
        for axes in (loss, accuracy):
            axes.grid()
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        keys = [
            Line2D([], [], color=color, marker=marker, markersize=_SMALL, label=label)
            for label, color, marker in zip(runs, colors, _MARKERS, strict=False)
        ]
        keys += [
            Line2D([], [], color=palette.ink, linestyle="-", label="test"),
            Line2D([], [], color=palette.ink, linestyle="--", label="train"),
        ]
        key_below(figure, keys)
    return figure


def draw_measured_against_reported(
    findings: Sequence[Finding], completions: Sequence[str], width: float = WIDE
) -> Figure:
    """Draw each reported accuracy against what was measured under each completion.

    A point is the mean over seeds, a bar the prediction interval for one further run. The reported
    number is a line in a band of what is rounded to it. Findings without a reported accuracy or
    without an interval are left out.

    Parameters
    ----------
    findings
        The findings of a study, as in :func:`experiments.verdicts.judge`.
    completions
        The completions of the study, in the order of their colours.
    width
        In inches.
    """
    rows: list[tuple[str, float, float]] = []
    drawn: set[str] = set()
    with style() as palette:
        colors = _colors(completions, palette)
        figure = Figure(layout="constrained")
        axes = figure.subplots()
        for finding in (finding for finding in findings if finding.quantity.unit == "accuracy"):
            statement, measured = finding.statement, finding.measurement.mean
            reported, interval = statement.reported, finding.interval
            if reported is None or measured is None or interval is None:
                continue
            row = (str(finding.quantity), reported, statement.rounding)
            if row not in rows:
                rows.append(row)
            index = completions.index(finding.completion)
            drawn.add(finding.completion)
            place = rows.index(row) + _offset(index, len(completions))
            axes.errorbar(  # by itself, for a mean may lie outside of what ranks predict
                50 * (interval.low + interval.high),
                place,
                xerr=100 * interval.half_width,
                fmt="none",
                ecolor=colors[index],
                capsize=3,
            )
            axes.plot(100 * measured, place, color=colors[index], marker=_MARKERS[index])
        for index, (_, reported, rounding) in enumerate(rows):
            low, high = (100 * (reported + sign * rounding) for sign in (-1, 1))
            height = (index - 0.4, index + 0.4)
            axes.fill_betweenx(height, low, high, color=palette.ink, alpha=0.25, linewidth=0)
            axes.vlines(100 * reported, *height, color=palette.ink, linewidth=1.5)
        names = [_in_lines(what, width) for what, *_ in rows]
        axes.set_yticks(range(len(rows)), names)
        axes.set(xlabel="accuracy (%)", ylim=(len(rows) - 0.5, -0.5))
        axes.grid(axis="x")
        keys = [
            Line2D([], [], color=color, marker=marker, label=completion)
            for completion, color, marker in zip(completions, colors, _MARKERS, strict=False)
            if completion in drawn
        ]
        label = "reported, and what is rounded to it"
        keys.append(Line2D([], [], color=palette.ink, marker="|", linestyle="", label=label))
        keys[-1].set(markersize=12, markeredgewidth=2)
        lines = max((name.count("\n") + 1 for name in names), default=1)
        figure.set_size_inches(width, 0.7 + (0.25 + 0.17 * lines) * len(rows))
        key_below(figure, keys)
    return figure


def draw_final_accuracies(
    runs: Mapping[str, Mapping[str, Sequence[Record]]],
    epoch: int | None = None,
    width: float = WIDE,
) -> Figure:
    """Draw the test accuracy of each run: a small point each seed, the mean, its interval.

    Parameters
    ----------
    runs
        For each role, a row, and each completion the records of its seeds. Where one of them
        diverged, or there are none, nothing is drawn.
    epoch
        After which epoch; by default the last of each run.
    width
        In inches.

    Raises
    ------
    ValueError
        If there are more completions than colours.
    """
    completions = list(dict.fromkeys(name for each in runs.values() for name in each))
    with style() as palette:
        colors = _colors(completions, palette)
        figure = Figure(figsize=(width, 0.7 + 0.4 * len(runs)), layout="constrained")
        drawn = set()
        axes = figure.subplots()
        for row, each in enumerate(runs.values()):
            for name, records in each.items():
                if not records or any(record.diverged for record in records):
                    continue
                index = completions.index(name)
                drawn.add(name)
                place = row + _offset(index, len(completions))
                last = -1 if epoch is None else epoch - 1
                values = [100 * record.curves.test_accuracy[last] for record in records]
                mean, interval = float(np.mean(values)), mean_interval(values)
                axes.plot(values, [place] * len(values), ".", color=colors[index], alpha=0.5)
                bar = None
                if interval is not None:
                    possible = interval.within(0, 100)
                    bar = [[mean - possible.low], [possible.high - mean]]
                axes.errorbar(
                    mean,
                    place,
                    xerr=bar,
                    color=colors[index],
                    marker=_MARKERS[index],
                    capsize=3,
                )
        axes.set_yticks(range(len(runs)), list(runs))
        when = "the last epoch" if epoch is None else f"epoch {epoch}"
        axes.set(xlabel=f"test accuracy after {when} (%)", ylim=(len(runs) - 0.5, -0.5))
        axes.grid(axis="x")
        keys = [
            Line2D([], [], color=color, marker=marker, label=name)
            for name, color, marker in zip(completions, colors, _MARKERS, strict=False)
            if name in drawn
        ]
        if keys:
            key_below(figure, keys)
    return figure


def _band(
    axes: Axes,
    records: Sequence[Record],
    metric: Metric,
    color: str,
    scale: float,
    marker: str | None = None,
) -> None:
    curves = _curves(records, metric) * scale
    epochs = np.arange(1, curves.shape[1] + 1)
    style = "--" if metric.startswith("train") else "-"
    axes.plot(
        epochs,
        curves.mean(axis=0),
        color=color,
        linestyle=style,
        marker=marker,
        markersize=_SMALL,
        markevery=-(-len(epochs) // 6),
    )
    axes.fill_between(
        epochs, curves.min(axis=0), curves.max(axis=0), color=color, alpha=0.2, linewidth=0
    )


def _leave_out_a_spike(loss: Axes, runs: Iterable[Sequence[Record]]) -> None:
    """End the scale of the loss where a few seeds would flatten everything else, and say so."""
    metrics: tuple[Metric, ...] = ("train_loss", "test_loss")
    curves = [_curves(records, metric) for records in runs for metric in metrics]
    usual = max(float(np.median(each, axis=0).max()) for each in curves)
    highest = max(float(each.max()) for each in curves)
    if highest > _SPIKE * usual:
        loss.set_ylim(0, 1.3 * usual)
        told = f"off the scale: up to {highest:.1f}"
        loss.text(0.98, 0.97, told, transform=loss.transAxes, ha="right", va="top")


def _curves(records: Sequence[Record], metric: Metric) -> Float[np.ndarray, "seeds epochs"]:
    curves = [getattr(record.curves, metric) for record in records]
    shortest = min(len(curve) for curve in curves)
    return np.array([curve[:shortest] for curve in curves], dtype=float)


def _in_lines(quantity: str, width: float) -> str:
    """Break what was measured into lines that leave a figure most of its width."""
    letters = round(5 * width)
    return "\n".join(
        line
        for part in quantity.split(", ", 1)
        for line in textwrap.wrap(part, letters, break_on_hyphens=False)
    )


def _offset(index: int, count: int) -> float:
    return 0.5 * (index - (count - 1) / 2) / max(count - 1, 1)


def _colors(labels: Collection[str], palette: Palette) -> tuple[str, ...]:
    colors = palette.colors
    if len(labels) > len(colors):
        raise InputError(
            f"{len(labels)} labels are too many to tell apart; draw at most {len(colors)}"
        )
    return colors[: len(labels)]
