"""Pictures of chapter 1: what a linear shift-equivariant operator does, and what convolution is."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from _ext.style import bars, canvas, matrix, number, same_height, styled, where_set
from theory.convolution import convolve, correlate
from theory.layer_matrix import layer_matrix
from theory.signals import impulse, shift
from theory.spectrum import norm_bounds, reshaped_norm, singular_values
from theory.structured_matrices import circulant_matrix

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from experiments.figures import Palette

PaddingMode = Literal["zeros", "circular", "reflect", "replicate"]


@styled
def superposition(palette: Palette) -> Figure:
    """Draw a signal as a sum of impulses, and its output as the sum of their responses."""
    cells, kernel = 8, np.array([1.0, 2.0, 1.0])
    weights = {1: 2.0, 4: -1.0}
    signal = np.zeros(cells)
    signal[list(weights)] = list(weights.values())
    rows = [("δ(i)", "g(i), the response", impulse(cells), 0)]
    rows += [
        (f"{number(w)} δ(i − {at})", f"{number(w)} g(i − {at})", w * impulse(cells, at=at), 2)
        for at, w in weights.items()
    ]
    rows.append(("x, the sum of both", "L[x] = x * g, the sum of both", signal, 1))
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
            color=partial(where_set, power),
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


@styled
def lost_decomposition(palette: Palette) -> Figure:
    """Draw a signal that a sum over k >= 0 does not rebuild."""
    cells = np.arange(-2, 3)
    early = (cells == -1).astype(float)
    rebuilt = np.where(cells >= 0, early, 0)
    figure = canvas(1.9)
    panels = figure.subplots(1, 2)
    bars(panels[0], early, palette, title="x = δ(i + 1)", first=-2)
    title = "sum of x(k) δ(i − k) over k ≥ 0"
    bars(panels[1], rebuilt, palette, title=title, color=1, first=-2)
    same_height(panels)
    return figure


@styled
def padded_layers(palette: Palette) -> Figure:
    """Draw a layer's matrix in each padding mode, and colour the rows that the circle lacks."""
    n, taps = 6, torch.tensor([[[1.0, 2, 3]]])
    modes: tuple[PaddingMode, ...] = ("circular", "zeros", "reflect", "replicate")
    layers = [nn.Conv1d(1, 1, 3, padding=1, padding_mode=mode, bias=False) for mode in modes]
    for layer in layers:
        layer.weight.data = taps
    on_circle = layer_matrix(layers[0], n)
    figure = canvas(7.0)
    panels = figure.subplots(2, 2)
    for axes, mode, layer in zip(panels.flat, modes, layers, strict=True):
        _against(axes, layer_matrix(layer, n), on_circle, palette, title=mode)
    return figure


@styled
def border_of_a_stack(palette: Palette) -> Figure:
    """Draw how far stacks of zero-padded layers of ones are from one convolution."""
    n, depths = 13, (1, 2, 3, 4)
    ones = np.ones(3)
    signal = torch.ones(1, n, dtype=torch.float64)
    figure = canvas(6.0)
    panels = figure.subplots(len(depths), 1)
    kernel, stack = np.ones(1), nn.Sequential()
    for axes, depth in zip(panels, depths, strict=True):
        kernel = convolve(kernel, ones)
        layer = nn.Conv1d(1, 1, 3, padding=1, bias=False, dtype=torch.float64)
        layer.weight.data.fill_(1)
        stack.append(layer)
        with torch.no_grad():
            in_a_row = stack(signal)[0].numpy()
        lost = convolve(signal[0].numpy(), kernel, mode="same") - in_a_row
        name = "1 layer" if depth == 1 else f"{depth} layers"
        bars(axes, lost, palette, color=1, title=f"{name}: what the stack loses")
        same_height([axes])
    return figure


@styled
def spectrum_of_a_layer(palette: Palette) -> Figure:
    """Draw the singular values of layers on a circle, and the norm that spectral_norm takes."""
    n = 16
    kernels = {"averaging: 1, 1, 1": [1.0, 1, 1], "second difference: 1, −2, 1": [1.0, -2, 1]}
    figure = canvas(3.4)
    panels = figure.subplots(1, len(kernels), sharey=True)
    for axes, (title, taps) in zip(panels, kernels.items(), strict=True):
        layer = nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular", bias=False)
        layer.weight.data = torch.tensor([[taps]])
        values = singular_values(layer, n)
        norm, upper = reshaped_norm(layer), norm_bounds(layer, n)[1]
        axes.plot(range(1, n + 1), values, "o", color=palette.colors[0], markersize=4)
        for height, name, line, color in (
            (norm, "reshaped weight", "--", 1),
            (upper, "upper bound", ":", 2),
        ):
            axes.axhline(height, color=palette.colors[color], linestyle=line)
            axes.annotate(
                f"{name}: {height:.3g}",
                (n, height),
                xytext=(0, 3),
                textcoords="offset points",
                ha="right",
                color=palette.colors[color],
            )
        axes.set(title=title, xlabel="singular values, in order", ylim=(0, 5))
        axes.set_xticks([1, 4, 8, 12, 16])
    return figure


def _against(
    axes: Axes,
    entries: Float[np.ndarray, "rows columns"],
    reference: Float[np.ndarray, "rows columns"],
    palette: Palette,
    *,
    title: str,
) -> None:
    """Draw a matrix; entries of rows that differ from the reference's stand out."""
    differs = (entries != reference).any(axis=1)
    codes = entries + 10 * differs[:, None]  # the tens tell the row, the ones the entry
    matrix(
        axes,
        codes,
        palette,
        title=f"{title}: {differs.sum()} rows of their own" if differs.any() else title,
        label=lambda code: number(code % 10) if code % 10 else "",
        color=lambda code: int(code >= 10) if code % 10 else None,
    )


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
