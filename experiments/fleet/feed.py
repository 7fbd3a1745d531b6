"""What the members of a fleet see: which images, in which order, cut and flipped how.

A *view* is one sight of an image, as integers: the image's number and, where images are cut or
flipped, the upper left corner of the cut and whether it is flipped. The views of an epoch are drawn
on the CPU, by the generators that a solo run draws from, and go to the device in one piece; the
images are there already, and are cut there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from experiments.augmentation import inputs_of
from experiments.sampling import orders, random_stream, split
from experiments.training import evaluated_at_once

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jaxtyping import Float, Int64, UInt8
    from torch import Tensor

    from experiments.augmentation import Inputs
    from experiments.datasets import Dataset
    from experiments.recipe import Recipe
    from experiments.sampling import LabelledImages


class Stream:
    """What a seed fixes of its members' sight: the images, their order and their cuts.

    Parameters
    ----------
    recipe, seed
        Whose sight it is.
    kept, held_out
        Numbers of the images to train on, and of those for validation.
    inputs
        What the recipe says about the network's inputs.
    size
        Height and width of the images that are cut, padding included.
    """

    def __init__(
        self,
        recipe: Recipe,
        seed: int,
        kept: Int64[Tensor, " m"],
        held_out: Int64[Tensor, " l"],
        inputs: Inputs,
        size: Sequence[int],
    ) -> None:
        self.kept, self.held_out, self.inputs = kept, held_out, inputs
        self._size = size
        self._batch = recipe.batch
        self._order = orders(recipe, len(kept), random_stream(seed, "order"))
        self._random = random_stream(seed, "augmentation")

    def chosen(
        self, images: UInt8[Tensor, "n c h w"], labels: Int64[Tensor, " n"]
    ) -> LabelledImages:
        """Return the images to train on, with their labels."""
        if len(self.kept) == len(labels):
            return images, labels
        kept = self.kept.to(images.device)
        return images[kept].contiguous(memory_format=torch.channels_last), labels[kept]

    def epoch(self) -> Int64[Tensor, "m v"]:
        """Draw the views of the next epoch, in their order."""
        numbers = self.kept[next(self._order)]
        if self.inputs.crop is None and not self.inputs.flip:
            return numbers[:, None]
        cuts = [
            self.inputs.draw(len(batch), self._size, self._random)
            for batch in numbers.split(self._batch)
        ]
        return torch.cat([numbers[:, None], torch.cat(cuts)], 1)


def streams(
    recipe: Recipe, seeds: Iterable[int], data: Dataset, images: UInt8[Tensor, "n c h w"]
) -> dict[int, Stream]:
    """Return the stream of each seed.

    Parameters
    ----------
    recipe
        Of which all members have their sight in common.
    seeds
        Theirs.
    data
        The data set.
    images
        Its training images, on the device.

    Raises
    ------
    ValueError
        As :func:`experiments.sampling.split` and :func:`experiments.augmentation.inputs_of`.
    """
    numbers = torch.arange(len(images))[:, None, None, None]  # in place of images
    inputs: Inputs | None = None
    found = {}
    for seed in dict.fromkeys(seeds):
        (kept, _), (held_out, _) = split(recipe, seed, replace(data, train_images=numbers))
        kept, held_out = kept.flatten(), held_out.flatten()
        if inputs is None or len(kept) < len(images):  # of all images, statistics are taken once
            measured = kept if recipe.scaling == "standard" else kept[:1]
            inputs = inputs_of(recipe, images[measured.to(images.device)])
        size = inputs.padded(images[:1]).shape[2:]
        found[seed] = Stream(recipe, seed, kept, held_out, inputs, size)
    return found


class Feed:
    """What the members of a fleet see, on the device: in training, in validation and in the test.

    Parameters
    ----------
    recipe
        Of which all members have their sight in common.
    seeds
        The seed of each member.
    data
        The data set.
    device
        Where its images lie.

    Attributes
    ----------
    streams
        The stream of each member; members of one seed have the same.

    Raises
    ------
    ValueError
        As :func:`streams`.
    """

    def __init__(self, recipe: Recipe, seeds: Sequence[int], data: Dataset, device: str) -> None:
        self._recipe, self._data, self._device = recipe, data, device
        self._images, self._labels = data.train_images.to(device), data.train_labels.to(device)
        by_seed = streams(recipe, seeds, data, self._images)
        self.streams = [by_seed[seed] for seed in seeds]
        self._distinct = list(by_seed.values())
        # Members of one seed see the same; where there is but one seed, it is made once.
        self._seen = self.streams if len(by_seed) > 1 else self._distinct

    def draw(self) -> Int64[Tensor, "t m v"]:
        """Draw what the members see in the next epoch."""
        drawn = {stream: stream.epoch() for stream in self._distinct}
        return torch.stack([drawn[stream] for stream in self._seen])

    def training(self, dtype: torch.dtype) -> tuple[Stock, Int64[Tensor, "t m v"]]:
        """Return the images of training, and the views of those held out for validation."""
        inputs = [stream.inputs for stream in self._seen]
        stock = Stock(inputs[0].padded(self._images), self._labels, inputs, dtype)
        held_out = torch.stack([stream.held_out for stream in self._seen])
        return stock, stock.still(held_out.to(self._device))

    def test(self, dtype: torch.dtype) -> tuple[Stock, Int64[Tensor, "t m v"]]:
        """Return the images of the test, and the views of all: once, if members see them alike."""
        inputs = [stream.inputs for stream in self._seen]
        if all(each is inputs[0] for each in inputs) or self._recipe.scaling != "standard":
            inputs = inputs[:1]
        images = self._data.test_images.to(self._device)
        labels = self._data.test_labels.to(self._device)
        stock = Stock(images, labels, inputs, dtype)
        numbers = torch.arange(len(labels), device=self._device).expand(len(inputs), -1)
        return stock, stock.still(numbers)

    def train_set(self, member: int) -> LabelledImages:
        """Return the images that a member trains on, with their labels."""
        return self.streams[member].chosen(self._images, self._labels)


class Stock:
    """Images and labels on the device, from which batches are cut.

    Parameters
    ----------
    images
        Bytes; padded where they are cut at random.
    labels
        Their classes.
    inputs
        How bytes become numbers: one for all members, or one for each.
    dtype
        Of the batches.

    Attributes
    ----------
    at_once
        Images times members that are evaluated at once: as many images as in a solo run.
    """

    def __init__(
        self,
        images: UInt8[Tensor, "n c h w"],
        labels: Int64[Tensor, " n"],
        inputs: Sequence[Inputs],
        dtype: torch.dtype,
    ) -> None:
        self._pixels = images.permute(0, 2, 3, 1).contiguous()
        self._labels = labels
        self._crop, self._resized = inputs[0].crop, inputs[0].resized
        self.at_once = evaluated_at_once(inputs[0], images)
        device, channels = images.device, images.shape[1]
        self._rows, self._columns = (
            torch.arange(self._crop or size, device=device)[:, None] for size in images.shape[2:]
        )
        self._scale, self._shift = (
            torch.cat([torch.as_tensor(x, dtype=dtype).expand(channels, 1, 1) for x in each])
            .flatten()
            .to(device)
            for each in zip(*((each.scale, each.shift) for each in inputs), strict=True)
        )

    def batch(
        self, views: Int64[Tensor, "t b v"]
    ) -> tuple[Float[Tensor, "b channels k l"], Int64[Tensor, "b t"]]:
        """Return the inputs that these views show, channels last in memory, and their classes."""
        number, *cut = views.permute(2, 1, 0).contiguous()  # each (b, t)
        if cut:
            top, left, flipped = (each[:, None] for each in cut)
            columns = left + self._columns
            columns = torch.where(flipped > 0, columns.flip(1), columns)[:, None]
            pixels = self._pixels[number[:, None, None], (top + self._rows)[:, :, None], columns]
        else:
            pixels = self._pixels[number].movedim(1, 3)
        laid_out = pixels.flatten(3).contiguous()
        inputs = laid_out.to(self._scale.dtype).mul_(self._scale).add_(self._shift)
        return self._resized(inputs.permute(0, 3, 1, 2)), self._labels[number]

    def still(self, numbers: Int64[Tensor, "t m"]) -> Int64[Tensor, "t m v"]:
        """Return the views in which images are seen in evaluation: uncut, or their middle."""
        views = [numbers]
        if self._crop is not None:
            corner = [(size - self._crop) // 2 for size in self._pixels.shape[1:3]]
            views += [torch.full_like(numbers, value) for value in (*corner, 0)]
        return torch.stack(views, 2)
