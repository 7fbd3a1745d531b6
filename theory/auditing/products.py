"""Primitives in which rows meet columns: products of matrices, distances, attention."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from theory.auditing import reach as reaching
from theory.auditing.dependence import Dependence, Rule, Sources, everything, joined, pointwise
from theory.auditing.primitive import Primitive

if TYPE_CHECKING:
    from collections.abc import Sequence


def _product(call: Primitive, sources: Sources) -> Dependence:
    """Rows of the first factor meet columns of the second; a third argument is added."""
    *added, left, right = list(call.arguments.values())[: 3 if "add" in call.name else 2]
    parts = [pointwise(call, {each: sources[each]}) for each in added if each in sources]
    for factor, contracted in ((left, -1), (right, -2)):
        if factor in sources:
            source = sources[factor]
            if call.name == "addbmm":
                source = _summed(source, [0])
            rank = source.reach.ndim - 1
            dim = contracted % rank  # a vector has but one
            # A matrix by a vector loses an axis, and so do two vectors; the vector itself does not.
            reach = reaching.reduced(source.reach, [dim], keepdim=rank == len(call.shape))
            part = Dependence(reach)
            parts.append(part if source.dim == dim else part.along(source.dim, source.windows))
    return joined(
        reaching.hull(each.reach for each in parts), [(each.dim, each.windows) for each in parts]
    )


def _summed(source: Dependence, dims: Sequence[int]) -> Dependence:
    """Return what is seen by sums over some dimensions, which are lost."""
    whole = Dependence(reaching.reduced(source.reach, dims, keepdim=False))
    if source.dim is None or source.dim in dims:
        return whole
    return whole.along(source.dim - sum(each < source.dim for each in dims), source.windows)


def _trilinear(call: Primitive, sources: Sources) -> Dependence:
    """Three factors, spread along dimensions of the others, are multiplied and summed."""
    parts = []
    for factor, spread in TRILINEAR:
        if call[factor] in sources:
            source = sources[call[factor]]
            reach = np.expand_dims(source.reach, [dim + 1 for dim in call[spread]])
            kept = [dim for dim in range(reach.ndim - 1) if dim not in call[spread]]
            dim = None if source.dim is None else kept[source.dim]
            parts.append(_summed(Dependence(reach).along(dim, source.windows), call["sumdim"]))
    return joined(
        reaching.hull(each.reach for each in parts), [(each.dim, each.windows) for each in parts]
    )


def _distances(call: Primitive, sources: Sources) -> Dependence:
    """Rows of the first argument meet rows of the second."""
    parts = []
    for rows, axes in ((call["x1"], (-2, -1)), (call["x2"], (-1, -2))):
        if rows in sources:
            seen = reaching.reduced(sources[rows].reach, [-1])
            seen = seen.reshape(3, *(1,) * (len(call.shape) + 1 - seen.ndim), *seen.shape[1:])
            parts.append(np.moveaxis(seen, axes, (-2, -1)))
    return Dependence(reaching.hull(parts))


def _attention(call: Primitive, sources: Sources) -> Dependence:
    """Each query sees all keys and all values."""
    contracted = {"query": [-1], "key": [-2, -1], "value": [-2]}
    if not set(sources) <= {call[name] for name in contracted}:
        return everything(call, sources)
    return Dependence(
        reaching.hull(
            reaching.reduced(sources[call[name]].reach, dims)
            for name, dims in contracted.items()
            if call[name] in sources
        )
    )


ATTENTION = frozenset(
    f"_scaled_dot_product_{kind}"
    for kind in (
        "attention_math_for_mps",
        "cudnn_attention",
        "efficient_attention",
        "flash_attention",
        "flash_attention_for_cpu",
        "fused_attention_overrideable",
    )
)
"""The kernels of attention, which a module may choose itself."""

MATRIX_PRODUCTS = frozenset(
    {"addbmm", "addmm", "addmv", "baddbmm", "bmm", "dot", "mm", "mv", "vdot"}
)
"""Products of matrices or vectors, one by one or in a batch, to which something may be added."""

TRILINEAR = (("i1", "expand1"), ("i2", "expand2"), ("i3", "expand3"))
"""The factors of a product of three, and the dimensions along which each is spread."""

RULES: dict[str, Rule] = {
    "_cdist_forward": _distances,
    "_trilinear": _trilinear,
    **dict.fromkeys(MATRIX_PRODUCTS, _product),
    **dict.fromkeys(ATTENTION, _attention),
}
"""The rules by primitive."""
