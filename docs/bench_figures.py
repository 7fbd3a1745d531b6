"""Figures and facts from the JSON that a bench run leaves behind."""

from __future__ import annotations

import json
import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from _ext.style import styled
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from _ext.style import Palette
    from matplotlib.axes import Axes

    from experiments.figures import Theme

Results = dict[str, Any]
"""What pytest-benchmark saved, as `load` reads it."""

SCALING_FROM = 2**12
"""Samples from which on a call's time is taken to scale, its fixed part being small."""

_LINES = {"direct": ":", "fft": "-", "overlap-add": "-.", "auto": "--"}
_MARKERS = {"direct": "o", "fft": "s", "overlap-add": "^", "auto": "x"}
_COLUMNS = 3


def load(path: Path) -> Results:
    """Read the results of a bench run.

    Parameters
    ----------
    path
        What ``pytest benches --benchmark-only --benchmark-json PATH`` wrote.

    Raises
    ------
    ValueError
        If the file does not hold such results.
    """
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        results["benchmarks"], results["machine_info"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            f"{path} does not hold the results of a bench run: write it again with "
            f"pytest benches --benchmark-only --benchmark-json {path}"
        ) from None
    return results


def draw_convolution(results: Results, theme: Theme) -> Figure:
    """Draw the time of one convolution against the length of the signal, a panel for each kernel.

    A line is the median over the rounds, a band the middle half of them. Colour tells the library,
    line style and marker the algorithm.

    Parameters
    ----------
    results
        As from `load`.
    theme
        ``"light"`` or ``"dark"``.

    Raises
    ------
    ValueError
        If there are no results of this bench.
    """
    return styled(partial(_convolution, _benches(results, "convolution")))(theme)


def draw_training(results: Results, theme: Theme) -> Figure:
    """Draw images per second for each rung of the ladder, a panel for each device.

    A bar is the median over the rounds, a whisker reaches from the slowest to the fastest.

    Parameters, raises as `draw_convolution`.
    """
    return styled(partial(_training, _benches(results, "training")))(theme)


def scaling(results: Results) -> dict[tuple[str, int], float]:
    """Return by method and number of taps the exponent p of ``seconds ∝ samples ** p``.

    It is the slope of a least-squares line through the logarithms, from `SCALING_FROM` samples and
    twice as many as taps on; where that leaves fewer than three sizes there is none.

    Parameters
    ----------
    results
        As from `load`.

    Raises
    ------
    ValueError
        If there are no results of the convolution bench.
    """
    exponents = {}
    benches = _benches(results, "convolution")
    for taps in _values(benches, "taps"):
        for method in _values(benches, "method"):
            line = _line(benches, method=method, taps=taps)
            points = [
                (math.log(samples), math.log(bench["stats"]["median"]))
                for samples, bench in line.items()
                if samples >= max(SCALING_FROM, 2 * taps)
            ]
            if len(points) >= 3:
                exponents[method, taps] = float(np.polyfit(*zip(*points, strict=True), 1)[0])
    return exponents


def conditions(results: Results) -> str:
    """Return where the times come from, for a caption: processor, threads, versions, date."""
    facts = [bench["extra_info"] for bench in results["benchmarks"]]
    hardware = " and ".join(dict.fromkeys(fact["hardware"] for fact in facts))
    first = facts[0]
    threads = f"{first['threads']} thread{'s' * (first['threads'] > 1)}"
    return (
        f"{hardware}, {threads}; Python {first['python']}, "
        f"PyTorch {first['torch']}, NumPy {first['numpy']}, SciPy {first['scipy']}; "
        f"{results['datetime'][:10]}"
    )


