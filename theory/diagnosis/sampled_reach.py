"""How far the middle cells see where no basis tells: which cells, when changed, change them.

A cell may look at a far one now and then only, as a maximum does. What made two cells differ near
an end is therefore moved into the middle, and what was beyond the end is changed there.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from theory.diagnosis.reach import NOWHERE, Reach, pooled, unexplained
from theory.diagnosis.windows import nearer_first

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from theory.diagnosis.calling import Array
    from theory.diagnosis.equivariance import Step
    from theory.diagnosis.search import Trials


_READINGS = 12
"""Inputs without zeros, by which a cell is tried that no output may read."""


class SampledReach:
    """The trial of what the ends explain, for one shift along one axis.

    Parameters
    ----------
    trials : Trials
        The operator under trial.
    axis : int
        The axis.
    step : Step
        The shift that all inputs follow but for a border.
    differs : array of bool
        Which cells differed from those that they should follow.
    threshold : float
        How many rounding bounds a difference is.
    """

    def __init__(
        self, trials: Trials, axis: int, step: Step, differs: Array, threshold: float
    ) -> None:
        self._trials, self._axis, self._step, self._differs = trials, axis, step, differs
        self._threshold = threshold
        self._n, self._m = trials.operator.shape[axis], differs.shape[-1]
        seen = (*differs.shape[:-1], 2 * step.output_by)
        read_from = np.zeros((*seen[:-1], 1), dtype=int)
        self._reach = Reach(
            np.full(seen, NOWHERE), np.full(seen, -NOWHERE), read_from, read_from + self._n - 1
        )
        self._unread = {True: 0, False: 0}  # cells at the first end, and at the last one

    def explains(self, signals: Callable[[], Iterable[tuple[Array, Array]]]) -> bool:
        """Whether all cells that differ see an end, as far as trials show.

        Parameters
        ----------
        signals : callable
            Returns the inputs on which they differed, each with the shifted one.
        """
        tried: set[tuple[bool, int]] = set()
        while (left := self._innermost()) is not None:
            if left not in tried:
                tried.add(left)
                self._look(*left, signals())
            elif not any(self._unread.values()) and self._find_unread(signals):
                tried.clear()
            else:
                return False
        return True

    def _find_unread(self, signals: Callable[[], Iterable[tuple[Array, Array]]]) -> bool:
        """Find out how many cells at either end no output reads, and whether there are any."""
        some = [x for x, _ in itertools.islice(signals(), _READINGS)]
        for at_first in self._unread:
            while self._unread[at_first] < self._n // 2 and not any(
                self._unlike(x, changed).any()
                for x in some
                for changed in self._changed(x, self._end(at_first, self._unread[at_first] + 1))
            ):
                self._unread[at_first] += 1
        self._reach.read_from += self._unread[True]
        self._reach.read_to -= self._unread[False]
        return any(self._unread.values())

    def _end(self, at_first: bool, cells: int, rest: bool = False) -> tuple[slice, ...]:
        """Return where some cells at an end are, or all but these."""
        where = [slice(None)] * len(self._trials.operator.shape)
        cut = min(cells, self._n)
        cut = cut if at_first else self._n - cut
        where[self._axis] = slice(None, cut) if at_first != rest else slice(cut, None)
        return tuple(where)

    def _innermost(self) -> tuple[bool, int] | None:
        """Return at which end, and how many steps from the middle, a difference is unexplained."""
        to, m, half = self._step.output_by, self._m, self._m // 2
        inside = self._reach.inside(self._step, self._n, m)
        left = unexplained(self._differs, inside, to)
        found = []
        cells = np.flatnonzero(left.any(tuple(range(left.ndim - 1))))
        for i, at_first in zip(cells.tolist(), nearer_first(cells, m, to).tolist(), strict=True):
            k = -(-(half - i + to) // to) if at_first else (i - half) // to + 1
            found.append((k, at_first))
        if not found:
            return None
        k, at_first = min(found)
        return at_first, k

    def _look(self, at_first: bool, k: int, signals: Iterable[tuple[Array, Array]]) -> None:
        """Find out if middle cells see what cells k steps nearer to an end see beyond it."""
        by, to, n = self._step.by, self._step.output_by, self._n
        unread = self._unread[at_first]
        part = by if to > by and not unread else 0
        cut = min(n, k * by + part + unread)
        end = self._end(at_first, cut)
        way = by if at_first else -by
        for x, moved in signals:
            # The one of the two has more cells at this end; both are moved into the middle.
            more, less = (moved, x) if at_first else (x, moved)
            longer, shorter = (
                np.roll(each, times * way, self._axis) for each, times in ((more, k - 1), (less, k))
            )
            only = longer.copy()
            only[self._end(at_first, (k - 1) * by)] = 0
            beyond = self._seen([longer, shorter, only, *self._changed(longer, end)])
            self._note(at_first, beyond, cut - 1 if at_first else n - cut)
            if unread:
                here = [longer, *self._changed(longer, self._end(at_first, cut, rest=True))]
                self._note(not at_first, self._seen(here), cut if at_first else n - cut - 1)
            if self._innermost() != (at_first, k):
                return

    def _note(self, at_first: bool, seen: Array, at: int) -> None:
        """Note that the middle cells which see some cells see one at a place, or nearer an end."""
        reach = self._reach
        if at_first:
            reach.first = np.where(seen, np.minimum(reach.first, at), reach.first)
        else:
            reach.last = np.where(seen, np.maximum(reach.last, at), reach.last)

    def _seen(self, inputs: Sequence[Array]) -> Array:
        """Return which middle cells are not alike for inputs that differ in some cells only."""
        half, to = self._m // 2, self._step.output_by
        first, *others = inputs
        found: Array = np.any([self._unlike(first, other) for other in others], axis=0)
        return found[..., half - to : half + to]

    @staticmethod
    def _changed(x: Array, where: tuple[slice, ...]) -> Iterator[Array]:
        """Yield the input with other values in some of its cells."""
        rng = np.random.default_rng(0)
        for values in (0.0, rng.choice((-1.0, 1.0), x.shape) * max(1.0, np.abs(x).max())):
            changed = x.copy()
            changed[where] = np.broadcast_to(values, x.shape)[where]
            yield changed

    def _unlike(self, x: Array, other: Array) -> Array:
        """Return in which cells the responses to two inputs differ."""
        before, after = self._trials(x), self._trials(other)
        norm = float(np.abs(x).sum() + np.abs(other).sum())
        unlike = np.zeros(before.shape, dtype=bool)
        if not (self._trials.failed(before) or self._trials.failed(after)):
            unlike = self._trials.unlike(before, after, norm, self._threshold)
        return pooled(unlike, self._axis, self._trials.operator.axes)
