"""The law of a receptive field along one axis: a window that moves with the output cell.

Where every layer looks at its input the same way wherever it stands, so does the network, maybe
with a period: output cells of a transposed convolution of stride 2 take turns. The law knows no
borders: it continues into the padding, to cells that the input does not have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jaxtyping import Int

    from theory.auditing.taps import Taps


@dataclass(frozen=True)
class Windows:
    """Which interval of the network's input each cell of a map sees; its own cell by default.

    Cell ``period * k + r`` sees the cells ``step * k + first`` to ``step * k + last``, where
    ``bounds[r] = (first, last)``, or nothing where that is None.

    Attributes
    ----------
    bounds : tuple of (tuple of two int, or None)
        What the cells of one period see.
    step : int
        Input cells from one period to the next.
    """

    bounds: tuple[tuple[int, int] | None, ...] = ((0, 0),)
    step: int = 1

    @property
    def jump(self) -> Fraction:
        """Input cells from the window of one cell to that of the next, on average."""
        return Fraction(self.step, len(self.bounds))

    @property
    def largest(self) -> tuple[int, int | Fraction, int] | None:
        """Cells of the largest window, the jump, and where the first begins that sees anything.

        The jump is a fraction where windows take turns. None is returned if no cell sees anything.
        """
        seen = [each for each in self.bounds if each is not None]
        if not seen:
            return None
        size = max(last - first + 1 for first, last in seen)
        whole = self.jump.denominator == 1
        return size, int(self.jump) if whole else self.jump, seen[0][0]

    def at(self, cell: int) -> tuple[int, int] | None:
        """Return the first and the last input cell that a cell sees, whether they exist or not."""
        turn, phase = divmod(cell, len(self.bounds))
        bounds = self.bounds[phase]
        return bounds and (bounds[0] + turn * self.step, bounds[1] + turn * self.step)

    def repeats(self, taps: Taps) -> int:
        """Return how many periods of a later operation go by until windows repeat."""
        return len(self.bounds) // math.gcd(taps.step, len(self.bounds))

    def through(self, taps: Taps) -> Windows:
        """Return what the output of a later operation sees through this map."""
        repeats = self.repeats(taps)
        bounds = [
            _hull(self.at(cell + turn * taps.step) for cell in row)
            for turn in range(repeats)
            for row in taps.offsets
        ]
        return _reduced(bounds, self.step * taps.step * repeats // len(self.bounds))

    def joined(self, other: Windows | Scattered) -> Windows | None:
        """Return the hull of two maps, cell by cell; None if their windows move at two rates."""
        if isinstance(other, Scattered) or self.jump != other.jump:
            return None
        period = math.lcm(len(self.bounds), len(other.bounds))
        bounds = [_hull([self.at(cell), other.at(cell)]) for cell in range(period)]
        return _reduced(bounds, int(self.jump * period))


@dataclass(frozen=True, eq=False)
class Scattered:
    """Windows in an order of which there is no law, as in a flat map: a later move may undo it.

    Attributes
    ----------
    windows : Windows
        Those of the map that the cells come from.
    cells : ndarray of int
        The cell of that map which each cell is a copy of.
    """

    windows: Windows
    cells: Int[np.ndarray, " cells"]

    def through(self, taps: Taps) -> None:
        """Return that the output of a later operation follows no law."""

    def joined(self, other: Windows | Scattered) -> Scattered | None:
        """Return the hull of two maps, cell by cell; None if their orders or rates differ."""
        if isinstance(other, Windows) or not np.array_equal(self.cells, other.cells):
            return None
        windows = self.windows.joined(other.windows)
        return None if windows is None else Scattered(windows, self.cells)


def _hull(bounds: Iterable[tuple[int, int] | None]) -> tuple[int, int] | None:
    seen = [each for each in bounds if each is not None]
    if not seen:
        return None
    return min(first for first, _ in seen), max(last for _, last in seen)


def _reduced(bounds: Sequence[tuple[int, int] | None], step: int) -> Windows:
    """Return windows with the shortest period that says the same."""
    whole = Windows(tuple(bounds), step)
    for period in range(1, len(bounds)):
        if len(bounds) % period == 0 and step % (len(bounds) // period) == 0:
            short = Windows(tuple(bounds[:period]), step * period // len(bounds))
            if all(short.at(cell) == whole.at(cell) for cell in range(len(bounds))):
                return short
    return whole
