"""Benches that a table of times answers: a row for each case, and what our choice loses there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bench_results
from bench_results import chosen, times, values
from docutils import nodes

from _ext.tables import Cell, below, duration, table

if TYPE_CHECKING:
    from bench_results import Results

TABLES = {
    "modes": ("operation", "mode", "samples", "taps"),
    "layer gradient": ("layer", "precision"),
}
"""What tells the rows apart, question by question, as the benches call them."""

_ABOVE = {"layer gradient"}
"""Questions whose first fact is long, and stands above the rows that share it."""


def times_by_case(results: Results, question: str) -> list[nodes.Node]:
    """Return a row for each case: what each method takes, and our ratio.

    The ratio is that of the time of our own choice to the least of the others; they took turns.

    Raises
    ------
    ValueError
        If the results are older than the bench.
    """
    case, above = TABLES[question], question in _ABOVE
    benches = bench_results.of(results, question, (*case, "method", "library", "algorithm"))
    methods = values(benches, "method")
    heads = [*case[above:], *methods, "theory auto / fastest other"]
    rows: list[list[Cell]] = []
    last = None
    for row in dict.fromkeys(tuple(b["extra_info"][fact] for fact in case) for b in benches):
        measured = chosen(benches, **dict(zip(case, row, strict=True)))
        taken = {b["extra_info"]["method"]: b["stats"]["median"] for b in measured}
        own = chosen(measured, library="theory", algorithm="auto")
        ratios = [times(own[0], peer) for peer in measured if own and peer not in own]
        if above and row[0] != last:
            last = row[0]
            rows.append([below(_said(last), len(heads))])
        rows.append(
            [
                *map(_said, row[above:]),
                *(duration(taken[each]) if each in taken else "–" for each in methods),
                f"{max(ratios):.2f}" if ratios else "–",
            ]
        )
    note = (
        "Medians over the rounds. The last column is the median of the ratios in the rounds that "
        "both shared, and need not be the quotient of the medians beside it."
    )
    return [table(heads, rows), nodes.paragraph("", note)]


def _said(fact: Any) -> str:
    return f"{fact:,}" if isinstance(fact, int) else str(fact)
