"""Pictures of chapter 5: where parameters are, what they are misprinted as, and what they share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.patches import Patch
from torch import nn

from _ext.style import canvas, styled
from theory.geometry import Layer, receptive_field
from theory.independence import independent_parameters
from theory.ledger import claims
from theory.parameters import conv_parameters, equivalent_linear_parameters, linear_parameters
from theory.recovery import Design, recover

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


@styled
def printed_and_counted(palette: Palette) -> Figure:
    """Draw the counts that a report's own terms give, what it prints, and what torch allocates."""
    layers = {
        "96 filters of 5x5, RGB": (96 * 5 * 5 + 96 * 3, 1728, conv_parameters(3, 96, 5)),
        "conv1 of tp1-cnn": (5 * 5 * 32 + 32, 2432, conv_parameters(3, 32, 5)),
        "conv1, 16 filters of 7x7": (7 * 7 * 7 + 16, 294 + 16, conv_parameters(1, 16, 7)),
    }
    names = ("value of the printed terms", "printed count", "parameters of the layer")
    figure = canvas(3.0)
    axes = figure.subplots()
    for row, counts in enumerate(layers.values()):
        for line, count in enumerate(counts):
            at = row + 0.26 * (line - 1)
            axes.barh(at, count, height=0.22, color=palette.colors[line])
            axes.text(count, at, f" {count:,}", va="center", color=palette.ink)
    axes.set(yticks=range(len(layers)), yticklabels=list(layers), xlim=(0, 8300), xticks=[])
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    handles = [Patch(color=palette.colors[i], label=name) for i, name in enumerate(names)]
    axes.legend(handles=handles, loc="lower right", frameon=False)
    return figure


@styled
def equivalent_layers(palette: Palette) -> Figure:
    """Draw the weights of a fully connected layer in place of one filter, as printed and counted.

    The filter has 3x3 pixels, stride 1 and no padding, on a square image of one channel.
    """
    sides, layer = np.arange(3, 13), Layer(3)
    counted = [
        equivalent_linear_parameters(1, 1, (n, n), layer, bias=False) for n in sides.tolist()
    ]
    figure = canvas(2.8)
    axes = figure.subplots()
    axes.plot(sides, counted, "o-", color=palette.colors[0], label="(x - k + 1)² x², counted")
    axes.plot(
        sides,
        (sides - 3) ** 2 * sides**2,
        "s--",
        color=palette.colors[1],
        label="(x - k)² x², printed",
    )
    shared = conv_parameters(1, 1, 3, bias=False)
    axes.axhline(shared, color=palette.colors[2], label="k² = 9, the filter itself")
    axes.set_yscale("symlog", linthresh=1)
    axes.set(xlabel="side x of the image, in pixels", ylabel="weights", ylim=(-0.3, 3e4))
    axes.legend(frameon=False, loc="lower right")
    return figure


@styled
def equations(palette: Palette) -> Figure:
    """Draw the independent equations that some examples set two layers from 7 cells to 5."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-99, 100, (8, 1, 7), generator=generator).double()
    layers = {
        "cross-correlation: 3 weights": nn.Conv1d(1, 1, 3, bias=False),
        "fully connected: 35 weights": nn.Linear(7, 5, bias=False),
    }
    figure = canvas(2.8)
    axes = figure.subplots()
    examples = range(1, len(x) + 1)
    axes.plot(examples, [5 * n for n in examples], ":", color=palette.ink, label="all equations")
    for (name, layer), color in zip(layers.items(), palette.colors, strict=False):
        ranks = [independent_parameters(layer.double(), x[:n]) for n in examples]
        axes.plot(examples, ranks, "o-", color=color, label=name)
    axes.set(xlabel="examples", ylabel="independent equations")
    axes.legend(frameon=False)
    return figure


@styled
def digit_rows(palette: Palette) -> Figure:
    """Draw which rows of two stacked digits each row of the digit network's map sees."""
    conv, pool = Layer(5, padding=2), Layer(2, stride=2)
    field = receptive_field([conv, pool, conv, pool])
    kinds = ("its own digit only", "padding as well", "the other digit as well")
    figure = canvas(3.4)
    axes = figure.subplots()
    for row in range(14):
        window = field.window(row)
        own = range(28) if row < 7 else range(28, 56)
        strange = [cell for cell in window if cell not in own]
        kind = 0 if not strange else 2 if any(0 <= cell < 56 for cell in strange) else 1
        axes.barh(row, len(window), left=window.start, color=palette.colors[kind], height=0.7)
    for edge in (0, 28, 56):
        axes.axvline(edge, color=palette.ink, linestyle=":")
    axes.set(yticks=range(14), xticks=(0, 28, 56), xlim=(-8, 64))
    axes.set(
        xlabel="row of the image: upper digit 0 to 27, lower 28 to 55", ylabel="row of the map"
    )
    axes.invert_yaxis()
    handles = [Patch(color=palette.colors[i], label=kind) for i, kind in enumerate(kinds)]
    # Above the rows of the lower digit, between the dotted edges.
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.56, 1), frameon=False)
    return figure


def _reported(filters: int) -> int:
    """Return the parameters that the report prints for so many filters."""
    reported = claims()[f"nni-2023-ex1-q1a-params-{filters}"].reported
    if not isinstance(reported, list):
        raise TypeError(f"the count for {filters} filters is {reported!r}, expected a list")
    return int(reported[0])
