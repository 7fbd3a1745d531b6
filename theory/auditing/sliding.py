"""Primitives that look at their input through windows: convolution, pooling, resizing, padding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from theory.auditing import reach as reaching
from theory.auditing.dependence import Dependence, Rule, Sources, everything, only
from theory.auditing.primitive import Primitive, broadcast, shape_of
from theory.auditing.taps import Taps, law_of_table
from theory.auditing.windows import Scattered, Windows
from theory.geometry import Layer

if TYPE_CHECKING:
    from jaxtyping import Int


_ITSELF = Taps(((0,),), 1)
"""What an operation of one tap reads: the cell at the place of the output."""


def window_layers(call: Primitive) -> list[Layer]:
    """Return a convolution or pooling primitive as layers, one for each spatial axis."""
    if call.name == "convolution":
        kernel = list(shape_of(call["weight"])[2:])
        stride = call["stride"]
    else:
        axes = int(call.name[call.name.index("pool") + len("pool")])
        kernel = broadcast(call["kernel_size"], axes)
        stride = call["stride"] or kernel
    axes = len(kernel)
    dilation = broadcast(call.arguments.get("dilation", 1), axes)
    padding = broadcast(call["padding"], axes)
    return list(map(Layer, kernel, broadcast(stride, axes), padding, dilation))


def _through(
    call: Primitive, node: torch.fx.Node, source: Dependence, taps: dict[int, Taps]
) -> Dependence:
    """Look at a source through taps along some of its dimensions."""
    cells, reach, windows = shape_of(node), source.reach, source.windows
    for dim, each in taps.items():
        if each == _ITSELF and call.shape[dim] == cells[dim]:
            continue
        if reach.shape[dim + 1] > 1 or dim == source.dim:
            table = each.table(cells[dim], call.shape[dim])
            if dim != source.dim:
                table = _without_edges(table)
            reach = reaching.read_by(reach, dim, cells[dim], table)
        if dim == source.dim and windows is not None:
            windows = windows.through(each)
    return Dependence(reach).along(source.dim, windows)


def _without_edges(table: Int[np.ndarray, "outputs taps"]) -> Int[np.ndarray, "outputs taps"]:
    """Return what is read along a dimension that is not followed: its edges are not counted."""
    return np.where(table == reaching.BEYOND, reaching.NO_CELL, table)


def _convolution(call: Primitive, sources: Sources) -> Dependence:
    node = call["input"]
    if set(sources) != {node}:
        return everything(call, sources)  # its kernel comes from the input, too
    layers = window_layers(call)
    first = len(call.shape) - len(layers)
    source, channels = sources[node], first - 1
    reach = reaching.mixed(source.reach, channels, call["groups"], call.shape[channels])
    mixed = Dependence(reach)
    depthwise = call["groups"] == shape_of(node)[channels] == call.shape[channels]
    if source.dim != channels or depthwise:  # cells that stand for channels follow no law, mixed
        mixed = mixed.along(source.dim, source.windows)
    make = Taps.transposed if call["transposed"] else Taps.of
    taps = {first + i: make(each) for i, each in enumerate(layers)}
    return _through(call, node, mixed, taps)


def _pool(call: Primitive, sources: Sources) -> Dependence:
    node, source = only(sources)
    layers = window_layers(call)
    first = len(call.shape) - len(layers)
    taps = {first + i: Taps.of(each) for i, each in enumerate(layers)}
    seen = _through(call, node, source, taps)
    if source.dim not in taps:
        return seen
    cells, layer = shape_of(node)[source.dim], layers[source.dim - first]
    is_global = call.shape[source.dim] == 1 < cells <= layer.kernel - layer.padding
    return Dependence(seen.reach) if is_global else seen


def _adaptive_pool(call: Primitive, sources: Sources) -> Dependence:
    node, source = only(sources)
    cells, outputs = shape_of(node), call.shape
    first = len(cells) - len(call["output_size"])
    taps = {d: Taps.adaptive(cells[d], outputs[d]) for d in range(first, len(cells))}
    seen = _through(call, node, source, taps)
    is_global = source.dim in taps and outputs[source.dim] == 1 < cells[source.dim]
    return Dependence(seen.reach) if is_global else seen


def _resizing(call: Primitive, sources: Sources) -> Dependence:
    node, source = only(sources)
    cells, reach, windows = shape_of(node), source.reach, source.windows
    for dim in range(2, len(cells)):
        if reach.shape[dim + 1] > 1 or dim == source.dim:
            table = _resizing_table(call, dim, cells[dim])
            law = _resizing_law(call, table, cells[dim])
            if law is not None and dim == source.dim:
                table = np.column_stack([table, _beyond(law, table, cells[dim])])
            reach = reaching.read_by(reach, dim, cells[dim], table)
            if dim == source.dim:
                windows = _resized(windows, law, call.shape[dim])
    return Dependence(reach).along(source.dim, windows)


def _resized(windows: Windows | Scattered | None, law: Taps | None, outputs: int) -> Windows | None:
    """Return what is seen through a resizing; no law where it does not repeat within the map."""
    if law is None or not isinstance(windows, Windows):
        return None
    turns = windows.repeats(law) * len(law.offsets)
    return windows.through(law) if turns <= outputs else None


def _resizing_law(
    call: Primitive, table: Int[np.ndarray, "outputs taps"], cells: int
) -> Taps | None:
    """Return the taps of a resizing along one dimension, if they say what every output cell reads.

    Where the corners are kept in place, windows drift against those of whole periods.
    """
    outputs = len(table)
    if not call.arguments.get("align_corners", False):
        law = law_of_table(table, cells)
    else:
        law = Taps.aligned(cells, outputs) if min(cells, outputs) > 1 else None
    return law if law is not None and law.folds_to(table, cells) else None


def _beyond(
    law: Taps, table: Int[np.ndarray, "outputs taps"], cells: int
) -> Int[np.ndarray, " outputs"]:
    """Return -1, the edge, where a window hangs over it and what it reads was folded back."""
    windows = (law.window(output) for output in range(len(table)))
    hangs = np.array([first < 0 or last >= cells for first, last in windows])
    return np.where(hangs, -1, table[:, 0])


def _resizing_table(call: Primitive, dim: int, cells: int) -> Int[np.ndarray, "outputs taps"]:
    """Return the cells that have a weight in each output cell of a resizing along one dimension.

    The primitive acts on each dimension by itself: along one, it is asked for its weights. They
    depend on the distance of two places among the cells, and are rounded as that is.
    """

    def along(sizes: int, others: int) -> list[int]:
        return [sizes if d == dim else others for d in range(2, len(call.shape))]

    unit = torch.eye(cells, dtype=torch.float64).reshape(cells, 1, *along(cells, 1))
    arguments = dict(call.arguments)
    arguments[next(iter(arguments))] = unit
    arguments["output_size"] = along(call.shape[dim], 1)
    weights = call.run(**arguments).reshape(cells, -1).T.numpy()
    rounded = cells * np.finfo(np.float64).eps
    rows = [np.flatnonzero(abs(row) > rounded) for row in weights]
    most = max(map(len, rows))
    return np.array([np.pad(row, (0, most - len(row)), mode="edge") for row in rows])


def _padding(call: Primitive, sources: Sources) -> Dependence:
    """Cells that are constant, reflected or repeated beyond the edge, and that touch it."""
    node, source = only(sources)
    shape, reach, windows = shape_of(node), source.reach, source.windows
    pads = call["pad" if call.name == "constant_pad_nd" else "padding"]
    for i in range(len(pads) // 2):
        dim, (before, after) = len(shape) - 1 - i, pads[2 * i : 2 * i + 2]
        cells = shape[dim]
        # A lone cell gets constants beside it where they are put between the cells of a map.
        between = cells == 1 and call.name == "constant_pad_nd"
        if reach.shape[dim + 1] == 1 and dim != source.dim and not between:
            continue
        places = np.arange(-before, cells + after)
        beyond = np.where((places >= 0) & (places < cells), places, reaching.BEYOND)
        table = np.stack([beyond, _filled(call.name, places, cells)], axis=1)
        if dim != source.dim:
            table = _without_edges(table)
        reach = reaching.read_by(reach, dim, cells, table)
        if dim == source.dim and windows is not None:
            windows = windows.through(Taps(((-before,),), 1))
    seen = Dependence(reach).along(source.dim, windows)
    return seen.tight()  # what is cropped may have been left behind


def _filled(
    name: str, places: Int[np.ndarray, " outputs"], cells: int
) -> Int[np.ndarray, " outputs"]:
    """Return the cells that padded places take their values from; -1 where it is a constant."""
    if name.startswith("replication"):
        return np.clip(places, 0, cells - 1)
    if name.startswith("reflection"):
        return np.minimum(places % (2 * cells - 2), -places % (2 * cells - 2))
    return np.where((places >= 0) & (places < cells), places, reaching.BEYOND)


PADDINGS = frozenset(
    {"constant_pad_nd"}
    | {f"{kind}_pad{axes}d" for kind in ("reflection", "replication") for axes in (1, 2, 3)}
)
"""The primitives that pad."""

RULES: dict[str, Rule] = {
    "convolution": _convolution,
    **dict.fromkeys(
        [
            "avg_pool1d",
            "avg_pool2d",
            "avg_pool3d",
            "max_pool2d_with_indices",
            "max_pool3d_with_indices",
        ],
        _pool,
    ),
    **dict.fromkeys(
        [
            "_adaptive_avg_pool2d",
            "_adaptive_avg_pool3d",
            "adaptive_avg_pool1d",
            "adaptive_max_pool2d",
            "adaptive_max_pool3d",
        ],
        _adaptive_pool,
    ),
    **dict.fromkeys(
        [
            "upsample_bicubic2d",
            "upsample_bilinear2d",
            "upsample_linear1d",
            "upsample_nearest1d",
            "upsample_nearest2d",
            "upsample_nearest3d",
            "_upsample_nearest_exact1d",
            "_upsample_nearest_exact2d",
            "_upsample_nearest_exact3d",
            "upsample_trilinear3d",
        ],
        _resizing,
    ),
    **dict.fromkeys(PADDINGS, _padding),
}
"""The rules by primitive."""
