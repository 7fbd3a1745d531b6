"""Primitives that arrange the values of one tensor among zeros: triangles, diagonals, patches.

Where a value goes, the primitive itself is asked, on numbers that are not 0: what is 0 is no value.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Int

from theory.auditing import reach as reaching
from theory.auditing.dependence import Dependence, Rule, Sources, only
from theory.auditing.primitive import Primitive, shape_of

if TYPE_CHECKING:
    from theory.auditing.reach import Reach


def _places(call: Primitive, shape: tuple[int, ...]) -> Int[np.ndarray, "..."]:
    """Return for each cell of what is arranged which cell of a tensor it holds; -1 for a zero."""
    cells = torch.arange(1, math.prod(shape) + 1, dtype=torch.float64).reshape(shape)
    found = call.run(cells, *call.positional[1:], **call.node.kwargs)
    places: Int[np.ndarray, "..."] = found.numpy().astype(np.int64) - 1
    return places


def _flat(source: Dependence, shape: tuple[int, ...], *, others: int) -> Reach:
    """Return the reach of each cell of a tensor in a row, and last what zeros see.

    Zeros see nothing; `others` is -1 where they lie beyond the edge, else 0.
    """
    whole = np.broadcast_to(source.reach, (3, *shape)).reshape(3, -1)
    nothing = reaching.of_nothing(1) + np.array([[0], [0], [others]])
    return np.concatenate([whole, nothing], axis=1)


def _among_zeros(call: Primitive, sources: Sources) -> Dependence:
    """Put each value in one place, or in none."""
    node, source = only(sources)
    shape = shape_of(node)
    reach = reaching.compressed([*_flat(source, shape, others=0)[:, _places(call, shape)]])
    kept = call.shape == shape  # a triangle leaves the law of those that it keeps
    return Dependence(reach, source.dim, source.windows) if kept else Dependence(reach)


def _patches(call: Primitive, sources: Sources) -> Dependence:
    """Put the cells of each window in a column; those in a padding lie beyond the edge."""
    node, source = only(sources)
    shape = shape_of(node)
    return Dependence(
        reaching.compressed([*_flat(source, shape, others=-1)[:, _places(call, shape)]])
    )


def _overlaid(call: Primitive, sources: Sources) -> Dependence:
    """Add to each cell what the windows that it lies in have at its place.

    This is the adjoint of taking patches, which is asked where each value comes from.
    """
    node, source = only(sources)
    shape = shape_of(node)
    _, _, *window = call.positional
    image = torch.arange(1, math.prod(call.shape) + 1, dtype=torch.float64).reshape(call.shape)
    at = torch.ops.aten.im2col(image, *window, **call.node.kwargs).long().numpy().ravel()
    reach = np.repeat(reaching.of_nothing(1), math.prod(call.shape) + 1, axis=1)
    values = np.broadcast_to(source.reach, (3, *shape)).reshape(3, -1)
    for plane, seen in zip(reach, values, strict=True):
        np.minimum.at(plane, at, seen)
    return Dependence(reaching.compressed([*reach[:, 1:].reshape(3, *call.shape)]))


RULES: dict[str, Rule] = {
    **dict.fromkeys(["diag_embed", "tril", "triu"], _among_zeros),
    "col2im": _overlaid,
    "im2col": _patches,
}
"""The rules by primitive."""
