"""Arguments: what a caller gives, refused by its name where it is none, in one line for people."""

from __future__ import annotations

import math
import re
from numbers import Real
from typing import Any

from experiments.errors import InputError
from theory.counts import as_integer

_NAME = re.compile(r"[\w.@+-]{1,200}", re.ASCII)
"""What a name that is part of a file's may be: without a separator it cannot leave a folder."""


def as_whole(name: str, value: Any) -> int:
    """Return an integer of any type as one of Python, which JSON and PyTorch take.

    Raises
    ------
    InputError
        If it is no integer, be its value as whole as that of 2.0.
    """
    try:
        return as_integer(name, value)
    except TypeError:
        raise InputError(f"{name} must be an integer, got {value!r}") from None


def as_count(name: str, value: Any, least: int = 1) -> int:
    """Return what `as_whole` does.

    Raises
    ------
    InputError
        If it is no integer, or below ``least``.
    """
    count = as_whole(name, value)
    if count < least:
        raise InputError(f"{name} must be at least {least}, got {count}")
    return count


def as_number(name: str, value: Any) -> float:
    """Return a real number of any type as one of Python; it may be infinite, or NaN.

    Raises
    ------
    InputError
        If it is none: text is not read as one, nor are True and False.
    """
    try:
        if not isinstance(value, bool) and isinstance(value, Real):
            return float(value)
    except OverflowError:  # an integer beyond all of them
        pass
    raise InputError(f"{name} must be a number, got {value!r}")


def as_width(name: str, value: Any) -> float:
    """Return a real number as one of Python that is finite and not negative.

    Raises
    ------
    InputError
        If it is no such number.
    """
    width = as_number(name, value)
    if not 0 <= width < math.inf:
        raise InputError(f"{name} must be finite and not negative, got {width:g}")
    return width


def check_device_name(device: Any) -> None:
    """Raise an InputError if something is no kind of device; whether one is there shows later."""
    if device not in ("cpu", "cuda"):
        raise InputError(f"device {device!r} is unknown; known: cpu, cuda")


def check_text(name: str, value: Any) -> None:
    """Raise an InputError if something is no text."""
    if not isinstance(value, str):
        raise InputError(f"{name} must be text, got {value!r}")


def check_name(whose: str, value: Any) -> None:
    """Raise an InputError if something cannot be part of a file's name in any folder."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise InputError(
            f"{whose} name is made of letters, digits and .-_@+, 200 of them at most, got {value!r}"
        )
