"""How inputs that break a law are made small: fewer cells first, then smaller magnitudes."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from theory.diagnosis.calling import Array


def shrunk(
    inputs: tuple[Array, ...], accept: Callable[[tuple[Array, ...]], bool]
) -> tuple[Array, ...]:
    """Return inputs made as small as `accept` lets them be.

    Parameters
    ----------
    inputs : tuple of array
        Inputs of one shape.
    accept : callable
        Whether smaller ones will do.
    """
    return _shrink_magnitude(_shrink_support(inputs, accept), accept)


def _shrink_support(
    inputs: tuple[Array, ...], accept: Callable[[tuple[Array, ...]], bool]
) -> tuple[Array, ...]:
    """Zero blocks of cells, halving the block, until no single cell can go."""
    support = np.flatnonzero(np.any([x != 0 for x in inputs], axis=0))
    block = len(support)
    while block and len(support):
        start = 0
        while start < len(support):
            candidate = tuple(_with(x, support[start : start + block], 0.0) for x in inputs)
            if accept(candidate):
                inputs = candidate
                support = np.delete(support, slice(start, start + block))
            else:
                start += block
        block //= 2
    return inputs


def _shrink_magnitude(
    inputs: tuple[Array, ...], accept: Callable[[tuple[Array, ...]], bool]
) -> tuple[Array, ...]:
    """Replace each value by the smallest integer of its sign that keeps the violation."""
    for which, x in enumerate(inputs):
        for cell in np.flatnonzero(x):
            build = functools.partial(_with_magnitude, inputs, which, int(cell))
            value = abs(float(inputs[which].flat[cell]))
            inputs = build(_smallest(value, build, accept))
    return inputs


def _with_magnitude(
    inputs: tuple[Array, ...], which: int, cell: int, magnitude: float
) -> tuple[Array, ...]:
    """Return the inputs with one value of one of them scaled to a magnitude."""
    x = inputs[which]
    changed = _with(x, cell, float(np.copysign(magnitude, x.flat[cell])) if magnitude else 0.0)
    return (*inputs[:which], changed, *inputs[which + 1 :])


def _smallest(
    magnitude: float,
    build: Callable[[float], tuple[Array, ...]],
    accept: Callable[[tuple[Array, ...]], bool],
) -> float:
    """Return 0, 1, or by bisection another integer below the magnitude, if it is accepted."""
    for small in (0.0, 1.0):
        if small < magnitude and accept(build(small)):
            return small
    below = 1.0
    while (middle := float(np.floor((below + magnitude) / 2))) > below:
        if accept(build(middle)):
            magnitude = middle
        else:
            below = middle
    return magnitude


def _with(x: Array, cells: Array | int, value: float) -> Array:
    """Return a copy of x with some cells, by flat index, replaced."""
    changed = x.copy()
    changed.flat[cells] = value
    return changed
