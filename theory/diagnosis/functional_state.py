"""A copy of a module with functional tensors: what is written into them leaves no mutation."""

from __future__ import annotations

import copy
import itertools
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch._subclasses.functional_tensor import FunctionalTensor, FunctionalTensorMode
from torch.fx.experimental.proxy_tensor import get_proxy_slot

from theory.diagnosis.isolation import computed

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def functional_copy(
    module: nn.Module,
    mode: FunctionalTensorMode,
    held: Callable[[Tensor], Tensor] = torch.Tensor.detach,
) -> tuple[nn.Module, dict[str, FunctionalTensor]]:
    """Copy a module so that its parameters and buffers are functional tensors, as an input is.

    Without it a trace ends where a module writes into a copy of its weight what the trace made,
    such as a mask: torch lets nothing functional into a tensor that is not.

    Parameters
    ----------
    module : torch.nn.Module
        What is copied, but for its tensors.
    mode : FunctionalTensorMode
        The mode in which the copy will run.
    held : callable
        Returns the tensor that a functional one holds; by default one that shares its values.

    Returns
    -------
    twin : torch.nn.Module
        The copy.
    state : dict from str to FunctionalTensor
        Its parameters and buffers by name; those that are shared have one name.
    """
    named = dict(itertools.chain(module.named_parameters(), module.named_buffers()))
    memo: dict[int, Any] = {}
    for tensor in itertools.chain(computed(module), named.values()):
        with mode:
            wrapper = FunctionalTensor.to_functional(held(tensor))
        if isinstance(tensor, nn.Parameter):
            wrapper._is_param = True  # what torch calls a parameter
        memo[id(tensor)] = wrapper.requires_grad_(tensor.requires_grad)
    state = {name: memo[id(tensor)] for name, tensor in named.items()}
    return copy.deepcopy(module, memo), state


def node_of(tensor: Tensor, tracer: Any) -> torch.fx.Node | None:
    """Return the node that gives a tensor while it is traced; None if none does."""
    if isinstance(tensor, FunctionalTensor):
        tensor = inner(tensor)  # writing into a view reaches its base, and the graph, only now
    # What is computed from constants alone may be no FunctionalTensor, but has its node as well.
    traced = get_proxy_slot(tensor, tracer, None)
    node: torch.fx.Node | None = None if traced is None else traced.proxy.node
    return node


def inner(tensor: FunctionalTensor) -> Tensor:
    """Return what a functional tensor holds now, after all that was written into it."""
    torch._sync(tensor)
    result: Tensor = torch._from_functional_tensor(tensor.elem)
    return result
