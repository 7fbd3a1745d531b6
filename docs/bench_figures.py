"""Figures of the bench run whose JSON is stored.

A line or bar is the median over the rounds; a band is the middle half of them, a whisker reaches
from the least to the most.
"""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass, field
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
from _ext.style import styled
from bench_results import chosen, gains, speed, values
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.figures import WIDE, key_below

if TYPE_CHECKING:
    from _ext.style import Palette
    from bench_results import Bench
    from matplotlib.axes import Axes

_STYLES = (
    *((":", "o"), ("-", "s"), ("-.", "^"), ("--", "x")),
    *(((0, (1, 3)), "D"), ((0, (6, 2, 1, 2, 1, 2)), "v")),
    *(((0, (5, 1)), "P"), ((0, (3, 1, 1, 1)), "*")),
)
"""Dashes and markers."""

_PANEL = 2.1
"""Width that a panel needs, in inches."""

_LETTERS = 20
"""Letters of a line of a row's name where a figure is narrow."""

_MOST_TICKS = 5
"""Sizes up to which each of them has its tick; where there are more, powers of two have."""

_SPELT = 1000
"""Up to which a size is written out; beyond, a power of two is a power of two."""


@dataclass(frozen=True)
class Curves:
    """Time against size, a panel for each value of one fact.

    Parameters
    ----------
    size
        The facts whose product is the size, on the horizontal axis.
    label
        What it is called there.
    line
        The fact that is the same all along a line.
    color, style
        The facts that its colour and its style tell.
    panel, title
        The fact that each panel has its value of, and how its title says it; None for one panel.
    where
        Facts of the benches that are drawn; by itself, all of the question.
    cells
        Whether panels have too few sizes for lines, so that times are cells beside the fastest's.
    """

    size: tuple[str, ...]
    label: str
    line: str
    color: str
    style: str
    panel: str | None = None
    title: str = "{}"
    where: dict[str, Any] = field(default_factory=dict)
    cells: bool = False

    @property
    def facts(self) -> tuple[str, ...]:
        """What the benches have to know."""
        named = (*self.size, self.line, self.color, self.style, self.panel)
        return tuple(fact for fact in named if fact)

    def panels(self, benches: list[Bench]) -> list[Any]:
        """Return the values of the panels in which there are several sizes to join by a line."""
        if self.panel is None:
            return [None]
        sizes: dict[Any, set[int]] = {}
        for bench in benches:
            sizes.setdefault(bench["extra_info"][self.panel], set()).add(self.size_of(bench))
        return sorted(value for value, found in sizes.items() if len(found) > 1)

    def size_of(self, bench: Bench) -> int:
        """Return how large a bench's problem is."""
        return math.prod(bench["extra_info"][fact] for fact in self.size)


