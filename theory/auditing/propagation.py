"""Follow one axis of the input through a graph of primitives.

Every tensor gets its exact reach and, as long as there is one, its law of windows. Where paths
meet, both are the hull. What comes after a primitive without a rule is unknown, never guessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from theory.auditing import arranging, gathering, moving, picking, products, sliding
from theory.auditing import reach as reaching
from theory.auditing.dependence import Dependence, Rule, Unknown, pointwise
from theory.auditing.primitive import Primitive, shape_of
from theory.auditing.windows import Windows
from theory.diagnosis.primitives import CONSTANT

if TYPE_CHECKING:
    from collections.abc import Iterable

_RULES: dict[str, Rule] = {
    **sliding.RULES,
    **gathering.RULES,
    **moving.RULES,
    **picking.RULES,
    **products.RULES,
    **arranging.RULES,
}

Seen = Dependence | list[Dependence] | Unknown | None
"""What a node sees: None is nothing, a list has one entry for each of several results."""


def follow(graph: torch.fx.Graph, axis: int) -> dict[torch.fx.Node, Seen]:
    """Return what every node of a graph sees along one axis of the graph's input.

    Parameters
    ----------
    graph : torch.fx.Graph
        Primitives without mutation; ``meta["val"]`` of each node has the shape of its result.
    axis : int
        The dimension of the input, a batch axis counted.
    """
    found: dict[torch.fx.Node, Seen] = {}
    for node in graph.nodes:
        if node.op == "placeholder":
            found[node] = Dependence(reaching.of_input(shape_of(node), axis), axis, Windows())
        elif node.op == "call_function":
            found[node] = _seen(Primitive(node), found)
        else:
            found[node] = None
    return found


def onward(found: dict[torch.fx.Node, Seen], nodes: Iterable[torch.fx.Node]) -> Seen:
    """Return what the last of some nodes sees, given what others do; of all others that is nothing.

    Parameters
    ----------
    found : dict from torch.fx.Node to Seen
        What is known; the nodes are added.
    nodes : iterable of torch.fx.Node
        Calls of primitives in the order in which they run.
    """
    last: Seen = None
    for node in nodes:
        last = found[node] = _seen(Primitive(node), found)
    return last


def _seen(call: Primitive, found: dict[torch.fx.Node, Seen]) -> Seen:
    if not call.results:
        return None
    inputs = {node: found.get(node) for node in call.node.all_input_nodes}
    if 0 in call.shape and isinstance(call.node.meta["val"], torch.Tensor):
        # What has no cells has none to follow. It stays a map of the input: its call has a row.
        depends = any(each is not None for each in inputs.values())
        return Dependence(reaching.of_nothing(len(call.shape))) if depends else None
    unknown = next((each for each in inputs.values() if isinstance(each, Unknown)), None)
    if unknown is not None:
        return unknown
    if call.name == "getitem":
        source, index = inputs[call.positional[0]], call.positional[1]
        if isinstance(source, Dependence) and source.reach.ndim != len(call.shape) + 1:
            return Unknown(Primitive(call.positional[0]).name)  # the statistics of a normalisation
        return source[index] if isinstance(source, list) else source
    sources = {node: each for node, each in inputs.items() if isinstance(each, Dependence)}
    if not sources or call.name in CONSTANT:
        return None
    rule = _RULES.get(call.name, pointwise if call.is_pointwise else None)
    return Unknown(call.name) if rule is None else rule(call, sources)
