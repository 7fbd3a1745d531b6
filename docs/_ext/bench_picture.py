"""A picture of a bench, with a caption that says where it was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bench_results
from docutils import nodes

from _ext.pictures import picture

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench_results import Bench, Results
    from matplotlib.figure import Figure
    from sphinx.environment import BuildEnvironment


def bench_picture(
    env: BuildEnvironment,
    results: Results,
    name: str,
    drawn: Callable[[float], Figure],
    benches: list[Bench],
    *,
    caption: str,
    alt: str,
) -> nodes.figure:
    """Return the picture of some benches, drawn in a width; its name is unique on the site."""
    figure = picture(env, f"bench-{name.replace(' ', '-')}", drawn, alt)
    where = bench_results.conditions(results, benches)
    figure += nodes.caption("", f"{caption} Measured on {where}.")
    return figure
