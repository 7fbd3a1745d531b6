"""Images as rows of bytes, each in both hands: one gather makes a batch, flipped or not.

A byte is a quarter of a float, and what the gather copies is half of the time it takes to make a
batch; flipped once for all, no image is flipped again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int64, UInt8
    from torch import Tensor

_CHUNK = 5000
"""Images halved at a time: as floats they take four times their bytes."""


class BothHands:
    """Images and their mirror images, ready to be gathered.

    Parameters
    ----------
    images
        Bytes, channels last in memory.
    mean
        Mean of each channel, which becomes zero.
    """

    def __init__(self, images: UInt8[Tensor, "n c h w"], mean: Float[Tensor, " c"]) -> None:
        pixels = images.permute(0, 2, 3, 1)
        self._count, *self._shape = pixels.shape
        self._rows = torch.cat([pixels, pixels.flip(2)]).flatten(1)
        height, width, _ = self._shape
        self._mean = mean.repeat(height * width)

    def batch(
        self, indices: Int64[Tensor, " b"], mirrored: Bool[Tensor, " b"]
    ) -> Float[Tensor, "b c h w"]:
        """Return some images less their mean, those mirrored that are said to be."""
        rows = self._rows.index_select(0, indices + self._count * mirrored)
        return rows.float().sub_(self._mean).unflatten(1, self._shape).permute(0, 3, 1, 2)


def channel_means(images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, " c"]:
    """Return the mean byte of each channel."""
    return images.double().mean((0, 2, 3)).float()


def halved(images: UInt8[Tensor, "n c h w"]) -> UInt8[Tensor, "n c h/2 w/2"]:
    """Return images of half the size, each pixel the rounded mean of four."""
    small = [F.avg_pool2d(part.float(), 2).round().to(torch.uint8) for part in images.split(_CHUNK)]
    return torch.cat(small).contiguous(memory_format=torch.channels_last)
