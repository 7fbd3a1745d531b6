"""What a primitive costs: multiply-accumulates, and floating-point operations.

A MAC is one product that is added to a sum, as convolutions and products of matrices do. A FLOP is
one floating-point operation, whichever: 2 for each MAC, 1 for each bias added, for each value that
a pointwise primitive computes, for each value that a pool or a sum takes in. Moving values is free.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from theory.auditing import moving, picking, products, sliding
from theory.auditing.primitive import Primitive, shape_of
from theory.auditing.taps import Taps
from theory.diagnosis.primitives import CONSTANT

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Cost:
    """What some primitives cost.

    Attributes
    ----------
    macs : int
        Multiply-accumulates of convolutions and matrix products.
    flops : int
        Floating-point operations.
    uncounted : tuple of str
        Primitives whose cost is not known, and that the numbers leave out.
    """

    macs: int = 0
    flops: int = 0
    uncounted: tuple[str, ...] = ()

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.macs + other.macs,
            self.flops + other.flops,
            tuple(dict.fromkeys([*self.uncounted, *other.uncounted])),
        )


def cost(node: torch.fx.Node) -> Cost:
    """Return what one node of a graph costs."""
    if node.op != "call_function":
        return Cost()
    call = Primitive(node)
    if call.name in _FREE or not call.results:
        return Cost()
    rule = _RULES.get(call.name, _per_output if call.is_pointwise else None)
    return Cost(uncounted=(call.name,)) if rule is None else rule(call)


def _per_output(call: Primitive) -> Cost:
    return Cost(flops=math.prod(call.shape))


def _per_input(call: Primitive) -> Cost:
    return Cost(flops=math.prod(shape_of(call.node.all_input_nodes[0])))


def _gate(call: Primitive) -> Cost:
    """Count a sigmoid and a product for each value."""
    return Cost(flops=2 * math.prod(call.shape))


def _convolution(call: Primitive) -> Cost:
    """Each value of the output, or of the input where transposed, meets one filter."""
    weight = shape_of(call["weight"])
    values = shape_of(call["input"]) if call["transposed"] else call.shape
    macs = math.prod(values) * math.prod(weight[1:])
    biases = math.prod(call.shape) if call["bias"] is not None else 0
    return Cost(macs, 2 * macs + biases)


def _product(call: Primitive) -> Cost:
    """Each value of the first factor meets the columns of the second."""
    left, right = list(call.arguments.values())["add" in call.name :][:2]
    columns = 1 if len(shape_of(right)) == 1 else shape_of(right)[-1]
    macs = math.prod(shape_of(left)) * columns
    added = math.prod(call.shape) if "add" in call.name else 0
    return Cost(macs, 2 * macs + added)


def _trilinear(call: Primitive) -> Cost:
    """Each value of one factor meets those of the others: two products and a sum."""
    spread = []
    for factor, dims in products.TRILINEAR:
        shape = [*shape_of(call[factor])]
        for dim in sorted(call[dims]):
            shape.insert(dim, 1)
        spread.append(shape)
    terms = math.prod(torch.broadcast_shapes(*spread))
    return Cost(terms, 3 * terms)


def _attention(call: Primitive) -> Cost:
    """Count queries with keys, and their softmax, of 5 operations a value, with values."""
    *batch, queries, features = shape_of(call["query"])
    *_, keys, out = shape_of(call["value"])
    pairs = math.prod(batch) * queries * keys
    macs = pairs * (features + out)
    return Cost(macs, 2 * macs + 5 * pairs)


def _bags(call: Primitive) -> Cost:
    """Each row that is looked up is added to its bag or compared, by itself or times its weight."""
    values = math.prod(shape_of(call["indices"])) * call.shape[-1]
    weighted = call["per_sample_weights"] is not None
    return Cost(values, 2 * values) if weighted else Cost(flops=values)


def _pool(call: Primitive) -> Cost:
    cells = math.prod(layer.kernel for layer in sliding.window_layers(call))
    return Cost(flops=math.prod(call.shape) * cells)


def _adaptive_pool(call: Primitive) -> Cost:
    """Windows of neighbours may overlap, and then take in the same cells."""
    cells = shape_of(call.node.all_input_nodes[0])
    pooled = len(call["output_size"])
    axes = zip(cells[-pooled:], call.shape[-pooled:], strict=True)
    taken = (Taps.adaptive(n, outputs).reads(outputs) for n, outputs in axes)
    return Cost(flops=math.prod(cells[:-pooled]) * math.prod(taken))


def _normalisation(call: Primitive) -> Cost:
    """By fixed statistics: a scale and an offset. By those of the input: 6 operations more.

    They are: add for the mean; subtract, square, add for the variance; subtract, multiply.
    """
    fixed = call.name == "_native_batch_norm_legit_no_training"
    return Cost(flops=(2 if fixed else 8) * math.prod(call.shape))


def _rms_norm(call: Primitive) -> Cost:
    """Square, add, scale, and multiply by a weight if there is one; add and take a root a mean."""
    values = math.prod(call.shape)
    means = values // math.prod(call["normalized_shape"])
    return Cost(flops=(3 if call["weight"] is None else 4) * values + 2 * means)


def _softmax(call: Primitive) -> Cost:
    """Compare for the maximum, subtract, exponential, add, divide."""
    return Cost(flops=5 * math.prod(call.shape))


def _deviation(call: Primitive) -> Cost:
    """Add for the mean; subtract, square, add for the variance; take a root where it is asked."""
    roots = math.prod(call.shape) if call.name.startswith("std") else 0
    return Cost(flops=4 * _per_input(call).flops + roots)


def _norm(call: Primitive) -> Cost:
    """Count a power and a sum for each value, and a root for each sum."""
    return Cost(flops=2 * _per_input(call).flops + math.prod(call.shape))


def _weight_norm(call: Primitive) -> Cost:
    """Square, add and multiply each weight; a root and a division for each filter's length."""
    return Cost(flops=3 * math.prod(call.shape) + 2 * math.prod(shape_of(call["g"])))


