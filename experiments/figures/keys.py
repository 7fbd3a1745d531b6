"""Keys: what the colours and marks of a figure mean, below its axes and clear of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.artist import Artist
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend


def key_below(figure: Figure, handles: Sequence[Artist], *, handlelength: float = 2.0) -> Legend:
    """Put a legend below the axes, in as few rows as fit, and make the figure higher by them.

    So the axes keep the room that the figure was made with.

    Parameters
    ----------
    figure
        With constrained layout; it has its width, and the height that its axes are to have.
    handles
        What is named, each with a label.
    handlelength
        Length of a mark, in ems.
    """
    renderer = FigureCanvasAgg(figure).get_renderer()
    room = figure.bbox.width
    for rows in range(1, len(handles) + 1):
        legend = figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=math.ceil(len(handles) / rows),
            handlelength=handlelength,
        )
        box = legend.get_window_extent(renderer)
        if box.width <= room or rows == len(handles):
            break
        legend.remove()
    figure.set_figheight(figure.get_figheight() + box.height / figure.dpi)
    return legend
