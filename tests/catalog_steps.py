"""One step of training: every network of a catalogue takes it, and all of its weights move."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from experiments import networks
from experiments.augmentation import inputs_of
from experiments.training import train_epoch

if TYPE_CHECKING:
    from experiments.recipe import Recipe


def assert_every_weight_moves(
    recipe: Recipe, image_shape: tuple[int, int, int], classes: int = 10
) -> None:
    """Train on one batch of random images and compare each parameter with its initial value.

    A bias before batch normalisation has no gradient, so that there only weights are compared.
    """
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (4, *image_shape), dtype=torch.uint8, generator=generator)
    labels = torch.randint(classes, (4,), generator=generator)
    network = networks.build(recipe.network, image_shape, recipe.filters, classes)
    networks.initialise(network, recipe.initialisation)
    normalised = any(isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d) for layer in network)
    compared = [p for p in network.parameters() if p.ndim > 1 or not normalised]
    before = [p.detach().clone() for p in compared]
    inputs = inputs_of(recipe, images)
    loss, _ = train_epoch(
        network,
        torch.optim.Adam(network.parameters(), lr=recipe.optimizer.lr),
        inputs.padded(images),
        labels,
        torch.arange(4),
        recipe,
        inputs,
        generator,
    )
    assert math.isfinite(loss)
    assert not any(torch.equal(old, new) for old, new in zip(before, compared, strict=True))
