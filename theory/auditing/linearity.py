"""What a call is as a function of what other calls give it: constant, linear, affine or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from theory.auditing.network import listed
from theory.auditing.primitive import Primitive
from theory.diagnosis.nodes import is_pure, primitive_name, upstream
from theory.diagnosis.primitives import CONSTANT
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
        The call, whose stretch of the graph is read by itself, with what makes its constants: some
        are zero whatever the network's tensors hold.
    varying : container of torch.fx.Node
        The nodes that see the input of the network; all others hold constants.
    """
    if not any(node in varying for node in call.outputs):
        return "constant", ""
    graph = torch.fx.Graph()
    copies: dict[torch.fx.Node, torch.fx.Node] = {}

    def copied(node: torch.fx.Node) -> torch.fx.Node:
        if node not in copies:  # it is not made here, and not of zeros alone
            kind = "placeholder" if node in varying else "get_attr"
            copies[node] = graph.create_node(kind, node.name)
            copies[node].meta = dict(node.meta)
        return copies[node]

    taken = {each for node in call.nodes for each in node.all_input_nodes} | {*call.outputs}
    constants = [node for node in taken.difference(call.nodes) if node not in varying]
    made = filter(_is_computed, sorted(upstream(constants, _is_computed_from_others)))
    for node in (*made, *call.nodes):
        if node.op == "call_function" and not Primitive(node).results:
            continue  # it only notes or checks
        copies[node] = graph.node_copy(node, copied)
    graph.output(tuple(copied(node) for node in call.outputs))
    structure = interpret(graph)
    unknown = structure.culprit if structure.level is Level.UNKNOWN else ""
    return _WORDS[structure.level], unknown


def _is_computed(node: torch.fx.Node) -> bool:
    """Whether a constant is made by a primitive, and neither held nor drawn at random."""
    return node.op == "call_function" and is_pure(node)


def _is_computed_from_others(node: torch.fx.Node) -> bool:
    """Whether what it is made of matters, and not only the shape of that."""
    return _is_computed(node) and primitive_name(node) not in CONSTANT


def unknown_linearities(calls: Sequence[Call], primitives: Sequence[str]) -> Iterator[str]:
    """Say of which calls it is unknown what they are, for each primitive without a rule."""
    names: dict[str, list[str]] = {}
    for call, primitive in zip(calls, primitives, strict=True):
        if primitive:
            names.setdefault(primitive, []).append(call.name)
    for primitive, of in names.items():
        yield f"linearity is unknown in {listed(of)}: no rule for the primitive {primitive}"
