"""What shows that no shift is followed in the interior: an input, seen through two windows."""

from __future__ import annotations

import functools
import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from theory.diagnosis.equations import Equation
from theory.diagnosis.findings import SINGLE
from theory.diagnosis.reach import outer_inside
from theory.diagnosis.windows import cells_along, two_windows
from theory.signals import impulse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from theory.diagnosis.calling import Array
    from theory.diagnosis.equivariance import Step
    from theory.diagnosis.search import Trials
    from theory.diagnosis.witnesses import Witness

_FADES = "; faint in the middle: longer inputs may leave a border"
"""What to add where only what comes from the ends, and fades, speaks against every shift."""

_REACHES = "; what enters in the middle reaches an end: longer inputs, if taken, may leave a border"
"""What to add where an end may be in sight of every cell."""

_OR_SINGLE = ", or dtype float32 if values inside or weights were computed in that"
"""What to add to that where no more than such rounding speaks against linearity: in single
precision it has faded after fewer cells."""


class WitnessSearch:
    """The search for an input whose response is moved into no shift of itself.

    Parameters
    ----------
    trials : Trials
        The operator under trial.
    signals : callable
        From an axis and a number of cells to inputs that are longer by those.
    inside : mapping of int to array of bool
        For some axes which output cells see no end along them, in the output's shape but for axes
        of one cell. These have to follow; of other axes, only the cells that every border leaves.
    in_single : bool
        Whether no more than rounding in single precision speaks against linearity.
    """

    def __init__(
        self,
        trials: Trials,
        signals: Callable[[int, int], Iterator[Array]],
        inside: Mapping[int, Array],
        *,
        in_single: bool,
    ) -> None:
        self._trials = trials
        self._operator = trials.operator
        self._signals = signals
        self._inside = inside
        self._fades = _FADES + _OR_SINGLE * in_single

    def witness(self, steps: Sequence[Step | None]) -> tuple[Witness | None, str]:
        """Return the clearest input whose response is moved into no shift of itself, and advice."""
        faint: tuple[Witness, str] | None = None
        for axis, step in zip(self._operator.axes, steps, strict=True):
            if (step and step.by == 1) or self._operator.output_shape[axis] == 1:
                continue
            violation = self._violation(axis)
            if violation is None:
                continue
            (signal,), advice, clear = violation
            by = self._operator.along(axis, 1)
            equation = Equation("shift_equivariant", shift=by, boundary="interior")
            found = self._trials.witness(equation, two_windows(signal, axis, 1)), advice
            if clear:
                return found
            faint = faint or found
        return faint or (None, "")

    def _violation(self, axis: int) -> tuple[tuple[Array, ...], str, bool] | None:
        """Return a small signal whose response no shift along an axis follows.

        Beside it are returned advice on it, and whether it is clear.

        What is faint in the middle of the output may be rounded in single precision, or fade on its
        way from the ends. The first is said only of a signal whose response is moved by no more
        than that at the ends, either.
        """
        size = functools.partial(self._distance_from_shifts, axis)
        whole = functools.partial(self._distance_of_all_cells, axis)
        faint: list[tuple[Array]] = []
        for signal in itertools.chain(self._signals(axis, 1), self._impulses(axis)):
            if size((signal,)) > 1:
                if self._trials.is_clear((signal,), size):
                    advice = _REACHES if self._reaches_an_end(axis) else ""
                    return self._trials.shrink((signal,), size), advice, True
                faint.append((signal,))
        if not faint:
            return None
        rounded = next((each for each in faint if not self._trials.is_clear(each, whole)), None)
        if rounded is None:
            return self._trials.shrink(faint[0], size), self._fades, False

        def rounding(inputs: tuple[Array, ...]) -> float:
            return math.nan if self._trials.is_clear(inputs, whole) else size(inputs)

        return self._trials.shrink(rounded, rounding), SINGLE, False

    def _reaches_an_end(self, axis: int) -> bool:
        """Return whether the first or last cells along an axis respond to the input's middle.

        That is two cells: a filter of half a band passes one of them by.
        """
        zero = np.zeros(self._operator.shape)
        x = zero.copy()
        middle = self._operator.shape[axis] // 2
        cells_along(x, axis, max(0, middle - 1), middle + 1)[...] = 1
        responding = self._trials.unlike(
            self._trials(x), self._trials(zero), float(x.sum()), threshold=1
        )
        return bool(responding.take([0, -1], axis).any())

    def _impulses(self, axis: int) -> Iterator[Array]:
        """Yield all unit impulses, where cells that see no end were found to differ on these."""
        if axis in self._inside:
            shape = list(self._operator.shape)
            shape[axis] += 1
            yield from (impulse(tuple(shape), cell) for cell in np.ndindex(*shape))

    def _distance_from_shifts(self, axis: int, signal: tuple[Array, ...]) -> float:
        """Return by how many rounding bounds f(moved) is no shift of f(x), far from the ends."""
        m = self._operator.output_shape[axis]
        compared = [(to, (m - 2 * max(to, 1)) // 2) for to in range(m // 2 + 1)]
        return self._distance(axis, signal, compared, self._inside.get(axis))

    def _distance_of_all_cells(self, axis: int, signal: tuple[Array, ...]) -> float:
        """Return the same at the ends as well, for shifts in proportion."""
        rate = self._operator.output_shape[axis] / self._operator.shape[axis]
        return self._distance(axis, signal, [(math.floor(rate), 0), (math.ceil(rate), 0)])

    def _distance(
        self,
        axis: int,
        signal: tuple[Array, ...],
        compared: Sequence[tuple[int, int]],
        inside: Array | None = None,
    ) -> float:
        """Return the least number of bounds by which f(moved) is not f(x) moved, but for a border.

        Each pair to compare is how far it is moved, and the border. Cells that see no end are
        compared wherever they are.
        """
        x, moved = two_windows(signal[0], axis, 1)
        norm = float(np.abs(x).sum() + np.abs(moved).sum())
        before, after = self._trials(x), self._trials(moved)
        m = after.shape[axis]
        distances = []
        for to, border in compared:
            left = cells_along(after, axis, border + to, m - border)
            right = cells_along(before, axis, border, m - border - to)
            distance = self._trials.distance(left, right, norm)
            if inside is not None and not distance > 1:
                here = np.moveaxis(outer_inside(np.moveaxis(inside, axis, -1), to), -1, axis)
                left, right = cells_along(after, axis, to, m), cells_along(before, axis, 0, m - to)
                distance = max(distance, self._trials.distance(left, right, norm, where=here))
            distances.append(distance)
        return min(distances)
