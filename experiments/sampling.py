"""Which images a run trains on, and in which order: drawn by streams of the run's seed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from experiments.datasets import Dataset
from experiments.errors import InputError
from experiments.recipe import Recipe

LabelledImages = tuple[UInt8[Tensor, "_n c h w"], Int64[Tensor, " _n"]]
"""As many labels as images; ``_n``, since two sets in one signature need not be equally large."""


def stream_seed(seed: int, purpose: str) -> int:
    """Return the seed of one random stream (``"init"``, ``"order"``) of a run.

    Streams are independent of each other and of the recipe, so runs of one seed share the order
    of the images, and networks of one architecture start from the same weights.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def random_stream(seed: int, purpose: str, device: str = "cpu") -> torch.Generator:
    """Return the generator of one of a run's streams (:func:`stream_seed`)."""
    return torch.Generator(device).manual_seed(stream_seed(seed, purpose))


def orders(
    recipe: Recipe, images: int, generator: torch.Generator
) -> Iterator[Int64[Tensor, " m"]]:
    """Yield for every epoch which of its images it sees, in which order."""
    if recipe.steps is None:
        while True:
            yield torch.randperm(images, generator=generator)
    left = torch.empty(0, dtype=torch.int64)
    needed = recipe.steps * recipe.batch
    while True:
        passes = [left]
        count = len(left)
        while count < needed:
            passes.append(torch.randperm(images, generator=generator))
            count += images
        order, left = torch.cat(passes).split([needed, count - needed])
        yield order


def split(recipe: Recipe, seed: int, data: Dataset) -> tuple[LabelledImages, LabelledImages]:
    """Return the images to train on and those held out, each with their labels.

    Raises
    ------
    ValueError
        If there are not as many images as the recipe asks for.
    """
    images, labels = data.train_images, data.train_labels
    examples = recipe.train_size(len(labels))
    if examples < 1 or examples + recipe.validation > len(labels):
        wanted = "images" if recipe.examples is None else f"{examples} images"
        raise InputError(
            f"recipe {recipe.name!r}: {wanted} to train on and {recipe.validation} held out, but "
            f"{data.name} has {len(labels)} training images"
        )
    if examples == len(labels):
        return (images, labels), (images[:0], labels[:0])
    generator = random_stream(seed, "split")
    drawn = torch.randperm(len(labels), generator=generator)
    kept, held_out = drawn[:examples], drawn[len(drawn) - recipe.validation :]
    return _chosen(images, labels, kept), _chosen(images, labels, held_out)


def _chosen(
    images: UInt8[Tensor, "n c h w"], labels: Int64[Tensor, " n"], indices: Int64[Tensor, " m"]
) -> LabelledImages:
    return images[indices].contiguous(memory_format=torch.channels_last), labels[indices]
