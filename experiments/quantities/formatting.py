"""Values of quantities as people read them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from experiments.quantities.quantity import Unit
    from experiments.statistics import Interval


_READ: dict[Unit, tuple[float, str, int, str]] = {
    "accuracy": (100, "", 1, " %"),
    "points": (100, "+", 1, " pp"),
    "share": (100, "", 0, " %"),
    "nats": (1, "", 3, ""),
    "count": (1, ",", 1, ""),
    "seconds": (1, "", 1, " s"),
}
"""For each unit: the factor, the sign or separator, the decimals of what was measured, the name."""


def formatted(value: float, unit: Unit) -> str:
    """Return a value as people read it: 0.712 as "71.2 %", a difference of 0.02 as "+2.0 pp"."""
    _, _, decimals, _ = _READ[unit]
    text = _with_decimals(value, unit, decimals)
    return text.removesuffix(".0") if unit == "count" else text


def formatted_reported(value: float, unit: Unit, half_unit: float) -> str:
    """Return a report's number with the report's digits: 0.8895 ± 0.00005 as "88.95 %".

    A difference of numbers that were rounded unlike has the digits of the finer. A number that
    was not rounded (a half-unit of 0) is read as if it were measured.
    """
    if not half_unit:
        return formatted(value, unit)
    factor, *_ = _READ[unit]
    shown, half = factor * value, factor * half_unit
    decimals = max(0, math.ceil(-math.log10(2 * half) - 1e-9))
    while abs(round(shown, decimals) - shown) > half / 100:
        decimals += 1
    return _with_decimals(value, unit, decimals)


def formatted_range(low: float, high: float, unit: Unit) -> str:
    """Return a range as people read it: "71.2 to 73.4 %"."""
    number, _, _ = formatted(low, unit).partition(" ")
    return f"{number} to {formatted(high, unit)}"


def formatted_with_bars(value: float, unit: Unit, *bars: Interval | None) -> str:
    """Return a value and half the width of each interval that there is: "71.2 ± 1.3 %"."""
    widths = [formatted(bar.half_width, unit) for bar in bars if bar is not None]
    number, _, name = formatted(value, unit).partition(" ")
    behind = [width.partition(" ")[0].removeprefix("+") for width in widths]
    return f"{' ± '.join([number, *behind])} {name}".rstrip()


def _with_decimals(value: float, unit: Unit, decimals: int) -> str:
    factor, flag, _, name = _READ[unit]
    return f"{factor * value:{flag}.{decimals}f}{name}"
