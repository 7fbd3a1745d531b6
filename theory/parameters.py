"""Parameter counts: of layers from their shapes, and of architectures recovered from a count.

A report that prints only how many parameters its network has still pins the network down, as far
as the integers allow: `recover` searches the whole of a stated family.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


def conv_parameters(inputs: int, outputs: int, kernel: int, *, bias: bool = True) -> int:
    """Count the parameters of a two-dimensional convolution layer with square kernels.

    Parameters
    ----------
    inputs, outputs : int
        Channels in and out.
    kernel : int
        Side of the kernel, in pixels.
    bias : bool, optional
        Whether each output channel has a bias.

    Returns
    -------
    int
        One weight for each pixel of the kernel, input and output channel, and the biases.
    """
    return outputs * (inputs * kernel**2 + bias)


def linear_parameters(inputs: int, outputs: int, *, bias: bool = True) -> int:
    """Count the parameters of a fully connected layer, with one bias for each output if any."""
    return outputs * (inputs + bias)


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
        fixed = self.parameters((first, 0), image)
        width, rest = divmod(count - fixed, self.parameters((first, 1), image) - fixed)
        return width if rest == 0 and width > 0 else None


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
