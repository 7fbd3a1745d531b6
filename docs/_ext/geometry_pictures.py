"""Pictures of chapter 4: windows, what they leave over, and what a stack of them sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

from _ext.style import canvas, styled
from theory.geometry import Layer, map_sizes, output_size, pool_output_size, receptive_field

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from experiments.figures import Palette

POOL = Layer(2, stride=2)


@styled
def windows_and_remainder(palette: Palette) -> Figure:
    """Draw the windows of one layer on 8 cells, without and with ceil mode."""
    cells, layer = 8, Layer(3, stride=2)
    quotient = (cells - layer.kernel) / layer.stride
    figure = canvas(2.6)
    panels = figure.subplots(1, 2)
    for axes, up in zip(panels, (False, True), strict=True):
        size = pool_output_size(cells, layer, ceil_mode=up)
        name = "ceil mode" if up else f"(8 − 3) / 2 = {quotient:g}"
        _windows(axes, [layer], size, cells, palette)
        axes.set_title(f"{name}: {size} windows")
    _same_cells(panels)
    return figure


@styled
def kernels_from_512_to_504(palette: Palette) -> Figure:
    """Draw the output size against the kernel, without padding and padded by 1."""
    kernels = range(7, 14)
    figure = canvas(2.8)
    axes = figure.subplots()
    axes.axhline(504, color=palette.ink, linewidth=0.8)
    for padding in (0, 1):
        sizes = [output_size(512, Layer(side, padding=padding)) for side in kernels]
        color = palette.colors[padding]
        axes.plot(kernels, sizes, "o-", color=color, label=f"padding {padding}")
        side = kernels[sizes.index(504)]
        axes.annotate(
            f"{side}×{side}",
            (side, 504),
            xytext=(4, 5),
            textcoords="offset points",
            color=color,
        )
    axes.set(xlabel="side of the kernel", ylabel="side of the output", xticks=kernels)
    axes.legend(frameon=False)
    return figure


@styled
def halvings_of_32(palette: Palette) -> Figure:
    """Draw the side of the map through convolutions that each are followed by a halving."""
    convolutions = {
        "padded, size kept": Layer(3, padding=1),
        "2×2 unpadded": Layer(2),
        "3×3 unpadded": Layer(3),
        "5×5 unpadded": Layer(5),
    }
    figure = canvas(3.2)
    axes = figure.subplots()
    marks = zip(convolutions.items(), palette.colors, "osD^", strict=False)
    for (name, convolution), color, mark in marks:
        sides = _halved(32, convolution)
        label = f"{name}: {len(sides) - 1}"
        axes.plot(range(len(sides)), sides, f"{mark}-", color=color, label=label)
    axes.axvline(4, color=palette.ink, linestyle=":")
    axes.set_yscale("log", base=2)
    ticks = [1, 2, 4, 8, 16, 32]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.set(xlabel="convolutions, each followed by a pooling", ylabel="side of the map")
    axes.legend(frameon=False)
    return figure


@styled
def two_layers(palette: Palette) -> Figure:
    """Draw what one output of two convolutions of 3 sees, by what lies between them."""
    stacks = {
        "stride 1": [Layer(3), Layer(3)],
        "first stride 2": [Layer(3, stride=2), Layer(3)],
        "pooling between": [Layer(3), POOL, Layer(3)],
    }
    figure = canvas(2.9)
    panels = figure.subplots(1, len(stacks))
    for axes, (name, layers) in zip(panels, stacks.items(), strict=True):
        _pyramid(axes, layers, palette)
        axes.set_title(f"{name}: {receptive_field(layers).size}")
    return figure


@styled
def equal_passes(palette: Palette) -> Figure:
    """Draw a kernel of 2 on 3 pixels, unpadded and padded, with the passes over each pixel."""
    cells = 3
    figure = canvas(2.8)
    panels = figure.subplots(1, 2)
    for axes, padding in zip(panels, (0, 1), strict=True):
        layer = Layer(2, padding=padding)
        size = output_size(cells, layer)
        _windows(axes, [layer], size, cells, palette)
        seen = [set(receptive_field([layer]).window(output)) for output in range(size)]
        passes = [sum(cell in window for window in seen) for cell in range(cells)]
        pixels = {len(window & set(range(cells))) for window in seen}
        axes.set_title(
            f"padding {padding}: passes {', '.join(map(str, passes))}\n"
            f"outputs see {' or '.join(map(str, sorted(pixels)))}"
        )
    _same_cells(panels)
    return figure


@styled
def field_growth(palette: Palette) -> Figure:
    """Draw the receptive field against the number of 3×3 convolutions, by where pools stand."""
    figure = canvas(3.2)
    axes = figure.subplots()
    every = {"no pooling": None, "pooling after every second": 2, "pooling after each": 1}
    marks = zip(every.items(), palette.colors, "osD", strict=False)
    for (name, turn), color, mark in marks:
        counts = range(0, 6, turn or 1)
        sizes = [receptive_field(_pooled(count, turn)).size for count in counts]
        axes.plot(counts, sizes, f"{mark}-", color=color, label=name)
        axes.annotate(
            str(sizes[-1]),
            (counts[-1], sizes[-1]),
            xytext=(6, -3),
            textcoords="offset points",
            color=color,
        )
    axes.axhline(32, color=palette.ink, linewidth=0.8)
    axes.annotate("image of 32", (0, 32), xytext=(0, 4), textcoords="offset points")
    axes.set(xlabel="3×3 convolutions", ylabel="side of the receptive field", xticks=range(6))
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.0, 0.86))
    return figure


@styled
def seen_and_related(palette: Palette) -> Figure:
    """Draw how many pixels a side are seen, and how many are related, by three networks."""
    image, kernel = 32, Layer(5)
    everything = Layer(output_size(image, kernel))
    two = [kernel, POOL, kernel, POOL]
    rows = {
        "one convolution": ([kernel], [kernel]),
        "… and a dense layer": ([kernel], [kernel, everything]),
        "… and a global average": ([kernel], [kernel, everything]),
        "conv, pool, conv, pool, dense": (two, [*two, Layer(map_sizes(image, two)[-1])]),
    }
    figure = canvas(2.8)
    axes = figure.subplots()
    places = np.arange(len(rows))
    for shift, color, name, part in ((-0.19, 2, "related", 0), (0.19, 0, "seen", 1)):
        sizes = [receptive_field(layers[part]).size for layers in rows.values()]
        drawn = axes.barh(
            places + shift, sizes, height=0.36, color=palette.colors[color], label=name
        )
        axes.bar_label(drawn, padding=3, color=palette.ink)
    axes.set_yticks(places, list(rows))
    axes.invert_yaxis()
    axes.set(xlabel="pixels a side, of 32", xlim=(0, 36))
    axes.legend(frameon=False, loc="upper right", bbox_to_anchor=(1.0, 1.0))
    return figure


def _halved(side: int, convolution: Layer) -> list[int]:
    """Return the sides of the map after each pair of convolution and halving that fits."""
    sides = [side]
    while True:
        try:
            sides.append(map_sizes(sides[-1], [convolution, POOL])[-1])
        except ValueError:
            return sides


def _pooled(count: int, every: int | None) -> list[Layer]:
    """Return convolutions of 3 with a halving after every so many."""
    layers = []
    for number in range(1, count + 1):
        layers.append(Layer(3))
        if every and number % every == 0:
            layers.append(POOL)
    return layers


def _windows(
    axes: Axes, layers: Sequence[Layer], outputs: int, cells: int, palette: Palette
) -> None:
    """Draw the input cells in a row, and below it the window of each output, row by row."""
    field = receptive_field(layers)
    windows = [field.window(output) for output in range(outputs)]
    seen = {cell for window in windows for cell in window}
    for cell in range(min(0, windows[0][0]), max(cells, windows[-1][-1] + 1)):
        inside = 0 <= cell < cells
        face = palette.colors[0] if inside and cell in seen else "none"
        _cell(axes, cell, 0, face, palette, dashed=not inside)
        if inside:
            ink = palette.paper if cell in seen else palette.ink
            axes.text(cell, 0, str(cell), ha="center", va="center", color=ink)
    for output, window in enumerate(windows):
        for cell in window:
            _cell(axes, cell, output + 1.2, palette.colors[2], palette, dashed=False)
    low, high = min(0, windows[0][0]), max(cells - 1, windows[-1][-1])
    axes.set(xlim=(low - 0.7, high + 0.7), ylim=(outputs + 0.9, -0.6), aspect="equal")
    axes.axis("off")


def _same_cells(panels: Iterable[Axes]) -> None:
    """Give panels of windows one scale, so that their cells are of one size."""
    panels = list(panels)
    left, right = zip(*(axes.get_xlim() for axes in panels), strict=True)
    bottom = max(axes.get_ylim()[0] for axes in panels)
    for axes in panels:
        axes.set(xlim=(min(left), max(right)), ylim=(bottom, axes.get_ylim()[1]))


def _pyramid(axes: Axes, layers: Sequence[Layer], palette: Palette) -> None:
    """Draw the cells at each level that one output depends on, joined to what they see."""
    field = receptive_field(layers)
    levels = [list(receptive_field(layers[turn:]).window(0)) for turn in range(len(layers) + 1)]
    centres = [0.0]
    jumps = [1]
    for each in layers:
        seen = each.receptive_field
        centres.append(centres[-1] + jumps[-1] * (seen.start + (seen.size - 1) / 2))
        jumps.append(jumps[-1] * each.stride)
    places = [
        [c + j * cell for cell in cells] for c, j, cells in zip(centres, jumps, levels, strict=True)
    ]
    for height, each in enumerate(layers):
        for cell in levels[height + 1]:
            top = places[height + 1][levels[height + 1].index(cell)]
            for below in each.receptive_field.window(cell):
                bottom = places[height][levels[height].index(below)]
                axes.plot([bottom, top], [height, height + 1], color=palette.faint, zorder=1)
    for height, xs in enumerate(places):
        color = palette.colors[0 if height == 0 else 2]
        axes.scatter(xs, [height] * len(xs), s=70, color=color, zorder=2)
    axes.set(xlim=(-0.8, field.size - 0.2), ylim=(-0.4, len(layers) + 0.4))
    axes.axis("off")


def _cell(
    axes: Axes, column: float, row: float, face: str, palette: Palette, *, dashed: bool
) -> None:
    """Draw one cell; dashed if it is padding."""
    axes.add_patch(
        mpl.patches.Rectangle(
            (column - 0.45, row - 0.42),
            0.9,
            0.84,
            facecolor=face,
            edgecolor=palette.faint,
            linestyle=":" if dashed else "-",
        )
    )
