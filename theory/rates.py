"""Rates that a caller gives: the share of values that dropout drops."""

from __future__ import annotations

from fractions import Fraction


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
