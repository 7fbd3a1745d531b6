"""The single times of a bench: few enough to store, enough for a rank test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

KEPT = 32
"""Rounds of which the times are stored, spread evenly over those that were measured."""


def kept(seconds: Sequence[float]) -> list[float]:
    """Return up to `KEPT` of the times, each to four significant digits.

    A clock that is right to 0.01 % would be a good one; how many rounds there were says nothing
    about which of them were slow, so the chosen ones are a fair sample of all.
    """
    chosen = np.linspace(0, len(seconds) - 1, min(KEPT, len(seconds))).round().astype(int)
    return [float(f"{seconds[index]:.4g}") for index in chosen]
