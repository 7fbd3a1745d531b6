"""Time against size: pictures, fitted exponents, and what choosing a method costs."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import bench_figures
import bench_results
from bench_choices import choices, draw_choices
from bench_figures import Curves
from bench_results import chosen
from docutils import nodes

from _ext.bench_picture import bench_picture
from _ext.tables import Cell, duration, table

if TYPE_CHECKING:
    from bench_results import Bench, Results
    from sphinx.environment import BuildEnvironment


_MOST_COLUMNS = 9
"""Sizes up to which times are tabulated."""

_COUNTED = {"depth": "in a row"}
"""What a size counts, where the name of the fact is no plural."""

_WIDEST = 1.0
"""Width up to which the interval of an exponent tells growth in proportion from none."""


def _methods(size: tuple[str, ...], label: str, **where: int) -> Curves:
    """Return curves with a line for each method, in one panel."""
    return Curves(size, label, line="method", color="library", style="method", where=where)


_WORK = ("channels", "channels", "channels", "cells")
_SIGNALS = Curves(
    ("samples",),
    "samples of the signal",
    line="method",
    color="library",
    style="algorithm",
    panel="taps",
    title="{} taps",
)
CURVES = {
    "convolution": [_SIGNALS],
    "filter gradient": [_SIGNALS],
    "spectrum": [_methods(_WORK, "channels³ × cells of a map")],
    "norm": [_methods(_WORK, "channels³ × cells of a map")],
    "diagnose": [
        _methods(("cells",), "cells of the input", filters=16),
        _methods(("depth",), "convolutions in a row", filters=4),
    ],
    "audit": [
        _methods(("depth",), "convolutions in a row", cells=32**2),
        _methods(("cells",), "cells of a map", depth=8),
    ],
}
"""The questions that are answered by time against size."""


def curves(env: BuildEnvironment, results: Results, question: str) -> list[nodes.Node]:
    """Return what is known of a question that is one of `CURVES`."""
    shown = [node for each in CURVES[question] for node in _curves(env, results, question, each)]
    if "algorithm" in CURVES[question][0].facts:
        shown += _choices(env, results, question)
    return shown


def _curves(
    env: BuildEnvironment, results: Results, question: str, curves: Curves
) -> list[nodes.Node]:
    benches = chosen(bench_results.of(results, question, curves.facts), **curves.where)
    exponents = [
        fit
        for fit in results.get("scaling", [])
        if (fit["question"], fit["size"]) == (question, list(curves.size))
        and curves.where.items() <= fit["line"].items()
    ]
    figure = bench_picture(
        env,
        results,
        f"{question}-{curves.size[-1]}",
        bench_figures.draw_curves(benches, curves),
        benches,
        caption="Time of one call: median over the rounds, band: middle half.",
        alt=f"Time of one call against the {curves.label}. {_exponents_alt(exponents)}",
    )
    shown: list[nodes.Node] = [figure]
    if times := _times_table(benches, curves):
        shown += [nodes.paragraph("", "Median time of one call:"), times]
    if not exponents:
        return shown
    text = (
        f"Exponents p of seconds ∝ sizeᵖ, where the size is {curves.label}, fitted to the largest "
        f"sizes, with their 95 % intervals; a dash where that is wider than {_WIDEST:g}:"
    )
    return [*shown, nodes.paragraph("", text), _exponents_table(exponents, curves)]


def _times_table(benches: list[Bench], curves: Curves) -> nodes.container | None:
    """Return a row for each line and a column for each size, unless those are too many."""
    facts = (*dict.fromkeys(curves.size), *([curves.panel] if curves.panel else []))
    sizes = sorted({tuple(bench["extra_info"][fact] for fact in facts) for bench in benches})
    if len(sizes) > _MOST_COLUMNS:
        return None
    by = {
        (
            bench["extra_info"][curves.line],
            tuple(bench["extra_info"][fact] for fact in facts),
        ): bench
        for bench in benches
    }
    heads = [
        "; ".join(
            f"{value:,} {_COUNTED.get(fact, fact)}" for fact, value in zip(facts, size, strict=True)
        )
        for size in sizes
    ]
    rows: list[list[Cell]] = [
        [
            line,
            *(
                duration(by[line, size]["stats"]["median"]) if (line, size) in by else "–"
                for size in sizes
            ),
        ]
        for line in bench_results.values(benches, curves.line)
    ]
    return table([curves.line, *heads], rows)


def _exponents_table(exponents: list[Results], curves: Curves) -> nodes.container:
    """Return a row for each line and, where there are panels, a column for each of them."""
    by = {(fit["line"][curves.line], fit["line"].get(curves.panel)): fit for fit in exponents}
    lines, panels = (list(dict.fromkeys(names)) for names in zip(*by, strict=True))
    rows: list[list[Cell]] = [
        [line, *(_exponent(by[line, panel]) if (line, panel) in by else "" for panel in panels)]
        for line in lines
    ]
    heads = [curves.title.format(panel) if curves.panel else "p" for panel in panels]
    return table([curves.line, *heads], rows)


def _exponent(fit: Results) -> str:
    """Return a fitted exponent, or a dash where its interval is too wide to say anything."""
    if not _tells(fit):
        return "–"
    return f"{fit['exponent']:.2f} ({fit['low']:.2f} to {fit['high']:.2f})".replace("-", "−")


def _exponents_alt(exponents: list[Results]) -> str:
    return " ".join(
        f"{', '.join(map(str, fit['line'].values()))}: exponent {fit['exponent']:.2f}."
        for fit in exponents
        if _tells(fit)
    )


def _tells(fit: Results) -> bool:
    return fit["high"] - fit["low"] <= _WIDEST


def _choices(env: BuildEnvironment, results: Results, question: str) -> list[nodes.Node]:
    facts = ("algorithm", "precision", "samples", "taps", "method", "device")
    benches = bench_results.of(results, question, facts)
    ratios = choices(benches)
    if not ratios:
        return []
    found = "; ".join(
        f"{method}: {statistics.median(cells.values()):.3f} in the median, "
        f"{max(cells.values()):.3f} at worst"
        for method, cells in ratios.items()
    )
    return [
        bench_picture(
            env,
            results,
            f"{question}-choices",
            draw_choices(benches),
            benches,
            caption="What choosing costs: the time of a method that chooses by itself over that of "
            f"the fastest of all at that size, its own choosing included. {found}.",
            alt=f"A cell for each number of samples and taps. {found}.",
        )
    ]
