"""Pictures of the gradients: the matrix of derivatives, the chain's factors, and dead filters."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from _ext.style import bars, canvas, matrix, same_height, styled, where_set
from theory.gradients import Operation, filter_gradient, input_gradient
from theory.structured_matrices import circulant_matrix, derivative_matrix

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure
    from torch import Tensor

    from experiments.figures import Palette

    Activation = Callable[[Tensor], Tensor]
    Rule = Callable[[list[Tensor]], torch.optim.Optimizer]


@styled
def filter_gradient_sums(palette: Palette) -> Figure:
    """Draw the terms g[i] x[i + k], whose sums over the columns are the filter gradient."""
    x, g, taps = np.array([1, 2, 0, -1, 3]), np.array([1, -1, 2]), 3
    figure = canvas(3.6)
    panels = figure.subplot_mosaic([["x", "x", "T"], ["g", "w", "T"]], width_ratios=(3, 3, 4))
    bars(panels["x"], x, palette, title="input x")
    bars(panels["g"], g, palette, title="gradient g for the output", color=1)
    terms = g[:, None] * derivative_matrix(x, taps)
    title = "terms g(i) x(i + k): row i, column k"
    matrix(panels["T"], terms, palette, title=title, color=lambda _: None)
    gradient = filter_gradient(x[None], g[None])[0, 0]
    bars(panels["w"], gradient, palette, title="column sums: filter gradient", color=2)
    for name in "xgw":
        same_height([panels[name]])
    return figure


@styled
def input_gradient_spread(palette: Palette) -> Figure:
    """Draw how each output's gradient comes back over the cells that the output has read."""
    kernel, g = np.array([1, 2, 4]), np.array([1, 0, -1])
    figure = canvas(5.4)
    panels = figure.subplots(3, 2, width_ratios=(3, 5))
    rows = {"g(0) alone": np.array([1, 0, 0]), "g(2) alone": np.array([0, 0, -1]), "g": g}
    for (left, right), (name, part) in zip(panels, rows.items(), strict=True):
        whole = part is g
        bars(left, part, palette, title=name, color=1)
        back = input_gradient(kernel[None, None], part[None])[0]
        title = "their sum: input gradient" if whole else "back over three cells: w moved"
        bars(right, back, palette, title=title, color=2 if whole else 0)
    same_height(panels)
    return figure


@styled
def derivative_matrices(palette: Palette) -> Figure:
    """Draw the derivatives for both operations, and the circulant matrix that holds them."""
    n, taps = 5, 3
    indices = np.arange(n)
    around = circulant_matrix(indices, n)
    block = np.zeros_like(around, dtype=bool)
    block[taps - 1 :, :taps] = True
    figure = canvas(2.9)
    panels = figure.subplots(1, 3, width_ratios=(3, 3, 5))

    def label(index: int) -> str:
        return f"$I_{index + 1}$"

    names: list[tuple[str, Operation]]
    names = [("Hankel", "cross-correlation"), ("Toeplitz", "convolution")]
    for axes, (name, operation) in zip(panels, names, strict=False):
        entries = derivative_matrix(indices, taps, operation=operation)
        matrix(axes, entries, palette, title=f"{operation}:\n{name}", label=label, color=int)
    # Entries outside the block are offset by n, so that they stay without colour.
    marked = np.where(block, around, around + n)
    matrix(
        panels[2],
        marked,
        palette,
        title="the Toeplitz block of a\ncirculant matrix",
        label=lambda index: label(index % n),
        color=lambda index: int(index) if index < n else None,
    )
    return figure


@styled
def not_circulant(palette: Palette) -> Figure:
    """Draw the smallest square matrix of derivatives that is not circulant, and one that is."""
    figure = canvas(3.8)
    panels = figure.subplots(2, 3, width_ratios=(3, 2, 2))
    for line, signal in zip(panels, (np.array([0, 0, 1]), np.array([1, 0, 1])), strict=True):
        entries = derivative_matrix(signal, 2, operation="convolution")
        moved = np.roll(entries, 1, axis=(0, 1))
        same = np.array_equal(moved, entries)
        bars(line[0], signal, palette, title="signal", first=1)
        matrix(line[1], entries, palette, title="derivatives")
        title = "moved round by 1:\n" + ("the same" if same else "another matrix")
        color = 2 if same else 1
        matrix(line[2], moved, palette, title=title, color=partial(where_set, color))
    same_height(panels[:, 0])
    return figure


@styled
def outer_factor(palette: Palette) -> Figure:
    """Draw the three factors of the bias' derivative as printed, and as they are."""
    leaky = partial(torch.nn.functional.leaky_relu, negative_slope=0.25)
    computed = {
        "ReLU, response −1": _factors(torch.relu, -1),
        "slope ¼ below zero, response −1": _factors(leaky, -1),
        "ReLU, response 1": _factors(torch.relu, 1),
    }
    rows = {"as printed": [0.0, 0.0, 1.0], **computed}
    figure = canvas(4.6)
    panels = figure.subplots(2, 2)
    names = ["outer: F′", "slope", "inner", "product"]
    for axes, (title, factors) in zip(panels.flat, rows.items(), strict=True):
        color = 1 if title == "as printed" else 0
        bars(axes, np.array([*factors, np.prod(factors)]), palette, title=title, color=color)
        axes.set_xticks(range(4), names)
    same_height(panels)
    return figure


@styled
def dead_filter_paths(palette: Palette) -> Figure:
    """Draw a filter that one example has killed, and where the rules of training take it then."""
    sgd, adam = torch.optim.SGD, torch.optim.Adam
    # With each rule, where the weight starts and which input comes first.
    rules: dict[str, tuple[Rule, float, int]] = {
        "gradient descent": (partial(sgd, lr=1.5), 2, 1),
        "momentum ½": (partial(sgd, lr=1.5, momentum=0.5), 2, 1),
        "Adam": (partial(adam, lr=1.5), 2, 1),
        "weight decay": (partial(sgd, lr=0.1, weight_decay=4), 1, -1),
    }
    figure = canvas(3.2)
    axes = figure.subplots()
    for (name, given), marker, color in zip(rules.items(), "osD^", palette.colors, strict=False):
        axes.plot(_path(*given), marker=marker, color=color, label=name)
    axes.axhline(0, color=palette.ink, linewidth=0.8)
    axes.set(xlabel="step", ylabel="weight", title="response −f: dead above the line, alive below")
    axes.legend(frameon=False, loc="lower left")
    return figure


def _path(rule: Rule, start: float, first: int) -> list[float]:
    """Train one weight towards an output of 1, on one input and then on -1; return its path."""
    weight = torch.tensor([float(start)], requires_grad=True)
    optimiser = rule([weight])
    path = [weight.item()]
    for x in (first, -1, -1, -1, -1, -1):
        optimiser.zero_grad()
        (0.5 * (torch.relu(weight * x) - 1).square().sum()).backward()
        optimiser.step()
        path.append(weight.item())
    return path


def _factors(activation: Activation, response: float) -> list[float]:
    """Return the factors of the derivative by b of F(activation(b)), with F(y) = y."""
    b = torch.tensor([response], dtype=torch.float64, requires_grad=True)
    at = b * 1
    y = activation(at)
    pairs = ((y.sum(), y), (y, at), (at, b))
    return [torch.autograd.grad(up, down, retain_graph=True)[0].item() for up, down in pairs]
