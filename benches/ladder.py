"""The ladder from the tutorial's loop to the engine's: one choice a rung, the same mathematics."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from benches.tutorial import TutorialImages, TutorialLoop, tutorial_loader, tutorial_network
from experiments import networks
from experiments.augmentation import inputs_of
from experiments.device import seeded
from experiments.training import make_optimizer, train_epoch

if TYPE_CHECKING:
    from jaxtyping import Int64, UInt8

    from experiments.recipe import Recipe


@dataclass(frozen=True)
class Rung:
    """What one rung of the ladder chooses; the first is the tutorial's loop.

    Parameters
    ----------
    resident
        All images lie on the device as one tensor of bytes; otherwise a DataLoader fetches them.
    channels_last
        Memory order of images and weights.
    pool_first
        Max-pooling comes before ReLU, which then has a quarter of the work, and maps are flattened
        in their memory order: `experiments.networks`.
    fused
        The optimiser updates all weights in one kernel.
    bfloat16
        The forward pass is autocast.
    """

    resident: bool = True
    channels_last: bool = True
    pool_first: bool = True
    fused: bool = True
    bfloat16: bool = False


TUTORIAL = Rung(resident=False, channels_last=False, pool_first=False, fused=False)
LADDER = {
    "tutorial loop": TUTORIAL,
    "resident bytes": (resident := replace(TUTORIAL, resident=True)),
    "+ channels last": (channels_last := replace(resident, channels_last=True)),
    "+ pool before ReLU": (pool_first := replace(channels_last, pool_first=True)),
    "+ fused optimiser": (fused := replace(pool_first, fused=True)),
    "+ bfloat16": replace(fused, bfloat16=True),
}


def epoch_of(
    rung: Rung,
    recipe: Recipe,
    images: UInt8[Tensor, "n c h w"],
    labels: Int64[Tensor, " n"],
    device: str,
    *,
    shuffle: bool = True,
) -> Callable[[], float]:
    """Return the call that trains on every image once and returns the mean loss (nats).

    At the first call, all rungs start from the same function.

    Parameters
    ----------
    rung
        How it is done.
    recipe
        What is done: network, initialisation, optimiser, batch and scaling, with no augmentation.
    images, labels
        On the CPU, channels last in memory.
    device
        ``"cpu"`` or ``"cuda"``.
    shuffle
        Whether the images come in a new order each time.
    """
    network = network_of(rung, recipe, images.shape[1:], device)
    optimizer = make_optimizer(recipe.optimizer, network, fused=rung.fused)
    if not rung.resident:
        items = TutorialImages(images, labels, inputs_of(recipe, images))
        loader = tutorial_loader(items, recipe.batch, shuffle=shuffle)
        batches = math.ceil(len(items) / recipe.batch)
        return TutorialLoop(network, optimizer, loader, batches, device)

    pixels = images.to(device, memory_format=_memory_format(rung))
    targets = labels.to(device)
    inputs = inputs_of(recipe, pixels)
    recipe = replace(recipe, precision="bfloat16" if rung.bfloat16 else "float32")
    draws = torch.Generator().manual_seed(0)

    def epoch() -> float:
        n = len(targets)
        order = torch.randperm(n, generator=draws) if shuffle else torch.arange(n)
        return train_epoch(network, optimizer, pixels, targets, order.to(device), recipe, inputs)[0]

    return epoch


def network_of(rung: Rung, recipe: Recipe, image_shape: tuple[int, ...], device: str) -> nn.Module:
    """Return the network of a rung, with the weights of seed 0."""
    channels, height, width = image_shape
    with seeded(0):
        network = networks.build(recipe.network, (channels, height, width), recipe.filters, 10)
        networks.initialise(network, recipe.initialisation)
    if not rung.pool_first:
        network = tutorial_network(network)
    return network.to(device, memory_format=_memory_format(rung))  # type: ignore[call-overload]


def _memory_format(rung: Rung) -> torch.memory_format:
    return torch.channels_last if rung.channels_last else torch.contiguous_format
