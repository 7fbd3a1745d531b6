"""The two pictures of the race: what seconds buy, and what each idea does."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from _ext.style import SHOWN_FROM, canvas, styled
from experiments.figures import WIDE
from experiments.speed import LADDER, VIEWS, summary
from experiments.statistics import mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from experiments.figures import Palette
    from experiments.speed import Result, Summary
    from experiments.statistics import Interval

    Runs = Mapping[str, Sequence[Result]]


@dataclass(frozen=True)
class Loss:
    """What a recipe is short of the whole one, over the seeds that both have.

    ``gaps`` are the differences of accuracies, one a seed; ``seconds`` is the relative difference
    of the median training time, None where only the test differs or machines do.
    """

    label: str
    purpose: str
    gaps: Sequence[float]
    seconds: float | None

    @property
    def mean(self) -> float:
        """Mean difference."""
        return statistics.fmean(self.gaps)

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of the mean difference, where there are seeds enough."""
        return mean_interval(self.gaps) if len(self.gaps) >= SHOWN_FROM else None


def losses(runs: Runs, views: int = 6) -> list[Loss]:
    """Return what is lost without each idea, the greatest loss first; with fewer views as well."""
    whole = {result.seed: result for result in runs["whole"]}
    found = [
        Loss(
            f"{n} view{'s' * (n > 1)} instead of {views}",
            "the same weights, tested otherwise",
            [result.accuracy[n] - result.accuracy[views] for result in whole.values()],
            None,
        )
        for n in VIEWS
        if n < views
    ]
    for name, results in runs.items():
        pairs = [(each, whole[each.seed]) for each in results if each.seed in whole]
        if name == "whole" or not pairs:
            continue
        gaps = [each.accuracy[views] - other.accuracy[views] for each, other in pairs]
        label, purpose = name.replace("-", " "), LADDER[name].purpose
        found.append(Loss(label, purpose, gaps, _slower(pairs)))
    return sorted(found, key=lambda loss: loss.mean)


def _slower(pairs: Sequence[tuple[Result, Result]]) -> float | None:
    """Return the relative difference of median training times, if all are of equal machines."""
    if len({result.machine for pair in pairs for result in pair}) > 1:
        return None
    left, right = (
        statistics.median(pair[side].training_seconds for pair in pairs) for side in (0, 1)
    )
    return left / right - 1


@styled
def ladder(palette: Palette, lost: Sequence[Loss], width: float = WIDE) -> Figure:
    """Draw losses: a row an idea, small points for seeds, a bar: the interval."""
    figure = canvas(0.9 + 0.38 * len(lost), width)
    axes = figure.subplots()
    for row, each in enumerate(lost):
        color = palette.colors[1 if each.seconds is None else 0]
        gaps = [100 * gap for gap in each.gaps]
        axes.plot(gaps, [row] * len(gaps), ".", color=color, alpha=0.5)
        axes.errorbar(
            100 * each.mean,
            row,
            xerr=None if each.interval is None else 100 * each.interval.half_width,
            color=color,
            marker="s" if each.seconds is None else "o",
            capsize=3,
        )
    axes.axvline(0, color=palette.ink, linewidth=0.8)
    axes.set_yticks(range(len(lost)), [each.label for each in lost])
    axes.set(xlabel="test accuracy against\nthe whole recipe (percentage points)")
    axes.set_ylim(len(lost) - 0.5, -0.5)
    axes.grid(axis="x")
    return figure


@styled
def curve(palette: Palette, runs: Runs, target: float, width: float = WIDE) -> Figure:
    """Draw seconds against accuracy: with one view, and with six."""
    figure = canvas(3.6, width)
    axes = figure.subplots()
    for views, color, marker, line in ((6, 0, "o", "-"), (1, 1, "s", "--")):
        each = [summary(results, views) for _, results in by_seconds(runs)]
        axes.errorbar(
            [found.median_seconds for found in each],
            [100 * found.mean for found in each],
            yerr=[100 * _half_width(found) for found in each],
            color=palette.colors[color],
            marker=marker,
            linestyle=line,
            capsize=3,
            label=f"{views} view{'s' * (views > 1)}",
        )
    axes.axhline(100 * target, color=palette.ink, linewidth=0.8, linestyle=":")
    axes.annotate(
        f"{100 * target:.2f} %",
        (0, 100 * target),
        xycoords=("axes fraction", "data"),
        xytext=(4, 3),
        textcoords="offset points",
    )
    medians = [summary(results, 1).median_seconds for _, results in by_seconds(runs)]
    seconds = _apart(medians, 1 + 0.86 / width)
    axes.set_xscale("log")
    axes.set_xticks(seconds, [f"{value:.0f}" for value in seconds], minor=False)
    axes.set_xticks([], minor=True)
    axes.set(xlabel="seconds of training", ylabel="test accuracy (%)")
    axes.grid()
    axes.legend(loc="lower right")
    return figure


def _apart(values: Sequence[float], factor: float) -> list[float]:
    """Return the values, in rising order, that are a factor apart: on a logarithmic axis, room."""
    kept: list[float] = []
    for value in values:
        if not kept or value > factor * kept[-1]:
            kept.append(value)
    return kept


def by_seconds(runs: Runs) -> list[tuple[str, Sequence[Result]]]:
    """Return each recipe and its results, from the shortest training to the longest."""
    return sorted(runs.items(), key=lambda found: summary(found[1], 1).median_seconds)


def _half_width(found: Summary) -> float:
    return found.interval.half_width if found.interval and found.seeds >= SHOWN_FROM else 0.0
