"""A bench on a page: its figures and tables, from the stored JSON of a run, or a note of none."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import bench_figures
import bench_results
from bench_figures import Curves, Ladder
from bench_results import chosen, gains, speed, values
from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from _ext.chips import chip
from _ext.pictures import picture
from _ext.places import DOCS
from _ext.tables import Cell, table

if TYPE_CHECKING:
    from bench_results import Bench, Results
    from matplotlib.figure import Figure
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment
    from sphinx.util.typing import ExtensionMetadata


STORED = DOCS / "results" / "bench.json"

AIMS = {
    "3-filters": 2.69,
    "20-filters": 3.15,
    "assignment-3": 4.31,
    "batch-norm": 3.71,
    "tp1-cnn": 5.00,
    "mnist-2017": 3.60,
}
"""How many times as fast as the tutorial's loop the last rung should be, with bfloat16 hardware."""


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
    "audit": [_methods(("depth",), "convolutions in a row")],
}
"""The questions that are answered by time against size."""

LADDERS = {
    "training": Ladder("rung", "tutorial loop", "times the tutorial’s loop", "network"),
    "fleet": Ladder("crew", "alone", "times alone, for each network", "network"),
    "time to accuracy": Ladder("recipe", "engine, assignment-3", "times the engine"),
}
"""The questions that are answered by images per second."""


