"""Every method beside the fastest, size by size: for sizes that lie too far apart for lines."""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from _ext.style import styled
from _ext.tables import duration
from bench_choices import behind, peers_of
from bench_results import chosen, values
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from experiments.figures import WIDE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _ext.style import Palette
    from bench_results import Bench
    from matplotlib.axes import Axes

_CELL = 0.41
"""Width of a cell, in inches."""

_LABELS = 1.75
"""Width of the names of the methods, in inches."""


@styled
def draw_ratios(palette: Palette, benches: list[Bench], width: float = WIDE) -> Figure:
    """Draw a row for each method and a column for each size: times over that of the fastest.

    A row below has how long the fastest took. What was not measured stays empty.

    Parameters
    ----------
    benches
        Of one question about signals, in one precision.
    width
        In inches. Columns that have no room beside the others come below them.
    """
    sizes = sizes_of(benches)
    most = int((width - _LABELS) / _CELL)
    parts = math.ceil(len(sizes) / most)
    each = math.ceil(len(sizes) / parts)
    methods = values(benches, "method")
    height = 0.27 * (len(methods) + 1) + 0.75
    figure = Figure(figsize=(width, parts * height), layout="constrained")
    grid = figure.subplots(parts, squeeze=False).ravel()
    for index, axes in enumerate(grid):
        shown = sizes[index * each : (index + 1) * each]
        _draw_part(axes, benches, methods, shown, palette)
        axes.set_xlim(-0.5, each - 0.5)
    return figure


def sizes_of(benches: list[Bench]) -> list[tuple[int, int]]:
    """Return taps and samples of each size, in rising order."""
    facts = (bench["extra_info"] for bench in benches)
    return sorted({(each["taps"], each["samples"]) for each in facts})


def fastest(benches: list[Bench], taps: int, samples: int) -> Bench:
    """Return the bench of a size that no other is faster than, by the rounds that they shared."""
    alike = peers_of(chosen(benches, taps=taps, samples=samples)[0], benches)
    return min(alike, key=lambda bench: behind(bench, benches))


def _draw_part(
    axes: Axes,
    benches: list[Bench],
    methods: Sequence[str],
    sizes: Sequence[tuple[int, int]],
    palette: Palette,
) -> None:
    shade = LogNorm(1, 100, clip=True)
    look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": "small"}
    for column, (taps, samples) in enumerate(sizes):
        here = chosen(benches, taps=taps, samples=samples)
        for bench in here:
            row = methods.index(bench["extra_info"]["method"])
            ratio = behind(bench, benches)
            depth = float(shade(ratio))
            axes.add_patch(
                Rectangle(
                    (column - 0.5, row - 0.5),
                    1,
                    1,
                    facecolor=palette.colors[1],
                    alpha=depth,
                    linewidth=0,
                )
            )
            ink = palette.paper if depth > 0.7 else palette.ink
            axes.text(column, row, _said(ratio), color=ink, **look)
        best = duration(fastest(here, taps, samples)["stats"]["median"])
        axes.text(column, len(methods), best.replace(" ", "\n"), color=palette.ink, **look)
    rows = range(len(methods) + 1)
    axes.set_yticks(rows, [*methods, "the fastest took"])
    axes.set_xticks(range(len(sizes)), [f"$2^{{{math.log2(n):g}}}$" for _, n in sizes])
    axes.set_xlabel("samples of the signal")
    axes.set_ylim(len(methods) + 0.5, -0.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    _name_taps(axes, sizes, palette)


def _name_taps(axes: Axes, sizes: Sequence[tuple[int, int]], palette: Palette) -> None:
    """Write above the columns how many taps they have, with a line between one and the next."""
    place = axes.get_xaxis_transform()
    first = 0
    for taps, group in groupby(sizes, key=lambda size: size[0]):
        count = len(list(group))
        axes.text(first + (count - 1) / 2, 1.01, f"{taps:,}", transform=place, ha="center")
        first += count
        if first < len(sizes):
            axes.axvline(first - 0.5, color=palette.ink, linewidth=0.8)
    axes.text(-0.02, 1.01, "taps", transform=axes.transAxes, ha="right")


def _said(ratio: float) -> str:
    """Return a ratio with two or three digits."""
    return f"{ratio:.{max(0, 1 - int(np.log10(ratio)))}f}" if ratio >= 1 else f"{ratio:.1f}"
