"""Layers of torch that take the sequence first: where a batch axis in front is the wrong one.

Recurrent layers and attention do so unless they are made with ``batch_first=True``. An input of n
steps to which a batch axis of one is added is then a batch of n sequences of length 1.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


@contextlib.contextmanager
def single_steps(module: nn.Module) -> Iterator[dict[str, int]]:
    """Note the sequence-first layers that are given several sequences of length 1.

    Parameters
    ----------
    module : torch.nn.Module
        It is called in the context, on one input with a batch axis of one in front.

    Yields
    ------
    dict from str to int
        How many sequences each of these layers was given, by its path; filled by the call.
    """
    noted: dict[str, int] = {}
    hooks = [
        each.register_forward_pre_hook(_note(path, noted), with_kwargs=True)
        for path, each in module.named_modules()
        if isinstance(each, nn.RNNBase | nn.MultiheadAttention) and not each.batch_first
    ]
    try:
        yield noted
    finally:
        for hook in hooks:
            hook.remove()


def _note(path: str, noted: dict[str, int]) -> Callable[..., None]:
    def note(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        x = next(iter((*args, *kwargs.values())), None)
        if isinstance(x, torch.Tensor) and x.ndim == 3 and x.shape[0] == 1 < x.shape[1]:
            noted[path or type(layer).__name__] = x.shape[1]

    return note


def told_of(noted: Mapping[str, int], remedy: str) -> tuple[str, ...]:
    """Return the warning about what was noted, none if nothing was.

    Parameters
    ----------
    noted : mapping from str to int
        What `single_steps` gives.
    remedy : str
        What to do about it.
    """
    if not noted:
        return ()
    first, *others = noted
    names = f"{first} and {len(others)} more take" if others else f"{first} takes"
    return (
        f"{names} the first axis for the sequence (batch_first=False): with the batch axis in "
        f"front, one input is {noted[first]} sequences of length 1; {remedy}",
    )
