"""What to do about an operator that takes no input in any of the ways that are tried."""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Callable, Collection
from typing import Any

import torch

_OF_TYPES = re.compile(r"^RuntimeError: .*(dtype|scalar type|Input type)")
"""What torch says where numbers of two types meet."""

_OF_INTEGERS = re.compile(r"types: Long|used as indices|index tensor|for index")
"""What torch and NumPy say where real numbers are to be indices."""


def remedy(op: Callable[..., Any], refusals: Collection[str]) -> str:
    """Return what to do, as the end of a sentence; empty if nothing is known to help.

    Parameters
    ----------
    op : callable
        The operator.
    refusals : collection of str
        What it raised, in each way that it was called.
    """
    if not takes_one(op):
        return "; give a function of one array that calls it with all that it needs"
    if any(_OF_INTEGERS.search(each) for each in refusals):
        return (
            "; inputs are real and it takes integers: give a function of real numbers, such as "
            "what comes after its embedding"
        )
    if not any(_OF_TYPES.search(each) for each in refusals):
        return ""
    if any(each.is_complex() for each in tensors(op)):
        return (
            "; inputs are real and its weights are not: give a function that makes them complex, "
            "such as lambda x: op(x.to(torch.complex64))"
        )
    return (
        "; inputs, and the copy of a module, are in double and then in single precision: give a "
        "function that converts them, such as lambda x: op(x.half())"
    )


def tensors(op: Callable[..., Any]) -> list[torch.Tensor]:
    """Return the parameters and buffers of a module; none of anything else."""
    if not isinstance(op, torch.nn.Module):
        return []
    return list(itertools.chain(op.parameters(), op.buffers()))


def takes_one(op: Callable[..., Any]) -> bool:
    """Whether an operator can be called with one argument, as far as it tells."""
    try:
        signature = inspect.signature(op.forward if isinstance(op, torch.nn.Module) else op)
    except (TypeError, ValueError):  # it does not tell
        return True
    try:
        signature.bind(None)
    except TypeError:
        return False
    return True
