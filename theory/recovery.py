"""Architectures recovered from their parameter counts.

A report that prints only how many parameters its network has still pins the network down, as far
as the integers allow: `recover` searches the whole of a stated family.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from theory.counts import as_count, as_integer
from theory.parameters import conv_parameters, linear_parameters


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
