"""Pictures of chapter 7: counts behind accuracies, noise, rates, and what a fit passes on."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import sympy
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D
from scipy import stats

from _ext.style import bars, canvas, same_height, styled
from theory.ledger import claims
from theory.training_facts import (
    accuracy_deviation,
    dropout_penalty,
    expected_squares,
    least_squares_map,
    totals_behind,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from experiments.figures import Palette


@styled
def totals_behind_accuracies(palette: Palette) -> Figure:
    """Draw which numbers of examples explain each of three printed accuracies, and which all."""
    printed = [_training_accuracy(name) for name in ("2b-accuracies", "3b-net1", "3b-net2")]
    figure = canvas(2.2)
    axes = figure.subplots()
    (shared,) = totals_behind(printed, 50_000)
    for row, accuracy in enumerate(printed):
        totals = totals_behind([accuracy], 50_000)
        axes.plot(totals, [row] * len(totals), "|", color=palette.colors[0], markersize=12)
    axes.axvline(shared, color=palette.colors[1], linestyle="--", linewidth=1)
    axes.set_title(f"all three: {shared:,} only")
    axes.set_yticks(range(len(printed)), [f"{accuracy:.10f}" for accuracy in printed])
    axes.set(xlabel="number of training examples", ylim=(2.6, -0.6))
    return figure


@styled
def chance_on_a_batch(palette: Palette) -> Figure:
    """Draw how many of a batch, and of a test set, a guesser gets right."""
    figure = canvas(2.4)
    for axes, size in zip(figure.subplots(1, 2), (128, 10_000), strict=True):
        chance = stats.binom(size, 0.1)
        counts = np.arange(0, int(0.21 * size) + 1)
        beyond = counts >= 0.13 * size
        for part, color in ((~beyond, 0), (beyond, 1)):
            axes.bar(
                100 * counts[part] / size,
                chance.pmf(counts[part]),
                width=100 / size,
                color=palette.colors[color],
            )
        tail = chance.sf(int(np.ceil(0.13 * size)) - 1)
        share = f"{100 * tail:.0f}%" if tail > 1e-3 else "almost none"
        axes.axvline(13, color=palette.ink, linestyle=":", linewidth=1)
        axes.set_title(f"{size:,} images: {share} at 13% or more")
        axes.set(xlabel="accuracy of a guesser, in %", xlim=(0, 21), yticks=[])
        axes.spines["left"].set_visible(False)
    return figure


@styled
def accuracy_jumps(palette: Palette) -> Figure:
    """Draw what one unit reaches with and without ReLU, and how far a batch's accuracy strays."""
    figure = canvas(2.5)
    left, right = figure.subplots(1, 2)
    x = np.linspace(-1, 0, 9)
    left.plot(x, x, "o", color=palette.colors[0])
    left.plot(x, np.maximum(x, 0), "s", color=palette.colors[1])
    # In a legend the markers would look like further points.
    left.annotate(
        "x: every value between", (-0.625, -0.625), xytext=(10, -10), textcoords="offset points"
    )
    left.annotate("ReLU(x): 0 alone", (-0.75, 0), xytext=(0, -16), textcoords="offset points")
    left.set(xlabel="x", title="outputs over inputs from −1 to 0")
    accuracies = np.linspace(0.85, 1, 200)
    noise = [100 * accuracy_deviation(accuracy, 50) for accuracy in accuracies]
    right.plot(100 * accuracies, noise, color=palette.colors[0])
    for accuracy, marker in ((0.9174, "o"), (0.972, "s")):
        deviation = 100 * accuracy_deviation(accuracy, 50)
        right.plot(100 * accuracy, deviation, marker, color=palette.colors[1])
        right.annotate(
            f"{100 * accuracy:.1f}% ± {deviation:.1f}",
            (100 * accuracy, deviation),
            xytext=(6, 4),
            textcoords="offset points",
        )
    right.set(xlabel="accuracy, in %", title="deviation on batches of 50, in points", ylim=(0, 6))
    right.set_xlim(85, 103)
    return figure


