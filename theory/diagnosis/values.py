"""The values inside a graph that depend on its input, met one by one while it runs."""

from __future__ import annotations

import contextlib
from typing import Any, TypeGuard

import torch


class Values(torch.fx.Interpreter):
    """Runs a graph, and takes each value that depends on its input as `taken` returns it.

    Parameters
    ----------
    graph : torch.fx.Graph
        What `theory.diagnosis.tracing.trace` returned.
    """

    def __init__(self, graph: torch.fx.Graph) -> None:
        assert graph.owning_module is not None
        super().__init__(graph.owning_module)
        self._dependent: set[torch.fx.Node] = set()

    def taken(self, value: Any) -> Any:
        """Return what to go on with instead of a value: a tensor, or several at once."""
        raise NotImplementedError

    def run_node(self, n: torch.fx.Node) -> Any:
        """Return the value of one node, as `taken` returns it where it depends on the input."""
        value = super().run_node(n)
        if "empty" in str(n.target):  # memory as it was found, written before it is read
            value.zero_()
        depends = n.op == "placeholder" or not self._dependent.isdisjoint(n.all_input_nodes)
        if n.op == "output" or not depends:
            return value
        self._dependent.add(n)
        return self.taken(value)


def is_inexact(value: Any) -> TypeGuard[torch.Tensor]:
    """Whether a value is a tensor of floating-point numbers: integers are exact."""
    return isinstance(value, torch.Tensor) and (value.is_floating_point() or value.is_complex())


def largest_at_zero(graph: torch.fx.Graph, zero: torch.Tensor) -> float:
    """Return the largest finite magnitude, at zero, of all values that depend on the input.

    Parameters
    ----------
    graph : torch.fx.Graph
        What `theory.diagnosis.tracing.trace` returned.
    zero : torch.Tensor
        The input zero.
    """
    values = _Largest(graph)
    with contextlib.suppress(Exception):  # the operator may raise at zero, too
        values.run(zero)
    return values.largest


class _Largest(Values):
    largest = 0.0

    def taken(self, value: Any) -> Any:
        if is_inexact(value):
            sizes = value.abs()
            finite = sizes[sizes.isfinite()]
            self.largest = max(self.largest, float(finite.max()) if finite.numel() else 0.0)
        return value
