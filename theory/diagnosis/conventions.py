"""The ways in which an input can be passed to a callable, and in which order they are tried.

A module is called with a batch of one if it takes a batch of two as well, else with the bare
tensor. Any other callable is called with the bare tensor, then the bare numpy array, then as a
module is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Convention:
    """How an input is wrapped before the call."""

    name: str
    array: type[np.ndarray] | type[torch.Tensor]
    batched: bool


_BARE = Convention("a bare tensor", torch.Tensor, batched=False)
_BATCH = Convention("a batch of tensors", torch.Tensor, batched=True)
_BARE_NUMPY = Convention("a bare numpy array", np.ndarray, batched=False)
_BATCH_NUMPY = Convention("a batch of numpy arrays", np.ndarray, batched=True)


def conventions(batched: bool | None, *, is_module: bool) -> list[Convention]:
    """Return the ways to try, in order.

    Parameters
    ----------
    batched : bool, optional
        Whether there is a batch axis in front; both are tried if it is None.
    is_module : bool
        Whether the callable is a `torch.nn.Module`.
    """
    order = [_BATCH, _BARE] if is_module else [_BARE, _BARE_NUMPY, _BATCH, _BATCH_NUMPY]
    return [way for way in order if batched is None or way.batched is batched]
