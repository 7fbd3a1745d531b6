"""Chains: each stride together with the filters straight before it, which act as one with it.

A filter is a convolution or an average pool of stride 1. Padding may stand between two of them, and
whatever else leaves cells in their order: away from the ends it changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from theory.auditing.copies import Copies
from theory.auditing.primitive import Primitive, shape_of
from theory.auditing.sliding import window_layers
from theory.auditing.taps import Taps
from theory.geometry import Layer

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

    import torch
    from jaxtyping import Int

    from theory.auditing.network import Network


@dataclass(frozen=True)
class Window:
    """A convolution or pool: what it does along each of the last axes of its input.

    Attributes
    ----------
    call : Primitive
        The convolution or pool.
    layers : list of Layer
        One for each of those axes.
    copies : Copies
        Where the cells of its input come from.
    """

    call: Primitive
    layers: list[Layer]
    copies: Copies


def chains(network: Network) -> Iterator[list[Window]]:
    """Yield each convolution or pool, followed by the filters straight before it, last first."""
    for call in network.primitives:
        if not _is_window(call):
            continue
        layers, sizes = window_layers(call), shape_of(_input(call))
        while len(layers) > 1 and layers[0] == Layer(1) and sizes[-len(layers)] == 1:
            del layers[0]  # there is no such axis: torch makes pools of signals those of images
        chain = [Window(call, layers, Copies(_input(call), network.varying))]
        while (before := _before(chain[-1], network.varying)) is not None:
            chain.append(before)
        yield chain


def read(chain: Sequence[Window], axis: int) -> Int[np.ndarray, " read"]:
    """Return which cells of its input a chain reads along one axis, counted from the end."""
    cells = np.arange(chain[0].call.shape[axis])
    for window, before in zip(chain, [*chain[1:], None], strict=True):
        inputs = shape_of(_input(window.call))[axis]
        table = Taps.of(window.layers[axis]).table(inputs, window.call.shape[axis])
        cells = np.unique(table[cells])
        cells = cells[cells >= 0]
        if before is not None:
            cells = np.unique(window.copies.along(axis)[cells])
            cells = cells[cells >= 0]
    return cells


def _before(window: Window, varying: Container[torch.fx.Node]) -> Window | None:
    """Return the filter that gives a window its input, up to what happens at the ends; or None."""
    axes = len(window.layers)
    source = window.copies.map_between_ends(axes)
    if source is None or not _is_window(call := Primitive(source)) or "max" in call.name:
        return None
    layers = window_layers(call)
    along, others = layers[-axes:], layers[:-axes]
    if len(along) < axes or any(layer != Layer(1) for layer in others):
        return None
    if any(layer.stride > 1 for layer in along):
        return None
    return Window(call, along, Copies(_input(call), varying))


def _is_window(call: Primitive) -> bool:
    if call.name == "convolution":
        return not call["transposed"]
    return "pool" in call.name and {"kernel_size", "stride"} <= call.arguments.keys()


def _input(call: Primitive) -> torch.fx.Node:
    return call.node.all_input_nodes[0]
