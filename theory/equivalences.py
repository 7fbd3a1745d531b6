"""Layers that are other layers: dense as convolution and back, pooling as convolution, and sums.

Whatever is affine is one matrix and one offset; the functions here compute them, say how large
their rank can be, and write down the weights of a layer that does the work of another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from jaxtyping import Float, Float64, Int, Num, Shaped

from theory.parameters import conv_parameters


@dataclass(frozen=True, eq=False)
class AffineMap:
    """The map ``x -> matrix @ x + offset`` of flattened signals.

    Attributes
    ----------
    matrix : array of shape (outputs, inputs)
        The linear part.
    offset : array of shape (outputs,)
        The answer to the zero signal.
    """

    matrix: Float64[np.ndarray, "outputs inputs"]
    offset: Float64[np.ndarray, " outputs"]

    def __call__(self, x: Shaped[np.ndarray, "..."]) -> Float64[np.ndarray, " outputs"]:
        """Return the flattened output for one signal of any shape."""
        return self.matrix @ x.ravel() + self.offset


def affine_map(op: Callable[[torch.Tensor], torch.Tensor], shape: Sequence[int]) -> AffineMap:
    """Read off the one affine map that a network without nonlinearities is.

    An affine map is known from its answers to the zero signal and to the impulses. Whether `op` is
    affine at all they do not say: ask `theory.diagnose`.

    Parameters
    ----------
    op : callable
        A network in double precision, called once with a batch.
    shape : sequence of int
        Shape of one input, without batch.

    Returns
    -------
    AffineMap
        Matrix and offset, exact where the network's arithmetic is (integer weights, say).
    """
    size = int(np.prod(shape))
    signals = torch.cat([torch.zeros(1, size), torch.eye(size)]).double()
    with torch.no_grad():
        answers = op(signals.reshape(-1, *shape)).flatten(1).numpy()
    return AffineMap((answers[1:] - answers[0]).T, answers[0])


def rank_modulo(matrix: Num[np.ndarray, "m n"], prime: int = 2**31 - 1) -> int:
    """Return the rank of an integer matrix modulo a prime: never more than its rank.

    Rows that depend on each other over the rationals do so modulo the prime, so that a full rank
    found here is proved, in integers throughout.

    Parameters
    ----------
    matrix : array of shape (m, n)
        Integer-valued, of any dtype that numpy converts to int64.
    prime : int, optional
        The modulus, below 2**31.5 so that products stay in int64.

    Raises
    ------
    ValueError
        If an entry is not an integer.

    Examples
    --------
    >>> rank_modulo(np.array([[1, 2], [2, 4]]))
    1
    """
    rows = np.asarray(matrix).astype(np.int64)
    if not np.array_equal(rows, matrix):
        raise ValueError("rank_modulo needs integer entries: scale the matrix to integers first")
    rows %= prime
    rank = 0
    for column in range(rows.shape[1]):
        candidates = rank + np.flatnonzero(rows[rank:, column])
        if not len(candidates):
            continue
        rows[[rank, candidates[0]]] = rows[[candidates[0], rank]]
        pivot = rows[rank] * pow(int(rows[rank, column]), -1, prime) % prime
        below = rows[rank + 1 :]
        below -= below[:, column, None] * pivot % prime
        below %= prime
        rank += 1
        if rank == len(rows):
            break
    return rank


def dense_from_convolution(
    weight: Shaped[np.ndarray, "filters channels *k"],
    shape: Sequence[int],
    *,
    stride: int = 1,
    padding: int = 0,
) -> Shaped[np.ndarray, "outputs inputs"]:
    """Write a convolution layer (a cross-correlation) as the matrix of a fully connected layer.

    Parameters
    ----------
    weight : array of shape (filters, channels, *k)
        The layer's kernels.
    shape : sequence of int
        Shape of the input without its channels, ``*n``.
    stride, padding : int, optional
        Of the layer, the same on every axis.

    Returns
    -------
    array of shape (filters * prod(m), channels * prod(n))
        The matrix between row-major flattened maps, ``m = (n + 2 padding - k) // stride + 1``.

    Raises
    ------
    ValueError
        If the kernel does not fit into the padded input.
    """
    filters, channels, *kernel = weight.shape
    m = [(n + 2 * padding - k) // stride + 1 for n, k in zip(shape, kernel, strict=True)]
    if min(m) < 1:
        raise ValueError(f"kernel {tuple(kernel)} is larger than the padded input {tuple(shape)}")
    matrix = np.zeros((filters, *m, channels, *shape), weight.dtype)
    for out in np.ndindex(*m):
        for tap in np.ndindex(*kernel):
            seen = tuple(o * stride - padding + t for o, t in zip(out, tap, strict=True))
            if all(0 <= cell < n for cell, n in zip(seen, shape, strict=True)):
                matrix[(slice(None), *out, slice(None), *seen)] = weight[(..., *tap)]
    return matrix.reshape(filters * int(np.prod(m)), -1)


def convolution_from_dense(
    matrix: Shaped[np.ndarray, "outputs inputs"], shape: Sequence[int]
) -> Shaped[np.ndarray, "outputs channels *n"]:
    """Write a fully connected layer on a flattened map as kernels that cover the whole map.

    Parameters
    ----------
    matrix : array of shape (outputs, channels * prod(n))
        The layer's weights, for maps that are flattened in row-major order.
    shape : sequence of int
        Shape of the map with its channels, ``(channels, *n)``.

    Returns
    -------
    array of shape (outputs, channels, *n)
        One kernel for each output, for a cross-correlation without padding.
    """
    return matrix.reshape(len(matrix), *shape)


def averaging_weight(channels: int, size: int, axes: int = 2) -> Float[np.ndarray, "c 1 *k"]:
    """Return the kernels with which a convolution of `channels` groups is average pooling.

    The stride and padding of the pool are those of the convolution; padded zeros count.
    """
    return np.full((channels, 1, *(size,) * axes), 1 / size**axes)


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
    ValueError
        If the kernel does not fit the image.
    """
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
    """
    classes, channels, side, kernel = 10, 3, 32, 5
    free = classes * rank_bound(filters, channels, kernel, side)
    chosen = conv_parameters(channels, filters, kernel, bias=False)
    return min(classes * channels * side**2, free + chosen)


def sum_head(base: int = 10) -> tuple[Int[np.ndarray, "sums digits"], Int[np.ndarray, " sums"]]:
    """Return weights and biases of a linear layer that adds two digits, given as one-hot vectors.

    The score of the sum k is ``2k (a + b) - k²``, which is ``(a + b)² - (k - a - b)²``: largest,
    by at least 1, for the true sum.

    Parameters
    ----------
    base : int, optional
        Number of different digits.

    Returns
    -------
    weight : array of shape (2 base - 1, 2 base)
        For the two one-hot vectors, one behind the other.
    bias : array of shape (2 base - 1,)
        One for each sum.
    """
    sums = np.arange(2 * base - 1)
    digits = np.tile(np.arange(base), 2)
    return 2 * np.outer(sums, digits), -(sums**2)


def pairs_of_digits(
    codes: Shaped[np.ndarray, "base features"],
) -> tuple[Shaped[np.ndarray, "pairs twice"], Int[np.ndarray, " pairs"]]:
    """List all pairs of digits, as two codes one behind the other, with the sums of the digits."""
    pairs = list(product(range(len(codes)), repeat=2))
    return np.stack([np.concatenate([codes[a], codes[b]]) for a, b in pairs]), np.sum(pairs, 1)
