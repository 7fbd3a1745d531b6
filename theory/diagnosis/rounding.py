"""When two computed values differ: inequality for integers, a derived bound for the rest.

The bound is the standard one for inner products [1]_: k rounded operations leave an error of at
most ``gamma_k * sum(|a_j| |x_j|)`` with ``gamma_k = k u / (1 - k u)`` and u the unit roundoff. Of
an operator known only by its values, the sum is bounded by its gain, the largest response to a unit
impulse among those that are tried and the mean responses to random signs, times the input's 1-norm;
and k is that of four dense matrix products in a row: enough for an FFT, a product, an inverse FFT
and a normalisation. Both are assumptions on operators whose inside is not visible; a difference
beyond the bound is called a difference. Where the bound reaches the values themselves, as it does
for 16-bit numbers on more than a few cells, nothing is called anything.

One gain for the whole output would let a channel of 20 000 hide all that another one of 1 does. So
each channel, all cells that shifts along the shifted axes lead into one another, has a gain of its
own: the largest of its responses to the same inputs, where those to random signs count in full,
since they meet weights that no tried impulse meets. But channels may be made of the same values, as
real and imaginary part are, or of large ones that cancel. So a channel's gain is no smaller than
what reaches it of random changes to all values inside, relative to them
(`theory.diagnosis.amplification`), and no larger than that of the whole output. Where no graph
shows these, the bound has room for a Fourier transform over the whole output, channels included,
whose rounding is relative to its norm: that of ``1 + log2 cells`` operations for each ``cells``.
Of values beyond the gain, as those of what is not linear may be, a channel takes the share that its
gain is of the largest. With a graph, sums of responses are compared cell by cell, each with a gain
of its own; but not a response with another one, moved, since fast convolutions and transforms round
relative to all that is around a cell. No bound is larger than that of the whole output.

A constant that the operator adds inside and takes off again, such as a bias in ``f(x) - f(0)``,
rounds like any other value, and near zero by more than all that is left in the output. What is
added to the bound for each response is therefore that of the largest value that the operator holds
at zero, inside or in its output. A graph shows those inside, and which channel or cell they reach.
Without one, they are measured: sums of small inputs on one cell show what does not shrink with the
input, and the sides of one sum differ by the rounding of four responses. Such a difference counts
up to the bound on the response to a unit impulse, so that from inputs of 1 on the bound at most
doubles; what is fainter than that, and larger near zero than in proportion, is not told from
rounding. In a graph, an offset whose rounding may be as large as the response to a unit impulse is
left out: it would hide all others.

Near the smallest positive number no error is relative any more: each product may be off by half of
that number as well [3]_, and the bound has room for it to be added for every product and sum of
every response.

A bound that is cautious in refuting is rash in confirming: it grows with the cells, to 0.6 % of the
values for 3 x 64 x 64 cells of single precision. What is called exhausted therefore has to be
exact: in the response to a unit impulse all other cells add exact zeros, and the same operations on
the same few numbers round alike, wherever the impulse is. Only a Fourier transform lets every cell
round in its own way, relative to the response's 2-norm: four in a row leave in each of two
responses the rounding of ``8 (1 + log2 cells)`` operations [2]_, from which smaller differences
are not told. An operator that rounds more is not called exhausted, which is sound. Two operators
may round one product in two ways, and their responses have to be equal to the last bit.

.. [1] N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., SIAM, 2002, §3.1.
.. [2] The same, §24.1.
.. [3] The same, ch. 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from theory.diagnosis.calling import Array

_SINGLE = torch.finfo(torch.float32)
_MATRIX_PRODUCTS = 4
_SPARE = 2.0**8
"""By how much values inside the operator may exceed those that leave it."""


def gamma(k: int, unit_roundoff: float) -> float:
    """Return Higham's gamma_k, the relative error bound of k rounded operations.

    It is infinite from ``k * unit_roundoff = 1`` on, where nothing bounds the error.
    """
    share = k * unit_roundoff
    return share / (1 - share) if share < 1 else math.inf


@dataclass(frozen=True)
class Rounding:
    """The rounding errors that an operator on `cells` input cells is allowed.

    Parameters
    ----------
    cells : int
        Cells of the input: an output value is a sum of at most that many products.
    unit_roundoff : float
        Half the spacing of floating-point numbers at 1, in the coarsest type that is computed in.
    gain : float or array
        Largest magnitude of the response to a unit impulse, as far as it is known; or that of each
        channel or cell, with one cell along the axes that share a bound.
    offset : float or array
        Largest magnitude of the response to zero, and of what is held inside then; or the same.
    smallest : float
        The smallest positive number of that type, subnormal ones included.
    axes : tuple of int, optional
        The axes that share a bound, counted from the end: those of a channel, none for one bound
        for each cell; all if left out.
    """

    cells: int
    unit_roundoff: float
    gain: float | Array
    offset: float | Array
    smallest: float
    axes: tuple[int, ...] | None = None

    def excess(
        self,
        left: Array,
        right: Array,
        norm: float,
        responses: float,
        where: Array | bool = True,
    ) -> float:
        """Return how many times the bound two sides differ; more than 1 means that they differ.

        Parameters
        ----------
        left, right : array
            The two sides, sums of responses to some inputs.
        norm : float
            1-norm of all those inputs together.
        responses : float
            How many responses those are.
        where : array of bool, optional
            The cells that are compared; all if left out.

        Returns
        -------
        float
            Infinity for integers that differ although no rounding can have occurred; NaN where
            sides differ and a value is not finite, so that nothing can be said.
        """
        compared = np.broadcast_to(where, left.shape)
        if np.array_equal(left[compared], right[compared], equal_nan=True):
            return 0.0
        if not (np.isfinite(left[compared]).all() and np.isfinite(right[compared]).all()):
            return np.nan
        difference = np.abs(np.subtract(left, right, where=compared, out=_zeros_like(left, right)))
        return exceeding(difference, self.bound(left, right, norm, responses))

    def bound(self, left: Array, right: Array, norm: float, responses: float) -> Array:
        """Return the largest rounding errors of a difference; 0 where none can have occurred.

        The parameters are those of `excess`, the sides are the output or a part of it that has all
        channels. They can be broadcast to every cell.
        """
        products = self.gain * norm + self.offset * responses
        sizes = [np.abs(side) for side in (left, right)]
        by_channel = [
            each.max(self.axes, initial=0.0, where=np.isfinite(each), keepdims=True)
            for each in sizes
        ]
        largest = np.maximum(*by_channel)
        largest_of_all = float(largest.max(initial=0.0))
        whole = self.largest_gain * norm + self.largest_offset * responses
        beyond = max(0.0, largest_of_all - whole)  # what is not linear may exceed its gain
        products = np.maximum(np.maximum(products, largest), self._shares * beyond)
        whole = max(whole, largest_of_all)
        exact = whole * _SPARE <= 1 / self.unit_roundoff
        if exact and _is_integer(left) and _is_integer(right):
            return np.zeros_like(products)
        underflow = _MATRIX_PRODUCTS * self.cells * self.smallest * responses
        return np.asarray(self.relative * products + underflow)

    @property
    def largest_gain(self) -> float:
        """The gain of the whole output."""
        return float(np.max(self.gain, initial=0.0))

    @property
    def largest_offset(self) -> float:
        """The offset of the whole output."""
        return float(np.max(self.offset, initial=0.0))

    @property
    def _shares(self) -> float | Array:
        """What share of the largest gain each channel has."""
        return self.gain / self.largest_gain if self.largest_gain else 1.0

    def along(self, axes: tuple[int, ...] | None) -> Rounding:
        """Return one bound for all cells along some axes: that of their largest gain and offset."""
        gain, offset = (
            each.max(axes, initial=0.0, keepdims=True) if np.ndim(each) else each
            for each in map(np.asarray, (self.gain, self.offset))
        )
        return replace(self, gain=gain, offset=offset, axes=axes)

    @property
    def of_the_whole(self) -> Rounding:
        """The same bound for every cell of the output: that of the largest gain and offset."""
        return replace(self, gain=self.largest_gain, offset=self.largest_offset, axes=None)

    @property
    def share_of_transforms(self) -> float:
        """What transforms over the whole output may round, relative to the bound for the whole."""
        return (1 + math.ceil(math.log2(self.cells))) / self.cells

    def of_transforms(self, norms: Array) -> Array:
        """Return what Fourier transforms may leave between two responses to unit impulses.

        Parameters
        ----------
        norms : array
            The responses' 2-norms.
        """
        k = 2 * _MATRIX_PRODUCTS * (1 + math.ceil(math.log2(self.cells)))
        return gamma(k, self.unit_roundoff) * norms

    def in_single_precision(self) -> Rounding:
        """Return what the same operator is allowed if it computes in single precision."""
        return replace(self, unit_roundoff=_SINGLE.eps / 2, smallest=_SINGLE.tiny * _SINGLE.eps)

    @property
    def too_coarse(self) -> bool:
        """Whether rounding errors may be as large as the values, so that no difference tells."""
        return self.relative >= 1

    @property
    def relative(self) -> float:
        """The largest rounding error of a sum of products, relative to their magnitudes."""
        return gamma(2 * _MATRIX_PRODUCTS * self.cells, self.unit_roundoff)


def exceeding(difference: Array, bound: Array) -> float:
    """Return how many times a bound is exceeded; infinity where a difference has to be 0."""
    bounds = np.broadcast_to(bound, difference.shape)
    beyond = difference > 0
    if (beyond & (bounds == 0)).any():
        return np.inf
    return float((difference[beyond] / bounds[beyond]).max(initial=0.0))


def _zeros_like(left: Array, right: Array) -> Array:
    return np.zeros(left.shape, np.result_type(left, right, np.float32))


def _is_integer(values: Array) -> bool:
    return bool((values == np.rint(values)).all())
