"""Which inputs are tried against an operator, and in which order.

Small integers come first, then halves and quarters, then extremes, then large random numbers, so
that the first find is already near the smallest. All sums and multiples of these inputs that the
equations need are exact in floating point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from theory.signals import impulse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from theory.diagnosis.calling import Array


def impulses(shape: tuple[int, ...]) -> Iterator[Array]:
    """Yield unit impulses at the first, second, middle and last cell."""
    cells = int(np.prod(shape))
    for at in dict.fromkeys([0, 1 % cells, cells // 2, cells - 1]):
        yield impulse(shape, tuple(int(i) for i in np.unravel_index(at, shape)))


def probes(shape: tuple[int, ...], rng: np.random.Generator, bits: int) -> Iterator[Array]:
    """Yield inputs from small to extreme: impulses, edges, ramps, near-ties, fractions.

    Parameters
    ----------
    shape : tuple of int
        Their shape.
    rng : numpy.random.Generator
        For the random ones.
    bits : int
        Length of the significand, 24 or 53: sums of two inputs and small multiples stay exact.
    """
    zeros = np.zeros(shape)
    cells = np.arange(zeros.size, dtype=float).reshape(shape)
    yield zeros
    for x in impulses(shape):
        yield from (x, -x, 2 * x)
    position = np.arange(shape[-1], dtype=float)
    yield from (zeros + 1, zeros - 1)
    yield from (zeros + (position < 2), zeros + (position >= shape[-1] // 2), zeros + position % 2)
    yield from (cells, -cells, cells % 2 + cells % 2**10 * 2.0**-10)
    for bound in (1, 3, 9):
        yield rng.integers(-bound, bound, shape, endpoint=True).astype(float)
    for x in impulses(shape):
        yield from (x / 2, x / 4, 1.5 * x)
    yield rng.integers(-9, 9, shape, endpoint=True) / 4
    for x in impulses(shape):
        yield 2.0**-20 * x
    for extreme in (1e2, 1e4, 1e6):
        for x in impulses(shape):
            yield from (extreme * x, -extreme * x)
        yield extreme * rng.integers(-3, 3, shape, endpoint=True)
    for magnitude in (2 ** (bits // 3), 2 ** (bits - bits // 5)):
        yield rng.integers(-magnitude, magnitude, shape, endpoint=True).astype(float)
        yield rng.integers(-magnitude, magnitude, shape, endpoint=True) * 2.0 ** -(bits // 5)


def pairs(
    shape: tuple[int, ...], rng: np.random.Generator, bits: int
) -> Iterator[tuple[Array, Array]]:
    """Yield pairs to add: on one cell, on neighbouring cells, then every kind of probe."""
    zeros = np.zeros(shape)
    yield zeros, zeros
    units = list(impulses(shape))
    for x in units:
        yield from ((x, -x), (x, x))
    for x in units:
        y = np.roll(x, 1)
        yield from ((x, y), (x, -y))
    previous = zeros
    for x in probes(shape, rng, bits):
        yield from ((x, -x), (x, x), (x, previous))
        previous = x
