"""Which shifts of the input move the output in proportion.

A property of shifts is judged under one of two boundaries: on the circle, where shifts wrap, or in
the interior, where what comes in and what is lost at the ends is arbitrary. What both have in
common is here: the finding, and shift invariance.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from theory.diagnosis.findings import Finding, but_for, words
from theory.diagnosis.inputs import probes
from theory.diagnosis.search import Trials
from theory.signals import impulse, shift

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from theory.diagnosis.calling import Array
    from theory.diagnosis.findings import Certainty
    from theory.diagnosis.witnesses import Witness


@dataclass(frozen=True)
class Step:
    """A shift of the input along an axis, the output's shift, and the border that it leaves."""

    by: int
    output_by: int
    border: int = 0


@dataclass(frozen=True, eq=False)
class Equivariance:
    """The finding on shifts, and what holds along each shifted axis.

    Attributes
    ----------
    finding : Finding
        Whether every shift by one cell is followed.
    steps : sequence of (Step or None)
        The smallest shift that is followed, None where none is.
    certainty : str
        How the period is known.
    invariance : str, optional
        How it is known that the output stays while the input moves round the circle; None where
        that is not so or not known, and where shifts by one cell are followed.
    """

    finding: Finding
    steps: Sequence[Step | None]
    certainty: Certainty
    invariance: Certainty | None = None

    @property
    def period(self) -> tuple[int | None, ...]:
        """The input shift along each axis."""
        return tuple(None if step is None else step.by for step in self.steps)

    @property
    def rate(self) -> tuple[int | None, ...]:
        """How far the output moves then."""
        return tuple(None if step is None else step.output_by for step in self.steps)

    @property
    def border(self) -> tuple[int | None, ...]:
        """How many output cells at either end do not follow."""
        return tuple(None if step is None else step.border for step in self.steps)


