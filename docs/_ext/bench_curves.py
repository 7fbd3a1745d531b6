"""Time against size: pictures, fitted exponents, and what choosing a method costs."""

from __future__ import annotations

import statistics
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import bench_figures
import bench_results
from bench_choices import choices, draw_choices
from bench_figures import Curves
from bench_ratios import draw_ratios, fastest, sizes_of
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
    title="{:,} taps",
)
CURVES = {
    "convolution": [_SIGNALS],
    "filter gradient": [replace(_SIGNALS, cells=True)],
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
    shown: list[nodes.Node] = []
    for each in CURVES[question]:
        benches = chosen(bench_results.of(results, question, each.facts), **each.where)
        exponents = [
            fit
            for fit in results.get("scaling", [])
            if (fit["question"], fit["size"]) == (question, list(each.size))
            and each.where.items() <= fit["line"].items()
            and _tells(fit)
        ]
        draw = _ratios if each.cells else _lines
        shown += draw(env, results, question, each, benches)
        shown += _exponents(exponents, each)
        if each.panel and not each.cells:
            shown += _choices(env, results, question)
    return shown


def _lines(
    env: BuildEnvironment,
    results: Results,
    question: str,
    curves: Curves,
    benches: list[Bench],
) -> list[nodes.Node]:
    figure = bench_picture(
        env,
        results,
        f"{question}-{curves.size[-1]}",
        partial(bench_figures.draw_curves, benches, curves),
        benches,
        caption="Time of one call: median over the rounds, band: middle half.",
        alt=f"Time of one call against the {curves.label}. {_ends_alt(benches, curves)}",
    )
    if times := _times_table(benches, curves):
        return [figure, nodes.paragraph("", "Median time of one call:"), times]
    return [figure]


def _ratios(
    env: BuildEnvironment,
    results: Results,
    question: str,
    curves: Curves,
    benches: list[Bench],
) -> list[nodes.Node]:
    found = _told_choices(choices(benches))
    best = " ".join(
        f"{taps:,} taps, {samples:,} samples: {bench['extra_info'][curves.line]}, "
        f"{duration(bench['stats']['median'])}."
        for taps, samples in sizes_of(benches)
        for bench in [fastest(benches, taps, samples)]
    )
    return [
        bench_picture(
            env,
            results,
            f"{question}-ratios",
            partial(draw_ratios, benches),
            benches,
            caption="Time of one call over that of the fastest at that size, in the median of the "
            f"rounds that both shared; an empty cell was not measured. {found}.",
            alt=f"A row for each method, a column for each size. The fastest: {best}",
        )
    ]


def _exponents(exponents: list[Results], curves: Curves) -> list[nodes.Node]:
    """Return the table of the exponents, if there are any that say something."""
    if not exponents:
        return []
    text = (
        f"Exponents p of seconds ∝ sizeᵖ, where the size is {curves.label}, fitted to the largest "
        f"sizes, with their 95 % intervals, where these are narrower than {_WIDEST:g}:"
    )
    return [nodes.paragraph("", text), _exponents_table(exponents, curves)]


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
    lines = list(dict.fromkeys(line for line, _ in by))
    panels = sorted({panel for _, panel in by}) if curves.panel else [None]
    rows: list[list[Cell]] = [
        [line, *(_exponent(by[line, panel]) if (line, panel) in by else "–" for panel in panels)]
        for line in lines
    ]
    heads = [curves.title.format(panel) if curves.panel else "p" for panel in panels]
    return table([curves.line, *heads], rows)


def _exponent(fit: Results) -> str:
    return f"{fit['exponent']:.2f} ({fit['low']:.2f} to {fit['high']:.2f})"


def _ends_alt(benches: list[Bench], curves: Curves) -> str:
    """Say in words where each line begins and ends, in each panel."""
    told = []
    for panel in curves.panels(benches):
        inside = chosen(benches, **{curves.panel: panel}) if curves.panel else benches
        title = f"{curves.title.format(panel)}: " if curves.panel else ""
        for line in bench_results.values(inside, curves.line):
            along = sorted(chosen(inside, **{curves.line: line}), key=curves.size_of)
            ends = [
                f"{duration(each['stats']['median'])} at {curves.size_of(each):,}"
                for each in (along[0], along[-1])
            ]
            told.append(f"{title}{line}: {', '.join(dict.fromkeys(ends))}.")
    return " ".join(told)


def _tells(fit: Results) -> bool:
    """Whether the interval of an exponent is narrow enough to say anything."""
    return bool(fit["high"] - fit["low"] <= _WIDEST)


def _choices(env: BuildEnvironment, results: Results, question: str) -> list[nodes.Node]:
    facts = ("algorithm", "precision", "samples", "taps", "method", "device")
    benches = bench_results.of(results, question, facts)
    ratios = choices(benches)
    if not ratios:
        return []
    found = _told_choices(ratios)
    return [
        bench_picture(
            env,
            results,
            f"{question}-choices",
            partial(draw_choices, benches),
            benches,
            caption="What choosing costs: the time of a method that chooses by itself over that of "
            "the fastest of all at that size. Ours chooses at the first call of a size, which is "
            f"not timed, and remembers; SciPy’s chooses at every call. {found}.",
            alt=f"A cell for each number of samples and taps. {found}.",
        )
    ]


def _told_choices(ratios: dict[str, dict[tuple[int, int], float]]) -> str:
    """Say how far the methods that choose for themselves are behind the fastest."""
    return "; ".join(
        f"{method}: {statistics.median(cells.values()):.3f} in the median, "
        f"{max(cells.values()):.3f} at worst"
        for method, cells in ratios.items()
    )
