"""The matrix of a convolution layer of torch, read off its geometry and its padding mode.

Which input cell an output cell reads through a tap is a question about one axis at a time; the
matrix holds the tap's weight there. Stride keeps some of the output cells, dilation spreads the
taps, groups leave blocks of zeros, and the padding mode says which cell stands for one outside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Inexact, Int
from torch import nn

from theory.geometry import Layer
from theory.signals import per_axis
from theory.tensors import require_values

ConvLayer = nn.Conv1d | nn.Conv2d | nn.Conv3d

OUTSIDE = -1  # in place of an input cell: the tap reads a zero of the padding

_NUMPY_MODES: dict[str, Literal["wrap", "reflect", "edge"]] = {
    "circular": "wrap",
    "reflect": "reflect",
    "replicate": "edge",
}


def layer_matrix(
    layer: ConvLayer, shape: int | Sequence[int]
) -> Inexact[np.ndarray, "outputs inputs"]:
    """Return the matrix M with ``M @ x.ravel() == layer(x).ravel()``, for a layer without bias.

    Of bare kernels, `theory.equivalences.dense_from_convolution` writes the same matrix, exact if
    they are; it knows neither dilation nor groups, and pads with zeros only.

    Parameters
    ----------
    layer : torch.nn.Conv1d, Conv2d or Conv3d
        The layer, with any stride, dilation, groups and padding. It cross-correlates. A bias is
        left out: M is the linear part.
    shape : int or sequence of int
        Cells per axis of the input without its channels, ``*n``.

    Returns
    -------
    array of shape (filters * prod(m), channels * prod(n))
        The matrix between row-major flattened maps, channels first, in double precision. An entry
        is one weight, or a sum of weights where the padding repeats cells.

    Raises
    ------
    TypeError, ValueError
        As `input_cells` and `weights`; and if the weights are not finite, of which even the zeros
        of the padding would make NaN.

    References
    ----------
    Goodfellow, Bengio and Courville, *Deep Learning*, section 9.1, for convolution as a sparse
    matrix with tied entries.
    """
    tables = input_cells(layer, shape)
    axes = len(tables)
    block = finite_weights(layer)
    for table, n in zip(tables, per_axis(shape), strict=True):
        reads = table[:, :, None] == np.arange(n)  # output, tap, input
        block = np.tensordot(block, reads.astype(block.dtype), axes=(2, 1))
    # Now (filters, channels of a group, m, n, m, n, ...): outputs to the front.
    outputs, inputs = range(2, 2 + 2 * axes, 2), range(3, 3 + 2 * axes, 2)
    block = block.transpose(0, *outputs, 1, *inputs)
    groups = layer.groups
    block = block.reshape(groups, -1, math.prod(block.shape[1 + axes :]))
    matrix = np.zeros((groups, block.shape[1], groups, block.shape[2]), block.dtype)
    for group in range(groups):
        matrix[group, :, group] = block[group]
    return matrix.reshape(groups * block.shape[1], -1)


def input_cells(
    layer: ConvLayer, shape: int | Sequence[int]
) -> list[Int[np.ndarray, "_outputs _taps"]]:
    """Return, for each axis, the input cell that each output cell reads through each tap.

    Parameters
    ----------
    layer, shape
        As for `layer_matrix`.

    Returns
    -------
    list of arrays of shape (m, k)
        One for each axis: cell ``stride * o + dilation * t - padding`` in row o and column t, moved
        into the input as the padding mode says, or `OUTSIDE` for a zero of the padding.

    Raises
    ------
    TypeError
        If the layer is not a convolution layer of torch.
    ValueError
        If the shape does not have the layer's axes, the kernel does not fit into the padded input,
        the padding needs more cells than the input has to repeat, or torch would refuse the layer's
        kernel, stride, padding or dilation when it is called.

    Examples
    --------
    >>> [table.tolist() for table in input_cells(nn.Conv1d(1, 1, 3, padding=1), 3)]
    [[[-1, 0, 1], [0, 1, 2], [1, 2, -1]]]
    """
    _require_convolution(layer)
    sizes, kernel = per_axis(shape), layer.kernel_size
    if len(sizes) != len(kernel) or min(sizes) < 1:
        raise ValueError(
            f"{type(layer).__name__} on an input of shape {sizes}: expected {len(kernel)} axes "
            "without the channels, and at least one cell along each"
        )
    tables = []
    for axis, n in enumerate(sizes):
        before, after = _padding(layer, axis)
        window = Layer(kernel[axis], layer.stride[axis], min(before, after), layer.dilation[axis])
        _require_repeatable(layer.padding_mode, max(before, after), n)
        padded = _padded(np.arange(n), before, after, layer.padding_mode)
        if window.extent > len(padded):
            raise ValueError(
                f"axis {axis}: the kernel spans {window.extent} cells, the padded input "
                f"{len(padded)}"
            )
        first = np.arange(0, len(padded) - window.extent + 1, window.stride)
        taps = window.dilation * np.arange(window.kernel)
        tables.append(padded[first[:, None] + taps])
    return tables


def weights(layer: ConvLayer) -> Inexact[np.ndarray, "filters group_channels *k"]:
    """Return the kernels of a layer in double precision, one for each filter and channel it sees.

    Parameters
    ----------
    layer : torch.nn.Conv1d, Conv2d or Conv3d
        The layer; where a parametrization computes its weight, what that gives now.

    Returns
    -------
    array of shape (filters, channels / groups, *k)
        The kernels.

    Raises
    ------
    TypeError
        If the layer is not a convolution layer of torch.
    ValueError
        If it has no weights: it is lazy, on the meta device, or without filters or channels; or if
        they are sparse.
    """
    _require_convolution(layer)
    require_values(layer, "weight", layer.weight)
    if 0 in layer.weight.shape:
        raise ValueError(
            f"{type(layer).__name__} has no weights, their shape is {tuple(layer.weight.shape)}: "
            "give it filters and channels"
        )
    weight = layer.weight.detach().cpu()
    precise = torch.complex128 if weight.is_complex() else torch.float64
    return weight.to(precise, copy=True).numpy()


def finite_weights(layer: ConvLayer) -> Inexact[np.ndarray, "filters group_channels *k"]:
    """Return the kernels of a layer as `weights` does, without infinities and NaN.

    Raises
    ------
    TypeError, ValueError
        As `weights`; and if one of them is not finite.
    """
    kernels = weights(layer)
    if not np.isfinite(kernels).all():
        raise ValueError(
            "the layer's weights are not all finite: it has neither matrix nor singular values"
        )
    return kernels


def _require_convolution(layer: nn.Module) -> None:
    if not isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        raise TypeError(f"{type(layer).__name__} is no Conv1d, Conv2d or Conv3d of torch.nn")


def _padding(layer: ConvLayer, axis: int) -> tuple[int, int]:
    """Cells that are added before and after an axis."""
    if layer.padding == "valid":
        return 0, 0
    if layer.padding == "same":  # with an odd total the larger half comes after
        total = layer.dilation[axis] * (layer.kernel_size[axis] - 1)
        return total // 2, total - total // 2
    cells = int(layer.padding[axis])
    return cells, cells


def _padded(
    cells: Int[np.ndarray, " n"], before: int, after: int, mode: str
) -> Int[np.ndarray, " padded"]:
    if mode == "zeros":
        return np.pad(cells, (before, after), constant_values=OUTSIDE)
    return np.pad(cells, (before, after), _NUMPY_MODES[mode])


def _require_repeatable(mode: str, padding: int, n: int) -> None:
    most = {"circular": n, "reflect": n - 1}.get(mode, padding)
    if padding > most:
        raise ValueError(
            f"padding_mode {mode!r} repeats at most {most} of {n} cells, but the padding is "
            f"{padding}"
        )
