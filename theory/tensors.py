"""Tensors of a caller or a module: where there are no values to read, an error says why."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def require_dense(name: str, tensor: Tensor) -> None:
    """Refuse a tensor of which not every value can be read.

    Parameters
    ----------
    name : str
        What the caller calls it.
    tensor : tensor
        What the caller gave.

    Raises
    ------
    TypeError
        If it is on the meta device, or sparse.
    """
    if tensor.is_meta:
        raise TypeError(f"{name} has no values, on the meta device: make it elsewhere")
    if tensor.layout != torch.strided:
        raise TypeError(f"{name} is a sparse tensor: make it dense, with its to_dense()")


def require_shape(owner: nn.Module, name: str, tensor: Tensor) -> None:
    """Refuse a tensor of a lazy module that has not been called.

    Parameters
    ----------
    owner : torch.nn.Module
        The module.
    name : str
        What the module calls its tensor.
    tensor : tensor
        The tensor.

    Raises
    ------
    ValueError
        If its shape is not decided yet.
    """
    if nn.parameter.is_lazy(tensor):
        raise ValueError(
            f"{type(owner).__name__} has not decided the shape of {name} yet: call it once first"
        )


def require_values(owner: nn.Module, name: str, tensor: Tensor) -> None:
    """Refuse a tensor of a module of which the values cannot be read.

    Parameters
    ----------
    owner, name, tensor
        As for `require_shape`.

    Raises
    ------
    ValueError
        If it is lazy, on the meta device, or sparse.
    """
    require_shape(owner, name, tensor)
    kind = type(owner).__name__
    if tensor.is_meta:
        raise ValueError(f"{kind} has no values in {name}, on the meta device: make it elsewhere")
    if tensor.layout != torch.strided:
        raise ValueError(f"{kind} has a sparse {name}: make it dense, with its to_dense()")
