"""How much an operator rounds, measured on its responses: its gain, and the offset that it holds.

What counts as a rounding error, given these, is said in `theory.diagnosis.rounding`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from theory.diagnosis.equations import Equation
from theory.diagnosis.inputs import impulses
from theory.diagnosis.rounding import Rounding

if TYPE_CHECKING:
    from collections.abc import Callable

    from theory.diagnosis.calling import Array, Operator

_SUMS_ON_ONE_CELL = 4
"""How often one cell is asked for rounding, which a single sum may have none of by chance."""


def measured_rounding(operator: Operator, respond: Callable[[Array], Array]) -> Rounding:
    """Return what an operator is allowed by its largest responses to inputs of magnitude 1.

    Parameters
    ----------
    operator : Operator
        The operator.
    respond : callable
        From an input to its response, all NaN where there is none.
    """
    zero = respond(np.zeros(operator.shape))
    cells = int(np.prod(operator.shape))
    signs = np.random.default_rng(0).choice((-1.0, 1.0), (2, *operator.shape))
    # A mean over all cells finds what four of them miss, and is never too large.
    inputs = [*((x, 1) for x in impulses(operator.shape)), *((x, cells) for x in signs)]
    gains = [np.abs(respond(x) - zero).max(initial=0.0) / size for x, size in inputs]
    finite = [float(gain) for gain in gains if np.isfinite(gain)]
    offset = float(np.abs(zero).max(initial=0.0))
    return Rounding(
        cells,
        operator.unit_roundoff,
        max(finite, default=1.0),
        offset if np.isfinite(offset) else 0.0,
        operator.smallest,
    )


def measured_offset(
    operator: Operator, respond: Callable[[Array], Array], rounding: Rounding
) -> float:
    """Return the offset inside that rounds as sums of small inputs show.

    They are of up to a thousandth, where what the inputs themselves round is a thousandth of what
    it is at 1, but what an offset rounds is the same.

    Parameters
    ----------
    operator, respond
        As for `measured_rounding`.
    rounding : Rounding
        What that returned.
    """
    relative, bits, held = rounding.relative, operator.significand, 0.0
    rng = np.random.default_rng(0)
    for x in [each for each in impulses(operator.shape) for _ in range(_SUMS_ON_ONE_CELL)]:
        # Odd numbers with as many bits as leave their sum exact.
        a, b = rng.integers(2 ** (bits - 3), 2 ** (bits - 2), 2) * 2 + 1
        scale = 2.0 ** (-10 - bits)
        left, right = Equation("affine").sides(respond, (a * scale * x, b * scale * x))
        difference = float(np.abs(left - right).max(initial=0.0))
        if difference <= relative * rounding.gain:
            held = max(held, difference / relative)
    return held
