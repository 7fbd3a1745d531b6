"""Which input cells each cell of a tensor depends on, along one axis: the exact interval.

The interval of every cell is kept as three numbers: the first input cell, the last one negated, and
-1 if any window on the way hung over the edge of its input, else 0. So the hull of two is their
minimum. They form an array with one leading axis more than the tensor; axes of the tensor along
which they are all the same have size 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Int

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Reach = Int[np.ndarray, "3 *tensor"]

_NEVER = 2**30
"""Stands for the first cell of what sees none: beyond every input, yet an exact float32 too."""

BEYOND, NO_CELL = -1, -2
"""Stand in a table of `read_by` for a cell beyond the edge, and for none: the places, from the end,
where what these see is put."""

_NOTHING = np.array([_NEVER, _NEVER, 0])
_EDGE = np.array([_NEVER, _NEVER, -1])


def of_input(shape: Sequence[int], axis: int) -> Reach:
    """Return the reach of the input itself: each cell along the axis sees its own."""
    cells = np.arange(shape[axis]).reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return np.stack([cells, -cells, np.zeros_like(cells)])


def of_nothing(axes: int) -> Reach:
    """Return the reach of a tensor with some number of axes that sees nothing, or has no cells."""
    return _NOTHING.reshape(3, *(1,) * axes)


def hull(reaches: Iterable[Reach]) -> Reach:
    """Return what the cells of several tensors see together, their shapes broadcast."""
    reaches = list(reaches)
    axes = max(each.ndim for each in reaches)
    aligned = [each.reshape(3, *(1,) * (axes - each.ndim), *each.shape[1:]) for each in reaches]
    joint = aligned[0]
    for each in aligned[1:]:
        joint = np.minimum(joint, each)
    return joint


def reduced(reach: Reach, axes: Iterable[int], *, keepdim: bool = True) -> Reach:
    """Return what the cells see together along some axes of the tensor."""
    planes = tuple(axis % (reach.ndim - 1) + 1 for axis in axes)
    result: Reach = reach.min(axis=planes, keepdims=keepdim)
    return result


def read_by(reach: Reach, axis: int, cells: int, table: Int[np.ndarray, "outputs taps"]) -> Reach:
    """Return what the output cells of an operation see, given the cells that they read.

    Parameters
    ----------
    reach : array
        What the operation's input sees.
    axis : int
        The axis of the tensor along which the operation acts.
    cells : int
        Cells along that axis.
    table : ndarray of int
        The cells that each output cell reads, `BEYOND` and `NO_CELL` among them.
    """
    sizes = list(reach.shape)
    sizes[axis + 1] = cells
    reach = np.broadcast_to(reach, sizes)
    sizes[axis + 1] = 1
    others = [
        np.broadcast_to(each.reshape(3, *(1,) * (reach.ndim - 1)), sizes)
        for each in (_NOTHING, _EDGE)
    ]
    read = np.take(np.concatenate([reach, *others], axis=axis + 1), table, axis=axis + 1)
    result: Reach = read.min(axis=axis + 2)
    return result


def mixed(reach: Reach, axis: int, groups: int, outputs: int) -> Reach:
    """Return what channels see that each come from all input channels of their group."""
    if reach.shape[axis + 1] == 1:
        return reach
    before, after = reach.shape[: axis + 1], reach.shape[axis + 2 :]
    together = reach.reshape(*before, groups, -1, *after).min(axis=axis + 2)
    return together.repeat(outputs // groups, axis=axis + 1)


def moved(
    move: Callable[[list[torch.Tensor]], Any],
    reaches: Sequence[Reach | None],
    shapes: Sequence[Sequence[int]],
) -> list[Reach]:
    """Return the reach of what an operation gives that only moves values about.

    The operation itself is asked where it moves them.

    Parameters
    ----------
    move : callable
        Takes tensors of the given shapes, and returns one or several.
    reaches : sequence of (array or None)
        What the tensors see; None is nothing.
    shapes : sequence of sequences of int
        The shapes of the tensors.
    """
    known = [_NOTHING if reach is None else reach for reach in reaches]
    planes = [carried(move, [reach[plane] for reach in known], shapes) for plane in range(3)]
    return [compressed(np.broadcast_arrays(*same)) for same in zip(*planes, strict=True)]


def carried(
    move: Callable[[list[torch.Tensor]], Any],
    values: Sequence[Int[np.ndarray, "..."]],
    shapes: Sequence[Sequence[int]],
) -> list[Int[np.ndarray, "..."]]:
    """Return values where an operation puts them; parameters as in `moved`."""
    pairs = zip(values, shapes, strict=True)
    result = move([torch.tensor(each).expand(tuple(shape)) for each, shape in pairs])
    results = list(result) if isinstance(result, tuple | list) else [result]
    return [_thin(each).numpy() for each in results]


def _thin(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor without the repetitions that are only virtual."""
    for axis, stride in enumerate(tensor.stride()):
        if stride == 0 and tensor.shape[axis] > 1:
            tensor = tensor.narrow(axis, 0, 1)
    return tensor


