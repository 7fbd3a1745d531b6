"""Whether a graph draws random numbers that its output is made of.

A primitive that could draw some, dropout for one, draws none where it is switched off.
"""

from __future__ import annotations

import torch

from theory.diagnosis.nodes import arguments, primitive_name

_CHANCES = ("p", "dropout", "dropout_p")
"""The arguments that say how likely it is that a value is drawn; with 0 none is."""

_SWITCHES = ("train", "training")
"""Those that switch it off."""


def drawn(graph: torch.fx.Graph) -> str:
    """Return the first primitive that draws random numbers which the output is made of.

    Parameters
    ----------
    graph : torch.fx.Graph
        What `theory.diagnosis.tracing.trace` returned.

    Returns
    -------
    str
        Its name; empty if there is none.
    """
    sources: dict[torch.fx.Node, str] = {}
    for node in graph.nodes:
        before = next((sources[n] for n in node.all_input_nodes if sources[n]), "")
        sources[node] = before or (primitive_name(node) if draws(node) else "")
    return sources[node]  # the last node is the output


def draws(node: torch.fx.Node) -> bool:
    """Whether a node draws random numbers."""
    target = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return False
    if torch.Tag.nondeterministic_seeded not in target.tags:
        return False
    known = target._schema.arguments
    defaults = {each.name: each.default_value for each in known if each.has_default_value()}
    given = {**defaults, **arguments(node)}
    likely = all(given[name] != 0 for name in _CHANCES if name in given)
    return likely and not any(given[name] is False for name in _SWITCHES if name in given)
