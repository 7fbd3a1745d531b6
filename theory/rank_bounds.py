"""How large the rank of a convolution layer can be, and so what a linear network cannot compute."""

from __future__ import annotations

from theory.counts import as_count
from theory.parameters import conv_parameters


def rank_bound(filters: int, channels: int, kernel: int, side: int) -> int:
    """Bound the rank of a convolution layer without padding on square images, for all its weights.

    Of one filter more than there are channels, the kernels satisfy a relation: as polynomials, the
    cofactors of their matrix annihilate its columns, and so do all multiples of the cofactors. Each
    multiple that fits into the output is one dependent row. Kernels whose cofactors all vanish are
    limits of others, and a limit has no larger rank.

    Parameters
    ----------
    filters, channels : int
        Maps out and in.
    kernel, side : int
        Sides of kernels and images.

    Returns
    -------
    int
        The smallest of the number of inputs and the number of outputs, less dependent ones.

    Raises
    ------
    TypeError
        If a count is not an integer.
    ValueError
        If a count is below 1, or the kernel does not fit the image.
    """
    filters, channels = as_count("filters", filters), as_count("channels", channels)
    kernel, side = as_count("kernel", kernel), as_count("side", side)
    out = side - kernel + 1
    if out < 1:
        raise ValueError(
            f"a kernel of side {kernel} does not fit an image of side {side}: take a smaller one"
        )
    relations = max(out - channels * (kernel - 1), 0) ** 2 if filters == channels + 1 else 0
    return min(channels * side**2, filters * out**2 - relations)


def class_dimension_bound(filters: int) -> int:
    """Bound the dimension of what a linear network on CIFAR-10 computes, by its first layer.

    That layer is a convolution with kernels of side 5, without padding. Whatever follows it, each
    class weighs the image by a vector in its row space: the weights of the convolution choose the
    space, then each class a vector in it.

    Parameters
    ----------
    filters : int
        Of the convolution.

    Returns
    -------
    int
        An upper bound; less than 30720, the dimension of all linear maps from images to classes, if
        the network cannot compute every one.

    Raises
    ------
    TypeError, ValueError
        If the number of filters is not an integer, or below 1.
    """
    classes, channels, side, kernel = 10, 3, 32, 5
    free = classes * rank_bound(filters, channels, kernel, side)
    chosen = conv_parameters(channels, filters, kernel, bias=False)
    return min(classes * channels * side**2, free + chosen)
