"""What a node of a graph says: its primitive, what that is given, returns and is made of."""

from __future__ import annotations

import operator as builtin
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def arguments(node: torch.fx.Node) -> dict[str, Any]:
    """Return the arguments that a primitive of torch's library is given, by their names."""
    assert isinstance(node.target, torch._ops.OpOverload)
    names = [each.name for each in node.target._schema.arguments]
    return {**dict(zip(names, node.args, strict=False)), **node.kwargs}


def holds_zeros(node: torch.fx.Node) -> bool:
    """Whether an array that was given with the graph is zero; not where its values are unknown."""
    owner = node.graph.owning_module
    value = None if owner is None else builtin.attrgetter(str(node.target))(owner)
    try:
        return isinstance(value, torch.Tensor) and not bool(value.any())
    except RuntimeError:  # it has none, or holds them in a way that torch does not compare
        return False


def primitive_name(node: torch.fx.Node) -> str:
    """Return the name of a primitive of ATen without its overload: aten.add.Tensor is add.

    Those of other libraries keep theirs in full: they may have the names of ATen's.
    """
    target = node.target
    if isinstance(target, torch._ops.OpOverload) and target.namespace == "aten":
        return target.overloadpacket.__name__
    return str(target)


def value_type(node: torch.fx.Node) -> torch.dtype | None:
    """Return the type of a node's tensor, None if it has several or is not known."""
    return node.meta["tensor_meta"].dtype if "tensor_meta" in node.meta else None


def is_real_or_complex(dtype: torch.dtype) -> bool:
    """Whether a type is one of floating-point numbers, real or complex."""
    return dtype.is_floating_point or dtype.is_complex


def is_pure(node: torch.fx.Node) -> bool:
    """Whether a primitive draws no random numbers and writes into nothing."""
    target = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return False
    return not target._schema.is_mutable and torch.Tag.nondeterministic_seeded not in target.tags


def upstream(
    nodes: Iterable[torch.fx.Node], through: Callable[[torch.fx.Node], bool] = lambda _: True
) -> set[torch.fx.Node]:
    """Return some nodes and all that they are made of; behind those not gone through, nothing."""
    found: set[torch.fx.Node] = set()
    waiting = [*nodes]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting.extend(node.all_input_nodes if through(node) else ())
    return found


def writes_into(nodes: Iterable[torch.fx.Node]) -> set[torch.fx.Node]:
    """Return those of some nodes that others of their graph write into in place.

    That only happens to a tensor that is not functional.
    """
    given = set(nodes)
    written = {
        each
        for graph in {node.graph for node in given}
        for each in graph.nodes
        if isinstance(each.target, torch._ops.OpOverload) and each.target._schema.is_mutable
    }
    return given & upstream(written)
