"""Shapes and axes that are asked about: of one signal, with or without channels, without batch."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import numpy as np

_LARGEST_NUMBER = 16
"""Bytes of one complex number in double precision."""


def checked_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of one input as a tuple.

    Raises
    ------
    ValueError
        If it is none of a signal, with or without channels, in up to three dimensions, or has more
        cells than memory has addresses.
    """
    sizes = tuple(shape) if isinstance(shape, Sequence) else ()
    whole = all(isinstance(n, int | np.integer) and n >= 1 for n in sizes)
    if not whole or not 1 <= len(sizes) <= 4:
        raise ValueError(
            f"shape is {shape!r}: give one input without batch, as (n,), (c, n), (c, h, w) or "
            "(c, d, h, w), all sizes at least 1"
        )
    if math.prod(map(int, sizes)) > sys.maxsize // _LARGEST_NUMBER:
        raise ValueError(f"shape is {shape!r}: no array has as many cells; give smaller sizes")
    return tuple(int(n) for n in sizes)


def checked_axes(axes: Sequence[int] | None, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shifted axes counted from the end, in ascending order.

    Raises
    ------
    ValueError
        If they are none of the shape's, or one of them comes twice.
    """
    rank = len(shape)
    if axes is None:
        return (-1,) if rank == 1 else tuple(range(1 - rank, 0))
    whole = isinstance(axes, Sequence) and all(
        isinstance(a, int | np.integer) and -rank <= a < rank for a in axes
    )
    if not whole or not axes or len({a % rank for a in axes}) < len(axes):
        raise ValueError(
            f"axes is {axes!r}: give the axes of shape {shape} that shifts act on, each once, "
            f"counted from 0 to {rank - 1}"
        )
    return tuple(sorted(int(a) % rank - rank for a in axes))
