"""Primitives that gather whole dimensions: reductions, cumulations, transforms, normalisations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from theory.auditing import reach as reaching
from theory.auditing.dependence import (
    Dependence,
    Rule,
    Sources,
    everything,
    only,
    pointwise,
)
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


def _cumulation(call: Primitive, sources: Sources) -> Dependence | list[Dependence]:
    """Each value sees those up to it along a dimension; so does the place of an extreme one."""
    _, source = only(sources)
    dim = call["dim"] % max(len(call.shape), 1)
    reach = source.reach
    if reach.ndim > 1:
        reach = np.minimum.accumulate(reach, axis=dim + 1)
    lost = source.dim in {None, dim}
    seen = Dependence(reach) if lost else Dependence(reach).along(source.dim, source.windows)
    return [seen] * len(call.results) if len(call.results) > 1 else seen


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


def _gate(call: Primitive, sources: Sources) -> Dependence:
    """Each value of one half of a dimension meets the one of the other half at its place."""
    node, source = only(sources)
    shape, dim = shape_of(node), call["dim"] % len(call.shape)
    halves = reaching.moved(lambda tensors: tensors[0].chunk(2, dim), [source.reach], [shape])
    gated = Dependence(reaching.hull(halves))
    return gated if source.dim == dim else gated.along(source.dim, source.windows)


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


def _loss(call: Primitive, sources: Sources) -> Dependence:
    """Each value meets its target; their losses are averaged or summed, if they are reduced."""
    return (everything if call["reduction"] else pointwise)(call, sources)


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
    **dict.fromkeys(["cummax", "cummin", "cumprod", "cumsum", "logcumsumexp"], _cumulation),
    **dict.fromkeys(["_conj", "_neg_view", "_prelu_kernel", "complex"], pointwise),
    **dict.fromkeys(
        ["_native_batch_norm_legit", "_native_batch_norm_legit_functional", "native_batch_norm"],
        _normalisation(_batch_norm),
    ),
    "_native_batch_norm_legit_no_training": _normalisation(pointwise),
    "glu": _gate,
    **dict.fromkeys(["huber_loss", "mse_loss", "smooth_l1_loss"], _loss),
    **dict.fromkeys(["_fused_rms_norm", "native_layer_norm"], _normalisation(_layer_norm)),
    "native_group_norm": _normalisation(_group_norm),
    "view_as_complex": _joined_parts,
    "view_as_real": _parts,
}
"""The rules by primitive."""
