"""Arrays and tensors that a caller gives: what has no values, or hides some, is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor, nn


def as_array(name: str, values: Any) -> Shaped[np.ndarray, "..."]:
    """Return what is given as an array of NumPy, without copying an array.

    Parameters
    ----------
    name : str
        What the caller calls it.
    values : array, tensor or nested sequence
        What the caller gave.

    Raises
    ------
    TypeError
        If some of it is masked, which an array could not tell, or NumPy makes no array of it: it is
        ragged, or a tensor that is sparse, without values, or known to autograd.
    """
    if np.ma.isMaskedArray(values):
        raise TypeError(f"{name} is a masked array: fill in what is masked, with its filled()")
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise TypeError(
            f"{name} is a {type(values).__name__} that is no array of numbers: {reason}"
        ) from error


def require_values(owner: nn.Module, name: str, tensor: Tensor) -> None:
    """Refuse a tensor of a module of which the values cannot be read.

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
        If it is lazy, on the meta device, or sparse.
    """
    kind = type(owner).__name__
    if nn.parameter.is_lazy(tensor):
        raise ValueError(f"{kind} has not decided the shape of {name} yet: call it once first")
    if tensor.is_meta:
        raise ValueError(f"{kind} has no values in {name}, on the meta device: make it elsewhere")
    if tensor.layout != torch.strided:
        raise ValueError(f"{kind} has a sparse {name}: make it dense, with its to_dense()")
