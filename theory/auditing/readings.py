"""Whose values a module reads while it runs: an audit has none, and says why it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from theory.auditing.primitive import Primitive
from theory.diagnosis.nodes import upstream
from theory.diagnosis.primitives import CONSTANT
from theory.diagnosis.randomness import draws

if TYPE_CHECKING:
    from collections.abc import Iterable


def refusal(nodes: Iterable[torch.fx.Node], reason: str) -> str:
    """Return why there is no audit of what reads some values, to complete "the module ...".

    Parameters
    ----------
    nodes : iterable of torch.fx.Node
        What gives the values; none where they are the module's own.
    reason : str
        How torch refused to read them.
    """
    origins = upstream(nodes, _takes_values)
    if any(node.op == "placeholder" for node in origins):
        return (
            "reads values of its input, so that what it calls may differ from input to input and "
            f"no one audit holds ({reason}): audit its parts"
        )
    if any(draws(node) for node in origins):
        return (
            "reads random numbers that it draws, so that what it calls may differ from call to "
            f"call and no one audit holds ({reason}): audit its parts"
        )
    own = not origins or any(node.op == "get_attr" for node in origins)
    whose = "its own parameters or buffers" if own else "tensors that it makes"
    return (
        f"reads values of {whose}, in a way that an audit cannot follow ({reason}): keep them as "
        "numbers, or audit its parts"
    )


def _takes_values(node: torch.fx.Node) -> bool:
    """Whether a node takes more of the tensors that it is given than their shapes."""
    name = Primitive(node).name if node.op == "call_function" else ""
    return name not in CONSTANT and not name.endswith("_like")
