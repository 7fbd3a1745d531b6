"""A network written as a line of layers: ``conv32k5 relu max2 fc10``.

Most networks of the reports are chains, and a recipe that spells its chain out is complete by
itself: nothing about the run hides behind a name.

======================  ==========================================================================
``conv32k5``            32 filters of 5x5 with padding that keeps the size (as TensorFlow's SAME: an
                        even kernel pads one more behind than in front)
``conv32k5valid``       the same without padding
``max2``, ``avg2``      pooling over 2x2 blocks; rows and columns left over are dropped
``gap``                 global average pooling
``relu``, ``elu``       activations
``bn``                  batch normalisation, over the channels of maps or of features
``drop0.05``            dropout with this probability of being dropped
``fc64``                fully-connected layer; maps are flattened first
``skip( … )``           adds its input to what is inside, through a 1x1 convolution where the number
                        of channels changes
``halves( … )``         applies what is inside to the upper and to the lower half of the maps, with
                        the same weights, and lays the two results side by side
======================  ==========================================================================
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from experiments.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jaxtyping import Float

_TOKEN = re.compile(r"(skip|halves)\(|\)|[^\s()]+")
_KINDS = (
    "conv32k5, conv32k5valid, max2, avg2, gap, relu, elu, bn, drop0.5, fc64, skip(…), halves(…)"
)
_MONOTONE = (nn.ReLU, nn.ELU)

Shape = tuple[int, ...]
"""``(channels, height, width)`` of maps, ``(features,)`` of a vector."""


class FlattenChannelsLast(nn.Module):
    """Flatten maps in memory order.

    The initial weights of a linear layer are independent and identically distributed, so a fixed
    permutation of its inputs changes neither the distribution of the initial network nor the
    training that follows.
    """

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n h*w*c"]:
        """Return one vector for each image."""
        return x.permute(0, 2, 3, 1).flatten(1)


class GlobalAveragePooling(nn.Module):
    """Average every channel over its pixels."""

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c"]:
        """Return one vector for each image."""
        pixels = x.permute(0, 2, 3, 1).flatten(1, 2)
        # A product with 1/(h·w) is the mean, and its gradient is dense: ReLU's backward pass is
        # several times faster on it than on the stride-0 gradient of ``mean``.
        average = pixels.new_full((1, pixels.shape[1]), 1 / pixels.shape[1])
        return (average @ pixels).squeeze(1)


class Skip(nn.Module):
    """A residual block: the input, projected where it must be, plus what the body makes of it."""

    def __init__(self, body: nn.Module, projection: nn.Module | None) -> None:
        super().__init__()
        self.body = body
        self.projection = projection

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h w"]:
        """Return the sum of both paths."""
        return (x if self.projection is None else self.projection(x)) + self.body(x)


class Halves(nn.Module):
    """The same layers on the upper and on the lower half, their outputs side by side."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n features"]:
        """Return one vector for each image, the upper half's first."""
        return torch.cat([self.body(half) for half in x.chunk(2, dim=2)], dim=1)


def build(text: str, image_shape: tuple[int, int, int]) -> tuple[nn.Sequential, Shape]:
    """Build the network that a line of layers describes, with PyTorch's default initialisation.

    Max-pooling is moved before a ReLU or ELU that it follows: all are monotone, so the result is
    the same (the same bits), and a quarter of the activations remain to be computed.

    Parameters
    ----------
    text
        The layers, as this module's table lists them.
    image_shape
        ``(channels, height, width)`` of one image.

    Returns
    -------
    tuple
        The network, and the shape of what it gives for one image.

    Raises
    ------
    ValueError
        If a layer is unknown or does not fit; the message names it and its position.
    """
    tokens = _TOKEN.finditer(text)
    modules, result = _chain(text, tokens, image_shape, closing=None)
    if not modules:
        raise InputError(f"a network needs at least one layer; known layers: {_KINDS}")
    return nn.Sequential(*_pooled_first(modules)), result


def is_line(text: str) -> bool:
    """Whether a text starts like a line of layers, whatever comes after."""
    first = _TOKEN.match(text.lstrip())
    return first is not None and (
        first.group(1) is not None
        or any(re.fullmatch(pattern, first.group(), re.ASCII) for pattern, _ in _MAKERS)
    )


def _chain(
    text: str, tokens: Iterator[re.Match[str]], shape: Shape, closing: str | None
) -> tuple[list[nn.Module], Shape]:
    modules: list[nn.Module] = []
    for token in tokens:
        if token.group() == ")":
            if closing is None:
                raise InputError(
                    f"network {text!r}: ')' at position {token.start()} closes nothing"
                )
            return modules, shape
        try:
            if token.group(1):
                made, shape = _block(text, tokens, token.group(1), shape)
            else:
                made, shape = _layer(token.group(), shape)
        except _MisfitError as misfit:
            raise InputError(
                f"network {text!r}: {token.group()!r} at position {token.start()} {misfit}"
            ) from None
        modules += made
    if closing is not None:
        raise InputError(f"network {text!r}: '{closing}(' is never closed")
    return modules, shape