@styled
def rates_and_noise(palette: Palette) -> Figure:
    """Draw the mean squared distance from a minimum under three schedules, noisy and not."""
    large, smaller, steps = Fraction(1, 2), Fraction(1, 16), 40
    schedules = {
        "rate 1/2": [large] * steps,
        "rate 1/16": [smaller] * steps,
        "1/2, then 1/16": [large] * 5 + [smaller] * (steps - 5),
    }
    figure = canvas(2.7)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (title, noise) in zip(panels, {"noisy": 1, "without noise": 0}.items(), strict=True):
        for number, (name, rates) in enumerate(schedules.items()):
            squares = expected_squares(rates, Fraction(noise), Fraction(4), Fraction(1))
            axes.semilogy(
                [float(square) for square in squares],
                color=palette.colors[number],
                linestyle=("-", "--", "-.")[number],
                label=name,
            )
        axes.set(xlabel="steps", title=title, ylim=(1e-5, 30))
    panels[0].set_ylabel("mean squared distance")
    panels[0].legend()
    return figure


@styled
def noise_passed_on(palette: Palette) -> Figure:
    """Draw the noise that a linear fit of four examples passes on, against its weights."""
    X = sympy.Matrix(
        [
            [1, 1, 1, 1, 1, 1, 1, 1],
            [1, -1, 1, -1, 1, -1, 1, -1],
            [1, 1, -1, -1, 1, 1, -1, 2],
            [1, -1, -1, 2, 1, -1, -1, 1],
        ]
    )
    fits = [least_squares_map(X[:, :weights]) for weights in range(1, 9)]
    figure = canvas(2.4)
    axes = figure.subplots()
    values = np.array([round(float((fit * fit.T).trace()), 2) for fit in fits])
    bars(axes, values, palette, first=1, title="noise in the answers to new inputs")
    axes.patches[3].set_facecolor(palette.colors[1])
    axes.set_xlabel("weights, for 4 examples")
    same_height([axes])
    return figure


@styled
def dropout_and_copies(palette: Palette) -> Figure:
    """Draw the share of the best fit that is left at each dropout rate, for copies of a feature."""
    rates = [Fraction(k, 100) for k in range(100)]
    figure = canvas(2.6)
    axes = figure.subplots()
    for number, copies in enumerate((1, 4, 16, 64)):
        shares = [float(copies / (copies + dropout_penalty(rate))) for rate in rates]
        axes.plot(
            [float(rate) for rate in rates],
            shares,
            color=palette.colors[number],
            linestyle=("-", "--", "-.", ":")[number],
            label=f"{copies} unit{'s' if copies > 1 else ''}",
        )
    axes.legend(title="that carry the feature", loc="lower left")
    axes.set(xlabel="dropout rate", title="share of the best fit", ylim=(0, 1.05))
    return figure


@styled
def mirrored_characters(palette: Palette) -> Figure:
    """Draw characters and their mirror images: another one, the same one, or none."""
    cases = {"b": "d", "p": "q", "A": "itself", "8": "itself", "2": "none", "R": "none"}
    figure = canvas(1.4)
    room = 2.2  # for the widest pair, so that all are drawn at one size
    for axes, (character, mirrored) in zip(figure.subplots(1, 6), cases.items(), strict=True):
        path = TextPath((0, 0), character, size=1, prop=FontProperties(family="DejaVu Sans"))
        width = path.get_extents().x1
        twin = Affine2D().scale(-1, 1).translate(2 * width + 0.3, 0).transform_path(path)
        other = mirrored in ("d", "q")
        for outline, color in ((path, 0), (twin, 1 if other else 0)):
            axes.add_patch(PathPatch(outline, facecolor=palette.colors[color], edgecolor="none"))
        middle = width + 0.15
        axes.set(xlim=(middle - room / 2, middle + room / 2), ylim=(-0.35, 0.9), aspect="equal")
        axes.set_title(f"mirror: {mirrored}")
        axes.axis("off")
    return figure


@styled
def pasted_person(palette: Palette) -> Figure:
    """Draw the smallest image to which an element of another one is added."""
    car, person = np.array([5, 0]), np.array([0, 9])
    mask = np.array([0, 1])
    pasted = np.where(mask == 1, person, car)
    figure = canvas(2.1)
    panels = figure.subplots(1, 4)
    signals = {"car": car, "person": person, "mask": mask, "car and person": pasted}
    for number, (axes, (title, cells)) in enumerate(zip(panels, signals.items(), strict=True)):
        bars(axes, cells, palette, title=title, color=(0, 1, 3, 2)[number])
    same_height(panels)
    return figure


def _training_accuracy(name: str) -> float:
    reported = claims()[f"assignment-3-{name}"].reported
    if not isinstance(reported, dict):
        raise TypeError(f"{name} reports {reported!r}, expected its accuracies by name")
    return float(reported["train"])