def _convolution(benches: list[Results], palette: Palette) -> Figure:
    kernels = _values(benches, "taps")
    colors = dict(zip(_values(benches, "library"), palette.colors, strict=False))
    rows = math.ceil(len(kernels) / _COLUMNS)
    columns = min(len(kernels), _COLUMNS)
    figure = Figure(figsize=(3.2 * max(columns, 2), 3 * rows + 1), layout="constrained")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, taps in zip(panels, kernels, strict=False):
        for method in _values(benches, "method"):
            _draw_line(axes, _line(benches, method=method, taps=taps), colors)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set(title=f"{taps} taps", xlabel="signal (samples)")
        axes.grid(color=palette.faint, linewidth=0.6)
        axes.label_outer()
    for unused in panels[len(kernels) :]:
        unused.remove()
    figure.supylabel("time of one call (s)", fontsize="medium", color=palette.ink)
    keys = [Line2D([], [], color=color, label=library) for library, color in colors.items()]
    keys += [
        Line2D([], [], color=palette.ink, linestyle=_LINES[algorithm], marker=_MARKERS[algorithm])
        for algorithm in _values(benches, "algorithm")
    ]
    names = [*colors, *_values(benches, "algorithm")]
    figure.legend(keys, names, loc="outside lower center", ncols=5, handlelength=3)
    return figure


def _draw_line(axes: Axes, line: dict[int, Results], colors: dict[str, str]) -> None:
    if not line:  # left out at every size, or not installed
        return
    facts = next(iter(line.values()))["extra_info"]
    color, algorithm = colors[facts["library"]], facts["algorithm"]
    low, middle, high = (
        [bench["stats"][statistic] for bench in line.values()]
        for statistic in ("q1", "median", "q3")
    )
    axes.fill_between(list(line), low, high, color=color, alpha=0.2, linewidth=0)
    axes.plot(
        list(line),
        middle,
        color=color,
        linestyle=_LINES[algorithm],
        marker=_MARKERS[algorithm],
        markersize=3.5,
    )


def _training(benches: list[Results], palette: Palette) -> Figure:
    devices = _values(benches, "hardware")
    figure = Figure(figsize=(7.5, 3 * len(devices)), layout="constrained")
    panels = figure.subplots(len(devices), squeeze=False).ravel()
    for axes, hardware in zip(panels, devices, strict=True):
        _draw_ladder(axes, _chosen(benches, hardware=hardware), palette)
        axes.set(title=hardware, xlabel="images per second")
    return figure


def _draw_ladder(axes: Axes, ladder: list[Results], palette: Palette) -> None:
    names = [bench["extra_info"]["rung"] for bench in ladder]
    images = [bench["extra_info"]["images"] for bench in ladder]
    slowest, speed, fastest = (
        np.array([n / bench["stats"][statistic] for n, bench in zip(images, ladder, strict=True)])
        for statistic in ("max", "median", "min")
    )
    colors = [palette.colors[1]] + [palette.colors[0]] * (len(ladder) - 1)
    axes.barh(
        names,
        speed,
        height=0.65,
        color=colors,
        xerr=(speed - slowest, fastest - speed),
        error_kw={"ecolor": palette.ink, "capsize": 3},
    )
    for row, (value, end) in enumerate(zip(speed, fastest, strict=True)):
        axes.annotate(
            f"{value:,.0f}  (×{value / speed[0]:.2g})",
            (end, row),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_xlim(0, 1.25 * fastest.max())
    axes.invert_yaxis()


def _benches(results: Results, question: str) -> list[Results]:
    benches = [b for b in results["benchmarks"] if b["group"].startswith(f"{question}, ")]
    if not benches:
        raise ValueError(
            f"the results hold no bench of {question}: write them again with "
            "pytest benches --benchmark-only"
        )
    return benches


def _line(benches: Iterable[Results], **facts: Any) -> dict[int, Results]:
    """Return the chosen benches by number of samples."""
    chosen = {bench["extra_info"]["samples"]: bench for bench in _chosen(benches, **facts)}
    return dict(sorted(chosen.items()))


def _chosen(benches: Iterable[Results], **facts: Any) -> list[Results]:
    return [bench for bench in benches if facts.items() <= bench["extra_info"].items()]


def _values(benches: Iterable[Results], fact: str) -> list[Any]:
    """Return what a fact takes on, in order of appearance."""
    return list(dict.fromkeys(bench["extra_info"][fact] for bench in benches))
