"""The operators on trial: what the layers of a network do to one signal, from the definitions.

Signals are tensors all of whose axes are spatial, on the circular domain: an axis of length n is
Z_n, windows wrap around, and a stride divides n. Parameters come after the signal, so that
``functools.partial`` turns a definition into an operator for `theory.diagnose`. Every function is
exact on integer values, and what it returns shares no memory with its signal.
"""

from __future__ import annotations

from itertools import product

import torch
from jaxtyping import Num
from torch import Tensor

from theory.arguments import require_rate
from theory.counts import as_count
from theory.signals import per_axis


def relu(x: Num[Tensor, "*n"]) -> Num[Tensor, "*n"]:
    """Replace negative values by zero and leave the others.

    Raises
    ------
    TypeError
        If the signal is complex, or no tensor.
    """
    _require_ordered(x)
    return x.clamp(min=0)


def add_bias(x: Num[Tensor, "*n"], bias: Num[Tensor, "*n"] | float) -> Num[Tensor, "*n"]:
    """Add a bias: one number for every position, as in a convolution layer, or a map of them.

    Integers are added in int64, or in float64 where the bias is a float or a tensor of floats.

    Raises
    ------
    ValueError
        If a map has another shape than the signal.
    """
    if isinstance(bias, Tensor) and bias.shape not in ((), x.shape):
        raise ValueError(
            f"bias of shape {tuple(bias.shape)} on a signal of shape {tuple(x.shape)}: expected "
            "one number, or as many as the signal has"
        )
    if isinstance(x, Tensor) and _integral(x):  # a symbol may take its place
        floats = bias.is_floating_point() if isinstance(bias, Tensor) else isinstance(bias, float)
        x = x.double() if floats else x.long()
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
    TypeError
        If the stride, or an offset of the pixel, is not an integer, or the signal no tensor.
    ValueError
        If the signal has no axis, the stride does not divide a side, or the pixel is not in the
        block.
    """
    stride = _checked_stride(x, stride)
    pixel = (0,) * x.ndim if pixel is None else per_axis(pixel)
    if len(pixel) != x.ndim or not all(0 <= offset < stride for offset in pixel):
        raise ValueError(f"pixel {pixel} is not in a block of side {stride} on {x.ndim} axes")
    return x[tuple(slice(offset, None, stride) for offset in pixel)].clone()


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
    TypeError
        If size or stride is not an integer, or the signal is complex or no tensor.
    ValueError
        If the signal has no axis, the size is below 1, or the stride does not divide a side.
    """
    _require_ordered(x)
    return _windows(x, size, stride).amax(dim=0)


def average_pool(x: Num[Tensor, "*n"], size: int, stride: int) -> Num[Tensor, "*m"]:
    """Take the mean of every window; parameters, result and errors as for `max_pool`.

    Integer values give an exact mean where `size` is a power of two. A signal may be complex.
    """
    total = _windows(x, size, stride).sum(dim=0)
    return (total.double() if _integral(total) else total) / int(size) ** x.ndim


def fully_connected(x: Num[Tensor, "*n"], matrix: Num[Tensor, "m size"]) -> Num[Tensor, " m"]:
    """Flatten the signal in row-major order and multiply it by a matrix.

    The type of the products is the wider of the two; that of integers is int64.

    Raises
    ------
    TypeError
        If the signal or the matrix is no tensor.
    ValueError
        If the matrix does not have one column for each value of the signal.
    """
    _require_tensor("signal", x)
    _require_tensor("matrix", matrix)
    if matrix.ndim != 2 or matrix.shape[1] != x.numel():
        raise ValueError(
            f"matrix of shape {tuple(matrix.shape)} on a signal of {x.numel()} values: expected "
            "two axes, and a column for each value"
        )
    dtype = torch.promote_types(matrix.dtype, x.dtype)
    if not (dtype.is_floating_point or dtype.is_complex):
        dtype = torch.int64
    return matrix.to(dtype) @ x.flatten().to(dtype)


def dropout(
    x: Num[Tensor, "*n"], rate: float, generator: torch.Generator | None = None
) -> Num[Tensor, "*n"]:
    """Zero each value with probability `rate` and divide the others by ``1 - rate``.

    What divides integers is float64.

    Raises
    ------
    TypeError
        If the rate is no number, or the signal no tensor.
    ValueError
        If the rate is negative, or not below 1.
    """
    require_rate(rate)
    _require_tensor("signal", x)
    kept = torch.rand(x.shape, generator=generator, device=x.device) >= rate
    return (x.double() if _integral(x) else x) * kept / (1 - rate)


def _windows(x: Num[Tensor, "*n"], size: int, stride: int) -> Num[Tensor, "window ..."]:
    """Stack, over the positions of a window, the signal as every window sees it there."""
    size, stride = as_count("size", size), _checked_stride(x, stride)
    axes, kept = tuple(range(x.ndim)), (slice(None, None, stride),) * x.ndim
    seen = (
        torch.roll(x, tuple(-offset for offset in offsets), axes)
        for offsets in product(range(size), repeat=x.ndim)
    )
    return torch.stack([view[kept] for view in seen])


def _checked_stride(x: Num[Tensor, "*n"], stride: int) -> int:
    _require_tensor("signal", x)
    stride = as_count("stride", stride)
    if x.ndim == 0:
        raise ValueError("the signal has no axis: give one at least, of one cell for one number")
    if any(side % stride for side in x.shape):
        raise ValueError(f"stride {stride} does not divide the sides of shape {tuple(x.shape)}")
    return stride


def _require_tensor(name: str, x: Num[Tensor, "*n"]) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(f"the {name} is a {type(x).__name__}, expected a tensor: use torch.tensor")


def _require_ordered(x: Num[Tensor, "*n"]) -> None:
    _require_tensor("signal", x)
    if x.is_complex():
        raise TypeError("the signal is complex, and no complex number is the larger of two")


def _integral(x: Num[Tensor, "*n"]) -> bool:
    return not (x.is_floating_point() or x.is_complex())
