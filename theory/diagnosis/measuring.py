"""How much an operator rounds, measured on its responses: its gain, and the offset that it holds.

What counts as a rounding error, given these, is said in `theory.diagnosis.rounding`.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from theory.diagnosis.equations import Equation
from theory.diagnosis.inputs import impulses
from theory.diagnosis.rounding import Rounding

if TYPE_CHECKING:
    from collections.abc import Callable

    from theory.diagnosis.amplification import Amplification
    from theory.diagnosis.calling import Array, Operator

_SUMS_ON_ONE_CELL = 4
"""How often one cell is asked for rounding, which a single sum may have none of by chance."""


def measured_rounding(
    operator: Operator,
    respond: Callable[[Array], Array],
    held: float | None,
    amplified: Amplification | None,
) -> Rounding:
    """Return what an operator is allowed to round, as far as a graph or its responses show.

    That is a bound for each cell where a graph shows what reaches it, else one for each channel.

    Parameters
    ----------
    operator : Operator
        The operator.
    respond : callable
        From an input to its response, all NaN where there is none.
    held : float, optional
        The largest magnitude inside at zero, where a graph shows it. Measured if left out.
    amplified : Amplification, optional
        What of the rounding inside reaches the output, where a graph shows it.
    """
    rounding = _with_gain(operator, respond, amplified)
    held = _measured_offset(operator, respond, rounding) if held is None else held
    if rounding.relative * held >= rounding.largest_gain:  # it would hide all others
        return rounding
    return _with_offset(rounding, held, amplified)


def channel_axes(operator: Operator) -> tuple[int, ...] | None:
    """Return the axes that the channels of an output have; None where it has no channels."""
    return None if operator.output_spatial_shape is None else operator.axes


def _with_gain(
    operator: Operator, respond: Callable[[Array], Array], amplified: Amplification | None
) -> Rounding:
    """Return the bound by the largest responses to inputs of magnitude 1."""
    zero = respond(np.zeros(operator.shape))
    cells = int(np.prod(operator.shape))
    signs = np.random.default_rng(0).choice((-1.0, 1.0), (2, *operator.shape))
    # A mean over all cells finds what four of them miss, and is never too large.
    inputs = [*((x, 1) for x in impulses(operator.shape)), *((x, cells) for x in signs)]
    sizes = [np.abs(respond(x) - zero) for x, _ in inputs]
    gains = [size.max(initial=0.0) / n for size, (_, n) in zip(sizes, inputs, strict=True)]
    finite = [float(gain) for gain in gains if np.isfinite(gain)]
    axes = channel_axes(operator)
    whole = Rounding(
        cells,
        operator.unit_roundoff,
        max(finite, default=1.0),
        float(np.abs(zero).max(initial=0.0, where=np.isfinite(zero))) if zero.size else 0.0,
        operator.smallest,
        axes,
    )
    if not all(map(np.isfinite, gains)) or not np.isfinite(zero).all():
        return whole.of_the_whole
    share = whole.share_of_transforms
    inside = np.full(zero.shape, share * whole.largest_gain)
    offset = np.abs(zero)
    if amplified is None:
        offset = np.maximum(offset, share * whole.largest_offset)
    else:
        inside = amplified.at_ones
    gain = np.minimum(functools.reduce(np.maximum, sizes, inside), whole.largest_gain)
    by_cell = replace(whole, gain=gain, offset=offset, axes=())
    return by_cell.along(axes) if amplified is None else by_cell


def _with_offset(rounding: Rounding, held: float, amplified: Amplification | None) -> Rounding:
    """Return a bound that allows for the rounding of what is held inside at zero, as well."""
    whole = max(rounding.largest_offset, held)
    if amplified is None:
        return replace(rounding, offset=np.maximum(rounding.offset, held))
    reaching = np.minimum(amplified.at_zero, whole)
    return replace(rounding, offset=np.maximum(reaching, rounding.offset))


def _measured_offset(
    operator: Operator, respond: Callable[[Array], Array], rounding: Rounding
) -> float:
    """Return the offset inside that rounds as sums of small inputs show.

    They are of up to a thousandth, where what the inputs themselves round is a thousandth of what
    it is at 1, but what an offset rounds is the same.
    """
    relative, bits, held = rounding.relative, operator.significand, 0.0
    rng = np.random.default_rng(0)
    for x in [each for each in impulses(operator.shape) for _ in range(_SUMS_ON_ONE_CELL)]:
        # Odd numbers with as many bits as leave their sum exact.
        a, b = rng.integers(2 ** (bits - 3), 2 ** (bits - 2), 2) * 2 + 1
        scale = 2.0 ** (-10 - bits)
        left, right = Equation("affine").sides(respond, (a * scale * x, b * scale * x))
        difference = float(np.abs(left - right).max(initial=0.0))
        if difference <= relative * rounding.largest_gain:
            held = max(held, difference / relative)
    return held
