"""Shapes and axes that are asked about: of one signal, with or without channels, without batch."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

from theory.counts import as_count, as_integer

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
    try:
        sizes = tuple(as_count("shape", n) for n in shape)
    except (TypeError, ValueError):
        sizes = ()
    if not 1 <= len(sizes) <= 4:
        raise ValueError(
            f"shape is {shape!r}: give one input without batch, as (n,), (c, n), (c, h, w) or "
            "(c, d, h, w), all sizes at least 1"
        )
    if math.prod(sizes) > sys.maxsize // _LARGEST_NUMBER:
        raise ValueError(f"shape is {shape!r}: no array has as many cells; give smaller sizes")
    return sizes


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
    try:
        given = [as_integer("axes", a) for a in axes]
    except TypeError:
        given = []
    within = all(-rank <= a < rank for a in given)
    if not given or not within or len({a % rank for a in given}) < len(given):
        raise ValueError(
            f"axes is {axes!r}: give the axes of shape {shape} that shifts act on, each once, "
            f"counted from 0 to {rank - 1}"
        )
    return tuple(sorted(a % rank - rank for a in given))
