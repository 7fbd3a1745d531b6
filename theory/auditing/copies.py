"""Which cells of a map are copies of which computed ones: what padding and other moves make of it.

A map that was padded, rolled, upsampled or put together has no cells of its own. One that no
window reads is no loss where it holds a constant, or a value that another cell which is read holds
as well.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from theory.auditing import moving, propagation
from theory.auditing import reach as reaching
from theory.auditing.dependence import Dependence
from theory.auditing.primitive import Primitive, shape_of
from theory.auditing.sliding import PADDINGS
from theory.diagnosis.nodes import upstream
from theory.diagnosis.primitives import CONSTANT

if TYPE_CHECKING:
    from collections.abc import Container

    import torch
    from jaxtyping import Int

_COPIES = (
    PADDINGS
    | moving.MOVES
    | {"cat", "copy", "select_scatter", "slice_scatter", "stack"}
    | {
        f"{kind}{axes}d"
        for kind in ("upsample_nearest", "_upsample_nearest_exact")
        for axes in (1, 2, 3)
    }
)
"""Primitives that put cells elsewhere, and compute nothing."""


class Copies:
    """Of which computed cells the cells of a map are copies.

    Parameters
    ----------
    node : torch.fx.Node
        What gives the map.
    varying : container of torch.fx.Node
        The nodes that depend on the network's input; all others hold constants.
    """

    def __init__(self, node: torch.fx.Node, varying: Container[torch.fx.Node]) -> None:
        self.shape = shape_of(node)
        self._maps, self._moves = _computed(node, varying)

    def along(self, axis: int) -> Int[np.ndarray, "cells copies"]:
        """Return for each cell along an axis the numbers of those that it is a copy of.

        The axis is counted from the end. The number -1 is none: what is constant, and what is
        gathered from places that values tell, of which nothing is known.
        """
        cells = self.shape[axis]
        if any(_gathers(node, axis) for node in self._maps):
            return np.full((cells, 1), -1)
        if not self._moves or not self._maps or self._origins is None:
            return np.arange(cells)[:, None]
        # A transposition may have brought the cells from another axis, a view from several.
        found = {a: each for a, each in self._origins.items() if each.shape[axis] > 1}
        if not found:  # all cells along the axis are copies of the same
            return np.zeros((cells, 1), dtype=int)
        numbers = np.zeros((), dtype=int)
        for origin, places in found.items():
            numbers = np.where(
                (numbers < 0) | (places < 0), -1, numbers * self._total(origin) + places
            )
        return np.moveaxis(numbers, axis, 0).reshape(cells, -1)

    def map_between_ends(self, axes: int) -> torch.fx.Node | None:
        """Return the one map that this one holds as it is, cut or padded along its last axes.

        None is returned where cells stand in another order, or come from several maps.
        """
        if len(self._maps) != 1:
            return None
        (source,) = self._maps
        if not self._moves:
            return source
        shape, own = shape_of(source), self.shape
        outer, own_outer = (
            [axis for axis in range(-len(sizes), -axes) if sizes[axis] > 1]
            for sizes in (shape, own)
        )
        if [shape[axis] for axis in outer] != [own[axis] for axis in own_outer]:
            return None
        for origin, axis in zip(outer, own_outer, strict=True):
            places = self._places(origin, axis)
            if places is None or not np.isin(places - np.arange(own[axis]), 0).all():
                return None
        for axis in range(-axes, 0):
            places = self._places(axis, axis)
            if places is None:
                return None
            _, counts = np.unique((places - np.arange(own[axis]))[places >= 0], return_counts=True)
            if 2 * counts.max(initial=0) <= min(shape[axis], own[axis]):
                return None
        return source

    def _places(self, origin: int, axis: int) -> Int[np.ndarray, " cells"] | None:
        """Return which cell along an axis of the maps each cell along one of this comes from.

        None is returned where that is not known, or not the same across all other axes.
        """
        if self._origins is None:
            return None
        found = np.moveaxis(self._origins[origin], axis, 0)
        rows = np.broadcast_to(found, (self.shape[axis], *found.shape[1:]))
        rows = rows.reshape(self.shape[axis], -1)
        places: Int[np.ndarray, " cells"] = rows.max(1)
        return None if ((rows >= 0) & (rows != places[:, None])).any() else places

    @cached_property
    def _origins(self) -> dict[int, Int[np.ndarray, "..."]] | None:
        """By axis of the maps the place along it that each cell comes from; None if unknown.

        Axes are counted from the end; along those with size 1 it is the same everywhere. Places of
        the second map go on from those of the first.
        """
        found = {}
        for axis in range(-max(len(shape_of(node)) for node in self._maps), 0):
            seen = self._followed(axis)
            if not isinstance(seen, Dependence):
                return None
            found[axis] = reaching.first(seen.reach)
        return found

    def _followed(self, axis: int) -> propagation.Seen:
        """Return where the last of the moves has the cells of the maps, along one of their axes."""
        found: dict[torch.fx.Node, propagation.Seen] = {}
        before = 0
        for node in self._maps:
            shape = shape_of(node)
            cells = np.zeros((3, *(1,) * len(shape)), dtype=int)
            if len(shape) >= -axis:
                cells = reaching.of_input(shape, len(shape) + axis)
            numbers = np.reshape([before, -before, 0], (3, *(1,) * len(shape)))
            found[node] = Dependence(cells + numbers)
            before += _size(node, axis)
        return propagation.onward(found, self._moves)

    def _total(self, axis: int) -> int:
        """Return how many places there are along an axis of all maps."""
        return sum(_size(node, axis) for node in self._maps)


def _size(node: torch.fx.Node, axis: int) -> int:
    shape = shape_of(node)
    return shape[axis] if len(shape) >= -axis else 1


def _computed(
    node: torch.fx.Node, varying: Container[torch.fx.Node]
) -> tuple[list[torch.fx.Node], list[torch.fx.Node]]:
    """Return the maps that a map is made of, and what makes it of them, in order."""
    found = sorted(upstream([node], _copies))
    moves = [each for each in found if _copies(each)]
    others = [each for each in found if each in varying and not _copies(each)]
    return [each for each in others if Primitive(each).name not in CONSTANT], moves


def _copies(node: torch.fx.Node) -> bool:
    if node.op != "call_function":
        return False
    call = Primitive(node)
    return call.name in _COPIES or (call.name == "getitem" and _copies(call.positional[0]))


def _gathers(node: torch.fx.Node, axis: int) -> bool:
    """Whether a primitive takes cells along an axis from places that another tensor holds."""
    if node.op != "call_function":
        return False
    call = Primitive(node)
    if call.name == "index":
        told = [d for d, indices in enumerate(call["indices"]) if indices is not None]
        # Several may move to the front together.
        return len(told) > 1 or told == [len(call.shape) + axis]
    return call.name in {"gather", "index_select"} and call["dim"] % len(call.shape) == (
        len(call.shape) + axis
    )
