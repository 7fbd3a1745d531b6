"""Batches: a gather of rows of bytes, some mirrored, and halves of them.

Images stay bytes, a quarter of what floats would be to fetch. Nothing is prepared before the first
step: a second copy of all images, mirrored or halved, takes a second to write, which is longer than
mirroring and halving the batches of a few epochs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float, Int64, UInt8
    from torch import Tensor


class Pixels:
    """Images, ready to be gathered.

    Parameters
    ----------
    images
        Bytes, channels last in memory.
    mean
        Mean of each channel, which becomes zero.
    """

    def __init__(self, images: UInt8[Tensor, "n c h w"], mean: Float[Tensor, " c"]) -> None:
        pixels = images.permute(0, 2, 3, 1)
        _, *self._shape = pixels.shape
        self._rows = pixels.flatten(1)
        height, width, _ = self._shape
        self._mean = mean.repeat(height * width)

    def batch(
        self, upright: Int64[Tensor, " u"], mirrored: Int64[Tensor, " m"]
    ) -> Float[Tensor, "u+m c h w"]:
        """Return some images less their mean, and after them others that are mirrored."""
        rows = self._rows.index_select(0, torch.cat([upright, mirrored]))
        batch = rows.float().sub_(self._mean).unflatten(1, self._shape)
        batch[len(upright) :] = batch[len(upright) :].flip(2)
        return batch.permute(0, 3, 1, 2)


def channel_means(images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, " c"]:
    """Return the mean byte of each channel."""
    return images.double().mean((0, 2, 3)).float()


def halved(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h/2 w/2"]:
    """Return images of half the size, each pixel the mean of four; channels last, as they are.

    Sums of whole rows, several times as fast as a pooling of three channels.
    """
    n, c, h, w = images.shape
    rows = images.permute(0, 2, 3, 1).reshape(n, h // 2, 2, w * c)
    pairs = (rows[:, :, 0] + rows[:, :, 1]).view(n, h // 2, w // 2, 2, c)
    return (pairs[:, :, :, 0] + pairs[:, :, :, 1]).mul_(0.25).permute(0, 3, 1, 2)
