"""What a training step could reach: rates of its convolutions alone, beside a matrix product's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bench_results
from bench_results import chosen, values
from docutils import nodes

from _ext.tables import Cell, table

if TYPE_CHECKING:
    from bench_results import Results

LAYER = "layer"
"""The question, as the bench calls it."""

_ORDERS = ("contiguous", "channels last")


def ceilings(results: Results) -> list[nodes.Node]:
    """Return a table for each device: GFLOP/s of products, and of convolutions network by network.

    Without a measured convolution, a sentence says so.

    Raises
    ------
    ValueError
        If the results are older than the bench.
    """
    layers = bench_results.of(results, LAYER, ("network", "precision", "order", "gflops", "device"))
    if not layers:
        return [nodes.paragraph("", "The rates of convolutions alone are not in the stored run.")]
    shown: list[nodes.Node] = []
    for device in values(layers, "device"):
        on = chosen(layers, device=device)
        rows: list[list[Cell]] = []
        for precision in values(on, "precision"):
            product = bench_results.fastest_product(results, device, precision)
            said = "–" if product is None else f"{product:,.0f}"
            for order in _ORDERS:
                rates = {
                    bench["extra_info"]["network"]: f"{bench['extra_info']['gflops']:,.0f}"
                    for bench in chosen(on, precision=precision, order=order)
                }
                cells = [rates.get(network, "–") for network in values(on, "network")]
                rows.append([f"{precision}, {order}", said, *cells])
        text = f"GFLOP/s on {device} ({bench_results.conditions(results, on)}):"
        heads = ["", "matrix product", *values(on, "network")]
        shown += [nodes.paragraph("", text), table(heads, rows)]
    return shown