class Shifts:
    """What the judges of both boundaries know of the operator under trial.

    Parameters
    ----------
    trials : Trials
        The operator under trial.
    affine : Finding
        Whether it is affine, and how that is known.
    pointwise : bool
        Whether its structure shows one and the same function in every cell.
    spreads : bool
        Whether its structure shows a transform, whose rounding spreads over all cells.
    rng : numpy.random.Generator
        For the random inputs.
    """

    def __init__(
        self,
        trials: Trials,
        affine: Finding,
        pointwise: bool,
        spreads: bool,
        rng: np.random.Generator,
    ) -> None:
        self.trials = trials
        self.operator = trials.operator
        self.axes = trials.operator.axes
        self.sizes = trials.operator.spatial_shape
        self.output_sizes = trials.operator.output_spatial_shape
        self.pointwise = pointwise
        self.spreads = spreads
        self.rng = rng
        cells = int(np.prod(trials.operator.shape))
        self.by_basis = affine.holds is True and cells <= trials.budget
        self.in_single = affine.may_be_rounding  # as far as a witness tells
        self.exhausts = self.by_basis and affine.certainty == "proved"
        self.faint = 0.0
        self.untried = ""  # which shifts remain open, and why, as the end of a sentence
        self.narrow = ""  # where few cells are left to compare, as the end of a sentence

    def probes(self) -> Iterator[Array]:
        """Yield inputs from small to extreme."""
        yield from probes(self.operator.shape, self.rng, self.operator.significand)

    @property
    def comparable(self) -> bool:
        """Whether there are cells to compare, in a precision that tells them apart."""
        return self.output_sizes is not None and not self.trials.rounding.too_coarse

    @property
    def movable(self) -> bool:
        """Whether the output has, along every shifted axis, cells that a shift could move."""
        sizes = self.output_sizes
        return sizes is not None and all(
            m > 1 or n == 1 for n, m in zip(self.sizes, sizes, strict=True)
        )

    def note(self, left: Array, right: Array, norm: float, where: Array | bool = True) -> None:
        """Keep in mind by how much responses to impulses differ that the bound lets pass.

        The bound is cautious, and for a whole channel: beside a large value, all of a faint one is
        rounding. What it lets pass is confirmed only if it is equal, or a transform's rounding.
        """
        if (left == right).all():
            return
        rounding, difference = self.trials.rounding, np.abs(left - right)
        sizes, allowed = np.maximum(np.abs(left), np.abs(right)), np.zeros(left.shape)
        if self.spreads:
            norms = np.sqrt((sizes**2).sum(self.axes, keepdims=True))
            sizes = np.broadcast_to(norms, left.shape)
            allowed = rounding.of_transforms(sizes)
        doubtful = (difference > allowed) & where
        doubtful &= difference <= rounding.bound(left, right, norm, responses=2)
        if doubtful.any():
            self.faint = max(self.faint, float((difference[doubtful] / sizes[doubtful]).max()))

    def judged(
        self,
        steps: Sequence[Step | None],
        witness: Witness | None = None,
        why_not: str = "",
        how_far: str = "",
        advice: str = "",
    ) -> Equivariance:
        """Return the finding for what holds along all axes, together with that.

        Parameters
        ----------
        steps : sequence of (Step or None)
            The smallest shift that is followed along each axis.
        witness : Witness, optional
            What speaks against the shift by one cell.
        why_not, how_far : str
            The reason if that is not followed, and what to add if it is.
        advice : str
            What to say where the witness may be no more than rounding.
        """
        certainty, reason = self._certainty()
        unanswered = self.trials.unanswered
        if unanswered:  # and which shifts are followed is as unknown as whether all are
            steps, certainty = [None] * len(self.axes), "undecided"
        told = functools.partial(Equivariance, steps=steps, certainty=certainty)
        if witness is None and unanswered:
            return told(Finding(None, "undecided", f"no witness, but {unanswered}"))
        period = words([step.by if step else None for step in steps])
        if witness is None and self.movable and all(step and step.by == 1 for step in steps):
            if any(step and step.output_by != 1 for step in steps):
                rate = words([step.output_by if step else None for step in steps])
                how_far = (
                    f"{how_far}{',' if how_far else ';'} a shift by 1 moves the output by {rate}"
                )
            return told(Finding(True, certainty, f"{reason}{how_far}"))
        invariance = self._invariance()
        if witness is None and self.movable and invariance is None:
            why = f"period {period}, but no input shows that smaller shifts fail{self.untried}"
            return told(Finding(None, "undecided", why))
        if witness is None:
            why_not = self._never_moves()
        elif unanswered:
            why_not = f"{why_not}; the period is not known: {unanswered}"
        elif any(steps):
            why_not = f"{why_not}; period {period} ({certainty})"
        why_not = f"{why_not}{self.untried}"
        if invariance is not None:
            stays = "the output stays while the input moves"
            why_not = f"{why_not}; shift-invariant ({invariance}): {stays}"
        refuted = Finding(False, "refuted", f"{why_not}{advice}", witness)
        return told(refuted, invariance=invariance)

    def _never_moves(self) -> str:
        """Return why an output that stays while the input moves follows no shift."""
        if not self.movable or self.output_sizes is None:
            return "the output has no cells that a shift moves"
        if any(m % n for n, m in zip(self.sizes, self.output_sizes, strict=True)):
            return self.no_whole_shift()
        return "the output is no shift of itself"

    def no_whole_shift(self) -> str:
        """Return that the numbers of cells forbid a shift by one cell to be followed."""
        sizes_out = self.output_sizes or ()
        sizes = f"{words(self.sizes)} cells in, {words(sizes_out)} out"
        return f"a shift by 1 is no whole shift of the output ({sizes})"

    def _certainty(self) -> tuple[Certainty, str]:
        if self.untried:
            return "undecided", self.untried
        if self.pointwise:
            return "proved", "one and the same function in every cell"
        if self.exhausts and self.faint:
            of = "a response, more than its transforms round" if self.spreads else "a value"
            double = self.operator.dtype is torch.float64
            return "sampled", f"impulse responses move{but_for(self.faint, of, double)}"
        if self.exhausts and self.narrow:
            return "sampled", f"impulse responses move with the input{self.narrow}"
        if self.exhausts:
            return "exhausted", "f(0) and the response to every unit impulse move with the input"
        if self.by_basis:
            return "sampled", "impulse responses move with the input, but affine is only sampled"
        return "sampled", "no witness found"

    def _invariance(self) -> Certainty | None:
        """Find out whether the output stays the same while the input moves round the circle."""
        for x in self._basis() if self.by_basis else self.probes():
            for axis in self.axes:
                if not self._stays(x, shift(x, self.operator.along(axis, 1))):
                    return None
        if self.trials.failure:
            return None
        return "exhausted" if self.exhausts and not self.faint else "sampled"

    def _basis(self) -> Iterator[Array]:
        """Yield zero and every unit impulse, one by one: all of them are cells**2 floats."""
        shape = self.operator.shape
        yield np.zeros(shape)
        for cell in np.ndindex(shape):
            yield impulse(shape, cell)

    def _stays(self, x: Array, moved: Array) -> bool:
        norm = 2 * float(np.abs(x).sum())
        response, other = self.trials(x), self.trials(moved)
        if self.by_basis:
            self.note(response, other, norm)
        return self.trials.distance(response, other, norm) <= 1
