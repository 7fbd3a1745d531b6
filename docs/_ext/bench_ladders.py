"""Ways to train beside one of them: pictures of how many times as fast, and the training ladder."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import bench_figures
import bench_results
from bench_figures import Ladder
from bench_results import chosen, gain, speed, values
from docutils import nodes
from training_goals import LAST_RUNGS

from _ext.bench_picture import bench_picture
from _ext.tables import Cell, table

if TYPE_CHECKING:
    from bench_results import Bench, Results
    from sphinx.environment import BuildEnvironment

LADDERS = {
    "training": Ladder("rung", "tutorial loop", "times the tutorial’s loop", "network"),
    "compile": Ladder("way", "the engine’s step", "times the engine’s step", "network"),
    "fleet": Ladder("crew", "alone", "times alone, for each network", "network"),
    "layouts": Ladder("layout", "one run on all cores", "times one run on all cores", "network"),
    "time to accuracy": Ladder("recipe", "engine, assignment-3", "times the engine"),
}
"""The questions that are answered by images per second."""


def ladders(env: BuildEnvironment, results: Results, question: str) -> list[nodes.Node]:
    ladder = LADDERS[question]
    facts = ("images", "device", ladder.row, *([ladder.panel] if ladder.panel else []))
    benches = bench_results.of(results, question, facts)
    shown: list[nodes.Node] = []
    for device in values(benches, "device"):
        measured = chosen(benches, device=device)
        figure = bench_picture(
            env,
            results,
            f"{question}-{device}",
            partial(bench_figures.draw_ladder, measured, ladder),
            measured,
            caption="Images per second, and how many times those of the first row, which was timed "
            "in turns with the others: median over the rounds, least to most; a dash where nothing "
            "was measured.",
            alt=f"Images a second on {device}. {_ladder_alt(measured, ladder)}",
        )
        shown.append(figure)
        if question == "training":
            shown += _training_tables(results, measured)
        if question == "compile":
            shown.append(_setup(measured))
    return shown


def _training_tables(results: Results, benches: list[Bench]) -> list[nodes.Node]:
    shown: list[nodes.Node] = [_ladder_table(results, benches)]
    if LAST_RUNGS["bfloat16"] not in values(benches, "rung"):
        text = "The rung “+ bfloat16” was not measured: this processor only emulates bfloat16."
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
            f"{gain(by[network, rung], first[network]):.2f}×" if (network, rung) in by else "–"
            for network in networks
        )
        rows.append([rung, *ratios])
    device = benches[0]["extra_info"]["device"]
    for precision, rung in LAST_RUNGS.items():
        ceiling = bench_results.fastest_product(results, device, precision)
        if rung not in rungs or ceiling is None:
            continue
        rows.append(
            [
                f"“{rung}”, of a {precision} matrix product’s {ceiling:,.0f} GFLOP/s",
                *(
                    f"{by[network, rung]['extra_info']['gflops'] / ceiling:.0%}"
                    if (network, rung) in by
                    else "–"
                    for network in networks
                ),
            ]
        )
    return table(["", *networks], rows)


def _setup(benches: list[Bench]) -> nodes.paragraph:
    """Say what the first step took beyond the others, which the picture leaves out."""
    seconds = (
        f"{facts['network']}, {facts['way']}: {facts['setup_seconds']:.1f} s"
        for facts in (bench["extra_info"] for bench in benches)
    )
    return nodes.paragraph("", f"Once, at the first step: {'; '.join(seconds)}.")


def _ladder_alt(benches: list[Bench], ladder: Ladder) -> str:
    names = [fact for fact in (ladder.panel, ladder.row) if fact]
    return " ".join(
        f"{', '.join(bench['extra_info'][name] for name in names)}: {speed(bench):,.0f}."
        for bench in benches
    )
