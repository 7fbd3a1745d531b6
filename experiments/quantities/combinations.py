"""One number from several quantities, paired by seed: their trend along a sweep, their median.

Only seeds that every quantity has count; a run that diverged makes the number NaN.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from experiments.errors import InputError
from experiments.quantities.quantity import Quantity, Unit, combined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def trend(setting: str, levels: Mapping[float, Quantity]) -> Quantity:
    """Return the slope of the least-squares line through a quantity along a sweep.

    Parameters
    ----------
    setting
        What is swept, e.g. "dropout probability"; the slope is per unit of it.
    levels
        For each value of the setting, the quantity there.

    Raises
    ------
    ValueError
        If there are fewer than two levels, or the quantities have different units.
    """
    if len(levels) < 2:
        raise InputError(f"a trend over the {setting} needs two levels, got {len(levels)}")
    quantities = list(levels.values())
    offsets = np.array(list(levels)) - np.mean(list(levels))
    weights = offsets / (offsets @ offsets)
    unit = _unit(quantities)
    return combined(
        quantities,
        lambda values: float(weights @ np.array(values)),
        what=f"slope of the {quantities[0].what} per unit of {setting}",
        where=_where(quantities),
        unit="points" if unit == "accuracy" else unit,
        grid=math.hypot(*(w * each.grid for w, each in zip(weights, quantities, strict=True))),
        proportions=math.hypot(
            *(w * each.proportions for w, each in zip(weights, quantities, strict=True))
        ),
    )


def median_of(quantities: Sequence[Quantity]) -> Quantity:
    """Return the median of several quantities: what most of them do, more or less.

    Where they are known to a grid, it is known to the coarsest of theirs or better.

    Raises
    ------
    ValueError
        If there are none, or they have different units.
    """
    if not quantities:
        raise InputError("a median needs a quantity")
    return combined(
        quantities,
        lambda values: float(np.median(values)),
        what=f"median {quantities[0].what}",
        where=_where(quantities),
        unit=_unit(quantities),
        grid=max(quantity.grid for quantity in quantities),
        proportions=max(quantity.proportions for quantity in quantities),
    )


def _unit(quantities: Sequence[Quantity]) -> Unit:
    units = {quantity.unit for quantity in quantities}
    if len(units) > 1:
        raise InputError(f"cannot combine {', '.join(sorted(units))}")
    return quantities[0].unit


def _where(quantities: Sequence[Quantity]) -> str:
    """Name the roles in one breath where the rest is the same for all."""
    roles = [" − ".join(quantity.reads) for quantity in quantities]
    when = {q.where.removeprefix(role) for q, role in zip(quantities, roles, strict=True)}
    if len(when) == 1:
        return ", ".join(roles) + when.pop()
    return "; ".join(quantity.where for quantity in quantities)
