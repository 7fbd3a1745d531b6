"""A recorded network with its values: what its calls are named, which weights its filters have."""

from __future__ import annotations

import contextlib
import operator as builtin
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.fx.node import map_arg

from theory.auditing.calls import named_tensors
from theory.auditing.primitive import Primitive
from theory.diagnosis.nodes import is_pure, upstream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor, nn

    from theory.auditing.recording import Recording

_NAMED = 3
"""Layers that a warning names before it counts the rest."""


@dataclass(frozen=True)
class Filter:
    """A convolution or fully connected layer, as a primitive and in values: one bias a unit.

    It is `stored` if a parameter or buffer is part of its weight.
    """

    call: Primitive
    input: torch.fx.Node
    name: str
    stored: bool
    weight: Tensor
    bias: Tensor | None


class Network:
    """A recording with the values of the module and the names of its calls."""

    def __init__(self, module: nn.Module, recording: Recording) -> None:
        self.graph = recording.graph
        self.state = recording.state
        self.training = module.training
        self._modules = dict(module.named_modules())
        self.parameters = dict(module.named_parameters())
        self._values = named_tensors(module)
        self._known: dict[torch.fx.Node, Any] = {}
        self.names = {node: call.name for call in recording.calls for node in call.nodes}
        self.varying = _of_input(self.graph)
        self.primitives = [
            Primitive(node)
            for node in self.varying
            if node in self.names and node.op == "call_function"
        ]

    def name(self, node: torch.fx.Node) -> str:
        """Return the name of the call that a node belongs to."""
        return self.names.get(node, str(node))

    def reads(self, node: object, name: str) -> bool:
        """Whether a node is the parameter or buffer of some name."""
        return isinstance(node, torch.fx.Node) and self.state.get(node) == name

    def uses(self, name: str) -> list[torch.fx.Node]:
        """Return what reads a parameter or buffer, wherever it is read."""
        return [user for node in self.state if self.reads(node, name) for user in node.users]

    def trains(self, name: str) -> bool:
        """Whether the layer that a parameter or buffer belongs to is in training mode."""
        return self._modules[name.rpartition(".")[0]].training

    def value(self, node: object) -> Tensor | None:
        """Return the values of a parameter or buffer, or of what is computed of these alone.

        None is returned where there are none, and of complex numbers: what is said of values is
        about their order.
        """
        tensor = self._computed(node) if isinstance(node, torch.fx.Node) else None
        if not isinstance(tensor, torch.Tensor) or tensor.is_meta or tensor.is_complex():
            return None
        return tensor.detach()

    def _computed(self, node: torch.fx.Node) -> Any:
        """Return what a node holds, whatever the input is; None where that is not known."""
        if node not in self._known:
            self._known[node] = self._values.get(self.state.get(node, ""))
            if node.op == "call_function" and node not in self.varying and _is_function(node):
                held = {each: self._computed(each) for each in node.all_input_nodes}
                if all(each is not None for each in held.values()):
                    args: Any = map_arg(node.args, held.__getitem__)
                    kwargs: Any = map_arg(node.kwargs, held.__getitem__)
                    # What fails on these values would fail in a run of the module as well.
                    with torch.no_grad(), contextlib.suppress(Exception):
                        self._known[node] = Primitive(node).run(*args, **kwargs)
        return self._known[node]

    def filters(self) -> Iterator[Filter]:
        """Yield the layers whose weights do not depend on the input, one filter a row."""
        for call in self.primitives:
            if call.name == "convolution" and not call["transposed"]:
                x, factor, bias = call["input"], call["weight"], call["bias"]
                weight = self.value(factor)
            elif call.name in {"addmm", "mm"}:
                if {call.arguments.get("alpha", 1), call.arguments.get("beta", 1)} != {1}:
                    continue  # its weights are not the parameter's
                bias = call["self"] if call.name == "addmm" else None
                x, factor = call.positional[-2:]
                transposed = Primitive(factor)
                weight = self.value(transposed.positional[0]) if transposed.name == "t" else None
            else:
                continue
            values = self.value(bias)
            if weight is not None and (bias is None or values is not None):
                if values is not None:  # of addmm it may be one a row, too: the largest is kept
                    values = torch.atleast_2d(values).amax(0).expand(len(weight))
                stored = not upstream([factor]).isdisjoint(self.state)
                yield Filter(call, x, self.name(call.node), stored, weight, values)


def _is_function(node: torch.fx.Node) -> bool:
    """Whether a node returns the same whenever it is given the same, and changes nothing."""
    return node.target is builtin.getitem or is_pure(node)


def _of_input(graph: torch.fx.Graph) -> dict[torch.fx.Node, None]:
    """Return the nodes that depend on the input; others compute weights, and filter nothing."""
    found: dict[torch.fx.Node, None] = {}
    for node in graph.nodes:
        if node.op == "placeholder" or any(each in found for each in node.all_input_nodes):
            found[node] = None
    return found


def listed(names: Iterable[str]) -> str:
    """Return names as words: each once, the first few, and a count of the rest."""
    names = list(dict.fromkeys(names))
    words, rest = ", ".join(names[:_NAMED]), len(names) - _NAMED
    return f"{words} and {rest} more" if rest > 0 else words
