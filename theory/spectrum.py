"""The singular values of a convolution layer, exactly, and what bounds its norm from its weights.

On a circle the Fourier transform takes a convolution apart: at each frequency the layer is a small
matrix from channels to filters, and its singular values are those of all these matrices together.
The kernels are real, so opposite frequencies have conjugate matrices and half of them are enough. A
stride of s makes a layer one of stride 1 on the s phases of its input, as channels of their own.

The norm of the weight reshaped to filters x (channels * taps), which is what spectral normalisation
divides by, is another number: it weighs each patch of the input by itself, whereas the layer's
norm counts that patches overlap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Complex, Float, Int

from theory.frequencies import UNIT, Axis, Frequencies, Stretch, spread
from theory.layer_matrix import OUTSIDE, ConvLayer, finite_weights, input_cells
from theory.signals import per_axis


def frequency_response(
    layer: ConvLayer, shape: int | Sequence[int]
) -> Complex[np.ndarray, "*frequencies groups filters phases"]:
    """Return the matrices, one for each frequency and group, that a layer on a circle consists of.

    At each frequency the transforms of a group's channels, times this matrix, are the transforms of
    its filters' outputs. Under a stride s each channel counts as s on every axis, one for each
    phase p: cells ``s * i - p`` of the input.

    Parameters
    ----------
    layer : torch.nn.Conv1d, Conv2d or Conv3d
        The layer, with ``padding_mode="circular"`` wherever it pads, and real weights. A bias is
        left out.
    shape : int or sequence of int
        Cells per axis of the input without its channels, ``*n``: multiples of the stride, of which
        the layer makes ``m = n / stride``.

    Returns
    -------
    array of shape (*m[:-1], m[-1] // 2 + 1, groups, filters / groups, channels / groups * phases)
        The matrices at the frequencies of `numpy.fft.rfftn`; those left out are conjugates.

    Raises
    ------
    TypeError, ValueError
        As `theory.layer_matrix.layer_matrix`; and if the weights are complex or not finite, or the
        layer on this shape is no convolution on a circle: the taps of its outputs must wrap round,
        and one output must come on each stride of input cells.

    References
    ----------
    H. Sedghi, V. Gupta and P. Long, The singular values of convolutional layers, ICLR 2019, for
    stride 1.
    """
    frequencies = Frequencies(real_weights(layer), layer.groups, circle_axes(layer, shape))
    matrices = frequencies.matrices(frequencies.everything).numpy()
    matrices = matrices.reshape(frequencies.half, *frequencies.others, *matrices.shape[2:])
    return np.moveaxis(matrices, 0, len(frequencies.others))


def singular_values(layer: ConvLayer, shape: int | Sequence[int]) -> Float[np.ndarray, " count"]:
    """Return all singular values of a convolution layer on a circle, in descending order.

    Parameters
    ----------
    layer, shape
        As for `frequency_response`.

    Returns
    -------
    array of shape (min(outputs, inputs),)
        The singular values of `theory.layer_matrix.layer_matrix`, each as often as it occurs.

    Raises
    ------
    TypeError, ValueError
        As `frequency_response`.

    Examples
    --------
    >>> from torch import nn
    >>> layer = nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular", bias=False)
    >>> layer.weight.data.fill_(1.0).tolist()
    [[[1.0, 1.0, 1.0]]]
    >>> singular_values(layer, 4).round(12).tolist()
    [3.0, 1.0, 1.0, 1.0]
    """
    frequencies = Frequencies(real_weights(layer), layer.groups, circle_axes(layer, shape))

    def values(stretch: Stretch) -> Float[np.ndarray, " some"]:
        times = frequencies.occurrences(stretch)
        matrices = frequencies.matrices(stretch)[torch.from_numpy(times > 0)]
        found = torch.linalg.svdvals(matrices).numpy()
        return np.repeat(found, times[times > 0], axis=0).ravel()

    parts = spread(values, frequencies.stretches, frequencies.threads)
    return np.sort(np.concatenate(parts))[::-1].copy()  # torch takes no negative strides


def operator_norm(layer: ConvLayer, shape: int | Sequence[int]) -> float:
    """Return the most by which a convolution layer on a circle stretches an input, in 2-norms.

    Parameters
    ----------
    layer, shape
        As for `frequency_response`.

    Returns
    -------
    float
        The largest of `singular_values`.

    Raises
    ------
    TypeError, ValueError
        As `frequency_response`.
    """
    return float(singular_values(layer, shape)[0])


def reshaped_norm(layer: ConvLayer) -> float:
    """Return the largest singular value of the weight as a matrix, filters x (channels * taps).

    This is what `torch.nn.utils.parametrizations.spectral_norm` estimates and divides by. It is not
    the norm of the layer: see `norm_bounds`.

    Parameters
    ----------
    layer : torch.nn.Conv1d, Conv2d or Conv3d
        The layer; its padding and stride do not matter.

    Returns
    -------
    float
        The norm.

    Raises
    ------
    TypeError, ValueError
        As `theory.layer_matrix.finite_weights`.

    References
    ----------
    T. Miyato, T. Kataoka, M. Koyama and Y. Yoshida, Spectral normalization for generative
    adversarial networks, ICLR 2018, section 2.1.
    """
    kernels = finite_weights(layer)
    return float(np.linalg.norm(kernels.reshape(len(kernels), -1), 2))


def norm_bounds(layer: ConvLayer, shape: int | Sequence[int]) -> tuple[float, float]:
    """Return bounds on the norm of a layer, with any padding, from its reshaped weight.

    Let r be the norm of the reshaped weight, the largest of those of the groups. An output is the
    product of the reshaped weight and the patch that it reads. A patch alone in the input is
    stretched by r at its output, so the layer's norm is at least r. The outputs together have at
    most r times the norm of all patches together, which hold each input cell as often as it is
    read: so the layer's norm is at most ``r * sqrt(reads)``.

    Both are rounded away from the norm. Values alone take LAPACK ``4 m n**2`` operations on a
    matrix of n rows or columns and ``m >= n`` of the other, of weight √5 where products are
    complex. Each changes, by a unit, a matrix of the same Frobenius norm, which is at most
    ``sqrt(n) * r``, and singular values change by no more than the matrix (Weyl). Underflow is left
    out.

    Parameters
    ----------
    layer, shape
        As for `theory.layer_matrix.layer_matrix`.

    Returns
    -------
    (float, float)
        The lower bound, 0 where no output reads a whole patch of distinct cells (the kernel hangs
        over the border, or wraps onto itself); and the upper bound.

    Raises
    ------
    TypeError, ValueError
        As `theory.layer_matrix.layer_matrix`; and if the weights are not finite.

    References
    ----------
    Y. Tsuzuku, I. Sato and M. Sugiyama, Lipschitz-margin training, NeurIPS 2018, appendix D, for
    the number of reads.
    G. Golub and C. Van Loan, Matrix Computations, 4th ed., figure 8.6.1, for the operations.
    """
    tables = input_cells(layer, shape)
    kernels = finite_weights(layer)
    per_group = kernels.reshape(layer.groups, layer.out_channels // layer.groups, -1)
    norm = float(np.linalg.norm(per_group, 2, axis=(1, 2)).max())
    n, m = sorted(per_group.shape[1:])
    operations = 4 * m * n**2 * (math.sqrt(5) if np.iscomplexobj(kernels) else 1)
    error = math.expm1(operations * UNIT) * math.sqrt(n)
    reads = math.prod(int(np.bincount(t[t != OUTSIDE]).max(initial=0)) for t in tables)
    lower = norm / (1 + error) if all(map(_has_whole_patch, tables)) else 0.0
    upper = norm / (1 - error) * math.sqrt(reads)
    return lower * (1 - 8 * UNIT), upper * (1 + 8 * UNIT)  # room for the roundings of these lines


def circle_axes(layer: ConvLayer, shape: int | Sequence[int]) -> list[Axis]:
    """Return the axes of a layer on a circle.

    Parameters and exceptions as `frequency_response`.
    """
    tables = input_cells(layer, shape)
    return [_axis(*each) for each in zip(tables, per_axis(shape), layer.stride, strict=True)]


def real_weights(layer: ConvLayer) -> Float[np.ndarray, "filters seen *taps"]:
    """Return the kernels of a layer, which have to be real: half of the frequencies stand for all.

    Raises
    ------
    TypeError
        If the layer is not a convolution layer of torch, or its weights are complex.
    ValueError
        As `theory.layer_matrix.finite_weights`.
    """
    kernels = finite_weights(layer)
    if np.iscomplexobj(kernels):
        raise TypeError("the layer's weights are complex: half of the spectrum needs real ones")
    return kernels


def _axis(table: Int[np.ndarray, "outputs taps"], n: int, stride: int) -> Axis:
    """Return one axis of n cells, if every output reads as output 0 does, some strides further."""
    outputs = len(table)
    turns = stride * np.arange(outputs)[:, None]
    if outputs * stride != n or not np.array_equal(table, (table[:1] + turns) % n):
        raise ValueError(
            f"{outputs} outputs of {n} cells at stride {stride} are no convolution on a circle: "
            "expected circular padding that keeps n / stride cells; for other layers take the "
            "singular values of layer_matrix"
        )
    return Axis(table[0], outputs, stride)


def _has_whole_patch(table: Int[np.ndarray, "outputs taps"]) -> bool:
    return any(OUTSIDE not in row and len(set(row)) == len(row) for row in table.tolist())
