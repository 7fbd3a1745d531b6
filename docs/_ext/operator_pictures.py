"""Pictures of chapter 2: the witnesses that `diagnose` finds against the layers of a network."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from _ext.style import bars, canvas, matrix, same_height, styled
from theory import diagnose
from theory.convolution import convolve
from theory.operators import add_bias, fully_connected, max_pool, relu, strided_pool
from theory.signals import impulse, shift
from theory.structured_matrices import circulant_matrix

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxtyping import Float
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from experiments.figures import Palette
    from theory import Finding

    Operator = Callable[[torch.Tensor], torch.Tensor]
    Signal = Float[np.ndarray, " n"]


@styled
def relu_witness(palette: Palette) -> Figure:
    """Draw the smallest inputs on which ReLU is not additive."""
    return _additivity(diagnose(relu, (3,)).additive, palette)


@styled
def bias_witness(palette: Palette) -> Figure:
    """Draw the smallest inputs on which adding a bias is not additive."""
    return _additivity(diagnose(partial(add_bias, bias=3), (3,)).additive, palette)


@styled
def max_pool_witness(palette: Palette) -> Figure:
    """Draw the smallest inputs on which max pooling is not additive."""
    pool = partial(max_pool, size=2, stride=2)
    return _additivity(diagnose(pool, (4,)).additive, palette)


@styled
def bias_moves_along(palette: Palette) -> Figure:
    """Draw that a constant bias commutes with a shift, and a map of biases does not."""
    signal, bias_map = np.array([0.0, 2, 1, 0]), torch.tensor([3.0, 0, 0, 0])
    rows = {
        "x + 3": partial(add_bias, bias=3.0),
        "x + (3, 0, 0, 0)": partial(add_bias, bias=bias_map),
    }
    figure = canvas(3.6)
    panels = figure.subplots(len(rows), 4)
    for line, (name, op) in zip(panels, rows.items(), strict=True):
        _commutes(line, op, signal, name, palette)
    same_height(panels)
    return figure


@styled
def strided_pool_period(palette: Palette) -> Figure:
    """Draw the first of every two cells being kept, while the input moves cell by cell."""
    return _moving_input(partial(strided_pool, stride=2), impulse(6), "kept", palette)


@styled
def max_pool_crossing(palette: Palette) -> Figure:
    """Draw max pooling, while a lone value moves within its window and across the border."""
    return _moving_input(partial(max_pool, size=2, stride=2), impulse(6), "largest", palette)


@styled
def dense_and_circulant(palette: Palette) -> Figure:
    """Draw a matrix that is not circulant and one that is, with both ways round the square."""
    dense = np.array([[1.0, 0, 2], [0, 1, 0], [0, 3, 0]])
    rows = {"not circulant": dense, "circulant": circulant_matrix(np.array([1.0, 2, 0]), 3)}
    figure = canvas(3.8)
    panels = figure.subplots(len(rows), 4)
    for line, (name, entries) in zip(panels, rows.items(), strict=True):
        matrix(line[0], entries, palette, title=f"A, {name}", color=lambda e: 0 if e else None)
        op = partial(fully_connected, matrix=torch.from_numpy(entries))
        _commutes([None, *line[1:]], op, impulse(3), "A x", palette)
    same_height(panels[:, 1:])
    return figure


@styled
def wrong_criterion(palette: Palette) -> Figure:
    """Draw the printed test for translation invariance, which the identity fails as well."""
    matrices = {"printed A": np.array([[1.0, 0], [0, 0]]), "identity": np.eye(2)}
    figure = canvas(3.4)
    panels = figure.subplots(len(matrices), 4)
    for line, (name, entries) in zip(panels, matrices.items(), strict=True):
        output, moved = entries @ impulse(2), entries @ impulse(2, at=1)
        agrees = np.array_equal(moved, shift(output, 1))
        matrix(line[0], entries, palette, title=name)
        bars(line[1], output, palette, title="A e₁")
        bars(line[2], moved, palette, title="A e₂ = A S e₁", color=2 if agrees else 1)
        bars(line[3], shift(output, 1), palette, title="S A e₁", color=2)
    same_height(panels[:, 1:])
    return figure


@styled
def equivariant_or_invariant(palette: Palette) -> Figure:
    """Draw a convolution, which moves along with its input, and the global maximum, which stays."""
    kernel, signal = np.array([1.0, 2.0]), np.array([0.0, 2, 1, 0, 0, 0])
    figure = canvas(3.2)
    panels = figure.subplots(2, 3, width_ratios=(6, 6, 2))
    for line, by in zip(panels, (0, 3), strict=True):
        x = shift(signal, by)
        bars(line[0], x, palette, title=f"x, moved by {by}" if by else "x")
        bars(line[1], convolve(x, kernel, mode="circular"), palette, title="x * h", color=1)
        largest = _apply(partial(max_pool, size=6, stride=6), x)
        bars(line[2], largest, palette, title="global max", color=2)
    same_height(panels)
    return figure


@styled
def flattening_order(palette: Palette) -> Figure:
    """Draw a dense layer on a flattened map, and on the same map flattened in another order."""
    weights, x = np.array([[1.0, -2, 0, 3], [2, 1, -1, 0]]), np.array([1.0, 2, 3, 5])
    figure = canvas(3.2)
    panels = figure.subplots(2, 3, width_ratios=(4, 4, 2))
    for line, (name, order) in zip(
        panels, {"row by row": [0, 1, 2, 3], "another order": [2, 0, 3, 1]}.items(), strict=True
    ):
        matrix(line[0], weights[:, order], palette, title=f"W, {name}", color=lambda _: None)
        bars(line[1], x[order], palette, title=f"x, {name}")
        bars(line[2], weights[:, order] @ x[order], palette, title="W x", color=2)
    same_height(panels[:, 1:])
    return figure


@styled
def weight_update(palette: Palette) -> Figure:
    """Draw the gradient of half the squared error for the weights of a dense layer."""
    x, error = torch.tensor([1.0, 2, 3, 5]), torch.tensor([1.0, -2])
    weights = torch.zeros(2, 4, requires_grad=True)
    (0.5 * (weights @ x + error).square().sum()).backward()
    gradient = weights.grad
    if gradient is None:
        raise ValueError("the loss does not depend on the weights")
    figure = canvas(2.2)
    panels = figure.subplots(1, 3, width_ratios=(4, 2, 4))
    bars(panels[0], x.numpy(), palette, title="x, by input")
    bars(panels[1], error.numpy(), palette, title="error, by output", color=1)
    same_height(panels[:2])
    matrix(panels[2], gradient.numpy(), palette, title="gradient", color=lambda _: None)
    return figure


def _additivity(finding: Finding, palette: Palette) -> Figure:
    """Draw a witness of additivity: both inputs, and both sides of the equation."""
    witness = finding.witness
    if witness is None:
        raise ValueError(f"no witness to draw: {finding.reason}")
    x, y = witness.inputs
    signals = {
        "x": (x, 0),
        "y": (y, 0),
        "f(x + y)": (witness.left, 1),
        "f(x) + f(y)": (witness.right, 2),
    }
    figure = canvas(2.1)
    panels = figure.subplots(1, len(signals))
    for axes, (title, (values, color)) in zip(panels, signals.items(), strict=True):
        bars(axes, values, palette, title=title, color=color)
    same_height(panels)
    return figure


def _commutes(
    line: Sequence[Axes | None], op: Operator, signal: Signal, name: str, palette: Palette
) -> None:
    """Draw x, f(x), and the two ways round the square: f(S x) and S f(x)."""
    output, moved = _apply(op, signal), _apply(op, shift(signal, 1))
    expected = shift(output, 1)
    agrees = np.array_equal(moved, expected)
    panels = (
        (signal, "x", 0),
        (output, f"f(x) = {name}", 0),
        (moved, f"f(S x) {'=' if agrees else '≠'} S f(x)", 2 if agrees else 1),
        (expected, "S f(x)", 2),
    )
    for axes, (values, title, color) in zip(line, panels, strict=True):
        if axes is not None:
            bars(axes, values, palette, title=title, color=color)


def _moving_input(op: Operator, signal: Signal, cells: str, palette: Palette) -> Figure:
    """Draw input and output under shifts by 0, 1 and 2, and which outputs are shifted ones."""
    first = _apply(op, signal)
    moves = {by: _apply(op, shift(signal, by)) for by in range(3)}
    figure = canvas(4.2)
    panels = figure.subplots(len(moves), 2, width_ratios=(2, 1))
    for (left, right), (by, output) in zip(panels, moves.items(), strict=True):
        bars(left, shift(signal, by), palette, title=f"input moved by {by}")
        for edge in range(2, len(signal), 2):
            left.axvline(edge - 0.5, color=palette.ink, linestyle=":", linewidth=1)
        moved = [to for to in range(len(first)) if np.array_equal(shift(first, to), output)]
        note = f"output moved by {moved[0]}" if moved else "no shift of the first output"
        bars(right, output, palette, title=note, color=2 if moved else 1)
        right.set_xlabel(f"{cells} cell of each block" if by == 2 else "")
    same_height(panels)
    return figure


def _apply(op: Operator, signal: Signal) -> Signal:
    return op(torch.from_numpy(signal)).numpy()
