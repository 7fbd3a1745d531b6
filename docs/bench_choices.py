"""What choosing a method costs: how much slower choosers are than the fastest of all methods."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from _ext.style import styled
from bench_results import chosen, times, values
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from experiments.figures import WIDE

if TYPE_CHECKING:
    from _ext.style import Palette
    from bench_results import Bench


@styled
def draw_choices(palette: Palette, benches: list[Bench], width: float = WIDE) -> Figure:
    """Draw how much slower the methods that choose for themselves are than the best of all.

    Parameters
    ----------
    benches
        Of convolution or filter gradient.
    width
        In inches.
    """
    methods = choices(benches)
    samples, taps = (sorted(values(benches, fact)) for fact in ("samples", "taps"))
    shade = LogNorm(1, 8, clip=True)
    figure = Figure(figsize=(width, len(methods) * (0.35 * len(taps) + 1.2)), layout="constrained")
    grid = figure.subplots(len(methods), squeeze=False).ravel()
    for axes, (method, ratios) in zip(grid, methods.items(), strict=True):
        cells = np.array([[ratios.get((n, k), np.nan) for n in samples] for k in taps])
        for (row, column), ratio in np.ndenumerate(cells):
            if not np.isnan(ratio):
                shaded = ratio > 4
                corner = (column - 0.5, row - 0.5)
                color, alpha = palette.colors[1], float(shade(ratio))
                axes.add_patch(Rectangle(corner, 1, 1, facecolor=color, alpha=alpha, linewidth=0))
                axes.text(
                    column,
                    row,
                    f"{ratio:.2f}",
                    ha="center",
                    va="center",
                    fontsize="small",
                    color=palette.paper if shaded else palette.ink,
                )
        axes.set_xticks(range(len(samples)), [f"$2^{{{math.log2(n):g}}}$" for n in samples])
        axes.set_yticks(range(len(taps)), [f"{k:,}" for k in taps])
        axes.set(title=method, ylabel="taps")
        axes.set(xlim=(-0.5, len(samples) - 0.5), ylim=(len(taps) - 0.5, -0.5))
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    grid[-1].set_xlabel("samples")
    return figure


def choices(benches: list[Bench]) -> dict[str, dict[tuple[int, int], float]]:
    """Return by choosing method its time over that of the fastest method, by samples and taps."""
    found: dict[str, dict[tuple[int, int], float]] = {}
    for bench in benches:
        facts = bench["extra_info"]
        if facts["algorithm"] == "auto":
            ratios = found.setdefault(facts["method"], {})
            ratios[facts["samples"], facts["taps"]] = behind(bench, benches)
    return found


def behind(bench: Bench, benches: list[Bench]) -> float:
    """Return how many times as long as the fastest method of its size a bench takes.

    The fastest is sought among those that compute in the same precision, itself included. All took
    turns: the ratio is the median of those of the rounds.
    """
    return max(times(bench, peer) for peer in peers_of(bench, benches))


def peers_of(bench: Bench, benches: list[Bench]) -> list[Bench]:
    """Return the benches of the same size, precision and device, itself included."""
    facts = bench["extra_info"]
    alike = {fact: facts[fact] for fact in ("samples", "taps", "precision", "device")}
    return chosen(benches, **alike)
