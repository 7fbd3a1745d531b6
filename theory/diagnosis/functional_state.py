"""A copy of a module with functional tensors: what is written into them leaves no mutation."""

from __future__ import annotations

import contextlib
import copy
import itertools
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
from torch import nn
from torch._subclasses.functional_tensor import FunctionalTensor, FunctionalTensorMode
from torch.fx.experimental.proxy_tensor import get_proxy_slot

from theory.diagnosis.isolation import computed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor


def functional_copy(
    module: nn.Module,
    mode: FunctionalTensorMode,
    held: Callable[[Tensor], Tensor] = torch.Tensor.detach,
) -> tuple[nn.Module, dict[str, FunctionalTensor]]:
    """Copy a module so that its tensors are functional, as an input is.

    They are its parameters and buffers, and what it has computed and keeps.

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
        Those tensors of the copy by name; those that are shared have one name.
    """
    named = dict(
        itertools.chain(module.named_parameters(), module.named_buffers(), computed(module))
    )
    memo: dict[int, Any] = {}
    for tensor in named.values():
        with mode:
            wrapper = FunctionalTensor.to_functional(held(tensor))
        if isinstance(tensor, nn.Parameter):
            wrapper._is_param = True  # what torch calls a parameter
        memo[id(tensor)] = wrapper.requires_grad_(tensor.requires_grad)
    state = {name: memo[id(tensor)] for name, tensor in named.items()}
    return copy.deepcopy(module, memo), state


def node_of(tensor: Tensor, tracer: Any) -> torch.fx.Node | None:
    """Return the node that gives a tensor while it is traced; None if none does."""
    # Writing into a view reaches its base, and the graph, only as `inner` asks for it. What is
    # computed from constants alone may be no FunctionalTensor, but has its node as well.
    traced = get_proxy_slot(inner(tensor), tracer, None)
    node: torch.fx.Node | None = None if traced is None else traced.proxy.node
    return node


def inner(tensor: Tensor) -> Tensor:
    """Return what a functional tensor holds after all that was written into it; others as is."""
    if not isinstance(tensor, FunctionalTensor):
        return tensor
    torch._sync(tensor)
    result: Tensor = torch._from_functional_tensor(tensor.elem)
    return result


@contextlib.contextmanager
def followed_data() -> Iterator[None]:
    """Let a functional tensor hold what is assigned to its `data`; without this it keeps its own.

    The graph would not show the assignment.
    """
    followed = property(_DATA.__get__, _assign_data)
    with mock.patch.object(FunctionalTensor, "data", followed, create=True):
        yield


def _assign_data(tensor: FunctionalTensor, value: Tensor) -> None:
    require_same_kind(tensor, value)
    assert isinstance(value, FunctionalTensor), "it is of the same kind"
    _DATA.__set__(tensor, value)
    tensor.elem = value.elem


def require_same_kind(tensor: Tensor, value: Tensor) -> None:
    """Refuse to let a functional tensor and one that is not share their data: torch crashes."""
    if isinstance(tensor, FunctionalTensor) != isinstance(value, FunctionalTensor):
        raise RuntimeError(f"{MUTATES}, by its data")


_DATA: Any = torch.Tensor.data
ASSIGN_DATA: Any = _DATA.__set__
"""The function, as `torch` calls it, that assigns to `data`."""

MUTATES = "mutating a non-functional tensor"
"""What torch says where something functional is written into a tensor that is not."""
