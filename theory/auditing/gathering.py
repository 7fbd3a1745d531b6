"""Primitives that gather whole dimensions: reductions, normalisations, products of matrices."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from theory.auditing import reach as reaching
from theory.auditing.constants import integers
from theory.auditing.dependence import (
    Dependence,
    Rule,
    Sources,
    Unknown,
    everything,
    joined,
    only,
    pointwise,
)
from theory.auditing.moving import pick
from theory.auditing.primitive import Primitive, shape_of

if TYPE_CHECKING:
    from collections.abc import Iterable


def _dims(call: Primitive, rank: int) -> list[int]:
    """Return the dimensions that a primitive names, from the front; all if it names none."""
    dims = call.arguments.get("dim")
    if dims is None or dims == []:
        return list(range(rank))
    return [dim % max(rank, 1) for dim in ([dims] if isinstance(dims, int) else dims)]


def _reduction(call: Primitive, sources: Sources) -> Dependence:
    node, source = only(sources)
    rank = len(shape_of(node))
    dims = _dims(call, rank)
    keepdim = len(call.shape) == rank
    whole = Dependence(reaching.reduced(source.reach, dims, keepdim=keepdim))
    if source.dim is None or source.dim in dims:
        return whole
    lost = 0 if keepdim else sum(each < source.dim for each in dims)
    return whole.along(source.dim - lost, source.windows)


def _over(call: Primitive, sources: Sources, dims: Iterable[int]) -> Dependence:
    """Each value sees the whole of some dimensions, which stay."""
    if len(sources) > 1:
        return everything(call, sources)
    _, source = only(sources)
    dims = list(dims)
    whole = Dependence(reaching.reduced(source.reach, dims))
    lost = source.dim is None or source.dim in dims
    return whole if lost else whole.along(source.dim, source.windows)


def _along(call: Primitive, sources: Sources) -> Dependence:
    return _over(call, sources, _dims(call, len(call.shape)))


def _cumulation(call: Primitive, sources: Sources) -> Dependence:
    """Each value sees those up to it along a dimension."""
    _, source = only(sources)
    dim = call["dim"] % max(len(call.shape), 1)
    reach = source.reach
    if reach.ndim > 1:
        reach = np.minimum.accumulate(reach, axis=dim + 1)
    lost = source.dim in {None, dim}
    return Dependence(reach) if lost else Dependence(reach).along(source.dim, source.windows)


def _normalisation(rule: Rule) -> Rule:
    """Return the rule of a normalisation, given that of its input: scale and offset may vary."""
    return lambda call, sources: (rule if [*sources] == [call["input"]] else everything)(
        call, sources
    )


def _batch_norm(call: Primitive, sources: Sources) -> Dependence:
    """Statistics of the input are taken over all cells of a channel."""
    return _over(call, sources, [d for d in range(len(call.shape)) if d != 1])


def _layer_norm(call: Primitive, sources: Sources) -> Dependence:
    rank = len(call.shape)
    return _over(call, sources, range(rank - len(call["normalized_shape"]), rank))


def _group_norm(call: Primitive, sources: Sources) -> Dependence:
    """Statistics are taken over all cells of a group of channels."""
    _, source = only(sources)
    whole = reaching.reduced(source.reach, range(2, len(call.shape)))
    return Dependence(reaching.mixed(whole, 1, call["group"], call.shape[1]))


def _product(call: Primitive, sources: Sources) -> Dependence:
    """Rows of the first factor meet columns of the second; a third argument is added."""
    *added, left, right = list(call.arguments.values())[: 3 if "add" in call.name else 2]
    parts = [pointwise(call, {each: sources[each]}) for each in added if each in sources]
    vector = len(shape_of(right)) == 1
    for factor, contracted in ((left, -1), (right, -1 if vector else -2)):
        if factor in sources:
            source, rank = sources[factor], len(shape_of(factor))
            dim = contracted % rank
            # A matrix by a vector loses an axis, and so do two vectors; the vector itself does not.
            reach = reaching.reduced(source.reach, [dim], keepdim=rank == len(call.shape))
            part = Dependence(reach)
            parts.append(part if source.dim == dim else part.along(source.dim, source.windows))
    return joined(
        reaching.hull(each.reach for each in parts), [(each.dim, each.windows) for each in parts]
    )


def _gate(call: Primitive, sources: Sources) -> Dependence:
    """Each value of one half of a dimension meets the one of the other half at its place."""
    node, source = only(sources)
    shape, dim = shape_of(node), call["dim"] % len(call.shape)
    halves = reaching.moved(lambda tensors: tensors[0].chunk(2, dim), [source.reach], [shape])
    gated = Dependence(reaching.hull(halves))
    return gated if source.dim == dim else gated.along(source.dim, source.windows)


def _lookup(call: Primitive, sources: Sources) -> Dependence:
    """Each index becomes the row of a table, along a new last dimension."""
    if set(sources) != {call["indices"]}:
        return everything(call, sources)
    return _parts(call, sources)


def _bags(call: Primitive, sources: Sources) -> Dependence | Unknown:
    """Each bag sees the indices from its offset up to the next one's, and their weights."""
    if not set(sources) <= {call["indices"], call["per_sample_weights"]}:
        return everything(call, sources)
    (cells,) = shape_of(call["indices"])
    values = integers(call["offsets"])
    offsets = None if values is None else values.tolist()
    if offsets is not None and not call["include_last_offset"]:
        offsets = [*offsets, cells]
    if offsets is None or offsets != sorted(offsets):
        return Unknown(call.name)
    table = np.full((len(offsets) - 1, max(cells, 1)), _NO_CELL)
    for bag, (start, end) in enumerate(itertools.pairwise(offsets)):
        table[bag, : end - start] = range(start, end)
    reach = reaching.hull(
        reaching.read_by(each.reach, 0, cells, table) for each in sources.values()
    )
    return Dependence(reach[..., None])


