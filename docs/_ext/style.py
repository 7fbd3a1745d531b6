"""The few marks that the theory's pictures are made of, in the look of the experiments' figures."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from experiments.figures import WIDE, style

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxtyping import Shaped
    from matplotlib.axes import Axes

    from experiments.figures import Palette

_Given = ParamSpec("_Given")

SHOWN_FROM = 3
"""Seeds from which on an interval is drawn: that of two is a dozen times as wide as they spread."""


def styled(draw: Callable[Concatenate[Palette, _Given], Figure]) -> Callable[_Given, Figure]:
    """Let a drawing have the project's look, and its palette as first argument."""

    @functools.wraps(draw)
    def drawing(*args: _Given.args, **kwargs: _Given.kwargs) -> Figure:
        with style() as palette:
            return draw(palette, *args, **kwargs)

    return drawing


def canvas(height: float, width: float = WIDE) -> Figure:
    """Return an empty figure, by itself as wide as the text, with room between rows; in inches."""
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(h_pad=0.12))


def number(value: Any) -> str:
    """Return a number as people write it: no trailing zeros, a minus sign, no negative zero."""
    return f"{value + 0.0:g}".replace("-", "−")


def bars(
    axes: Axes,
    values: Shaped[np.ndarray, " n"],
    palette: Palette,
    *,
    color: int = 0,
    title: str = "",
    first: int = 0,
) -> None:
    """Draw a signal as one bar a cell, each with its value; `first` is the index of cell 0."""
    cells = np.arange(first, first + len(values))
    heights = np.asarray(values, dtype=float)
    axes.axhline(0, color=palette.ink, linewidth=0.8)
    axes.bar(cells, heights, width=0.6, color=palette.colors[color])
    for cell, height in zip(cells, heights, strict=True):
        axes.annotate(
            number(height),
            (cell, height),
            xytext=(0, 3 if height >= 0 else -3),
            textcoords="offset points",
            ha="center",
            va="bottom" if height >= 0 else "top",
            color=palette.ink,
        )
    axes.set_title(title)
    axes.set_xticks(cells)
    axes.set_xlim(cells[0] - 0.6, cells[-1] + 0.6)
    axes.tick_params(length=0)
    axes.yaxis.set_visible(False)
    axes.spines[["left", "bottom"]].set_visible(False)


def same_height(axes: Sequence[Axes] | Shaped[np.ndarray, " rows columns"]) -> None:
    """Give bar panels one vertical scale, with room for the values."""
    panels: list[Axes] = list(np.ravel(np.asarray(axes, dtype=object)))
    ends = [end for panel in panels for end in panel.dataLim.intervaly]
    low, high = min(0, *ends), max(0, *ends)
    room = 0.28 * max(high - low, 1)
    for panel in panels:
        panel.set_ylim(low - (room if low < 0 else 0.02), high + room)


def where_set(color: int, entry: float) -> int | None:
    """Return the colour of an entry that is not zero, for :func:`matrix`."""
    return color if entry else None


def matrix(
    axes: Axes,
    entries: Shaped[np.ndarray, "rows columns"],
    palette: Palette,
    *,
    title: str = "",
    label: Callable[[Any], str] = number,
    color: Callable[[Any], int | None] = lambda entry: 0 if entry else None,
) -> None:
    """Draw a matrix as cells; `color` names the colour of an entry, None leaves its cell empty."""
    rows, columns = entries.shape
    for row in range(rows):
        for column in range(columns):
            entry = entries[row, column]
            index = color(entry)
            filled = index is not None
            face = palette.colors[index] if index is not None else "none"
            axes.add_patch(
                mpl.patches.Rectangle(
                    (column - 0.5, row - 0.5), 1, 1, facecolor=face, edgecolor=palette.faint
                )
            )
            ink = palette.paper if filled else palette.ink
            axes.text(column, row, label(entry), ha="center", va="center", color=ink)
    axes.set(xlim=(-0.6, columns - 0.4), ylim=(rows - 0.4, -0.6), aspect="equal", title=title)
    axes.axis("off")
