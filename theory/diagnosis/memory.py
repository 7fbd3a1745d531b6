"""Which tensors share memory: what is written into one of them, another gives as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor


def memory_of(tensor: Tensor) -> int:
    """Return the identity of the memory of a tensor, as long as the tensor lives."""
    try:
        return tensor.untyped_storage()._cdata
    except RuntimeError:  # a sparse tensor has none of its own
        return id(tensor)


def kept_by(operator: Any) -> list[Tensor]:
    """Return the tensors that a module and its parts keep as attributes, in containers as well.

    Those of a copy are in the same order. Of an operator that is no module none are known.
    """
    parts = operator.modules() if isinstance(operator, nn.Module) else ()
    leaves = (leaf for each in parts for leaf in tree_leaves(vars(each)))
    return [each for each in leaves if isinstance(each, torch.Tensor)]


def dropped(before: Iterable[Tensor], operator: Any) -> list[Tensor]:
    """Return those of some tensors that an operator no longer keeps."""
    now = {id(each) for each in kept_by(operator)}
    return [each for each in before if id(each) not in now]
