"""A guaranteed upper bound on the norm of a convolution layer, by Gram iteration.

The product of a matrix with its own adjoint has the squares of its singular values, and a norm that
adds up all their squares overstates the largest the less, the more it stands out. So each product
takes the root of what the Frobenius norm of a matrix of rank r overstates: after t of them it is at
most ``r ** (2 ** -(t + 1))``. No vector has to be guessed, nothing has to converge: after any
number of products the bound holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from theory.counts import as_count
from theory.frequencies import UNIT, Axis, Frequencies, Stretch, spread
from theory.layer_matrix import ConvLayer, input_cells
from theory.signals import per_axis
from theory.single_precision import single_precision
from theory.spectrum import circle_axes, real_weights

UNIT_SINGLE = float(np.finfo(np.float32).eps) / 2
"""The unit roundoff of the products."""


def gram_bound(layer: ConvLayer, shape: int | Sequence[int], *, steps: int = 6) -> float:
    """Return a number that a convolution layer stretches no input by more than, in 2-norms.

    Rounding is accounted for, whatever the order of the sums in a product of matrices. The bound is
    taken

    - with circular padding, from the layer's own frequencies. It overstates the norm by a factor of
      at most ``r ** (2 ** -(steps + 1))``, r being the rank of the matrix at a frequency: 1.033 for
      64 channels and 6 steps. For what rounding may have hidden, ``14 r max(filters, channels)``
      units of single precision are added at most, and a tenth of that where few of the r singular
      values are large;
    - with zeros or no padding, from a circle with room for the kernel, of at least ``n + extent -
      1`` cells, where the kernel spans an extent of cells. That circle's norm is overstated by no
      more; the layer's own may be less.

    Parameters
    ----------
    layer : torch.nn.Conv1d, Conv2d or Conv3d
        The layer, with real weights; a bias is left out.
    shape : int or sequence of int
        Cells per axis of the input without its channels.
    steps : int, optional
        How many products: each halves the logarithm of the factor above, or better.

    Returns
    -------
    float
        The bound.

    Raises
    ------
    TypeError, ValueError
        As `theory.spectrum.frequency_response` where the padding repeats cells, and otherwise as
        `theory.layer_matrix.input_cells`; if weights are complex or not finite, or `steps` is
        negative or no integer.

    Notes
    -----
    Why a circle bounds what is padded with zeros: let N be its cells, a multiple of the stride and
    at least ``n + extent - 1``. Put the input on some n cells in a row and zeros on all others. An
    output of the padded layer that reads any cell of the input reads, besides, at most ``extent -
    1`` cells before it and as many behind it. Neither reach round the circle to the input, so that
    the circle's output of the same place reads the same values. And no place is taken twice: the
    windows of two outputs that read the input start less than N cells apart. The padded layer's
    matrix is therefore, but for rows of zeros, a block of the circle's, whose norm is no less.

    The circle of n cells is too small to bound anything: ``[1, -1, 0]`` on one cell with zeros
    beside it is -1, and on a circle of one cell 1 - 1.

    References
    ----------
    B. Delattre, Q. Barthélemy, A. Araujo and A. Allauzen, Efficient bound of Lipschitz constant for
    convolutional layers by Gram iteration, ICML 2023.

    Examples
    --------
    >>> from torch import nn
    >>> layer = nn.Conv1d(1, 1, 3, padding=1, bias=False)
    >>> layer.weight.data.fill_(1.0).tolist()
    [[[1.0, 1.0, 1.0]]]
    >>> round(gram_bound(layer, 4), 4)
    3.0
    """
    steps = as_count("steps", steps, 0)
    kernels = real_weights(layer)
    plain = layer.padding_mode == "zeros" or layer.padding == "valid" or not any(layer.padding)
    axes = _axes_with_room(layer, shape) if plain else circle_axes(layer, shape)
    # By powers of 2 to between 1/2 and 1, so that no square leaves the range of double precision.
    _, exponent = math.frexp(float(np.abs(kernels).max()))
    frequencies = Frequencies(np.ldexp(kernels, -exponent), layer.groups, axes)

    def largest(stretch: Stretch) -> float:
        matrices = frequencies.matrices(stretch).flatten(0, 2)
        return float(_norm_bounds(matrices, steps).max())

    with single_precision():
        norms = spread(largest, frequencies.stretches, frequencies.threads)
    bound = max(norms) + frequencies.error
    # A sum and a root a step, of which the next root halves what they did: 3 roundings in all, and
    # one each here and in the line above.
    return math.ldexp(bound * (1 + 8 * UNIT), exponent)


def _norm_bounds(matrices: Complex[Tensor, "batch m n"], steps: int) -> Float[np.ndarray, " batch"]:
    """Return an upper bound on the norm of each matrix, worked out in single precision.

    With A and B for real and imaginary part, the product of the adjoint with the matrix is ``AᵀA +
    BᵀB + i (AᵀB - (AᵀB)ᵀ)``: three real products in place of the four of a complex one.

    Each product errs, relative to the square of the Frobenius norm, by ``gamma_2m`` in either part,
    both being sums of 2 m terms (Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed.,
    section 3.5). The norm was scaled below 1, but only as computed, from 2 m n squares.
    """
    if matrices.shape[1] < matrices.shape[2]:
        matrices = matrices.mT
    real, imaginary = (part.to(torch.float32) for part in (matrices.real, matrices.imag))
    terms, norm_error = 2 * matrices.shape[1], (2 * real[0].numel() + 4) * UNIT_SINGLE
    error = math.sqrt(2) * terms * UNIT_SINGLE / (1 - terms * UNIT_SINGLE) * (1 + norm_error) ** 2
    norms = given = _frobenius(real, imaginary)
    scales = []
    for _ in range(steps):
        exponents = np.frexp(norms)[1]
        scales.append(np.ldexp(1.0, exponents))
        scale = torch.from_numpy(np.ldexp(np.float32(1), -exponents))[:, None, None]
        real *= scale  # by powers of 2, without rounding
        imaginary *= scale
        cross = real.mT @ imaginary
        real = (real.mT @ real).baddbmm_(imaginary.mT, imaginary)
        imaginary = torch.sub(cross, cross.mT)
        norms = _frobenius(real, imaginary)
    bounds = norms * (1 + norm_error)
    for scale in reversed(scales):
        bounds = np.sqrt(bounds + error) * scale
    # What underflows is less than the error that is left for making the matrices.
    return np.where(given == 0, 0, bounds + UNIT_SINGLE * (1 + norm_error) * given)


def _frobenius(
    real: Float[Tensor, "batch m n"], imaginary: Float[Tensor, "batch m n"]
) -> Float[np.ndarray, " batch"]:
    parts = [torch.linalg.vector_norm(part.flatten(1), dim=1) for part in (real, imaginary)]
    return torch.hypot(*parts).double().numpy()


def _axes_with_room(layer: ConvLayer, shape: int | Sequence[int]) -> list[Axis]:
    """Return the axes of a circle on which no output reads the input from two sides."""
    tables = input_cells(layer, shape)  # refuses what does not fit
    axes = []
    for table, n, stride, dilation in zip(
        tables, per_axis(shape), layer.stride, layer.dilation, strict=True
    ):
        cells = dilation * np.arange(table.shape[1])
        axes.append(Axis(cells, math.ceil((n + int(cells[-1])) / stride), stride))
    return axes
