"""The picture of the equivalence study: what bfloat16 changes, against what it may change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from _ext.style import SHOWN_FROM, canvas, styled
from experiments.equivalence import MARGIN
from experiments.figures import WIDE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from experiments.equivalence import Equivalence
    from experiments.figures import Palette


@styled
def differences(palette: Palette, found: Sequence[Equivalence], width: float = WIDE) -> Figure:
    """Draw a row for each recipe: small points for seeds, a bar: the interval; and the band.

    Filled circles are licensed, squares are not, or not yet.
    """
    figure = canvas(1.0 + 0.5 * len(found), width)
    axes = figure.subplots()
    band = 100 * MARGIN
    axes.axvspan(-band, band, color=palette.colors[2], alpha=0.15, linewidth=0)
    axes.axvline(0, color=palette.ink, linewidth=0.8)
    for row, each in enumerate(found):
        if each.difference is None:
            place = axes.get_yaxis_transform()
            axes.text(0.99, row, each.reason, transform=place, ha="right", va="center")
            continue
        color, marker = (palette.colors[0], "o") if each.licensed else (palette.colors[1], "s")
        points = [100 * value for value in each.differences]
        axes.plot(points, [row] * len(points), ".", color=color, alpha=0.5)
        drawn = each.interval is not None and len(points) >= SHOWN_FROM
        axes.errorbar(
            100 * each.difference,
            row,
            xerr=100 * each.interval.half_width if each.interval and drawn else None,
            color=color,
            marker=marker,
            capsize=3,
        )
    names = [f"{each.study.name},\n{each.recipe.name}" for each in found]
    axes.set_yticks(range(len(found)), names)
    axes.set(
        xlabel="test accuracy, bfloat16 − float32\n(percentage points)",
        ylim=(len(found) - 0.5, -0.5),
    )
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -1.2 * band), max(high, 1.2 * band))
    axes.grid(axis="x")
    return figure
