"""Figures of a portrait: the filters of its first convolution, and maps of its first and last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from experiments.errors import InputError
from experiments.figures.theme import style

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.axes import Axes

    from experiments.portrait import Portrait

COLUMNS = 16
"""Filters, or maps, in one row of a figure."""


def draw_filters(portrait: Portrait) -> Figure:
    """Draw the filters of the first convolution; mid-grey is a weight of zero.

    Filters of three channels are drawn in colour, others by their first channel, each scaled by its
    own largest weight.
    """
    filters = portrait.filters.astype(np.float32)
    colour = filters if filters.shape[1] == 3 else filters[:, :1]
    largest = np.abs(colour).max(axis=(1, 2, 3), keepdims=True)
    levels = 0.5 + 0.5 * colour / np.where(largest > 0, largest, 1)
    rows = -(-len(levels) // COLUMNS)
    with style():
        figure = Figure(figsize=(9, 0.62 * rows + 0.1), layout="constrained")
        for axes, pixels in zip(_grid(figure, rows), levels, strict=False):
            axes.imshow(pixels.transpose(1, 2, 0), cmap="gray", vmin=0, vmax=1)
    return figure


def draw_maps(maps: Float[np.ndarray, "n g h w"]) -> Figure:
    """Draw the first maps of every image, a row each, from black (least) to white (greatest).

    Raises
    ------
    ValueError
        If there are none.
    """
    if not len(maps):
        raise InputError("there are no maps to draw; take the portrait with an image or more")
    with style():
        figure = Figure(figsize=(9, 0.62 * len(maps) + 0.1), layout="constrained")
        grid = _grid(figure, len(maps))
        for start, row in enumerate(maps.astype(np.float32)):
            for axes, pixels in zip(grid[start * COLUMNS :][:COLUMNS], row, strict=False):
                axes.imshow(pixels, cmap="gray")
    return figure


def _grid(figure: Figure, rows: int) -> list[Axes]:
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    return list(grid.flat)
