"""The picture of the recovered network: where its parameters are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from _ext.style import canvas, styled
from theory.ledger import claims
from theory.parameters import Design, conv_parameters, linear_parameters, recover

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from experiments.figures import Palette


@styled
def recovered_network(palette: Palette) -> Figure:
    """Draw the parameters of each layer of the recovered network, for both printed counts."""
    counts = {filters: _reported(filters) for filters in (3, 20)}
    ((design, widths),) = recover([Design(kernels=(5, 5))], counts).items()
    figure = canvas(2.4)
    panels = figure.subplots(len(counts), 1)
    for axes, (filters, count), width in zip(panels, counts.items(), widths, strict=True):
        layers = (
            conv_parameters(3, filters, design.kernels[0]),
            conv_parameters(filters, width, design.kernels[1]),
            linear_parameters(width * design.side() ** 2, 10),
        )
        starts = np.cumsum((0, *layers[:-1]))
        axes.barh([0, 0, 0], layers, left=starts, color=palette.colors[:3])
        for name, size, start in zip(("conv1", "conv2", "fc"), layers, starts, strict=True):
            if size > 0.05 * count:  # else the name does not fit
                middle = start + size / 2
                axes.text(middle, 0, name, ha="center", va="center", color=palette.paper)
        terms = " + ".join(f"{size:,}" for size in layers)
        axes.set_title(f"{filters} and {width} filters: {terms} = {sum(layers):,} parameters")
        axes.set(xlim=(0, sum(layers)), xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    return figure


def _reported(filters: int) -> int:
    """Return the parameters that the report prints for so many filters."""
    reported = claims()[f"nni-2023-ex1-q1a-params-{filters}"].reported
    if not isinstance(reported, list):
        raise TypeError(f"the count for {filters} filters is {reported!r}, expected a list")
    return int(reported[0])
