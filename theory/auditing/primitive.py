"""One node of a graph as a call of a primitive: its name, and its arguments by name."""

from __future__ import annotations

import operator as builtin
from functools import cached_property
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from theory.diagnosis.nodes import arguments, primitive_name
from theory.diagnosis.primitives import POINTWISE


class Primitive:
    """A call of an ATen primitive.

    Parameters
    ----------
    node : torch.fx.Node
        A node that calls a function, with ``meta["val"]`` for what comes out.
    """

    def __init__(self, node: torch.fx.Node) -> None:
        self.node = node
        self.target = node.target

    @property
    def name(self) -> str:
        """Its `primitive_name`, or getitem."""
        return "getitem" if self.target is builtin.getitem else primitive_name(self.node)

    @cached_property
    def arguments(self) -> dict[str, Any]:
        """All arguments in the order of the primitive's schema, defaults filled in."""
        if not isinstance(self.target, torch._ops.OpOverload):
            return dict(self.node.kwargs)
        schema = self.target._schema.arguments
        defaults = {each.name: each.default_value for each in schema}
        return {**defaults, **arguments(self.node)}

    @property
    def positional(self) -> tuple[Any, ...]:
        """The arguments that were given by place."""
        return self.node.args

    def run(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the primitive on other arguments."""
        assert callable(self.target), "the node calls a function"
        return self.target(*args, **kwargs)

    def __getitem__(self, argument: str) -> Any:
        return self.arguments[argument]

    @cached_property
    def results(self) -> list[torch.Tensor]:
        """The tensors that it returns, without values; none where it only notes or checks."""
        values = tree_leaves(self.node.meta.get("val"))
        return [each for each in values if isinstance(each, torch.Tensor)]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the result, of the first one if there are several."""
        return tuple(self.results[0].shape)

    @property
    def is_pointwise(self) -> bool:
        """Whether each value comes from the values at its place."""
        target = self.target
        tagged = isinstance(target, torch._ops.OpOverload) and torch.Tag.pointwise in target.tags
        return tagged or self.name in POINTWISE


def shape_of(node: torch.fx.Node) -> tuple[int, ...]:
    """Return the shape of a node's tensor."""
    return tuple(node.meta["val"].shape)


def broadcast(value: int | list[int] | tuple[int, ...], axes: int) -> list[int]:
    """Return a size as one number an axis: torch lets one number stand for all."""
    sizes = [value] if isinstance(value, int) else list(value)
    return sizes * axes if len(sizes) == 1 else sizes