class BenchDirective(SphinxDirective):
    """Show what the stored run answers to one question."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        question = self.arguments[0]
        try:
            results = bench_results.load(STORED) if STORED.exists() else None
            if results is None or not bench_results.of(results, question):
                note = nodes.Text(f" No results of {question} are stored.")
                return [nodes.paragraph("", "", chip("not_run"), note)]
            return answer(self.env, results, question)
        except ValueError as error:
            raise ExtensionError(str(error)) from error


def answer(env: BuildEnvironment, results: Results, question: str) -> list[nodes.Node]:
    """Return the figures and tables of one question.

    Raises
    ------
    ValueError
        If the results are older than the bench, or no figure is known for the question.
    """
    if question in LADDERS:
        return _ladders(env, results, question)
    if question not in CURVES:
        raise ValueError(
            f"no figure is known for the bench question {question!r}; "
            f"known: {', '.join([*LADDERS, *CURVES])}"
        )
    shown = [
        node for curves in CURVES[question] for node in _curves(env, results, question, curves)
    ]
    if "algorithm" in CURVES[question][0].facts:
        shown += _choices(env, results, question)
    return shown


def _figure(
    env: BuildEnvironment,
    results: Results,
    name: str,
    drawn: Figure,
    benches: list[Bench],
    *,
    caption: str,
    alt: str,
) -> nodes.figure:
    figure = picture(env, f"bench-{name.replace(' ', '-')}", drawn, alt)
    where = bench_results.conditions(results, benches)
    figure += nodes.caption("", f"{caption} Measured on {where}.")
    return figure


def _ladders(env: BuildEnvironment, results: Results, question: str) -> list[nodes.Node]:
    ladder = LADDERS[question]
    facts = ("images", "device", ladder.row, *([ladder.panel] if ladder.panel else []))
    benches = bench_results.of(results, question, facts)
    shown: list[nodes.Node] = []
    for device in values(benches, "device"):
        measured = chosen(benches, device=device)
        figure = _figure(
            env,
            results,
            f"{question}-{device}",
            bench_figures.draw_ladder(measured, ladder),
            measured,
            caption="Images per second, and how many times those of the first row, which was timed "
            "in turns with the others: median over the rounds, least to most.",
            alt=f"Images a second on {device}. {_ladder_alt(measured, ladder)}",
        )
        shown.append(figure)
        if question == "training":
            shown += _training_tables(results, measured)
    return shown


def _training_tables(results: Results, benches: list[Bench]) -> list[nodes.Node]:
    shown: list[nodes.Node] = [_ladder_table(results, benches)]
    if "+ bfloat16" not in values(benches, "rung"):
        text = (
            "The rung “+ bfloat16” was not measured: this processor only emulates bfloat16. The "
            "aims are for one that multiplies it itself."
        )
        shown.append(nodes.paragraph("", text))
    return shown


def _ladder_table(results: Results, benches: list[Bench]) -> nodes.container:
    networks, rungs = values(benches, "network"), values(benches, "rung")
    by = {(b["extra_info"]["network"], b["extra_info"]["rung"]): b for b in benches}
    first = {network: by[network, rungs[0]] for network in networks}
    rows: list[list[Cell]] = [
        [
            "parameters",
            *(f"{first[network]['extra_info']['parameters']:,}" for network in networks),
        ],
        [f"{rungs[0]} (images/s)", *(f"{speed(first[network]):,.0f}" for network in networks)],
    ]
    for rung in rungs[1:]:
        ratios = (
            f"{statistics.median(gains(by[network, rung], first[network])):.2f}×"
            if (network, rung) in by
            else "–"
            for network in networks
        )
        rows.append([rung, *ratios])
    rows.append(["aim, with bfloat16", *(f"{AIMS[network]:.2f}×" for network in networks)])
    if ceiling := _gemm_gflops(results, benches):
        best = (
            max(b["extra_info"]["gflops"] for b in chosen(benches, network=network))
            for network in networks
        )
        rows.append(
            [
                f"best rung, of a matrix product’s {ceiling:,.0f} GFLOP/s",
                *(f"{gflops / ceiling:.0%}" for gflops in best),
            ]
        )
    return table(["", *networks], rows)


def _gemm_gflops(results: Results, benches: list[Bench]) -> float | None:
    """Return the rate of the fastest float32 matrix product on the same device, if measured."""
    device = benches[0]["extra_info"]["device"]
    products = bench_results.of(results, "gemm", ("gflops", "precision"))
    same = chosen(products, device=device, precision="float32")
    return max((product["extra_info"]["gflops"] for product in same), default=None)


def _ladder_alt(benches: list[Bench], ladder: Ladder) -> str:
    names = [fact for fact in (ladder.panel, ladder.row) if fact]
    return " ".join(
        f"{', '.join(bench['extra_info'][name] for name in names)}: {speed(bench):,.0f}."
        for bench in benches
    )


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
    figure = _figure(
        env,
        results,
        f"{question}-{curves.size[-1]}",
        bench_figures.draw_curves(benches, curves),
        benches,
        caption="Time of one call: median over the rounds, band: middle half.",
        alt=f"Time of one call against the {curves.label}. {_exponents_alt(exponents)}",
    )
    if not exponents:
        return [figure]
    text = (
        f"Exponents p of seconds ∝ sizeᵖ, where the size is {curves.label}, fitted to the largest "
        "sizes, with their 95 % intervals:"
    )
    return [figure, nodes.paragraph("", text), _exponents_table(exponents, curves)]


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
    return f"{fit['exponent']:.2f} ({fit['low']:.2f} to {fit['high']:.2f})".replace("-", "−")


def _exponents_alt(exponents: list[Results]) -> str:
    return " ".join(
        f"{', '.join(map(str, fit['line'].values()))}: exponent {fit['exponent']:.2f}."
        for fit in exponents
    )


def _choices(env: BuildEnvironment, results: Results, question: str) -> list[nodes.Node]:
    facts = ("algorithm", "precision", "samples", "taps", "method", "device")
    benches = bench_results.of(results, question, facts)
    ratios = bench_figures.choices(benches)
    if not ratios:
        return []
    found = "; ".join(
        f"{method}: {statistics.median(cells.values()):.2f} in the median, "
        f"{max(cells.values()):.2f} at worst"
        for method, cells in ratios.items()
    )
    return [
        _figure(
            env,
            results,
            f"{question}-choices",
            bench_figures.draw_choices(benches),
            benches,
            caption="What choosing costs: the time of a method that chooses by itself over that of "
            f"the fastest of all at that size, its own choosing included. {found}.",
            alt=f"A cell for each number of samples and taps. {found}.",
        )
    ]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive ``bench``."""
    app.add_directive("bench", BenchDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
