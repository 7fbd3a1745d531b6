"""A figure of where the time of a step goes, from the stored JSON of a bench run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from _ext.style import styled
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from experiments.figures import WIDE, key_below

if TYPE_CHECKING:
    from _ext.style import Palette
    from bench_results import Bench

_LOOKS: tuple[tuple[int | None, str], ...] = (
    *((0, ""), (0, "////"), (1, ""), (1, "////")),
    *((2, ""), (3, ""), (4, ""), (None, ""), (None, "....")),
)
"""Colour, None being the faint one, and hatching of each kind of work, in order."""


def rows_of(benches: list[Bench]) -> list[tuple[str, dict[str, float]]]:
    """Return the name and the shares of each step.

    Raises
    ------
    ValueError
        If there are more kinds of work than can be told apart.
    """
    rows = [
        (f"{facts['network']}, {facts['way']}", facts["shares"])
        for facts in (bench["extra_info"] for bench in benches)
    ]
    kinds = {kind for _, shares in rows for kind in shares}
    if len(kinds) > len(_LOOKS):
        raise ValueError(f"{len(kinds)} kinds of work cannot be told apart in a figure")
    return rows


@styled
def draw_shares(palette: Palette, benches: list[Bench], width: float = WIDE) -> Figure:
    """Draw what each kind of work takes of a step, a bar a network and way to train it.

    Parameters
    ----------
    benches
        Of the question ``step``, on one device.
    width
        In inches.
    """
    rows = rows_of(benches)
    kinds = list(rows[0][1])
    if width < WIDE:
        rows = [(name.replace(", ", ",\n", 1), shares) for name, shares in rows]
    height = (0.27 if width >= WIDE else 0.38) * len(rows) + 0.6
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    ends = np.zeros(len(rows))
    keys = []
    for kind, (color, hatch) in zip(kinds, _LOOKS, strict=False):
        look: dict[str, Any] = {
            "facecolor": palette.faint if color is None else palette.colors[color],
            "hatch": hatch,
            "edgecolor": palette.paper if color is not None else palette.ink,
            "linewidth": 0.4,
        }
        widths = np.array([shares[kind] for _, shares in rows])
        axes.barh([name for name, _ in rows], widths, left=ends, height=0.7, **look)
        ends += widths
        keys.append(Patch(label=kind, **look))
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.set_xlabel("share of a step")
    axes.tick_params(axis="y", length=0)
    key_below(figure, keys, handlelength=1.5)
    return figure
