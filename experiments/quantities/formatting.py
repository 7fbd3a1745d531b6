"""Values of quantities as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from experiments.quantities.quantity import Unit
    from experiments.statistics import Interval


def formatted(value: float, unit: Unit) -> str:
    """Return a value as people read it: 0.712 as "71.2 %", a difference of 0.02 as "+2.0 pp"."""
    match unit:
        case "accuracy":
            return f"{100 * value:.1f} %"
        case "points":
            return f"{100 * value:+.1f} pp"
        case "share":
            return f"{100 * value:.0f} %"
        case "nats":
            return f"{value:.3f}"
        case "count":
            return f"{value:,.1f}".removesuffix(".0")
        case "seconds":
            return f"{value:.1f} s"


def formatted_range(low: float, high: float, unit: Unit) -> str:
    """Return a range as people read it: "71.2 to 73.4 %"."""
    number, _, _ = formatted(low, unit).partition(" ")
    return f"{number} to {formatted(high, unit)}"


def formatted_half_width(interval: Interval, unit: Unit) -> str:
    """Return what stands behind "±", without sign or unit: "1.3" for 1.3 %."""
    return formatted(interval.half_width, unit).partition(" ")[0].removeprefix("+")
