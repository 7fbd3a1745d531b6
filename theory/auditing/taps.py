"""Which cells of its input an operation reads along one axis: the same at every place, or in turns.

The law of a layer follows from its numbers, that of a move or a resizing from a table of what its
output cells read. It knows no ends: it continues into the padding, to cells that are not there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Int

    from theory.geometry import Layer


@dataclass(frozen=True)
class Taps:
    """Which cells of its input each output cell of one operation reads.

    Output cell ``period * k + r`` reads the cells ``step * k + t`` for all t in ``offsets[r]``; the
    period is the number of entries of `offsets`.

    Attributes
    ----------
    offsets : tuple of tuple of int
        What the output cells of one period read.
    step : int
        Input cells from one period to the next.
    """

    offsets: tuple[tuple[int, ...], ...]
    step: int

    def window(self, output: int) -> tuple[int, int]:
        """Return the first and the last cell that an output cell reads, inside the input or not."""
        turn, position = divmod(output, len(self.offsets))
        taps = self.offsets[position]
        return self.step * turn + min(taps), self.step * turn + max(taps)

    def reads(self, outputs: int) -> int:
        """Return how many cells whole periods of output cells read, each as often as it is read."""
        return sum(map(len, self.offsets)) * outputs // len(self.offsets)

    @classmethod
    def of(cls, layer: Layer) -> Taps:
        """Return the taps of a convolution or pooling layer."""
        window = range(-layer.padding, layer.extent - layer.padding, layer.dilation)
        return cls((tuple(window),), layer.stride)

    @classmethod
    def transposed(cls, layer: Layer) -> Taps:
        """Return the taps of the transpose of a convolution layer."""
        reach = range(layer.kernel)
        spots = [
            [o + layer.padding - layer.dilation * tap for tap in reach] for o in range(layer.stride)
        ]
        return cls(
            tuple(
                tuple(sorted(s // layer.stride for s in row if s % layer.stride == 0))
                for row in spots
            ),
            1,
        )

    @classmethod
    def adaptive(cls, cells: int, outputs: int) -> Taps:
        """Return the taps of an adaptive pooling from `cells` to `outputs` cells.

        Output cell o reads from ``floor(o cells / outputs)`` up to, without it,
        ``ceil((o + 1) cells / outputs)``.
        """
        common = math.gcd(cells, outputs)
        period, step = outputs // common, cells // common
        return cls(
            tuple(
                tuple(range(o * step // period, -(-(o + 1) * step // period)))
                for o in range(period)
            ),
            step,
        )

    @classmethod
    def aligned(cls, cells: int, outputs: int) -> Taps:
        """Return the taps of a linear resizing that keeps the first and the last cell in place.

        Output cell o lies at ``o (cells - 1) / (outputs - 1)``, and reads the cells at either side,
        or the one that it lies on. Either map has two cells or more.
        """
        common = math.gcd(cells - 1, outputs - 1)
        period, step = (outputs - 1) // common, (cells - 1) // common
        return cls(
            tuple(
                tuple(range(o * step // period, -(-o * step // period) + 1)) for o in range(period)
            ),
            step,
        )

    def folds_to(self, table: Int[np.ndarray, "outputs taps"], cells: int) -> bool:
        """Whether output cells read what a table says, with what is off the ends folded back."""
        for output, row in enumerate(table.tolist()):
            turn, phase = divmod(output, len(self.offsets))
            read = {turn * self.step + tap for tap in self.offsets[phase]}
            if {min(max(cell, 0), cells - 1) for cell in read} != set(row):
                return False
        return True

    def table(self, cells: int, outputs: int) -> Int[np.ndarray, "outputs taps"]:
        """Return which cells each output cell reads: -1 is one beyond the ends, -2 none at all."""
        turns, phases = np.divmod(np.arange(outputs), len(self.offsets))
        most = max(1, *map(len, self.offsets))
        offsets = np.array([[*row, *[0] * (most - len(row))] for row in self.offsets])
        counts = np.array([len(row) for row in self.offsets])
        table = offsets[phases] + self.step * turns[:, None]
        table = np.where((table >= 0) & (table < cells), table, -1)
        return np.where(np.arange(most) < counts[phases][:, None], table, -2)


def law_of_move(coordinates: Int[np.ndarray, " outputs"], cells: int) -> Taps | None:
    """Return the taps of an operation that only moves cells; None if no one law fits.

    Parameters
    ----------
    coordinates : ndarray of int
        The cell that each output cell is a copy of; -1 where it is none.
    cells : int
        Cells of the input.

    Notes
    -----
    The law is that of the inside, as it is for layers that pad: equal steps in more than half of
    the output. Or it is that of whole periods, at the rate at which all cells fill the output.
    """
    outputs = len(coordinates)
    if outputs == 1:
        return None if coordinates[0] < 0 else Taps(((int(coordinates[0]),),), 1)
    common = math.gcd(cells, outputs)
    period, step = outputs // common, cells // common
    if 1 < period < outputs and (coordinates[period:] - coordinates[:-period] == step).all():
        return Taps(tuple((int(cell),) for cell in coordinates[:period]), step)
    here, following = coordinates[:-1], coordinates[1:]
    steps = np.where((here < 0) | (following < 0), 0, following - here)
    ends = np.flatnonzero(np.diff(steps)) + 1
    starts, ends = np.r_[0, ends], np.r_[ends, len(steps)]
    longest = int(np.argmax(ends - starts))
    first, cells_of_run = int(starts[longest]), int(ends[longest] - starts[longest]) + 1
    if steps[first] == 0 or 2 * cells_of_run <= outputs:
        return None
    return Taps(((int(coordinates[first] - first * steps[first]),),), int(steps[first]))


def law_of_table(table: Int[np.ndarray, "outputs taps"], cells: int) -> Taps | None:
    """Return the taps of an operation that resizes a map of some cells, or reads frames of it.

    None is returned if no law fits.

    Notes
    -----
    The law of a map is that of the period in the middle; the one before or after it has to agree.
    Frames all have to be as far apart as the first two.
    """
    outputs = len(table)
    apart = np.unique(np.diff(table, axis=0))
    if outputs > 2 and len(apart) == 1 and apart[0] > 0:
        return Taps((tuple(int(cell) for cell in table[0]),), int(apart[0]))
    common = math.gcd(cells, outputs)
    period, step = outputs // common, cells // common
    turn = common // 2
    rows = [table[k * period : (k + 1) * period] - k * step for k in (turn, turn - 1, turn + 1)]
    if common < 3 or not any((row == rows[0]).all() for row in rows[1:]):
        return None
    return Taps(tuple(tuple(sorted({int(cell) for cell in row})) for row in rows[0]), step)
