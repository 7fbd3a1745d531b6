"""The operators on trial: what the layers of a network do to one signal, from the definitions.

Signals are tensors all of whose axes are spatial, on the circular domain: an axis of length n is
Z_n, windows wrap around, and a stride divides n. Parameters come after the signal, so that
``functools.partial`` turns a definition into an operator for `theory.diagnose`. Every function is
exact on integer values.
"""

from __future__ import annotations

from itertools import product

import torch
from jaxtyping import Num
from torch import Tensor


def relu(x: Num[Tensor, "*n"]) -> Num[Tensor, "*n"]:
    """Replace negative values by zero and leave the others."""
    return x.clamp(min=0)


def add_bias(x: Num[Tensor, "*n"], bias: Num[Tensor, "*n"] | float) -> Num[Tensor, "*n"]:
    """Add a bias: one number for every position, as in a convolution layer, or a map of them."""
    return x + bias


def strided_pool(
    x: Num[Tensor, "*n"], stride: int, pixel: tuple[int, ...] | None = None
) -> Num[Tensor, "*m"]:
    """Keep the same pixel of every block and drop the others.

    Parameters
    ----------
    x : tensor of shape (n1, n2, ...)
        The signal.
    stride : int
        Side of the blocks; divides every n.
    pixel : tuple of int, optional
        Which pixel of a block is kept, per axis, from 0 to ``stride - 1``; the first by default.

    Returns
    -------
    tensor of shape (n1 / stride, n2 / stride, ...)
        One value a block.

    Raises
    ------
    ValueError
        If the stride does not divide a side, or the pixel is not in the block.
    """
    _require_stride(x, stride)
    pixel = pixel or (0,) * x.ndim
    if len(pixel) != x.ndim or not all(0 <= offset < stride for offset in pixel):
        raise ValueError(f"pixel {pixel} is not in a block of side {stride} on {x.ndim} axes")
    return x[tuple(slice(offset, None, stride) for offset in pixel)]


def max_pool(x: Num[Tensor, "*n"], size: int, stride: int) -> Num[Tensor, "*m"]:
    """Take the largest value of every window.

    Parameters
    ----------
    x : tensor of shape (n1, n2, ...)
        The signal.
    size : int
        Side of the windows.
    stride : int
        Distance between neighbouring windows; divides every n. Stride 1 pools at every pixel.

    Returns
    -------
    tensor of shape (n1 / stride, n2 / stride, ...)
        One value a window.

    Raises
    ------
    ValueError
        If the stride does not divide a side.
    """
    return _windows(x, size, stride).amax(dim=0)


def average_pool(x: Num[Tensor, "*n"], size: int, stride: int) -> Num[Tensor, "*m"]:
    """Take the mean of every window; parameters, result and errors as for `max_pool`.

    Integer values give an exact mean where `size` is a power of two.
    """
    return _windows(x, size, stride).sum(dim=0) / size**x.ndim


def fully_connected(x: Num[Tensor, "*n"], matrix: Num[Tensor, "m size"]) -> Num[Tensor, " m"]:
    """Flatten the signal in row-major order and multiply it by a matrix."""
    return matrix @ x.flatten()


def dropout(
    x: Num[Tensor, "*n"], rate: float, generator: torch.Generator | None = None
) -> Num[Tensor, "*n"]:
    """Zero each value with probability `rate` and divide the others by ``1 - rate``.

    Raises
    ------
    ValueError
        If the rate is negative, or not below 1.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"rate is {rate}: give a probability from 0 to below 1")
    kept = torch.rand(x.shape, generator=generator) >= rate
    return x * kept / (1 - rate)


def _windows(x: Num[Tensor, "*n"], size: int, stride: int) -> Num[Tensor, "window ..."]:
    """Stack, over the positions of a window, the signal as every window sees it there."""
    _require_stride(x, stride)
    axes = tuple(range(x.ndim))
    seen = (
        torch.roll(x, tuple(-offset for offset in offsets), axes)
        for offsets in product(range(size), repeat=x.ndim)
    )
    return torch.stack([strided_pool(view, stride) for view in seen])


def _require_stride(x: Num[Tensor, "*n"], stride: int) -> None:
    if stride < 1 or any(side % stride for side in x.shape):
        raise ValueError(f"stride {stride} does not divide the sides of shape {tuple(x.shape)}")
