"""Benches that a table of times answers: a row for each case, and what our choice loses there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bench_results
from bench_results import chosen, times, values

from _ext.tables import Cell, duration, table

if TYPE_CHECKING:
    from bench_results import Results
    from docutils import nodes

TABLES = {
    "modes": ("operation", "mode", "samples", "taps"),
    "layer gradient": ("layer", "precision"),
}
"""What tells the rows apart, question by question, as the benches call them."""


def times_by_case(results: Results, question: str) -> list[nodes.Node]:
    """Return a row for each case: what each method takes, and our ratio.

    The ratio is that of the time of our own choice to the least of the others; they took turns.

    Raises
    ------
    ValueError
        If the results are older than the bench.
    """
    case = TABLES[question]
    benches = bench_results.of(results, question, (*case, "method", "library", "algorithm"))
    methods = values(benches, "method")
    rows: list[list[Cell]] = []
    for row in dict.fromkeys(tuple(b["extra_info"][fact] for fact in case) for b in benches):
        measured = chosen(benches, **dict(zip(case, row, strict=True)))
        taken = {b["extra_info"]["method"]: b["stats"]["median"] for b in measured}
        own = chosen(measured, library="theory", algorithm="auto")
        ratios = [times(own[0], peer) for peer in measured if own and peer not in own]
        rows.append(
            [
                *map(_said, row),
                *(duration(taken[each]) if each in taken else "–" for each in methods),
                f"{max(ratios):.2f}" if ratios else "–",
            ]
        )
    return [table([*case, *methods, "theory auto / fastest"], rows)]


def _said(fact: Any) -> str:
    return f"{fact:,}" if isinstance(fact, int) else str(fact)
