"""Pictures of chapter 6: layers that are other layers, and what linear networks cannot express."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Polygon

from _ext.style import bars, canvas, matrix, same_height, styled
from theory.convolution import correlate
from theory.digit_sums import pairs_of_digits, sum_head
from theory.equivalences import averaging_weight, dense_from_convolution
from theory.rank_bounds import class_dimension_bound

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from experiments.figures import Palette


@styled
def layers_as_matrices(palette: Palette) -> Figure:
    """Draw the matrices of a convolution and of average pooling on six cells."""
    weights = {
        "kernel (1, 2, 3)": (np.array([[[1, 2, 3]]]), 1),
        "average pooling, size 2, stride 2": (averaging_weight(1, 2, axes=1), 2),
    }
    figure = canvas(2.3)
    panels = figure.subplots(1, len(weights))
    for axes, (name, (weight, stride)) in zip(panels, weights.items(), strict=True):
        dense = dense_from_convolution(weight, (6,), stride=stride)
        matrix(axes, dense, palette, title=name)
    return figure


@styled
def central_pixel(palette: Palette) -> Figure:
    """Draw how many pixels of the image each output sees through a filter of the image's size."""
    figure = canvas(2.6)
    panels = figure.subplots(1, 2)
    for axes, side in zip(panels, (3, 4), strict=True):
        image = np.ones((side, side), dtype=int)
        whole = side**2
        full = correlate(image, image, mode="full")
        start = side - 1 - (side - 1) // 2
        same = full[start : start + side, start : start + side]
        title = f"{side}×{side} image, {side}×{side} filter"
        color = lambda seen, whole=whole: 2 if seen == whole else None  # noqa: E731
        matrix(axes, same, palette, title=title, color=color)
    return figure


@styled
def linear_class(palette: Palette) -> Figure:
    """Draw the bound on the dimension of what a linear network computes, by its first width."""
    widths = np.arange(1, 8)
    bounds = np.array([class_dimension_bound(int(width)) for width in widths])
    everything = 10 * 3 * 32**2
    figure = canvas(2.8)
    axes = figure.subplots()
    axes.bar(widths, bounds, color=[palette.colors[2 if b == everything else 0] for b in bounds])
    for width, bound in zip(widths.tolist(), bounds.tolist(), strict=True):
        axes.text(width, bound / 2, f"{bound:,}", ha="center", va="center", color=palette.paper)
    axes.axhline(everything, color=palette.ink, linewidth=0.8, linestyle=":")
    axes.set(xlabel="filters of the first convolution", ylim=(0, 1.15 * everything))
    axes.yaxis.set_visible(False)
    axes.spines[["left", "top", "right"]].set_visible(False)
    return figure


@styled
def exclusive_or(palette: Palette) -> Figure:
    """Draw the exclusive or, the affine map nearest to it, and two ReLU units that compute it."""
    x, y = np.meshgrid([0, 1], [0, 1])
    target = (x != y).astype(float)
    design = np.column_stack([x.ravel(), y.ravel(), np.ones(4)])
    weights = np.linalg.lstsq(design, target.ravel(), rcond=None)[0]
    nearest = np.round(design @ weights, 12).reshape(2, 2)
    rectified = np.maximum(x - y, 0) + np.maximum(y - x, 0)
    tables = {
        "x ≠ y": target,
        "nearest affine map": nearest,
        "relu(x − y) + relu(y − x)": rectified,
    }
    figure = canvas(2.1)
    panels = figure.subplots(1, len(tables))
    for axes, (title, table) in zip(panels, tables.items(), strict=True):
        matrix(axes, table, palette, title=title, color=lambda v: 2 if v == 1 else None)
    return figure


@styled
def adding_digits(palette: Palette) -> Figure:
    """Draw the scores of all sums for the digits 3 and 4."""
    weight, bias = sum_head()
    scores = (weight @ np.eye(20)[[3, 14]].sum(0) + bias).astype(int)
    figure = canvas(2.6)
    axes = figure.subplots()
    bars(axes, scores, palette, title="scores 14 k − k² of the sums k, for 3 and 4")
    axes.patches[int(np.argmax(scores))].set_facecolor(palette.colors[2])
    same_height([axes])
    return figure


@styled
def misplaced_digits(palette: Palette) -> Figure:
    """Draw all pairs of three digits, placed in order and not, with the pairs of sum 2."""
    figure = canvas(2.9)
    panels = figure.subplots(1, 2)
    places = {"0, 1, 2 in order": [0, 1, 2], "2 between 0 and 1": [0, 2, 1]}
    for axes, (title, codes) in zip(panels, places.items(), strict=True):
        points, sums = pairs_of_digits(np.array(codes)[:, None])
        corners = points[sums == 2]
        axes.add_patch(
            Polygon(
                corners, closed=True, facecolor="none", edgecolor=palette.colors[1], linewidth=2
            )
        )
        for (a, b), total in zip(points, sums, strict=True):
            edge = palette.colors[total % 3]
            circle = {"boxstyle": "circle", "facecolor": palette.paper, "edgecolor": edge}
            axes.text(a, b, total, ha="center", va="center", color=palette.ink, bbox=circle)
        axes.set(xlim=(-0.5, 2.5), ylim=(-0.5, 2.5), aspect="equal", title=title)
        axes.set(xticks=range(3), yticks=range(3), xlabel="first code", ylabel="second code")
    return figure


@styled
def gradient_gains(palette: Palette) -> Figure:
    """Draw the mean squared gradient at initialisation, by depth, for three gains of a layer."""
    depths = np.arange(10)
    gains = {
        "convolution + ReLU, torch's default: 1/6": 1 / 6,
        "convolution + ReLU, He's rule: 1": 1.0,
        "skip around a convolution, default: 1 + 1/3": 4 / 3,
    }
    figure = canvas(3.0)
    axes = figure.subplots()
    for index, (name, gain) in enumerate(gains.items()):
        axes.semilogy(depths, gain**depths, marker="o", color=palette.colors[index], label=name)
    axes.set(xlabel="layers", ylabel="mean squared gradient")
    axes.set_xticks(depths)
    axes.legend(frameon=False)
    return figure