_NO_CELL = -2
"""Stands in a table of `theory.auditing.reach.read_by` for no cell at all."""


def _parts(call: Primitive, sources: Sources) -> Dependence:
    """Each number becomes several, along a new last dimension."""
    _, source = only(sources)
    return Dependence(source.reach[..., None]).along(source.dim, source.windows)


def _joined_parts(call: Primitive, sources: Sources) -> Dependence:
    """Each row along the last dimension becomes one number."""
    node, source = only(sources)
    last = len(shape_of(node)) - 1
    whole = Dependence(reaching.reduced(source.reach, [last], keepdim=False))
    return whole if source.dim == last else whole.along(source.dim, source.windows)


def _picked(call: Primitive, sources: Sources) -> Dependence | list[Dependence] | Unknown:
    """Any value of a row may be picked by an index that varies; another's choice is unknown."""
    table, index, dim = call["self"], call["index"], call["dim"] % max(len(call.shape), 1)
    if index not in sources:
        return pick(call, sources)
    parts = [sources[index].reach]
    if table in sources:
        row = reaching.reduced(sources[table].reach, [dim])
        parts.append(row[(slice(None), *(slice(n) for n in call.shape))])
    return Dependence(reaching.hull(parts))


def _sampled(call: Primitive, sources: Sources) -> Dependence | Unknown:
    """Points of a grid that varies may lie anywhere in the map; where another's lie is unknown."""
    if call["grid"] not in sources:
        return Unknown(call.name)
    # Its last dimension holds the places, and it has none for the channels.
    places = reaching.reduced(sources[call["grid"]].reach, [-1], keepdim=False)[:, :, None]
    parts = [places]
    if call["input"] in sources:
        seen = sources[call["input"]].reach
        parts.append(reaching.reduced(seen, range(2, seen.ndim - 1)))
    return Dependence(reaching.hull(parts))


def _distances(call: Primitive, sources: Sources) -> Dependence:
    """Rows of the first argument meet rows of the second."""
    parts = []
    for rows, axes in ((call["x1"], (-2, -1)), (call["x2"], (-1, -2))):
        if rows in sources:
            seen = reaching.reduced(sources[rows].reach, [-1])
            seen = seen.reshape(3, *(1,) * (len(call.shape) + 1 - seen.ndim), *seen.shape[1:])
            parts.append(np.moveaxis(seen, axes, (-2, -1)))
    return Dependence(reaching.hull(parts))


def _loss(call: Primitive, sources: Sources) -> Dependence:
    """Each value meets its target; their losses are averaged or summed, if they are reduced."""
    return (everything if call["reduction"] else pointwise)(call, sources)


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

BAGS = frozenset({"_embedding_bag", "_embedding_bag_forward_only"})
"""What looks up rows of a table, and makes one of each bag of them."""

RULES: dict[str, Rule] = {
    **dict.fromkeys(
        [
            "all",
            "amax",
            "amin",
            "any",
            "argmax",
            "argmin",
            "kthvalue",
            "linalg_vector_norm",
            "logsumexp",
            "max",
            "mean",
            "median",
            "min",
            "mode",
            "nanmedian",
            "norm",
            "prod",
            "std",
            "std_mean",
            "sum",
            "var",
            "var_mean",
        ],
        _reduction,
    ),
    **dict.fromkeys(
        [
            "_fft_c2c",
            "_fft_c2r",
            "_fft_r2c",
            "_log_softmax",
            "_safe_softmax",
            "_softmax",
            "sort",
            "topk",
        ],
        _along,
    ),
    **dict.fromkeys(["cumprod", "cumsum", "logcumsumexp"], _cumulation),
    **dict.fromkeys(["_conj", "_neg_view", "_prelu_kernel", "complex"], pointwise),
    **dict.fromkeys(
        ["_native_batch_norm_legit", "_native_batch_norm_legit_functional", "native_batch_norm"],
        _normalisation(_batch_norm),
    ),
    "_native_batch_norm_legit_no_training": _normalisation(pointwise),
    "_cdist_forward": _distances,
    "embedding": _lookup,
    "gather": _picked,
    "glu": _gate,
    **dict.fromkeys(["grid_sampler_2d", "grid_sampler_3d"], _sampled),
    **dict.fromkeys(["huber_loss", "mse_loss", "smooth_l1_loss"], _loss),
    **dict.fromkeys(["_fused_rms_norm", "native_layer_norm"], _normalisation(_layer_norm)),
    "native_group_norm": _normalisation(_group_norm),
    **dict.fromkeys(["addmm", "baddbmm", "bmm", "dot", "mm", "mv", "vdot", "addmv"], _product),
    "view_as_complex": _joined_parts,
    "view_as_real": _parts,
    **dict.fromkeys(ATTENTION, _attention),
    **dict.fromkeys(BAGS, _bags),
}
"""The rules by primitive."""
