"""Parameter counts: of layers from their shapes, and of architectures recovered from a count.

A report that prints only how many parameters its network has still pins the network down, as far
as the integers allow: `recover` searches the whole of a stated family.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from sympy import Expr

from theory.counts import as_count, as_integer
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


@dataclass(frozen=True, order=True)
class Design:
    """What two-convolution networks of different widths share: everything but the widths.

    The network is convolution, pool, convolution, pool, linear layer, on square images. The
    convolutions have stride 1, the pools drop rows and columns that do not fill a block, and
    activations are left out because they have no parameters.

    Attributes
    ----------
    kernels : tuple of two int
        Sides of the kernels, in pixels.
    paddings : tuple of two int
        Rows of zeros at each border before each convolution.
    pool : int
        Side and stride of both pools; 1 means that there are none.

    Raises
    ------
    TypeError
        If one of the numbers is not an integer.
    ValueError
        If there are not two kernels and two paddings, or a number is too small: paddings may be 0,
        the others are at least 1.
    """

    kernels: tuple[int, int] = (5, 5)
    paddings: tuple[int, int] = (0, 0)
    pool: int = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "kernels", _pair("kernels", self.kernels, 1))
        object.__setattr__(self, "paddings", _pair("paddings", self.paddings, 0))
        object.__setattr__(self, "pool", as_count("pool", self.pool))

    def side(self, image: int = 32) -> int:
        """Return the side, in pixels, of the map that the linear layer sees.

        Parameters
        ----------
        image : int, optional
            Side of the input image, in pixels.

        Returns
        -------
        int
            The side; 0 if a kernel does not fit or a pool leaves nothing.

        Raises
        ------
        TypeError, ValueError
            If the side of the image is not an integer, or below 1.
        """
        image = as_count("image", image)
        for kernel, padding in zip(self.kernels, self.paddings, strict=True):
            image = max(image + 2 * padding - kernel + 1, 0) // self.pool
        return image

    def parameters(
        self, widths: tuple[int, int], image: int = 32, channels: int = 3, classes: int = 10
    ) -> int:
        """Count the parameters of one network of this design.

        Parameters
        ----------
        widths : tuple of two int
            Filters of the two convolutions.
        image : int, optional
            Side of the input image, in pixels.
        channels : int, optional
            Channels of the input image.
        classes : int, optional
            Outputs of the linear layer.

        Returns
        -------
        int
            Weights and biases of all three layers.

        Raises
        ------
        TypeError
            If a count is not an integer.
        ValueError
            If there are not two widths, a count is below 1, or the design leaves nothing of the
            image.
        """
        first, second = _pair("widths", widths, 1)
        side = self.side(image)
        if side == 0:
            raise ValueError(f"{self} leaves nothing of an image of side {image}: use a larger one")
        return (
            conv_parameters(as_count("channels", channels), first, self.kernels[0])
            + conv_parameters(first, second, self.kernels[1])
            + linear_parameters(second * side**2, as_count("classes", classes))
        )

    def second_width(self, first: int, count: int, image: int = 32) -> int | None:
        """Return the width of the second convolution that gives a parameter count.

        The count grows by a fixed amount with each filter, so there is at most one such width.

        Parameters
        ----------
        first : int
            Filters of the first convolution.
        count : int
            Parameters of the whole network (3 input channels, 10 classes).
        image : int, optional
            Side of the input image, in pixels.

        Returns
        -------
        int or None
            The width, or None if no positive integer gives the count.

        Raises
        ------
        TypeError, ValueError
            As `parameters`; and if the count is not an integer.
        """
        if self.side(image) == 0:
            return None
        one, two = (self.parameters((first, width), image) for width in (1, 2))
        more, rest = divmod(as_integer("count", count) - one, two - one)
        return 1 + more if rest == 0 and more >= 0 else None


def _pair(name: str, values: Sequence[int], least: int) -> tuple[int, int]:
    """Return two counts, one for each of the convolutions."""
    try:
        first, second = values
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {values!r}, expected one for each convolution") from None
    return as_count(name, first, least), as_count(name, second, least)


def designs(
    kernels: Sequence[int], paddings: Sequence[int], pools: Sequence[int]
) -> Iterator[Design]:
    """List every design whose two kernels, two paddings and pool come from the given ranges."""
    for pool, k1, k2, p1, p2 in product(pools, kernels, kernels, paddings, paddings):
        yield Design(kernels=(k1, k2), paddings=(p1, p2), pool=pool)


def recover(
    family: Iterable[Design], counts: dict[int, int], image: int = 32
) -> dict[Design, tuple[int, ...]]:
    """Find every design of a family that explains the parameter counts of several networks.

    Parameters
    ----------
    family : iterable of Design
        The designs to try, all of them.
    counts : dict from int to int
        The number of parameters for each number of filters in the first convolution.
    image : int, optional
        Side of the input image (3 channels, 10 classes), in pixels.

    Returns
    -------
    dict from Design to tuple of int
        The designs that fit every count, each with the filters of the second convolution for each
        count; empty if the family explains nothing.

    Raises
    ------
    TypeError
        If the family is a single design or has something else in it, `counts` is no dict, or one of
        its numbers no integer.
    ValueError
        If a number of filters, or the side of the image, is below 1.

    Examples
    --------
    >>> recover([Design(kernels=(5, 5)), Design(kernels=(3, 3))], {3: 3172, 20: 46590})
    {Design(kernels=(5, 5), paddings=(0, 0), pool=2): (9, 60)}
    """
    if not isinstance(counts, Mapping):
        raise TypeError(
            f"counts is {counts!r}, expected a dict from filters to parameters: give {{3: 3172}}"
        )
    if isinstance(family, Design):
        raise TypeError("a single Design is given, expected several: put it into a list")
    found = {}
    for design in family:
        if not isinstance(design, Design):
            raise TypeError(f"{design!r} is given as a design, expected a Design: use designs()")
        widths = [design.second_width(first, count, image) for first, count in counts.items()]
        if None not in widths:
            found[design] = tuple(width for width in widths if width is not None)
    return found
