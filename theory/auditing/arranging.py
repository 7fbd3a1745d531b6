"""Primitives that arrange the values of one tensor among zeros: triangles, diagonals, patches.

Where a value goes, the primitive itself is asked, on numbers that are not 0: what is 0 is no value.
So are those that arrange a constant, by which values are then multiplied.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from theory.auditing import moving
from theory.auditing import reach as reaching
from theory.auditing.constants import computed
from theory.auditing.dependence import Dependence, Rule, Sources, only, pointwise
from theory.auditing.primitive import Primitive, shape_of
from theory.diagnosis.nodes import upstream

if TYPE_CHECKING:
    from theory.auditing.reach import Reach


def _numbered(shape: tuple[int, ...]) -> torch.Tensor:
    """Return a tensor whose cells hold their numbers, from 1 on, as what moves floats takes it."""
    return torch.arange(1, math.prod(shape) + 1, dtype=torch.float64).reshape(shape)


def _flat(source: Dependence, shape: tuple[int, ...]) -> Reach:
    """Return the reach of each cell of a tensor in a row."""
    return np.broadcast_to(source.reach, (3, *shape)).reshape(3, -1)


def _placed(call: Primitive, source: Dependence, *, zeros: int) -> Reach:
    """Return the reach of what values and zeros are arranged to; `zeros` is -1 beyond an edge."""
    shape = shape_of(call.positional[0])
    numbers = call.run(_numbered(shape), *call.positional[1:], **call.node.kwargs)
    nothing = reaching.of_nothing(1) + np.array([[0], [0], [zeros]])
    reach = np.concatenate([nothing, _flat(source, shape)], axis=1)
    return reaching.compressed([*reach[:, numbers.long().numpy()]])


def _among_zeros(call: Primitive, sources: Sources) -> Dependence:
    """Put each value in one place, or in none."""
    node, source = only(sources)
    reach = _placed(call, source, zeros=0)
    kept = call.shape == shape_of(node)  # a triangle leaves the law of those that it keeps
    return Dependence(reach, source.dim, source.windows) if kept else Dependence(reach)


def _patches(call: Primitive, sources: Sources) -> Dependence:
    """Put the cells of each window in a column; those in a padding lie beyond the edge."""
    _, source = only(sources)
    return Dependence(_placed(call, source, zeros=-1))


def _overlaid(call: Primitive, sources: Sources) -> Dependence:
    """Add to each cell what the windows that it lies in have at its place.

    This is the adjoint of taking patches, which is asked where each value comes from.
    """
    node, source = only(sources)
    _, _, *window = call.positional
    numbers = torch.ops.aten.im2col(_numbered(call.shape), *window, **call.node.kwargs)
    reach = np.repeat(reaching.of_nothing(1), math.prod(call.shape) + 1, axis=1)
    for plane, seen in zip(reach, _flat(source, shape_of(node)), strict=True):
        np.minimum.at(plane, numbers.long().numpy().ravel(), seen)
    return Dependence(reaching.compressed([*reach[:, 1:].reshape(3, *call.shape)]))


def _weighed(call: Primitive, sources: Sources) -> Dependence:
    """Multiply each value by the one at its place; by a zero in a padding, it is not seen."""
    seen = pointwise(call, sources)
    for factor in call.node.all_input_nodes:
        zeros = None if factor in sources else _zeros(factor)
        if zeros is not None:
            reach = np.where(zeros.numpy(), reaching.of_nothing(len(call.shape)), seen.reach)
            seen = Dependence(reach, seen.dim, seen.windows).tight()
    return seen


def _zeros(node: torch.fx.Node) -> torch.Tensor | None:
    """Return where a tensor has zeros that a constant was put among, if it is such a one."""
    names = {Primitive(each).name for each in upstream([node]) if each.op == "call_function"}
    if names.isdisjoint(_FILLING) or not names <= {*_FILLING, *moving.RULES, "_to_copy"}:
        return None
    placed = computed(node, lambda each: torch.ones(shape_of(each)))
    return None if placed is None else placed == 0


_FILLING = {"constant_pad_nd", "zeros"}
"""What makes zeros that a constant is put among."""

RULES: dict[str, Rule] = {
    **dict.fromkeys(["diag_embed", "tril", "triu"], _among_zeros),
    "col2im": _overlaid,
    "im2col": _patches,
    "mul": _weighed,
}
"""The rules by primitive."""
