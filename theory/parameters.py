"""Parameter counts: of layers from their shapes, and of architectures recovered from a count.

A report that prints only how many parameters its network has still pins the network down, as far
as the integers allow: `recover` searches the whole of a stated family.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from numbers import Integral
from typing import Any

import torch
from jaxtyping import Float64
from sympy import QQ
from sympy.polys.matrices import DomainMatrix
from torch import Tensor, nn
from torch.func import functional_call, jacrev

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
    ValueError
        If a count is below 1, or the groups do not divide the channels.
    """
    sides = [*kernel] if isinstance(kernel, Iterable) else [kernel, kernel]
    inputs, outputs, groups, *sides = map(_plain, (inputs, outputs, groups, *sides))
    _require_positive(inputs, outputs, groups, *sides)
    if inputs % groups or outputs % groups:
        raise ValueError(
            f"{groups} groups do not divide {inputs} channels in and {outputs} out: use a divisor"
        )
    return outputs * (inputs // groups * math.prod(sides) + int(bias))


def _plain(count: Any) -> Any:
    """Return an integer, of NumPy's types too, as Python's, which never overflows."""
    return int(count) if isinstance(count, Integral) else count


def _require_positive(*counts: int) -> None:
    """Refuse counts below 1; symbols, of which the formulas hold as well, pass."""
    for count in counts:
        if isinstance(count, int) and count < 1:
            raise ValueError(
                f"a layer with {count} channels, features, pixels or groups: give 1 or more"
            )


def linear_parameters(inputs: int, outputs: int, *, bias: bool = True) -> int:
    """Count the parameters of a fully connected layer, with one bias for each output if any.

    Raises
    ------
    ValueError
        If a count is below 1.
    """
    inputs, outputs = map(_plain, (inputs, outputs))
    _require_positive(inputs, outputs)
    return outputs * (inputs + int(bias))


def batch_norm_parameters(channels: int) -> int:
    """Count the parameters of a batch normalisation: a scale and an offset for each channel.

    The running mean and variance are buffers, which no gradient changes.
    """
    return 2 * channels


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
    """
    return cells * conv_parameters(inputs, outputs, kernel, bias=bias)


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
    ValueError
        If the kernel does not fit the image.
    """
    cells = math.prod(output_size(side, layer) for side in image)
    return linear_parameters(inputs * math.prod(image), outputs * cells, bias=bias)


def independent_parameters(module: nn.Module, x: Float64[Tensor, "*shape"]) -> int:
    """Count the directions in parameter space along which the outputs change.

    Read the other way, with a target for each output: how many of the equations that some examples
    set the parameters are independent, to first order.

    Parameters
    ----------
    module : torch.nn.Module
        A module in double precision; shared parameters count once.
    x : tensor
        The examples, in the shape that the module takes.

    Returns
    -------
    int
        The rank of the Jacobian of all outputs by all parameters, computed over the rationals from
        its entries: exact where the derivatives are (integer inputs and parameters; no division).
    """
    parameters = {name: each.detach() for name, each in module.named_parameters()}
    outputs = functools.partial(functional_call, module)
    jacobians = jacrev(lambda values: outputs(values, (x,)).flatten())(parameters)
    rows = torch.cat([each.flatten(1) for each in jacobians.values()], 1)
    entries = [[QQ(*value.as_integer_ratio()) for value in row] for row in rows.tolist()]
    return int(DomainMatrix(entries, tuple(rows.shape), QQ).rank())


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
    """

    kernels: tuple[int, int] = (5, 5)
    paddings: tuple[int, int] = (0, 0)
    pool: int = 2

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
        """
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
        ValueError
            If the design leaves nothing of the image.
        """
        side = self.side(image)
        if side == 0:
            raise ValueError(f"{self} leaves nothing of an image of side {image}: use a larger one")
        return (
            conv_parameters(channels, widths[0], self.kernels[0])
            + conv_parameters(widths[0], widths[1], self.kernels[1])
            + linear_parameters(widths[1] * side**2, classes)
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
        """
        if self.side(image) == 0:
            return None
        one, two = (self.parameters((first, width), image) for width in (1, 2))
        more, rest = divmod(count - one, two - one)
        return 1 + more if rest == 0 and more >= 0 else None


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

    Examples
    --------
    >>> recover([Design(kernels=(5, 5)), Design(kernels=(3, 3))], {3: 3172, 20: 46590})
    {Design(kernels=(5, 5), paddings=(0, 0), pool=2): (9, 60)}
    """
    found = {}
    for design in family:
        widths = [design.second_width(first, count, image) for first, count in counts.items()]
        if None not in widths:
            found[design] = tuple(width for width in widths if width is not None)
    return found
