"""What is kept of a convolution: a table of times, mode by mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bench_results
from bench_results import chosen, times, values

from _ext.tables import Cell, duration, table

if TYPE_CHECKING:
    from bench_results import Results
    from docutils import nodes

MODES = "modes"
"""The question, as the bench calls it."""

_GROUP = ("operation", "mode", "samples", "taps")


def modes(results: Results) -> list[nodes.Node]:
    """Return a row for each operation, mode and size: what each library takes, and our ratio.

    The ratio is that of our own time to the least of the others; they took turns.

    Raises
    ------
    ValueError
        If the results are older than the bench.
    """
    benches = bench_results.of(results, MODES, (*_GROUP, "method", "library"))
    methods = values(benches, "method")
    rows: list[list[Cell]] = []
    for group in dict.fromkeys(tuple(b["extra_info"][fact] for fact in _GROUP) for b in benches):
        measured = chosen(benches, **dict(zip(_GROUP, group, strict=True)))
        taken = {b["extra_info"]["method"]: b["stats"]["median"] for b in measured}
        own = chosen(measured, library="theory")
        ratios = [times(own[0], peer) for peer in measured if own and peer not in own]
        operation, mode, samples, taps = group
        rows.append(
            [
                *(operation, mode, f"{samples:,}", f"{taps:,}"),
                *(duration(taken[each]) if each in taken else "–" for each in methods),
                f"{max(ratios):.2f}" if ratios else "–",
            ]
        )
    return [table([*_GROUP, *methods, "theory / fastest"], rows)]
