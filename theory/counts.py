"""Counts that a caller gives: cells, channels, examples, in whichever type of integer.

NumPy's narrow integers wrap around where a product of them is too large. So what counts something
becomes an integer of Python, and what cannot count anything is refused by its name.
"""

from __future__ import annotations

import operator
from typing import SupportsIndex


def as_integer(name: str, value: SupportsIndex) -> int:
    """Return an integer of any type as one of Python, which never overflows.

    Parameters
    ----------
    name : str
        What the caller calls it.
    value : int or integer of another type
        What the caller gave; True and False are none.

    Raises
    ------
    TypeError
        If it is no integer, be its value as whole as that of 2.0.
    """
    try:
        # A truth value of torch is an index, and so is one of NumPy before its version 2.
        if not str(getattr(value, "dtype", type(value).__name__)).endswith("bool"):
            return operator.index(value)
    except TypeError:
        pass
    raise TypeError(f"{name} is {value!r}, expected an integer")


def as_count(name: str, value: SupportsIndex, least: int = 1) -> int:
    """Return a count of any type of integer as one of Python.

    Parameters
    ----------
    name, value
        As for `as_integer`.
    least : int, optional
        The smallest that there can be.

    Raises
    ------
    TypeError
        As `as_integer`.
    ValueError
        If it is below `least`.
    """
    count = as_integer(name, value)
    if count < least:
        raise ValueError(f"{name} is {count}, expected at least {least}")
    return count
