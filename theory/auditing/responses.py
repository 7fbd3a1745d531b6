"""What filters in a row do to the patterns that a stride folds: a matrix of channels for each.

Subsampling by s adds the frequencies k / s, for k = 1 ... s - 1, onto frequency 0. At k / s the
taps of a filter have the spectrum of their sums at each phase of the stride. Filters in a row
multiply these, as matrices from channels to channels: what one lets through in some channel, the
next may stop.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from theory.diagnosis.rounding import gamma

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Bool, Complex, Float
    from torch import Tensor

    from theory.geometry import Layer

_SINGLE = torch.finfo(torch.float32).eps / 2


@dataclass(frozen=True)
class Response:
    """What filters do to the frequencies k / s, in blocks of channels that do not mix.

    Attributes
    ----------
    spectrum : tensor
        The matrix of each block, for each k; one number for what treats all channels alike.
    bound : tensor
        The same of the absolute values of all taps: what rounding errors are measured by.
    taps : int
        How many taps, at most, have been added up on the way to one value.
    """

    spectrum: Complex[Tensor, "*strides groups outputs inputs"]
    bound: Float[Tensor, "groups outputs inputs"]
    taps: int

    @classmethod
    def of(
        cls,
        weight: Float[Tensor, "outputs inputs *kernel"],
        groups: int,
        layers: Sequence[Layer],
        strides: Sequence[int],
    ) -> Response:
        """Return the response of one filter."""
        sizes = [layer.kernel for layer in layers]
        kernel = weight.cpu().double().reshape(groups, -1, weight.shape[1], math.prod(sizes))
        sums = kernel.new_zeros(*strides, *kernel.shape[:3])
        for cell, taps in enumerate(itertools.product(*map(range, sizes))):
            places = zip(taps, layers, strides, strict=True)
            sums[tuple(tap * layer.dilation % s for tap, layer, s in places)] += kernel[..., cell]
        spectrum = torch.fft.fftn(sums, dim=tuple(range(len(strides))))
        return cls(spectrum, kernel.abs().sum(-1), kernel.shape[-1])

    def after(self, earlier: Response) -> Response:
        """Return the response of two filters, of which this is the second."""
        if 1 in (self.bound.numel(), earlier.bound.numel()):  # one number is a factor of all
            spectrum, bound = self.spectrum * earlier.spectrum, self.bound * earlier.bound
        else:
            groups = math.gcd(len(self.bound), len(earlier.bound))
            mine, theirs = (_merged(each.spectrum, groups) for each in (self, earlier))
            bounds = _merged(self.bound, groups) @ _merged(earlier.bound, groups)
            spectrum, bound = mine @ theirs, bounds
        return Response(spectrum, bound, self.taps + earlier.taps)

    def passed(self) -> Bool[Tensor, "*strides"]:
        """Return which frequencies are let through from some channel to some other.

        That is up to rounding of the weights to float32, and of as many operations as there are
        taps; their sums and products in double precision add next to nothing.
        """
        allowed = gamma(self.taps, _SINGLE) * self.bound
        return (self.spectrum.abs() > allowed).flatten(-3).any(-1)


def _merged(blocks: Tensor, groups: int) -> Tensor:
    """Return matrices in fewer, larger blocks, with zeros between those that were smaller."""
    *leading, several, outputs, inputs = blocks.shape
    each = several // groups
    if each == 1:
        return blocks
    larger = blocks.new_zeros(*leading, groups, each, outputs, each, inputs)
    diagonal = torch.arange(each)
    # Indices that are apart put their axis in front.
    larger[..., diagonal, :, diagonal, :] = blocks.reshape(
        *leading, groups, each, outputs, inputs
    ).movedim(-3, 0)
    return larger.reshape(*leading, groups, each * outputs, each * inputs)
