"""The benches on a page, drawn from the stored JSON of a run; or a note that none is stored."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import bench_figures
from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from _ext.chips import chip
from _ext.pictures import picture
from _ext.places import DOCS
from _ext.tables import Cell, table

if TYPE_CHECKING:
    from pathlib import Path

    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment
    from sphinx.util.typing import ExtensionMetadata

STORED = DOCS / "results" / "bench.json"


class BenchesDirective(SphinxDirective):
    """Show the figures of the stored bench run, its exponents, and the machine that it ran on."""

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        if not STORED.exists():
            note = nodes.Text(" No results are stored; the command above stores them.")
            return [nodes.paragraph("", "", chip("not_run"), note)]
        try:
            return benches(self.env, STORED)
        except ValueError as error:
            raise ExtensionError(str(error)) from error


def benches(env: BuildEnvironment, path: Path) -> list[nodes.Node]:
    """Return the figures and facts of the results in a file.

    Raises
    ------
    ValueError
        If the file does not hold the results of both benches.
    """
    results = bench_figures.load(path)
    exponents = bench_figures.scaling(results)
    training = picture(
        env, "bench-training", partial(bench_figures.draw_training, results), _training_alt(results)
    )
    training += nodes.caption("", "Training: median over the rounds, slowest to fastest.")
    convolution = picture(
        env,
        "bench-convolution",
        partial(bench_figures.draw_convolution, results),
        "Time of one convolution against the length of the signal, by method, a panel for each "
        f"number of taps. {_scaling_alt(exponents)}",
    )
    convolution += nodes.caption("", "Convolution: median over the rounds, band: middle half.")
    scaling = nodes.paragraph("", "Exponents p of seconds ∝ samples^p, fitted to the long signals:")
    machine = nodes.paragraph("", f"Measured on {bench_figures.conditions(results)}.")
    shown: list[nodes.Node] = [machine, training, convolution]
    return [*shown, scaling, _scaling_table(exponents)] if exponents else shown


def _scaling_table(exponents: dict[tuple[str, int], float]) -> nodes.container:
    methods, taps = (list(dict.fromkeys(names)) for names in zip(*exponents, strict=True))
    rows: list[list[Cell]] = [
        [method, *(f"{exponents[method, k]:.2f}" if (method, k) in exponents else "" for k in taps)]
        for method in methods
    ]
    return table(["method", *(f"{k} taps" for k in taps)], rows)


def _scaling_alt(exponents: dict[tuple[str, int], float]) -> str:
    return " ".join(
        f"{method} with {taps} taps grows as samples to the power {exponent:.2f}."
        for (method, taps), exponent in exponents.items()
    )


def _training_alt(results: bench_figures.Results) -> str:
    rungs = (b for b in results["benchmarks"] if b["group"].startswith("training, "))
    return "Images per second in training. " + " ".join(
        f"{rung['extra_info']['rung']}: "
        f"{rung['extra_info']['images'] / rung['stats']['median']:,.0f}."
        for rung in rungs
    )


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive ``benches``."""
    app.add_directive("benches", BenchesDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