def compressed(planes: Sequence[Int[np.ndarray, "*tensor"]]) -> Int[np.ndarray, "planes *tensor"]:
    """Return arrays as one, with size 1 along every axis along which they are all the same."""
    stacked = np.stack(planes)
    for axis in range(1, stacked.ndim):
        if stacked.shape[axis] > 1:
            first = stacked.take([0], axis=axis)
            stacked = first if (stacked == first).all() else stacked
    return stacked


def largest(reach: Reach) -> int:
    """Return the cells of the largest interval, 0 if none sees anything."""
    first, last, _ = reach
    return int(np.where(first < _NEVER, -last - first + 1, 0).max())


def first(reach: Reach) -> Int[np.ndarray, "*tensor"]:
    """Return the first input cell that each cell sees, -1 where it sees none."""
    return np.where(reach[0] < _NEVER, reach[0], -1)


def border(reach: Reach, dim: int, cells: int) -> tuple[int, int]:
    """Return up to which cell at either end of a dimension cells touch an edge.

    Between the two lies the stretch that touches none and holds most of the cells that see
    something. Cells that see nothing, as between the taps of a dilated transposed convolution, may
    stand within it; so may they, and others, between those that touch an edge, since outputs of
    different phases leave it at different cells.
    """
    others = tuple(d + 1 for d in range(reach.ndim - 1) if d != dim)
    first, _, touched = np.broadcast_to(reach.min(axis=others), (3, cells))
    edges = np.flatnonzero(touched)
    starts, ends = np.r_[0, edges + 1], np.r_[edges, len(touched)]
    seeing = np.r_[0, np.cumsum((first < _NEVER) & (touched == 0))]
    counts = seeing[ends] - seeing[starts]
    if not counts.any():  # nothing lies inside
        return int(edges.max(initial=-1)) + 1, len(touched) - int(edges.min(initial=len(touched)))
    longest = np.lexsort((ends - starts, counts))[-1]
    return int(starts[longest]), len(touched) - int(ends[longest])


def touching(reach: Reach, dim: int, cells: Bool[np.ndarray, " cells"]) -> Reach:
    """Return the same reach, with some of the cells along a dimension touching an edge."""
    sizes = list(reach.shape)
    sizes[dim + 1] = len(cells)
    edge = -cells.astype(int).reshape([-1 if d == dim else 1 for d in range(reach.ndim - 1)])
    first, last, touched = np.broadcast_to(reach, sizes)
    return np.stack([first, last, np.minimum(touched, edge)])


def inside(reach: Reach, dim: int) -> tuple[Int[np.ndarray, "2 cells"], Bool[np.ndarray, " cells"]]:
    """Return the first and last input cell that the cells along a dimension see together.

    Beside them is returned which cells see something and touch no edge.
    """
    others = tuple(d + 1 for d in range(reach.ndim - 1) if d != dim)
    first, last, touched = reach.min(axis=others)
    return np.stack([first, -last]), (touched == 0) & (first < _NEVER)


def seeing(reach: Reach, dim: int) -> Bool[np.ndarray, " cells"]:
    """Return which cells along a dimension see something, whether they touch an edge or not."""
    others = tuple(d for d in range(reach.ndim - 1) if d != dim)
    found: Bool[np.ndarray, " cells"] = reach[0].min(axis=others) < _NEVER
    return found
