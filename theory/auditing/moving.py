"""Primitives that only move values: views, slices, permutations, concatenation.

None has a rule of its own: each is run on a tensor that says where its values come from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.fx.node import map_arg

from theory.auditing import reach as reaching
from theory.auditing.dependence import (
    Dependence,
    Law,
    Rule,
    Sources,
    Unknown,
    joined,
    only,
    pointwise,
)
from theory.auditing.primitive import Primitive, shape_of
from theory.auditing.taps import Taps, law_of_move, law_of_table
from theory.auditing.windows import Scattered, Windows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jaxtyping import Bool, Int

    Move = Callable[[list[torch.Tensor]], Any]


def _move(call: Primitive, sources: Sources) -> Dependence | list[Dependence]:
    node, source = only(sources)
    return moved(call, node, source, {})


def moved(
    call: Primitive,
    node: torch.fx.Node,
    source: Dependence,
    indices: Mapping[torch.fx.Node, torch.Tensor | None],
) -> Dependence | list[Dependence]:
    """Follow what moves the values of a node, given the values of the other arguments."""
    shape = shape_of(node)
    rest: Any = map_arg(call.positional[1:], indices.__getitem__)

    def move(tensors: list[torch.Tensor]) -> Any:
        if call.name in _RESHAPES:  # a view does not fit tensors that repeat by strides
            return tensors[0].reshape(call.shape)
        moved = tensors[0].contiguous() if call.name == "as_strided" else tensors[0]
        return call.run(moved, *rest, **call.node.kwargs)

    seen = [Dependence(each) for each in reaching.moved(move, [source.reach], [shape])]
    if source.dim is not None and source.windows is not None:
        ranks = [each.reach.ndim - 1 for each in seen]
        laws, off = _laws(move, shape, source.dim, source.windows, ranks)
        if not laws and call.shape == shape:
            laws = [(source.dim, source.windows)]
            off = [np.zeros(shape[source.dim], dtype=bool)]
        if laws:
            seen = [
                _with_edges(each.along(*law), others).tight()
                for each, law, others in zip(seen, laws, off, strict=True)
            ]
    return seen if isinstance(call.node.meta["val"], tuple | list) else seen[0]


def _laws(
    move: Move, shape: tuple[int, ...], dim: int, windows: Windows | Scattered, ranks: list[int]
) -> tuple[list[Law], list[Bool[np.ndarray, " cells"]]]:
    """Return for each result the dimension along which the windows now move, and their law.

    Beside it is returned which cells along that dimension come from elsewhere than the law says, as
    those that a roll brings from the other end do.

    A single cell varies along nothing. The move is asked where two would go, if it takes two; none
    is returned if it does not, or if its results then have other ranks: it squeezes a single one.
    """
    places = np.arange(max(shape[dim], 2))
    if isinstance(windows, Scattered):
        places, windows = windows.cells, windows.windows
    try:
        origins = _origins(move, shape, dim, places)
    except RuntimeError:
        return [], []
    if [origin.ndim for origin in origins] != ranks:
        return [], []
    found: list[Law] = []
    off, cells = [], int(places.max()) + 1
    for origin in origins:
        at, law = _law(origin, cells)
        if law is not None:
            found.append((at, windows.through(law)))
        else:
            found.append((at, None if at is None else Scattered(windows, origin.ravel())))
        off.append(_off(origin, law, cells))
    return found, off


def _law(origin: Int[np.ndarray, "..."], cells: int) -> tuple[int | None, Taps | None]:
    """Return along which dimension of a result cells move, and by which law, if there is one.

    Where they move along a single one, it is returned without a law as well.
    """
    varying = [d for d, n in enumerate(origin.shape) if n > 1]
    if len(varying) == 1:
        return varying[0], law_of_move(origin.ravel(), cells)
    for d in varying:  # the cells that share a place along it are taken together
        rows = [np.unique(row) for row in np.moveaxis(origin, d, 0)]
        if len({len(row) for row in rows}) == 1:
            table = np.array(rows)
            law = law_of_table(table, cells)
            # That of a table may hold in the middle by chance: nothing is folded back here.
            if law is not None and np.array_equal(law.table(cells, len(table)), table):
                return d, law
    return None, None


def _off(
    origin: Int[np.ndarray, "..."], law: Taps | None, cells: int
) -> Bool[np.ndarray, " outputs"]:
    """Return which cells come from elsewhere than the law of a single dimension says."""
    places = origin.ravel()
    if law is None or places.size > max(origin.shape):
        return np.zeros(places.size, dtype=bool)
    found: Bool[np.ndarray, " outputs"] = law.table(cells, places.size)[:, 0] != places
    return found


def _origins(
    move: Move, shape: tuple[int, ...], dim: int, places: Int[np.ndarray, " cells"]
) -> list[Int[np.ndarray, "..."]]:
    """Return which of the places along a dimension each value of the results comes from."""
    sizes = [len(places) if d == dim else n for d, n in enumerate(shape)]
    places = places.reshape([-1 if d == dim else 1 for d in range(len(shape))])
    return [reaching.compressed([each])[0] for each in reaching.carried(move, [places], [sizes])]


def _restrided(call: Primitive, sources: Sources) -> Dependence | list[Dependence] | Unknown:
    """Follow what says anew how a tensor lies in memory, as frames of a signal do.

    A global pool says so of its result where the layout is channels last. Another view of a memory
    in which more lies, or in another order, is unknown.
    """
    node, source = only(sources)
    value = node.meta["val"]
    strides = zip(call.shape, value.stride(), call["stride"], strict=False)
    stays = call.shape == shape_of(node) and all(old == new for n, old, new in strides if n > 1)
    if stays and call["storage_offset"] in {None, value.storage_offset()}:
        return source
    alone = value.untyped_storage().nbytes() == value.numel() * value.element_size()
    return moved(call, node, source, {}) if value.is_contiguous() and alone else Unknown(call.name)


def _copy(call: Primitive, sources: Sources) -> Dependence | None:
    """Follow the second argument: the first lends its shape only."""
    value = call.positional[1]
    return pointwise(call, {value: sources[value]}) if value in sources else None


def _concatenation(call: Primitive, sources: Sources) -> Dependence:
    nodes, dim = list(call["tensors"]), call["dim"] % len(call.shape)
    shapes = [list(shape_of(node)) for node in nodes]
    for d in range(len(call.shape)):
        if d != dim and all(each.reach.shape[d + 1] == 1 for each in sources.values()):
            for shape in shapes:
                shape[d] = 1  # one cell stands for all: a whole map would be large
    return _assembled(nodes, shapes, dim, sources, call.run)


def _stack(call: Primitive, sources: Sources) -> Dependence:
    nodes, dim = list(call["tensors"]), call["dim"] % len(call.shape)
    sources = {node: _across(dim, each) for node, each in sources.items()}
    return _assembled(nodes, [shape_of(node) for node in nodes], dim, sources, call.run)


def _scatter(call: Primitive, sources: Sources) -> Dependence:
    """Write one tensor into a part of another."""
    nodes, rest = list(call.positional[:2]), call.positional[3:]
    dim = call["dim"] % len(call.shape)

    def write(tensors: list[torch.Tensor], along: int) -> Any:
        return call.run(*tensors, along, *rest, **call.node.kwargs)

    if call.name == "select_scatter" and nodes[1] in sources:  # it has one dimension less
        sources = {**sources, nodes[1]: _across(dim, sources[nodes[1]])}
    return _assembled(nodes, [shape_of(node) for node in nodes], dim, sources, write)


def _across(dim: int, seen: Dependence) -> Dependence:
    """Return the same with its law where a new dimension puts it; the reach stays as it is."""
    return seen.along(None if seen.dim is None else seen.dim + (seen.dim >= dim), seen.windows)


def _assembled(
    nodes: list[Any],
    shapes: Sequence[Sequence[int]],
    dim: int,
    sources: Sources,
    arrange: Callable[[list[torch.Tensor], int], Any],
) -> Dependence:
    """Return what is seen by what is put together of several tensors along a dimension.

    The law is that of the one source that fills most of the dimension, or the hull of those that
    move along others.
    """
    reaches = [sources[node].reach if node in sources else None for node in nodes]
    (reach,) = reaching.moved(lambda tensors: arrange(tensors, dim), reaches, shapes)
    if all(each.dim != dim for each in sources.values()):
        return joined(reach, [(each.dim, each.windows) for each in sources.values()])
    for node in nodes:
        if node in sources and sources[node].dim == dim:
            windows, cells = sources[node].windows, shape_of(node)[dim]
            marks = [
                torch.arange(cells) if each is node else _no_cells(each, dim, len(shape_of(node)))
                for each in nodes
            ]
            copied = arrange(marks, 0).numpy()
            law = law_of_move(copied, cells)
            if law is not None and windows is not None:
                seen = Dependence(reach).along(dim, windows.through(law))
                return _with_edges(seen, copied < 0)
    return Dependence(reach)


def _with_edges(seen: Dependence, others: Bool[np.ndarray, " cells"]) -> Dependence:
    """Let the cells that were put where the law has other windows touch the edge.

    Circular padding and a roll take them from the other end, padding by hand from a constant.
    """
    if seen.dim is None or not isinstance(seen.windows, Windows) or not others.any():
        return seen
    bounds, inside = reaching.inside(seen.reach, seen.dim)  # of one cell if all see the same
    edges = np.zeros_like(others)
    for cell in np.flatnonzero(others).tolist():
        at = cell % len(inside)
        sees = tuple(bounds[:, at].tolist()) if inside[at] else None
        edges[cell] = sees != seen.windows.at(cell)
    reach = reaching.touching(seen.reach, seen.dim, edges)
    return Dependence(reach, seen.dim, seen.windows)


def _no_cells(node: torch.fx.Node, dim: int, rank: int) -> torch.Tensor:
    shape = shape_of(node)
    return torch.full((shape[dim],) if len(shape) == rank else (), -1)


_RESHAPES = {"_reshape_alias", "_unsafe_view", "reshape", "view"}

_MOVES = """
    _reshape_alias _unsafe_view alias channel_shuffle clone contiguous detach diagonal expand flip
    lift_fresh_copy permute pixel_shuffle pixel_unshuffle repeat reshape roll rot90 select slice
    split split_with_sizes squeeze t transpose unbind unfold unsafe_split unsqueeze view
"""

MOVES = frozenset(_MOVES.split())
"""Those whose results hold values of their one tensor and no others."""

RULES: dict[str, Rule] = {
    **dict.fromkeys(MOVES, _move),
    "as_strided": _restrided,
    "cat": _concatenation,
    "copy": _copy,
    "fill": _copy,
    "select_scatter": _scatter,
    "slice_scatter": _scatter,
    "stack": _stack,
}
"""The rules by primitive."""
