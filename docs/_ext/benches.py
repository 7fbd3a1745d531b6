"""A bench on a page: its figures and tables, from the stored JSON of a run, or a note of none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bench_results
from bench_results import run_described
from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from _ext.bench_ceilings import LAYER, ceilings
from _ext.bench_curves import CURVES, curves
from _ext.bench_ladders import LADDERS, ladders
from _ext.bench_steps import STEP, steps
from _ext.bench_tables import TABLES, times_by_case
from _ext.chips import chip
from _ext.places import DOCS

if TYPE_CHECKING:
    from bench_results import Results
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment
    from sphinx.util.typing import ExtensionMetadata


STORED = DOCS / "results" / "bench.json"


class BenchDirective(SphinxDirective):
    """Show what the stored run answers to one question."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        question = self.arguments[0]
        results = _stored()
        try:
            if results is None or not bench_results.of(results, question):
                note = nodes.Text(f" No results of {question} are stored.")
                return [nodes.paragraph("", "", chip("not_run"), note)]
            return answer(self.env, results, question)
        except ValueError as error:
            raise ExtensionError(str(error)) from error


class BenchRunDirective(SphinxDirective):
    """Say when the stored run was made, how long it took, and what else the machine had to do."""

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        results = _stored()
        return [] if results is None else [nodes.paragraph("", run_described(results))]


def _stored() -> Results | None:
    """Return the stored run, if there is one."""
    try:
        return bench_results.load(STORED) if STORED.exists() else None
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
        return ladders(env, results, question)
    if question in CURVES:
        return curves(env, results, question)
    if question == STEP:
        return steps(env, results)
    if question in TABLES:
        return times_by_case(results, question)
    if question == LAYER:
        return ceilings(results)
    raise ValueError(
        f"no figure is known for the bench question {question!r}; "
        f"known: {', '.join([*LADDERS, *CURVES, *TABLES, STEP, LAYER])}"
    )


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives ``bench`` and ``bench-run``."""
    app.add_directive("bench", BenchDirective)
    app.add_directive("bench-run", BenchRunDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
