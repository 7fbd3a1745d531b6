"""What products of rows and columns see, and which of them move with the input."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.seen_cells import followed, in_graph
from theory.auditing import propagation
from theory.auditing.dependence import Dependence
from theory.auditing.windows import Windows


def _numbers(*shape: int) -> Tensor:
    return torch.ones(shape, dtype=torch.float64)


A, B, V, TENSOR = _numbers(4, 3), _numbers(3, 5), _numbers(3), _numbers(5, 3, 2)

# Of each product the dimension of the result along which windows move, for each axis of its input.
LAWS: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...], tuple[int | None, ...]]] = {
    "mm, left": (lambda x: torch.mm(x, B), (4, 3), (0, None)),
    "mm, right": (lambda x: torch.mm(A, x), (3, 5), (None, 1)),
    "mm, both": (lambda x: torch.mm(x, x.mT), (4, 3), (None, None)),
    # The type of the result is an argument beside the factors.
    "mm, right, of another type": (
        lambda x: torch.mm(A.half(), x.half(), out_dtype=torch.float32),
        (3, 5),
        (None, 1),
    ),
    "mv, left": (lambda x: torch.mv(x, V), (4, 3), (0, None)),
    "mv, right": (lambda x: torch.mv(A, x), (3,), (None,)),
    "dot": (lambda x: torch.dot(x, V), (3,), (None,)),
    "bmm, left": (lambda x: torch.bmm(x, B.expand(2, 3, 5)), (2, 4, 3), (0, 1, None)),
    "bmm, right": (lambda x: torch.bmm(A.expand(2, 4, 3), x), (2, 3, 5), (0, None, 2)),
    "addmm, added": (lambda x: torch.addmm(x, A, B), (4, 5), (0, 1)),
    "addmm, added and left": (lambda x: torch.addmm(x, x, B @ B.T), (4, 3), (0, None)),
    "addbmm, left": (
        lambda x: torch.addbmm(A @ B, x, B.repeat(2, 1, 1)),
        (2, 4, 3),
        (None, 0, None),
    ),
    "addbmm, right": (
        lambda x: torch.addbmm(A @ B, A.repeat(2, 1, 1), x),
        (2, 3, 5),
        (None, None, 1),
    ),
    "bilinear, left": (
        lambda x: functional.bilinear(x, _numbers(4, 2), TENSOR),
        (4, 3),
        (0, None),
    ),
    "bilinear, weight": (
        lambda x: functional.bilinear(A, _numbers(4, 2), x),
        (5, 3, 2),
        (1, None, None),
    ),
    "bilinear, both": (lambda x: functional.bilinear(x, x[:, :2], TENSOR), (4, 3), (0, None)),
    # Sums over the first of three dimensions, so that the others move up.
    "three factors": (
        lambda x: torch.ops.aten._trilinear(x, A, V, [], [], [0], [0]),
        (4, 3),
        (None, 0),
    ),
    "three factors, one of them spread": (
        lambda x: torch.ops.aten._trilinear(x, _numbers(2, 4, 3), A, [0], [], [0], [1]),
        (4, 3),
        (None, 1),
    ),
}


@pytest.mark.parametrize("name", LAWS)
def test_what_is_not_summed_keeps_its_law_where_it_goes(name: str) -> None:
    """Red where a sum keeps the law of what it is over, or a lost dimension moves no other.

    And red where an argument that is no tensor is taken for a factor.
    """
    function, shape, dims = LAWS[name]
    for axis, dim in enumerate(dims):
        seen = followed(function, shape, axis)
        assert isinstance(seen, Dependence)
        assert seen.dim == dim
        assert seen.windows == (None if dim is None else Windows())


HEADS, QUERIES, KEYS, FEATURES, VALUES = 2, 4, 6, 8, 5
SHAPES = {"query": (QUERIES, FEATURES), "key": (KEYS, FEATURES), "value": (KEYS, VALUES)}


def _attended(*given: str, axis: int, batch: tuple[int, ...] = (1,)) -> Dependence:
    """Return what attention sees along an axis of some of its arguments, the rest held.

    The kernel is one that does without a batch as well.
    """
    graph = torch.fx.Graph()
    arguments = []
    shapes = {**SHAPES, **({"bias": (QUERIES, KEYS)} if "bias" in given else {})}
    for name, shape in shapes.items():
        node = graph.placeholder(name) if name in given else graph.get_attr(name)
        node.meta["val"] = torch.empty(*batch, HEADS, *shape, device="meta")
        arguments.append(node)
    kernel = torch.ops.aten._scaled_dot_product_attention_math_for_mps.default
    node = graph.call_function(kernel, tuple(arguments))
    node.meta["val"] = (
        torch.empty(*batch, HEADS, QUERIES, VALUES, device="meta"),
        torch.empty(*batch, HEADS, QUERIES, KEYS, device="meta"),
    )
    seen = propagation.follow(graph, axis)[node]
    assert isinstance(seen, Dependence)
    return seen


@pytest.mark.parametrize(
    ("given", "along"),
    [
        (["query"], {2: lambda query, _: (query, query), 3: lambda *_: (0, FEATURES - 1)}),
        (["key"], {2: lambda *_: (0, KEYS - 1), 3: lambda *_: (0, FEATURES - 1)}),
        (["value"], {2: lambda *_: (0, KEYS - 1), 3: lambda _, feature: (feature, feature)}),
        (["query", "value"], {2: lambda *_: (0, KEYS - 1), 3: lambda *_: (0, FEATURES - 1)}),
    ],
    ids=lambda given: " and ".join(given) if isinstance(given, list) else "",
)
def test_attention_sees_a_query_and_all_keys_and_values_of_its_head(
    given: list[str], along: dict[int, Callable[[int, int], tuple[int, int]]]
) -> None:
    """Red where heads are mixed, or rows of keys or columns of values are taken for the other."""
    cells = [(query, feature) for query in range(QUERIES) for feature in range(VALUES)]
    heads = [(head, head) for head in range(HEADS) for _ in cells]
    outputs = (1, HEADS, QUERIES, VALUES)
    assert in_graph(_attended(*given, axis=1).reach, outputs) == heads
    for axis, expected in along.items():
        seen = in_graph(_attended(*given, axis=axis).reach, outputs)
        assert seen == [expected(*cell) for cell in cells] * HEADS


@pytest.mark.parametrize("name", ["key", "value"])
def test_attention_without_a_batch_sees_all_keys_and_values_as_well(name: str) -> None:
    """Red where the dimension of the rows is counted from the first one."""
    seen = _attended(name, axis=1, batch=())
    assert seen.reach.ndim == 4
    assert set(in_graph(seen.reach, (HEADS, QUERIES, VALUES))) == {(0, KEYS - 1)}


def test_all_arguments_of_attention_leave_heads_apart_and_a_bias_does_not() -> None:
    """Red where a bias is forgotten, which no rule follows cell by cell."""
    outputs = (1, HEADS, QUERIES, VALUES)
    whole = in_graph(_attended("query", "key", "value", axis=1).reach, outputs)
    assert whole == [(head, head) for head in range(HEADS) for _ in range(QUERIES * VALUES)]
    for given in (["bias"], ["query", "bias"]):
        biased = _attended(*given, axis=1)
        assert set(in_graph(biased.reach, outputs)) == {(0, HEADS - 1)}
        assert biased.dim is None
