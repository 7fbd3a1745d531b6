"""What a stride leaves out: cells that no window reads, and frequencies that fold onto others.

A stride is judged together with the filters straight before it, as a blur that is a layer of its
own: in a row they act as one filter.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from theory.auditing.chains import Window, chains, read
from theory.auditing.network import listed
from theory.auditing.responses import Response

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jaxtyping import Bool, Int
    from torch import Tensor

    from theory.auditing.network import Network


def warnings(network: Network) -> Iterator[str]:
    """Yield what deserves a second look, one sentence each."""
    found = list(chains(network))
    yield from _skipped_cells(network, found)
    yield from _aliasing(network, found)


def _skipped_cells(network: Network, found: Sequence[list[Window]]) -> Iterator[str]:
    """Find the windows that leave out cells of their input, between them or at its end."""
    gaps, ends = [], []
    for chain in found:
        strided = chain[0]
        skipped = [_skipped(chain, axis) for axis in range(-len(strided.layers), 0)]
        if any(between for between, _ in skipped):
            gaps.append(network.name(strided.call.node))
        elif any(beside for _, beside in skipped):
            ends.append(network.name(strided.call.node))
    if gaps:
        yield f"the windows leave gaps in {listed(gaps)}: the cells in them are never read"
    if ends:
        yield f"the windows stop before the end in {listed(ends)}: the last cells are never read"


def _skipped(chain: Sequence[Window], axis: int) -> tuple[bool, bool]:
    """Return whether a chain leaves out cells between those that it reads, and beside them.

    Padding is no loss, nor is a copy of what it reads elsewhere.
    """
    cells, copies = read(chain, axis), chain[-1].copies.along(axis)
    lost = np.flatnonzero(~(np.isin(copies, copies[cells]) | (copies < 0)).all(1))
    between = (lost > cells.min(initial=len(copies))) & (lost < cells.max(initial=-1))
    return bool(between.any()), bool((~between).any())


def _aliasing(network: Network, found: Sequence[list[Window]]) -> Iterator[str]:
    """Find the strides before which no filter removes what folds onto what they keep."""
    weights = {each.call.node: each.weight for each in network.filters()}
    names = []
    for chain in found:
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
    chain: Sequence[Window], strides: Sequence[int], weights: Mapping[torch.fx.Node, Tensor]
) -> bool:
    """Whether some frequency that folds onto 0 is there and known to pass a chain's windows."""
    if chain[0].call.name.startswith("max"):
        return bool(_held(chain[0], strides).flatten()[1:].any())
    held = _held(chain[-1], strides)
    response: Response | None = None
    if not held.flatten()[1:].any():
        return False
    for window in reversed(chain):
        sizes = [layer.kernel for layer in window.layers]
        weight, groups = torch.ones(1, 1, *sizes), 1
        if window.call.name == "convolution":
            if window.call.node not in weights:
                return False
            weight, groups = weights[window.call.node], window.call["groups"]
        each = Response.of(weight, groups, window.layers, strides)
        response = each if response is None else each.after(response)
    assert response is not None, "a chain has a window"
    return bool((response.passed() & held).flatten()[1:].any())


def _held(window: Window, strides: Sequence[int]) -> Bool[Tensor, "*strides"]:
    """Return which frequencies k / s the input of a window may hold.

    Where each cell is there q times in a row, it is the sum of q shifts of one that is there once,
    so that it holds none of the multiples of 1 / q but 0.
    """
    held = torch.ones(*strides, dtype=torch.bool)
    for axis, stride in enumerate(strides, -len(strides)):
        times = _times_in_a_row(window.copies.along(axis), stride)
        k = torch.arange(stride)
        holds = (k * times % stride != 0) | (k == 0)
        held &= holds.reshape([-1 if a == axis else 1 for a in range(-len(strides), 0)])
    return held


def _times_in_a_row(copies: Int[np.ndarray, "cells copies"], stride: int) -> int:
    """Return how often the copies of a cell stand in a row, up to a divisor of the stride.

    That holds for most cells: padding may be otherwise.
    """
    _, numbers = np.unique(copies, axis=0, return_inverse=True)
    numbers = np.where((copies >= 0).any(1), numbers.reshape(-1), -1)
    cells = len(np.unique(numbers[numbers >= 0]))
    for times in range(stride, 1, -1):
        for phase in range(times if stride % times == 0 else 0):
            blocks = numbers[phase : len(numbers) - (len(numbers) - phase) % times]
            blocks = blocks.reshape(-1, times)
            same = (blocks == blocks[:, :1]).all(1)
            whole = np.setdiff1d(blocks[same], blocks[~same])
            if 2 * (whole >= 0).sum() > cells or not cells:
                return times
    return 1