class _MisfitError(Exception):
    """A layer that is unknown or cannot take its input; the rest of a sentence about it."""


def _block(
    text: str, tokens: Iterator[re.Match[str]], kind: str, shape: Shape
) -> tuple[list[nn.Module], Shape]:
    if len(shape) != 3:
        raise _MisfitError("needs maps, but they were flattened before")
    if kind == "halves":
        channels, height, width = shape
        if height % 2:
            raise _MisfitError(f"needs an even height, got {height}")
        body, inner = _chain(text, tokens, (channels, height // 2, width), closing=kind)
        if len(inner) != 1:
            raise _MisfitError("must end in a vector, from 'fc' or 'gap'")
        return [Halves(nn.Sequential(*_pooled_first(body)))], (2 * inner[0],)
    body, inner = _chain(text, tokens, shape, closing=kind)
    if len(inner) != 3 or inner[1:] != shape[1:]:
        raise _MisfitError(f"must keep the size of its maps, {shape[1:]}, but ends with {inner}")
    projection = None if inner[0] == shape[0] else nn.Conv2d(shape[0], inner[0], 1)
    return [Skip(nn.Sequential(*_pooled_first(body)), projection)], inner


def _layer(token: str, shape: Shape) -> tuple[list[nn.Module], Shape]:
    for pattern, make in _MAKERS:
        if match := re.fullmatch(pattern, token, re.ASCII):
            return make(shape, *match.groups())
    raise _MisfitError(f"is no layer; known: {_KINDS}")


def _conv(
    shape: Shape, filters: str, kernel: str, valid: str | None
) -> tuple[list[nn.Module], Shape]:
    channels, height, width = _maps(shape)
    size = int(kernel)
    lost = size - 1 if valid else 0
    if min(height, width) <= lost or not size or not int(filters):
        raise _MisfitError(f"does not fit on maps of {height}x{width}")
    result = (int(filters), height - lost, width - lost)
    if valid or size % 2:
        padding = 0 if valid else size // 2
        return [nn.Conv2d(channels, int(filters), size, padding=padding)], result
    before, behind = (size - 1) // 2, size // 2
    frame = nn.ZeroPad2d((before, behind, before, behind))
    return [frame, nn.Conv2d(channels, int(filters), size)], result


def _pool(shape: Shape, kind: str, block: str) -> tuple[list[nn.Module], Shape]:
    channels, height, width = _maps(shape)
    size = int(block)
    if not 1 <= size <= min(height, width):
        raise _MisfitError(f"does not fit on maps of {height}x{width}")
    layer = nn.MaxPool2d(size) if kind == "max" else nn.AvgPool2d(size)
    return [layer], (channels, height // size, width // size)


def _gap(shape: Shape) -> tuple[list[nn.Module], Shape]:
    return [GlobalAveragePooling()], (_maps(shape)[0],)


def _fc(shape: Shape, features: str) -> tuple[list[nn.Module], Shape]:
    if not int(features):
        raise _MisfitError("has no features")
    inputs = 1
    for size in shape:
        inputs *= size
    flatten: list[nn.Module] = [FlattenChannelsLast()] if len(shape) == 3 else []
    return [*flatten, nn.Linear(inputs, int(features))], (int(features),)


def _batch_norm(shape: Shape) -> tuple[list[nn.Module], Shape]:
    return [nn.BatchNorm2d(shape[0]) if len(shape) == 3 else nn.BatchNorm1d(shape[0])], shape


def _dropout(shape: Shape, probability: str) -> tuple[list[nn.Module], Shape]:
    if not float(probability) < 1:
        raise _MisfitError("must drop less than everything")
    return [nn.Dropout(float(probability))], shape


def _maps(shape: Shape) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise _MisfitError("needs maps, but they were flattened before")
    channels, height, width = shape
    return channels, height, width


_MAKERS: tuple[tuple[str, Callable[..., tuple[list[nn.Module], Shape]]], ...] = (
    (r"conv(\d+)k(\d+)(valid)?", _conv),
    (r"(max|avg)(\d+)", _pool),
    (r"gap", _gap),
    (r"fc(\d+)", _fc),
    (r"bn", _batch_norm),
    (r"drop(\d*\.?\d+)", _dropout),
    (r"relu", lambda shape: ([nn.ReLU()], shape)),
    (r"elu", lambda shape: ([nn.ELU()], shape)),
)


def _pooled_first(modules: list[nn.Module]) -> list[nn.Module]:
    ordered = list(modules)
    for i in range(len(ordered) - 1):
        if isinstance(ordered[i], _MONOTONE) and isinstance(ordered[i + 1], nn.MaxPool2d):
            ordered[i], ordered[i + 1] = ordered[i + 1], ordered[i]
    return ordered
