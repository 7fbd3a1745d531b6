"""The goals of speed on a page: a row a goal, with what was measured and what stands in the way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import bench_results
from docutils import nodes
from goal_outcomes import Sources
from speed_goals import GOALS
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from _ext import benches
from _ext.chips import chip
from _ext.race import operations, runs_of
from _ext.tables import Cell, table

if TYPE_CHECKING:
    from bench_results import Results
    from speed_goals import Goal
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata


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
            rows = [_row(goal, sources) for goal in GOALS[chapter]]
        except (OSError, ValueError) as error:
            raise ExtensionError(str(error)) from error
        return [table(["what", "goal", "measured", "", "how far away, and why"], rows)]


def _stored(path: Path) -> Results:
    """Return the stored results; none of any bench where there was no run yet."""
    return bench_results.load(path) if path.exists() else {"benchmarks": []}


def _row(goal: Goal, sources: Sources) -> list[Cell]:
    found = goal.outcome(goal.aim, sources)
    aim = goal.said(goal.aim)
    if found is None:
        why = f"It needs {goal.need}." if goal.need else "It is not in the stored run."
        return [goal.what, aim, "–", chip("not_run"), why]
    verdict = chip("reached" if found.reached else "not_reached")
    why = "" if found.reached else found.distance
    return [goal.what, aim, found.measured, verdict, why]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive ``goals``."""
    app.setup_extension("_ext.race")  # where the race's results lie
    app.add_directive("goals", GoalsDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
