"""Pictures of chapter 1: what a linear shift-equivariant operator does, and what convolution is."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from _ext.style import bars, canvas, matrix, number, same_height, styled
from theory.convolution import circulant_matrix, convolve, correlate
from theory.signals import impulse, shift

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.figure import Figure

    from experiments.figures import Palette


@styled
def superposition(palette: Palette) -> Figure:
    """Draw a signal as a sum of impulses, and its output as the sum of their responses."""
    cells, kernel = 8, np.array([1.0, 2.0, 1.0])
    weights = {1: 2.0, 4: -1.0}
    signal = np.zeros(cells)
    signal[list(weights)] = list(weights.values())
    rows = [("δ(i)", "h(i), the response", impulse(cells), 0)]
    rows += [
        (f"{number(w)} δ(i − {at})", f"{number(w)} h(i − {at})", w * impulse(cells, at=at), 2)
        for at, w in weights.items()
    ]
    rows.append(("x, the sum of both", "L[x] = x * h, the sum of both", signal, 1))
    figure = canvas(6.0)
    panels = figure.subplots(len(rows), 2)
    for (left, right), (given, answer, x, color) in zip(panels, rows, strict=True):
        bars(left, x, palette, color=color, title=given)
        bars(right, convolve(x, kernel, mode="circular"), palette, color=color, title=answer)
    same_height(panels)
    return figure


@styled
def powers_of_the_shift(palette: Palette) -> Figure:
    """Draw a circulant matrix beside the powers of the shift, which are a basis of all of them."""
    n = 5
    indices = np.arange(n)
    powers = ("I", "S", "S²", "S³", "S⁴")
    figure = canvas(3.4)
    panels = figure.subplot_mosaic([["L", "L", *powers[:3]], ["L", "L", *powers[3:], "."]])
    matrix(
        panels["L"],
        circulant_matrix(indices, n),
        palette,
        title="L = h₀ I + h₁ S + h₂ S² + h₃ S³ + h₄ S⁴",
        label=lambda index: f"$h_{index}$",
        color=int,
    )
    for power, name in enumerate(powers):
        matrix(
            panels[name],
            circulant_matrix(impulse(n, at=power), n),
            palette,
            title=name,
            label=lambda entry: "1" if entry else "",
            color=partial(_where_set, power),
        )
    return figure


@styled
def flipped_kernel(palette: Palette) -> Figure:
    """Send one impulse through convolution, cross-correlation and torch's conv1d."""
    signal, kernel = impulse(7, at=3), np.array([1.0, 2.0, 4.0])
    outputs = {
        "convolution x * h": (convolve(signal, kernel, mode="same"), 1),
        "cross-correlation x ⋆ h": (correlate(signal, kernel, mode="same"), 2),
        "torch.nn.functional.conv1d": (_conv1d(signal, kernel), 2),
    }
    figure = canvas(5.6)
    grid = figure.add_gridspec(4, 2, width_ratios=(7, 3))
    given = [figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])]
    bars(given[0], signal, palette, title="signal x")
    bars(given[1], kernel, palette, title="kernel h")
    panels = [figure.add_subplot(grid[row + 1, 0]) for row in range(len(outputs))]
    for axes, (title, (values, color)) in zip(panels, outputs.items(), strict=True):
        bars(axes, values, palette, color=color, title=title)
    same_height([*given, *panels])
    return figure


@styled
def one_pixel(palette: Palette) -> Figure:
    """Draw the smallest witness that convolution and cross-correlation differ."""
    pixel, kernel = np.array([0, 1, 0]), np.array([-1, 0, 1])
    signals = {
        "image": (pixel, 0),
        "kernel": (kernel, 0),
        "cross-correlation": (correlate(pixel, kernel, mode="same"), 2),
        "convolution": (convolve(pixel, kernel, mode="same"), 1),
    }
    return _in_a_row(signals, palette)


@styled
def one_sum_too_many(palette: Palette) -> Figure:
    """Draw δ * δ by the definition, and by the printed double sum."""
    cells = range(-3, 4)
    delta = impulse(len(cells), at=3)
    # Σ_j Σ_k δ(k) δ(j - i - k): the inner sum is δ(j - i), which the outer one adds up over j >= 0.
    printed = np.array([sum(float(j == i) for j in range(len(cells))) for i in cells])
    figure = canvas(1.9)
    panels = figure.subplots(1, 2)
    by_definition = convolve(delta, delta, mode="same")
    bars(panels[0], by_definition, palette, title="δ * δ, one sum", color=2, first=-3)
    bars(panels[1], printed, palette, title="δ * δ, the printed double sum", color=1, first=-3)
    same_height(panels)
    return figure


@styled
def limit_operator(palette: Palette) -> Figure:
    """Draw the limit at infinity: it kills every finite signal and keeps the constant."""
    cells = np.arange(-4, 8)
    signals = {
        "x = δ": ((cells == 0).astype(float), 0.0),
        "x = 1 on five cells": ((abs(cells) <= 2).astype(float), 0.0),
        "x = 1 everywhere": (np.ones(len(cells)), 1.0),
    }
    figure = canvas(4.2)
    panels = figure.subplots(len(signals), 2)
    for (left, right), (title, (values, limit)) in zip(panels, signals.items(), strict=True):
        bars(left, values, palette, title=title, first=-4)
        color = 1 if limit else 2
        bars(right, np.full(len(cells), limit), palette, title="L[x]", color=color, first=-4)
        for axes, ends in ((left, values[-1]), (right, limit)):
            axes.text(cells[-1] + 0.55, 0.45, "…" if ends else "0 …", va="center")
    same_height(panels)
    return figure


@styled
def translation(palette: Palette) -> Figure:
    """Draw how moving the signal, or the kernel, moves the convolution."""
    signal, kernel = np.array([0.0, 3, 1, 0, 0, 0, 0, 0]), np.array([2.0, 1, 0, 0, 0, 0, 0, 0])
    figure = canvas(4.4)
    panels = figure.subplots(3, 3)
    rows = ((signal, kernel), (shift(signal, 3), kernel), (signal, shift(kernel, 3)))
    titles = (("x", "h", "x * h"), ("x moved by 3", "h", ""), ("x", "h moved by 3", ""))
    for line, (x, h), names in zip(panels, rows, titles, strict=True):
        bars(line[0], x, palette, title=names[0])
        bars(line[1], h, palette, title=names[1], color=2)
        moved = convolve(x, h, mode="circular")
        bars(line[2], moved, palette, title=names[2] or "moved by 3", color=1)
    same_height(panels)
    return figure


def _where_set(color: int, entry: float) -> int | None:
    return color if entry else None


def _in_a_row(signals: dict[str, tuple[Float[np.ndarray, " n"], int]], palette: Palette) -> Figure:
    figure = canvas(2.0)
    panels = figure.subplots(1, len(signals))
    for axes, (title, (values, color)) in zip(panels, signals.items(), strict=True):
        bars(axes, values, palette, title=title, color=color)
    same_height(panels)
    return figure


def _conv1d(
    signal: Float[np.ndarray, " n"], kernel: Float[np.ndarray, " k"]
) -> Float[np.ndarray, " n"]:
    x, weight = (torch.from_numpy(values)[None, None] for values in (signal, kernel))
    return functional.conv1d(x, weight, padding=len(kernel) // 2)[0, 0].numpy()
