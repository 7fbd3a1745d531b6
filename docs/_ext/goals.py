"""The goals of speed on a page: a row a goal, with what was measured and what stands in the way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import bench_results
from bench_results import gain, speed
from docutils import nodes
from goal_outcomes import Sources
from speed_goals import GOALS, LADDER, NETWORKS
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective
from training_goals import LAST_RUNGS, TUTORIAL, ratio_at_most

from _ext import benches
from _ext.bench_ceilings import ceilings
from _ext.chips import chip
from _ext.race import operations, runs_of
from _ext.tables import Cell, below, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench_results import Bench, Results
    from speed_goals import Goal
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata


_HEAD = ("what", "goal", "measured", "")


class GoalsDirective(SphinxDirective):
    """Tabulate the goals of one chapter."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        chapter = self.arguments[0]
        if chapter not in GOALS:
            raise ExtensionError(f"no goals of {chapter!r}; known: {', '.join(GOALS)}")
        race = runs_of(Path(self.config.convlaws_race))
        try:
            results = _stored(benches.STORED)
            sources = Sources(results, race, lambda found: operations(found[0].settings))
            rows = [row for goal in GOALS[chapter] for row in _rows(goal, sources)]
        except (OSError, ValueError) as error:
            raise ExtensionError(str(error)) from error
        return [table(_HEAD, rows, classes=["goals"])]


class LadderDirective(SphinxDirective):
    """Tabulate the training ladder beside the one on the machine of the goals."""

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        try:
            rows = ladder_rows(_stored(benches.STORED))
        except (OSError, ValueError) as error:
            raise ExtensionError(str(error)) from error
        return [table(["", *NETWORKS], rows)]


class CeilingsDirective(SphinxDirective):
    """Tabulate what the convolutions of a step reach alone."""

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        try:
            return ceilings(_stored(benches.STORED))
        except (OSError, ValueError) as error:
            raise ExtensionError(str(error)) from error


def ladder_rows(results: Results) -> list[list[Cell]]:
    """Return a row a rung: what was measured, and in brackets what was on the machine of the goals.

    Raises
    ------
    ValueError
        If the results are older than the bench.
    """
    stored = bench_results.of(results, "training", ("network", "rung", "images"))
    by = {
        (bench["extra_info"]["network"], bench["extra_info"]["rung"]): bench
        for bench in bench_results.chosen(stored, device="cpu")
    }
    rows: list[list[Cell]] = []
    for rung, theirs in LADDER.items():
        measured = [by.get((network, rung)) for network in NETWORKS]
        if rung == TUTORIAL:
            ours = ["–" if bench is None else f"{speed(bench):,.0f}" for bench in measured]
            aims = [f"{aim:,}" for aim in theirs]
        else:
            bases = [by.get((network, TUTORIAL)) for network in NETWORKS]
            pairs = zip(measured, bases, strict=True)
            ours = [f"{gain(run, base):.2f}×" if run and base else "–" for run, base in pairs]
            aims = [f"{aim:.2f}×" for aim in theirs]
        cells = [f"{our} ({aim})" for our, aim in zip(ours, aims, strict=True)]
        rows.append([f"{rung} (images/s)" if rung == TUTORIAL else rung, *cells])
    limits = [_limit(results, network, by) for network in NETWORKS]
    if any(limits):
        said = ["–" if limit is None else f"{limit:.1f}×" for limit in limits]
        rows.append(["the last, were all free but convolutions and products", *said])
    return rows


def _limit(results: Results, network: str, by: Mapping[tuple[str, str], Bench]) -> float | None:
    last, base = (by.get((network, rung)) for rung in (LAST_RUNGS["bfloat16"], TUTORIAL))
    if last is None or base is None:
        return None
    return ratio_at_most(results, network, gain(last, base))


def _stored(path: Path) -> Results:
    """Return the stored results; none of any bench where there was no run yet."""
    return bench_results.load(path) if path.exists() else {"benchmarks": []}


def _rows(goal: Goal, sources: Sources) -> list[list[Cell]]:
    """Return a row of figures and, unless the goal is reached, one that says what lies between.

    A column of reasons would leave each of them, and all figures, a few words a line.
    """
    found = goal.outcome(goal.aim, sources)
    aim = goal.said(goal.aim)
    if found is None:
        why = f"It needs {goal.need}." if goal.need else "It is not in the stored run."
        return [[goal.what, aim, "–", chip("not_run")], [below(why, len(_HEAD))]]
    verdict = chip("reached" if found.reached else "not_reached")
    row: list[Cell] = [goal.what, aim, found.measured, verdict]
    told = [] if found.reached or not found.distance else [[below(found.distance, len(_HEAD))]]
    return [row, *told]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives ``goals``, ``goal-ladder`` and ``goal-ceilings``."""
    app.setup_extension("_ext.race")  # where the race's results lie
    app.add_directive("goals", GoalsDirective)
    app.add_directive("goal-ladder", LadderDirective)
    app.add_directive("goal-ceilings", CeilingsDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
