"""What a call is as a function of what other calls give it: constant, linear, affine or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from theory.auditing.network import listed
from theory.auditing.primitive import Primitive
from theory.diagnosis.structure import Level, interpret

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

    from theory.auditing.calls import Call
    from theory.auditing.report import Linearity

_WORDS: dict[Level, Linearity] = {
    Level.ZERO: "constant",
    Level.CONSTANT: "constant",
    Level.LINEAR: "linear",
    Level.AFFINE: "affine",
    Level.NONLINEAR: "nonlinear",
    Level.UNKNOWN: "unknown",
}


def call_linearity(call: Call, varying: Container[torch.fx.Node]) -> tuple[Linearity, str]:
    """Return what a call is, and by which primitive that is unknown; empty if it is not.

    Parameters
    ----------
    call : Call
        The call, whose stretch of the graph is read by itself.
    varying : container of torch.fx.Node
        The nodes that see the input of the network; all others hold constants.
    """
    if not any(node in varying for node in call.outputs):
        return "constant", ""
    graph = torch.fx.Graph()
    copies: dict[torch.fx.Node, torch.fx.Node] = {}
    taken = [each for node in call.nodes for each in node.all_input_nodes] + [*call.outputs]
    for node in taken:
        if node not in copies and node not in call.nodes:
            kind = "placeholder" if node in varying else "get_attr"
            copies[node] = graph.create_node(kind, node.name)
            copies[node].meta = dict(node.meta)
    for node in call.nodes:
        if node.op == "call_function" and not Primitive(node).results:
            continue  # it only notes or checks
        copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(tuple(copies[node] for node in call.outputs))
    structure = interpret(graph)
    unknown = structure.culprit if structure.level is Level.UNKNOWN else ""
    return _WORDS[structure.level], unknown


def unknown_linearities(calls: Sequence[Call], primitives: Sequence[str]) -> Iterator[str]:
    """Say of which calls it is unknown what they are, for each primitive without a rule."""
    names: dict[str, list[str]] = {}
    for call, primitive in zip(calls, primitives, strict=True):
        if primitive:
            names.setdefault(primitive, []).append(call.name)
    for primitive, of in names.items():
        yield f"linearity is unknown in {listed(of)}: no rule for the primitive {primitive}"