def _resizing(call: Primitive) -> Cost:
    """Each value is a sum with as many weights along each axis as the name says."""
    axes = len(call.shape) - 2
    if "nearest" in call.name:
        return Cost()
    taps = (4 if "bicubic" in call.name else 2) ** axes
    return Cost(flops=(2 * taps - 1) * math.prod(call.shape))


_FREE = {
    *CONSTANT,
    *moving.RULES,
    *sliding.PADDINGS,
    "_conj",
    "_neg_view",
    "_to_copy",
    "complex",
    "copy",
    "detach",
    "diag_embed",
    "embedding",
    "gather",
    "getitem",
    "im2col",
    "index",
    "index_select",
    "linspace",
    "take",
    "tril",
    "triu",
    "view_as_complex",
    "view_as_real",
}

_RULES: dict[str, Callable[[Primitive], Cost]] = {
    "convolution": _convolution,
    **dict.fromkeys(products.MATRIX_PRODUCTS, _product),
    "_trilinear": _trilinear,
    **dict.fromkeys(["std", "std_mean", "var", "var_mean"], _deviation),
    "_prelu_kernel": _per_output,
    **dict.fromkeys(products.ATTENTION, _attention),
    **dict.fromkeys(picking.BAGS, _bags),
    "_fused_rms_norm": _rms_norm,
    "_weight_norm_interface": _weight_norm,
    "glu": _gate,
    "linalg_vector_norm": _norm,
    **{
        name: _adaptive_pool if "adaptive" in name else _resizing if "upsample" in name else _pool
        for name in sliding.RULES
        if "pool" in name or "upsample" in name
    },
    **dict.fromkeys(
        [
            "_native_batch_norm_legit",
            "_native_batch_norm_legit_functional",
            "_native_batch_norm_legit_no_training",
            "native_group_norm",
            "native_layer_norm",
        ],
        _normalisation,
    ),
    **dict.fromkeys(["_log_softmax", "_safe_softmax", "_softmax"], _softmax),
    **dict.fromkeys(
        [
            "all",
            "amax",
            "amin",
            "any",
            "argmax",
            "argmin",
            "cummax",
            "cummin",
            "cumprod",
            "cumsum",
            "max",
            "mean",
            "min",
            "prod",
            "sum",
        ],
        _per_input,
    ),
}
