"""Where the time of a step goes: a picture for each device."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import bench_results
from bench_results import chosen, values
from bench_shares import draw_shares, rows_of

from _ext.bench_picture import bench_picture

if TYPE_CHECKING:
    from bench_results import Results
    from docutils import nodes
    from sphinx.environment import BuildEnvironment

STEP = "step"
"""The question, as the bench calls it."""

_FACTS = ("network", "way", "shares", "slowdown", "device")


def steps(env: BuildEnvironment, results: Results) -> list[nodes.Node]:
    """Return what is known of where the time goes.

    Raises
    ------
    ValueError
        If the results are older than the bench.
    """
    benches = bench_results.of(results, STEP, _FACTS)
    shown: list[nodes.Node] = []
    for device in values(benches, "device"):
        measured = chosen(benches, device=device)
        rows = rows_of(measured)
        kinds = list(rows[0][1])
        slowdowns = values(measured, "slowdown")
        alt = " ".join(
            f"{name}: {', '.join(f'{kind} {shares[kind]:.0%}' for kind in kinds)}."
            for name, shares in rows
        )
        shown.append(
            bench_picture(
                env,
                results,
                f"{STEP}-{device}",
                partial(draw_shares, measured),
                measured,
                caption=(
                    "Shares of the time of a step, in the round of median time. Under the profiler "
                    f"steps took {min(slowdowns):.2f} to {max(slowdowns):.2f} times as long as "
                    "without it."
                ),
                alt=f"Shares of a step on {device}. {alt}",
            )
        )
    return shown
