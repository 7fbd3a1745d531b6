"""What a network sees of an image: its bytes scaled, in training also cropped and flipped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from experiments.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, Int64, UInt8
    from torch import Tensor

    from experiments.recipe import Recipe


@dataclass(frozen=True)
class Inputs:
    """The way from a byte image to a network's input.

    Parameters
    ----------
    scale, shift
        A byte ``b`` of a channel becomes ``b * scale + shift``; numbers, or tensors of shape
        ``(channels, 1, 1)``. The default maps 0…255 to [-1, 1].
    crop
        Side of the square that is cut out, at random in training and in the middle in evaluation;
        None leaves the size as it is.
    padding
        Black pixels laid around the image before the random crop.
    flip
        Whether a training image is flipped left to right every other time.
    resize
        Side that the images are brought to in the end, with bilinear interpolation; None leaves
        their size as it is.
    """

    scale: float | Float[Tensor, "c 1 1"] = 1 / 127.5
    shift: float | Float[Tensor, "c 1 1"] = -1.0
    crop: int | None = None
    padding: int = 0
    flip: bool = False
    resize: int | None = None

    def side(self, size: int) -> int:
        """Return how many pixels of an image's height or width the network sees."""
        return self.resize or self.crop or size

    def fitting(self, count: int, images: UInt8[Tensor, "n c h w"]) -> int:
        """Return how many of these, resized, take no more room than ``count`` as they are."""
        if self.resize is None:
            return count
        height, width = images.shape[2:]
        return max(1, min(count, count * height * width // self.resize**2))

    def training(
        self,
        images: UInt8[Tensor, "n c h w"],
        indices: Int64[Tensor, " b"],
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "b c k k"]:
        """Return the images that ``indices`` names, each in a random version of its own.

        Parameters
        ----------
        images
            Bytes; padded already (:meth:`padded`).
        indices
            Which of them.
        generator
            CPU generator of the random numbers; needed where something is random.
        """
        if self.crop is None and not self.flip:
            return self.resized(self._scaled(images[indices]))
        height, width = images.shape[2:]
        top, left, flipped = self.draw(len(indices), (height, width), generator).split(1, dim=1)
        rows = top + torch.arange(self.crop or height)
        columns = left + torch.arange(self.crop or width)
        if self.flip:
            columns = torch.where(flipped > 0, columns.flip(1), columns)
        device = images.device
        pixels = images.permute(0, 2, 3, 1)[  # one gather, channels last
            indices[:, None, None],
            rows.to(device, non_blocking=True)[:, :, None],
            columns.to(device, non_blocking=True)[:, None, :],
        ]
        return self.resized(self._scaled(pixels.permute(0, 3, 1, 2)))

    def draw(
        self, count: int, size: Sequence[int], generator: torch.Generator | None
    ) -> Int64[Tensor, "b 3"]:
        """Draw for each of some images the upper left corner of its cut, and whether it is flipped.

        Parameters
        ----------
        count
            How many images.
        size
            Their height and width, padding included.
        generator
            As in :meth:`training`.
        """
        corners = [
            torch.randint(cells - (self.crop or cells) + 1, (count, 1), generator=generator)
            for cells in size
        ]
        flipped = torch.zeros(count, 1, dtype=torch.int64)
        if self.flip:
            flipped = (torch.rand(count, 1, generator=generator) < 0.5).long()
        return torch.cat([*corners, flipped], 1)

    def evaluation(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n c k l"]:
        """Return images in their one version for evaluation; they are not padded."""
        if self.crop is not None:
            top, left = ((size - self.crop) // 2 for size in images.shape[2:])
            images = images[:, :, top : top + self.crop, left : left + self.crop]
        return self.resized(self._scaled(images))

    def padded(self, images: UInt8[Tensor, "n c h w"]) -> UInt8[Tensor, "n c padded_h padded_w"]:
        """Return training images with the black frame that the random crops need."""
        if not self.padding:
            return images
        return torch.nn.functional.pad(images, [self.padding] * 4).contiguous(
            memory_format=torch.channels_last
        )

    def resized(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c k l"]:
        """Return scaled images in the size that the network sees."""
        if self.resize is None:
            return x
        size = (self.resize, self.resize)
        larger = torch.nn.functional.interpolate(x, size, mode="bilinear", antialias=True)
        return larger.contiguous(memory_format=torch.channels_last)

    def _scaled(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return images.float().mul_(self.scale).add_(self.shift)


def inputs_of(recipe: Recipe, train_images: UInt8[Tensor, "n c h w"]) -> Inputs:
    """Return what a recipe says about its inputs; statistics are taken of ``train_images``.

    Raises
    ------
    ValueError
        If the crop is larger than the images, or they are padded but not square.
    """
    inputs = replace(_scaling(recipe, train_images), resize=recipe.resize)
    height, size = train_images.shape[2:]
    for step in recipe.augmentation.split():
        if step == "flip":
            inputs = replace(inputs, flip=True)
        elif step.startswith("pad"):
            if height != size:
                raise InputError(
                    f"recipe {recipe.name!r}: padded crops are of square images, "
                    f"got {height}x{size}; leave the padding out"
                )
            inputs = replace(inputs, crop=size, padding=int(step.removeprefix("pad")))
        else:
            side = int(step.removeprefix("crop"))
            if side > min(height, size):
                raise InputError(
                    f"recipe {recipe.name!r}: a crop of {side} pixels does not fit in images of "
                    f"{height}x{size}"
                )
            inputs = replace(inputs, crop=side)
    return inputs


def _scaling(recipe: Recipe, images: UInt8[Tensor, "n c h w"]) -> Inputs:
    if recipe.scaling == "symmetric":
        return Inputs()
    if recipe.scaling == "unit":
        return Inputs(1 / 255, 0.0)
    levels = torch.arange(256, dtype=torch.float64)
    counts = torch.stack(
        [torch.bincount(channel.flatten(), minlength=256) for channel in images.cpu().unbind(1)]
    ).double()
    shares = counts / counts.sum(1, keepdim=True)
    mean = shares @ levels
    variance = ((levels - mean[:, None]) ** 2 * shares).sum(1)
    if not bool((variance > 0).all()):
        raise InputError(
            f"recipe {recipe.name!r}: a channel of the training images is constant and cannot be "
            "brought to standard deviation 1"
        )
    deviation = variance.sqrt()
    scale, shift = (
        values.float()[:, None, None].to(images.device)
        for values in (1 / deviation, -mean / deviation)
    )
    return Inputs(scale, shift)
