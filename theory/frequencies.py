"""A convolution on a circle, taken apart: one small matrix for each frequency, a few at a time.

At each frequency the transform of the kernels is a matrix from channels to filters. A kernel has
few taps, so the transform is a sum over them, an axis after the other, with the last axis left for
when the matrices are asked for: all of them together never lie in memory. The kernels are real, so
opposite frequencies have conjugate matrices and half of the frequencies are enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

T = TypeVar("T")

UNIT = float(np.finfo(np.float64).eps) / 2
"""The unit roundoff of everything here."""

_BYTES_TOGETHER = 2**20
"""Of the matrices that are made and used at once: they fit into a processor's second cache."""


@dataclass(frozen=True)
class Axis:
    """One axis of a convolution on a circle.

    Attributes
    ----------
    cells : array of shape (taps,)
        The cells of the circle that output 0 reads through the taps.
    outputs : int
        Outputs on the circle, and frequencies.
    stride : int
        Cells for each output.
    """

    cells: Int[np.ndarray, " taps"]
    outputs: int
    stride: int

    def waves(self, frequencies: Sequence[int]) -> Complex[np.ndarray, "frequencies phases taps"]:
        """Return by what each tap turns at some frequencies, in the phase that it belongs to.

        Output 0 reads cell -i through the tap that lies at cell i of the convolution. An entry is
        off by less than 12 units: the angle, at most π, by three roundings, cosine and sine by one
        each.
        """
        strides, phase = np.divmod(-self.cells % (self.outputs * self.stride), self.stride)
        turns = np.outer(frequencies, strides) % self.outputs
        turns -= np.where(2 * turns > self.outputs, self.outputs, 0)
        waves = np.zeros((len(frequencies), self.stride, len(strides)), np.complex128)
        waves[:, phase, np.arange(len(phase))] = np.exp(-2j * np.pi / self.outputs * turns)
        return waves


@dataclass(frozen=True)
class Stretch:
    """Some frequencies: a range along the last axis, and a range of those of all other axes."""

    last: slice
    others: slice


class Frequencies:
    """The matrices that a convolution on a circle consists of.

    Parameters
    ----------
    kernels : array of shape (filters, channels / groups, *taps)
        The real kernels.
    groups : int
        Groups of filters, each with channels of its own.
    axes : sequence of Axis
        The axes without the channels.
    """

    def __init__(
        self, kernels: Float[np.ndarray, "filters seen *taps"], groups: int, axes: Sequence[Axis]
    ) -> None:
        filters, self._seen = kernels.shape[:2]
        self._kernels = kernels
        self._per_group = filters // groups
        self._axes = axes
        self.groups = groups
        self.others = tuple(axis.outputs for axis in axes[:-1])
        self.phases = math.prod(axis.stride for axis in axes)
        self._bytes = 16 * filters * self._seen * self.phases  # of one frequency's matrices
        some = torch.from_numpy(kernels).to(torch.complex128)
        for axis in reversed(axes[:-1]):
            waves = torch.from_numpy(axis.waves(range(axis.outputs)))
            some = torch.tensordot(waves, some, dims=([2], [some.ndim - 2]))
        # Now (m, phase, m, phase, ..., filters, seen, taps): taps and frequencies to the front.
        inner = 2 * len(self.others)
        order = [inner + 2, *range(0, inner, 2), inner, inner + 1, *range(1, inner, 2)]
        some = some.permute(order).contiguous()
        self._partial = some.reshape(len(some), math.prod(self.others), filters * self._seen, -1)

    @property
    def half(self) -> int:
        """Frequencies along the last axis, without those whose opposites are among them."""
        return self._axes[-1].outputs // 2 + 1

    @property
    def everything(self) -> Stretch:
        """All frequencies."""
        return Stretch(slice(0, self.half), slice(0, math.prod(self.others)))

    @property
    def threads(self) -> int:
        """How many threads pay: as many as have a whole stretch each to do.

        On two cores at work with other things, two threads took 0.3 to 1.6 ms more of processor
        time than one, and one whole stretch took 2.5 to 15 ms. With 1.1 stretches in two parts,
        even cores of their own could not have made up for that; with 2.1 in three they could.
        """
        matrices = self.half * math.prod(self.others)
        return max(1, matrices * self._bytes // _BYTES_TOGETHER)

    @property
    def stretches(self) -> list[Stretch]:
        """All frequencies, some at a time."""
        others, together = math.prod(self.others), max(1, _BYTES_TOGETHER // self._bytes)
        lasts, rest = max(1, together // others), min(together, others)
        return [
            Stretch(slice(last, min(last + lasts, self.half)), slice(o, min(o + rest, others)))
            for last in range(0, self.half, lasts)
            for o in range(0, others, rest)
        ]

    def matrices(self, stretch: Stretch) -> Complex[Tensor, "last others groups filters seen"]:
        """Return the matrices at some frequencies, which see each channel in each phase."""
        axis, some = self._axes[-1], self._partial[:, stretch.others]
        waves = torch.from_numpy(axis.waves(range(self.half)[stretch.last]))
        last, phases, taps = waves.shape
        made = waves.reshape(last * phases, taps) @ some.reshape(taps, -1)
        made = made.reshape(last, phases, *some.shape[1:]).moveaxis(1, -1)
        return made.reshape(*made.shape[:2], self.groups, self._per_group, -1)

    def occurrences(self, stretch: Stretch) -> Int[np.ndarray, "last others"]:
        """Return of how many frequencies each matrix is, or is the conjugate: 1, 2.

        It is 0 where the frequency opposite to it, which has the same, counts for both.
        """
        return self._occurrences[stretch.last, stretch.others]

    @cached_property
    def _occurrences(self) -> Int[np.ndarray, "half others"]:
        n = self._axes[-1].outputs
        index = np.arange(math.prod(self.others)).reshape(self.others)
        opposite = index[np.ix_(*(-np.arange(m) % m for m in self.others))]
        times = np.full((self.half, index.size), 2)
        own_opposites = [last for last in range(self.half) if 2 * last % n == 0]
        times[own_opposites] = 1 + np.sign(opposite - index).ravel()
        return times

    @property
    def error(self) -> float:
        """How far a computed matrix may be from the exact one, in the Frobenius norm.

        Along each axis of k taps, an entry is a sum of k products with waves that are off by 12
        units. A complex sum of k products is two real ones of 2 k, which err by at most ``2 k u``
        relative to the sum of the products' magnitudes, or √8 k u < 3 k u both together (Higham,
        *Accuracy and Stability of Numerical Algorithms*, 2nd ed., section 3.1; the exponential
        takes care of higher orders). The magnitudes are those of the weights.
        """
        roundings = sum(12 + 3 * len(axis.cells) for axis in self._axes)
        magnitudes = np.abs(self._kernels).sum(axis=tuple(range(2, self._kernels.ndim)))
        return math.expm1(roundings * UNIT) * float(np.linalg.norm(magnitudes))


def spread(function: Callable[[Stretch], T], stretches: Sequence[Stretch], threads: int) -> list[T]:
    """Return what a function makes of each stretch, on no more threads than torch may use.

    LAPACK and BLAS let other threads of Python run. Threads of their own, to share such small
    matrices among, would only get in the way: each stretch gets one.
    """
    allowed = torch.get_num_threads()
    threads = max(1, min(threads, allowed, len(stretches)))
    try:
        if threads == 1:
            torch.set_num_threads(1)
            return [function(stretch) for stretch in stretches]
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(function, stretches))
    finally:
        torch.set_num_threads(allowed)  # which new threads inherit
