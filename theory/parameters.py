"""Parameter counts of layers, from their shapes.

`theory.recovery` goes the other way, from a count to the networks that have it.
"""

from __future__ import annotations

import math
from typing import Any

from sympy import Expr

from theory.counts import as_count
from theory.geometry import Layer, output_size


def conv_parameters(
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, ...],
    *,
    groups: int = 1,
    bias: bool = True,
) -> int:
    """Count the parameters of a convolution layer.

    Stride, padding and dilation change none of them, and a transposed convolution has as many.

    Parameters
    ----------
    inputs, outputs : int
        Channels in and out.
    kernel : int or tuple of int
        Sides of the kernel, in pixels; one number is the side of a square.
    groups : int, optional
        Blocks of channels that do not see each other: a filter sees ``inputs / groups`` channels.
    bias : bool, optional
        Whether each output channel has a bias.

    Returns
    -------
    int
        One weight for each pixel of the kernel, output channel and input channel that it sees, and
        the biases.

    Raises
    ------
    TypeError
        If a count is not an integer. Integers made of SymPy's symbols pass.
    ValueError
        If a count is below 1, the kernel has no side, or the groups do not divide the channels.
    """
    try:
        sides = [*kernel]  # type: ignore[misc]  # of a number there are none
    except TypeError:
        sides = [kernel, kernel]
    sides = [_count("kernel", side) for side in sides]
    if not sides:
        raise ValueError("kernel has no side, expected one for each axis: give (k, k)")
    inputs, outputs = _count("inputs", inputs), _count("outputs", outputs)
    groups = _count("groups", groups)
    if inputs % groups or outputs % groups:
        raise ValueError(
            f"{groups} groups do not divide {inputs} channels in and {outputs} out: use a divisor"
        )
    return outputs * (inputs // groups * math.prod(sides) + int(bool(bias)))


def _count(name: str, value: Any) -> Any:
    """Return a count, or a symbol as it is: the formulas hold of symbols as well."""
    symbolic = isinstance(value, Expr) and value.free_symbols
    if symbolic and not value.is_integer:  # whose remainders would not be 0 by any divisor
        raise TypeError(f"{name} is {value}, expected an integer: make its symbols integer=True")
    return value if symbolic else as_count(name, value)


def linear_parameters(inputs: int, outputs: int, *, bias: bool = True) -> int:
    """Count the parameters of a fully connected layer, with one bias for each output if any.

    Raises
    ------
    TypeError, ValueError
        If a count is not an integer, or below 1.
    """
    inputs, outputs = _count("inputs", inputs), _count("outputs", outputs)
    return outputs * (inputs + int(bool(bias)))


def batch_norm_parameters(channels: int) -> int:
    """Count the parameters of a batch normalisation: a scale and an offset for each channel.

    The running mean and variance are buffers, which no gradient changes.

    Raises
    ------
    TypeError, ValueError
        If the number of channels is not an integer, or below 1.
    """
    return 2 * as_count("channels", channels)


def locally_connected_parameters(
    inputs: int, outputs: int, kernel: int | tuple[int, ...], cells: int, *, bias: bool = True
) -> int:
    """Count the parameters of a convolution layer that shares nothing between positions.

    Parameters
    ----------
    inputs, outputs : int
        Channels in and out.
    kernel : int or tuple of int
        Sides of the kernel, in pixels; one number is the side of a square.
    cells : int
        Positions of the kernel: rows times columns of the output map.
    bias : bool, optional
        Whether each output channel has a bias at each position.

    Raises
    ------
    TypeError, ValueError
        If a count is not an integer, or below 1.
    """
    return _count("cells", cells) * conv_parameters(inputs, outputs, kernel, bias=bias)


def equivalent_linear_parameters(
    inputs: int, outputs: int, image: tuple[int, ...], layer: Layer, *, bias: bool = True
) -> int:
    """Count the parameters of the fully connected layer that could do what a convolution does.

    Parameters
    ----------
    inputs, outputs : int
        Channels in and out.
    image : tuple of int
        Sides of the input image, in pixels.
    layer : Layer
        Kernel, stride, padding and dilation, the same along every axis.
    bias : bool, optional
        Whether each output value has a bias.

    Raises
    ------
    TypeError
        If a count is not an integer, or `image` a single one.
    ValueError
        If a count is below 1, the image has no side, or the kernel does not fit it.
    """
    inputs, outputs = as_count("inputs", inputs), as_count("outputs", outputs)
    try:
        sides = [*image]
    except TypeError:
        raise TypeError(
            f"image is {image!r}, expected a side for each axis: give (rows, columns)"
        ) from None
    sides = [as_count("image", side) for side in sides]
    if not sides:
        raise ValueError("image has no side, expected one for each axis: give (rows, columns)")
    cells = math.prod(output_size(side, layer) for side in sides)
    return linear_parameters(inputs * math.prod(sides), outputs * cells, bias=bias)
