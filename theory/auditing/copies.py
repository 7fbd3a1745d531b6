"""Which cells of a map are copies of which computed ones: what padding and other moves make of it.

A map that was padded, rolled or put together has no cells of its own. One that no window reads is
no loss where it holds a constant, or a value that another cell which is read holds as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from theory.auditing import propagation
from theory.auditing import reach as reaching
from theory.auditing.dependence import Dependence
from theory.auditing.primitive import Primitive, shape_of
from theory.auditing.sliding import PADDINGS
from theory.diagnosis.primitives import CONSTANT

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    import torch
    from jaxtyping import Int

_COPIES = PADDINGS | {
    *("alias", "cat", "clone", "contiguous", "copy", "detach", "flip", "lift_fresh_copy"),
    *("permute", "roll", "slice", "slice_scatter", "split", "split_with_sizes", "squeeze"),
    *("t", "transpose", "unsqueeze"),
}
"""Primitives that put whole rows of cells elsewhere, and compute nothing."""


def copied(
    node: torch.fx.Node, axis: int, varying: Container[torch.fx.Node]
) -> Int[np.ndarray, "cells copies"]:
    """Return of which computed cells the cells of a map are copies.

    Parameters
    ----------
    node : torch.fx.Node
        What gives the map.
    axis : int
        The axis of the map, counted from the end.
    varying : container of torch.fx.Node
        The nodes that depend on the network's input; all others hold constants.

    Returns
    -------
    array of int
        For each cell along the axis the numbers of those that it is a copy of; -1 is none.
    """
    cells = shape_of(node)[axis]
    maps, moves = _computed(node, varying)
    # A transposition may have brought the cells from another axis than they are along now.
    for origin in sorted(range(-len(shape_of(node)), 0), key=lambda each: each != axis):
        found = _followed(maps, moves, origin)
        if isinstance(found, Dependence) and found.reach.shape[axis] == cells:
            return np.moveaxis(reaching.first(found.reach), axis, 0).reshape(cells, -1)
    return np.arange(cells)[:, None]


def _computed(
    node: torch.fx.Node, varying: Container[torch.fx.Node]
) -> tuple[list[torch.fx.Node], list[torch.fx.Node]]:
    """Return the maps that a map is made of, and what makes it of them, in order."""
    maps: set[torch.fx.Node] = set()
    moves: set[torch.fx.Node] = set()
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if _copies(each):
            waiting.extend(set(each.all_input_nodes) - moves)
            moves.add(each)
        elif each in varying and Primitive(each).name not in CONSTANT:
            maps.add(each)
    return sorted(maps), sorted(moves)


def _copies(node: torch.fx.Node) -> bool:
    if node.op != "call_function":
        return False
    call = Primitive(node)
    return call.name in _COPIES or (call.name == "getitem" and _copies(call.positional[0]))


def _followed(
    maps: Sequence[torch.fx.Node], moves: Sequence[torch.fx.Node], axis: int
) -> propagation.Seen:
    """Return where the last of some moves has the cells of the maps, each with its own number."""
    found: dict[torch.fx.Node, propagation.Seen] = {}
    before = 0
    for each in maps:
        shape = shape_of(each)
        if len(shape) < -axis:
            return None
        numbers = np.reshape([before, -before, 0], (3, *(1,) * len(shape)))
        found[each] = Dependence(reaching.of_input(shape, len(shape) + axis) + numbers)
        before += shape[axis]
    return propagation.onward(found, moves)
