"""Names and rates that a caller gives: one of those that are known, and a share of values."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction


def require_known(name: str, value: object, known: Sequence[str]) -> None:
    """Raise a `ValueError` that lists what is known, unless the value is among it."""
    if not isinstance(value, str) or value not in known:  # an array may equal what it holds
        raise ValueError(f"unknown {name} {value!r}; known: {', '.join(known)}")


def require_rate(rate: float | Fraction) -> None:
    """Refuse a rate at which dropout would keep nothing to divide, or that is no probability.

    Raises
    ------
    TypeError
        If the rate is no number.
    ValueError
        If the rate is negative, not below 1, or NaN.
    """
    try:
        possible = 0 <= rate < 1
    except TypeError:
        raise TypeError(
            f"rate is {rate!r}, expected a number: give a probability from 0 to below 1"
        ) from None
    if not possible:
        raise ValueError(f"rate is {rate}: give a probability from 0 to below 1")
