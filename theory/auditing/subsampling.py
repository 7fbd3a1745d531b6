"""What a stride leaves out: cells that no window reads, and frequencies that fold onto others.

A stride is judged together with the filters straight before it, as a blur that is a layer of its
own: in a row they act as one filter.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from theory.auditing.copies import copied
from theory.auditing.network import listed
from theory.auditing.primitive import Primitive, shape_of
from theory.auditing.sliding import window_layers
from theory.auditing.windows import Taps
from theory.geometry import Layer

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

    from jaxtyping import Bool, Float, Int
    from torch import Tensor

    from theory.auditing.network import Network


@dataclass(frozen=True)
class _Window:
    """A convolution or pool: what it does along each of the last axes of its input."""

    call: Primitive
    layers: list[Layer]


def warnings(network: Network) -> Iterator[str]:
    """Yield what deserves a second look, one sentence each."""
    chains = list(_chains(network))
    yield from _skipped_cells(network, chains)
    yield from _aliasing(network, chains)


def _skipped_cells(network: Network, chains: Sequence[list[_Window]]) -> Iterator[str]:
    """Find the windows that leave out cells of their input, between them or at its end."""
    gaps, ends = [], []
    for chain in chains:
        strided = chain[0]
        axes = range(-len(strided.layers), 0)
        skipped = [_skipped(chain, axis, network.varying) for axis in axes]
        if any(between for between, _ in skipped):
            gaps.append(network.name(strided.call.node))
        elif any(beside for _, beside in skipped):
            ends.append(network.name(strided.call.node))
    if gaps:
        yield f"the windows leave gaps in {listed(gaps)}: the cells in them are never read"
    if ends:
        yield f"the windows stop before the end in {listed(ends)}: the last cells are never read"


def _skipped(
    chain: Sequence[_Window], axis: int, varying: Container[torch.fx.Node]
) -> tuple[bool, bool]:
    """Return whether a chain leaves out cells between those that it reads, and beside them.

    Padding is no loss, nor is a copy of what it reads elsewhere.
    """
    read = _read(chain, axis)
    copies = copied(chain[-1].call.node.all_input_nodes[0], axis, varying)
    lost = np.flatnonzero(~(np.isin(copies, copies[read]) | (copies < 0)).all(1))
    between = (lost > read.min(initial=len(copies))) & (lost < read.max(initial=-1))
    return bool(between.any()), bool((~between).any())


def _read(chain: Sequence[_Window], axis: int) -> Int[np.ndarray, " read"]:
    """Return which cells of its input a chain reads along one axis."""
    outputs = chain[0].call.shape[axis]
    cells = np.arange(outputs)
    for window in chain:
        inputs = shape_of(window.call.node.all_input_nodes[0])[axis]
        cells = np.unique(Taps.of(window.layers[axis]).table(inputs, outputs)[cells])
        cells, outputs = cells[cells >= 0], inputs
    return cells


def _aliasing(network: Network, chains: Sequence[list[_Window]]) -> Iterator[str]:
    """Find the strides before which no filter removes what folds onto what they keep."""
    weights = {each.call.node: each.weight for each in network.filters()}
    names = []
    for chain in chains:
        strided = chain[0]
        cells = strided.call.shape[-len(strided.layers) :]
        pairs = zip(strided.layers, cells, strict=True)
        strides = [layer.stride if n > 1 else 1 for layer, n in pairs]
        if math.prod(strides) > 1 and _folds(chain, strides, weights):
            names.append(network.name(strided.call.node))
    if names:
        yield (
            f"the stride aliases in {listed(names)}: the finest patterns fold onto coarse ones, "
            "and a shift by one cell is not one of the output; blur or average first"
        )


def _folds(
    chain: Sequence[_Window], strides: Sequence[int], weights: Mapping[torch.fx.Node, Tensor]
) -> bool:
    """Whether some frequency that folds onto 0 is known to pass all windows of a chain.

    Subsampling by s adds the frequencies k / s, for k = 1 ... s - 1, onto frequency 0.
    """
    if chain[0].call.name.startswith("max"):
        return True
    passed = torch.ones(*strides, dtype=torch.bool)
    for window in chain:
        kernel = torch.ones(1, 1, *(layer.kernel for layer in window.layers))
        if window.call.name == "convolution":
            if window.call.node not in weights:
                return False
            kernel = weights[window.call.node]
        passed &= _passed(kernel, window.layers, strides)
    return bool(passed.flatten()[1:].any())


def _passed(
    weight: Float[Tensor, "outputs inputs *kernel"], layers: Sequence[Layer], strides: Sequence[int]
) -> Bool[Tensor, "*strides"]:
    """Return which frequencies k / s a filter lets through in some channel, up to rounding.

    At k / s its taps have the spectrum of their sums at each phase of the stride. Adding K numbers
    is off by at most K u times the sum of their absolute values.
    """
    sizes = [layer.kernel for layer in layers]
    kernel = weight.cpu().double().reshape(-1, math.prod(sizes))
    sums = kernel.new_zeros(*strides, len(kernel))
    for cell, taps in enumerate(itertools.product(*map(range, sizes))):
        places = zip(taps, layers, strides, strict=True)
        sums[tuple(tap * layer.dilation % s for tap, layer, s in places)] += kernel[:, cell]
    spectrum = torch.fft.fftn(sums, dim=tuple(range(len(strides)))).abs()
    single = torch.finfo(torch.float32).eps / 2
    return (spectrum > kernel.shape[1] * single * kernel.abs().sum(1)).any(-1)


def _chains(network: Network) -> Iterator[list[_Window]]:
    """Yield each convolution or pool, followed by the filters straight before it, last first.

    A filter is a convolution or an average pool of stride 1.
    """
    for call in network.calls:
        if not _is_window(call):
            continue
        layers = window_layers(call)
        while len(layers) > 1 and layers[0] == Layer(1):
            del layers[0]  # nothing happens along it: torch makes pools of signals those of images
        axes, chain = len(layers), [_Window(call, layers)]
        before = _before(call, axes)
        while _is_window(before) and "max" not in before.name:
            layers = window_layers(before)
            if len(layers) < axes or any(layer.stride > 1 for layer in layers):
                break
            chain.append(_Window(before, layers[-axes:]))
            before = _before(before, axes)
        yield chain


def _is_window(call: Primitive) -> bool:
    if call.name == "convolution":
        return not call["transposed"]
    return "pool" in call.name and {"kernel_size", "stride"} <= call.arguments.keys()


def _before(call: Primitive, axes: int) -> Primitive:
    """Return what gives a window its input, whose last axes it shares."""
    node = call.node.all_input_nodes[0]
    while Primitive(node).name in {"squeeze", "unsqueeze"}:
        (source,) = node.all_input_nodes
        if shape_of(source)[-axes:] != shape_of(node)[-axes:]:
            break
        node = source
    return Primitive(node)