@styled
def draw_curves(
    palette: Palette, benches: list[Bench], curves: Curves, width: float = WIDE
) -> Figure:
    """Draw the time of one call against the size of the problem, on logarithmic axes.

    Parameters
    ----------
    benches
        Of one question.
    curves
        What is drawn against what.
    width
        In inches. Panels stand side by side as far as they have room.
    """
    panels = curves.panels(benches)
    colors = dict(zip(values(benches, curves.color), cycle(palette.colors), strict=False))
    styles = dict(zip(values(benches, curves.style), cycle(_STYLES), strict=False))
    columns = min(len(panels), int(width / _PANEL))
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(width, 2.9 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, panel in zip(grid, panels, strict=False):
        inside = chosen(benches, **{curves.panel: panel}) if curves.panel else benches
        for line in values(inside, curves.line):
            _draw_line(axes, chosen(inside, **{curves.line: line}), curves, colors, styles)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set(title=curves.title.format(panel) if curves.panel else "", xlabel=curves.label)
        axes.grid(color=palette.faint, linewidth=0.6)
        sizes = sorted({curves.size_of(bench) for bench in inside})
        if len(sizes) <= _MOST_TICKS:
            axes.set_xticks(sizes, map(_size, sizes))
            axes.set_xticks([], minor=True)
    for first in grid[::columns]:
        first.set_ylabel("time of one call (s)")
    for unused in grid[len(panels) :]:
        unused.remove()
    key_below(figure, _keys(benches, curves, colors, styles, palette), handlelength=3)
    return figure


@dataclass(frozen=True)
class Ladder:
    """Images per second of ways to train, beside those of one of them.

    Parameters
    ----------
    row
        The fact that tells the ways apart.
    base
        The way that the others are held against.
    label
        What the horizontal axis shows: times the base.
    panel
        The fact that each panel has its value of; None for one panel.
    """

    row: str
    base: str
    label: str
    panel: str | None = None

    def rows(self, benches: list[Bench]) -> list[Bench]:
        """Return the benches of one panel, the base first.

        Raises
        ------
        ValueError
            If the base is not among them.
        """
        base = chosen(benches, **{self.row: self.base})
        if not base:
            raise ValueError(
                f"the stored results lack {self.base!r}, which others are held against: write them "
                "again with pytest benches --benchmark-only"
            )
        return base[:1] + [bench for bench in benches if bench not in base]


@styled
def draw_ladder(
    palette: Palette, benches: list[Bench], ladder: Ladder, width: float = WIDE
) -> Figure:
    """Draw how many times as fast as the base each way trains.

    Parameters
    ----------
    benches
        Of one question, on one device.
    ladder
        What is held against what.
    width
        In inches. Two panels stand side by side if they have room.
    """
    names = values(benches, ladder.panel) if ladder.panel else [None]
    panels = [
        chosen(benches, **{ladder.panel: name}) if ladder.panel else benches for name in names
    ]
    columns = min(len(panels), 2 if width >= WIDE else 1)
    rows = math.ceil(len(panels) / columns)
    beside = [panels[first : first + columns] for first in range(0, len(panels), columns)]
    shown = [
        values([b for panel in each for b in ladder.rows(panel)], ladder.row) for each in beside
    ]
    heights = [(0.27 if width >= WIDE else 0.35) * len(each) + 0.5 for each in shown]
    figure = Figure(figsize=(width, sum(heights) + 0.4), layout="constrained")
    ratios = {"height_ratios": heights}
    grid = figure.subplots(
        rows, columns, sharex=True, sharey="row", squeeze=False, gridspec_kw=ratios
    ).ravel()
    for index, (axes, name, panel) in enumerate(zip(grid, names, panels, strict=False)):
        _draw_bars(axes, ladder.rows(panel), ladder, palette)
        for lacking in set(shown[index // columns]) - set(values(panel, ladder.row)):
            _note(axes, "–", 0, lacking)
        axes.set_title(name)
    for first in grid[::columns]:
        first.invert_yaxis()
    if width < WIDE:
        for first, ways in zip(grid, shown, strict=True):
            first.set_yticks(range(len(ways)), [textwrap.fill(way, _LETTERS) for way in ways])
    for unused in grid[len(panels) :]:
        unused.remove()
    # room for what is written behind the longest bar, which takes more of a narrow panel
    grid[0].set_xlim(right=(1.3 if width >= WIDE else 1.75) * grid[0].get_xlim()[1])
    figure.supxlabel(ladder.label, fontsize="medium", color=palette.ink)
    return figure


def _size(size: int) -> str:
    """Return how a size is written below its tick."""
    power = math.log2(size)
    return f"$2^{{{power:g}}}$" if size > _SPELT and power.is_integer() else f"{size:,}"


def _keys(
    benches: list[Bench],
    curves: Curves,
    colors: dict[Any, str],
    styles: dict[Any, tuple[Any, str]],
    palette: Palette,
) -> list[Line2D]:
    """Return what colours and styles mean: each by itself, or of each line where it has its own."""
    if curves.style == curves.line:
        shown = [
            (line, colors[values(chosen(benches, **{curves.line: line}), curves.color)[0]], style)
            for line, style in styles.items()
        ]
    else:
        shown = [(name, color, ("-", "")) for name, color in colors.items()]
        shown += [(name, palette.ink, style) for name, style in styles.items()]
    return [
        Line2D([], [], color=color, linestyle=line, marker=marker, label=name)
        for name, color, (line, marker) in shown
    ]


def _draw_line(
    axes: Axes,
    line: list[Bench],
    curves: Curves,
    colors: dict[Any, str],
    styles: dict[Any, tuple[Any, str]],
) -> None:
    line = sorted(line, key=curves.size_of)
    facts = line[0]["extra_info"]
    color, (style, marker) = colors[facts[curves.color]], styles[facts[curves.style]]
    sizes = [curves.size_of(bench) for bench in line]
    low, middle, high = (
        [bench["stats"][statistic] for bench in line] for statistic in ("q1", "median", "q3")
    )
    axes.fill_between(sizes, low, high, color=color, alpha=0.2, linewidth=0)
    axes.plot(sizes, middle, color=color, linestyle=style, marker=marker, markersize=3.5)


def _draw_bars(axes: Axes, rows: list[Bench], ladder: Ladder, palette: Palette) -> None:
    gained = np.array([gains(bench, rows[0]) for bench in rows])
    slowest, middle, fastest = gained.min(1), np.median(gained, axis=1), gained.max(1)
    axes.barh(
        [bench["extra_info"][ladder.row] for bench in rows],
        middle,
        height=0.65,
        color=[palette.colors[1]] + [palette.colors[0]] * (len(rows) - 1),
        xerr=(middle - slowest, fastest - middle),
        error_kw={"ecolor": palette.ink, "capsize": 2},
    )
    for bench, ratio, end in zip(rows, middle, fastest, strict=True):
        said = f"×{ratio:.2f}  ({speed(bench):,.0f}/s)"
        _note(axes, said, end, bench["extra_info"][ladder.row])


def _note(axes: Axes, text: str, end: float, row: str) -> None:
    """Write behind the end of a row."""
    look = {"va": "center", "fontsize": "small"}
    axes.annotate(text, (end, row), xytext=(5, 0), textcoords="offset points", **look)  # type: ignore[arg-type]
