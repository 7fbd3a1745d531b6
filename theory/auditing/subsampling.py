"""What a stride leaves out: cells that no window reads, and frequencies that fold onto others."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from theory.auditing.network import listed
from theory.auditing.primitive import Primitive, shape_of
from theory.auditing.sliding import window_layers
from theory.auditing.windows import Taps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from theory.auditing.network import Network
    from theory.geometry import Layer


def warnings(network: Network) -> Iterator[str]:
    """Yield what deserves a second look, one sentence each."""
    yield from _skipped_cells(network)
    yield from _aliasing(network)


def _skipped_cells(network: Network) -> Iterator[str]:
    """Find the windows that leave out cells of their input, between them or at its end."""
    gaps, ends = [], []
    for call, layers in _windowed(network):
        inputs = shape_of(call.node.all_input_nodes[0])[-len(layers) :]
        sizes = zip(layers, inputs, call.shape[-len(layers) :], strict=True)
        tables = [(n, np.unique(Taps.of(layer).table(n, m))) for layer, n, m in sizes]
        read = [(n, cells[cells >= 0]) for n, cells in tables]
        if any(len(cells) <= cells.max(initial=-1) - cells.min(initial=0) for _, cells in read):
            gaps.append(network.name(call.node))
        elif any(len(cells) < n for n, cells in read):
            ends.append(network.name(call.node))
    if gaps:
        yield f"the windows leave gaps in {listed(gaps)}: the cells in them are never read"
    if ends:
        yield f"the windows stop before the end in {listed(ends)}: the last cells are never read"


def _aliasing(network: Network) -> Iterator[str]:
    """Find the strides before which no filter removes what folds onto what they keep.

    Subsampling by s adds the frequencies k / s, for k = 1 ... s - 1, onto frequency 0. A filter
    removes them all exactly if the taps at each phase of the stride have the same sum.
    """
    filters = {each.call.node: each.weight for each in network.filters()}
    names = []
    for call, layers in _windowed(network):
        cells = call.shape[len(call.shape) - len(layers) :]
        acts = [layer.stride > 1 and n > 1 for layer, n in zip(layers, cells, strict=True)]
        known = call.name != "convolution" or call.node in filters
        if any(acts) and known:
            sizes = [layer.kernel for layer in layers]
            weight = filters.get(call.node, torch.ones(1, 1, *sizes))
            if call.name.startswith("max") or not _is_low_pass(weight, layers):
                names.append(network.name(call.node))
    if names:
        yield (
            f"the stride aliases in {listed(names)}: the finest patterns fold onto coarse ones, "
            "and a shift by one cell is not one of the output; blur or average first"
        )


def _is_low_pass(weight: Tensor, layers: Sequence[Layer]) -> bool:
    """Whether the sums of taps at every phase of the strides agree, up to rounding.

    Adding K numbers is off by at most K u times the sum of their absolute values.
    """
    weight = weight.double()
    phases: dict[tuple[int, ...], Tensor] = {
        phase: weight.new_zeros(weight.shape[:2])
        for phase in itertools.product(*(range(layer.stride) for layer in layers))
    }
    kernel = weight.flatten(2)
    for cell, taps in enumerate(itertools.product(*(range(layer.kernel) for layer in layers))):
        places = zip(taps, layers, strict=True)
        phase = tuple(tap * layer.dilation % layer.stride for tap, layer in places)
        phases[phase] = phases[phase] + kernel[:, :, cell]
    sums = torch.stack(list(phases.values()))
    single = torch.finfo(torch.float32).eps / 2
    count = math.prod(weight.shape[2:])
    bound = 2 * count * single * weight.abs().flatten(2).sum(2)
    return bool((sums.amax(0) - sums.amin(0) <= bound).all())


def _windowed(network: Network) -> Iterator[tuple[Primitive, list[Layer]]]:
    """Yield the convolutions and pools, each with its layer along every axis."""
    for call in network.calls:
        is_pool = "pool" in call.name and {"kernel_size", "stride"} <= call.arguments.keys()
        if is_pool or (call.name == "convolution" and not call["transposed"]):
            yield call, window_layers(call)
