"""The reports' networks that benches train, with images to train them on and what a step costs.

The time does not depend on the pixels: without ``CONVLAWS_DATA`` they are random.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benches.ladder import LADDER, network_of
from experiments import catalog, datasets
from experiments.fleet import Member

if TYPE_CHECKING:
    from jaxtyping import Int64, UInt8

    from experiments.recipe import Recipe

    Labelled = tuple[UInt8[Tensor, "n c h w"], Int64[Tensor, " n"], str]


def _recipe(study: str, role: str, completion: str) -> Recipe:
    return catalog.study(study).recipe(role, completion)


NETWORKS = {
    "3-filters": _recipe("nni-2023-ex1", "filters-3-lr-0.01", "sgd-momentum"),
    "20-filters": _recipe("nni-2023-ex1", "filters-20-lr-0.001", "sgd-momentum"),
    "assignment-3": _recipe("assignment-3", "task-2", "sgd"),
    "batch-norm": _recipe("assignment-3", "batch-norm", "sgd"),
    "tp1-cnn": _recipe("tp1-cnn", "baseline", "sgd"),
    "mnist-2017": _recipe("mnist-2017", "baseline", "20000"),
}
"""How each is trained."""

BATCHES = {
    "3-filters": 8,
    "20-filters": 4,
    "assignment-3": 2,
    "batch-norm": 2,
    "tp1-cnn": 2,
    "mnist-2017": 2,
}
"""How many are a twentieth to a fifth of a second of the tutorial's loop."""


def training_images(recipe: Recipe, n: int, *, real: bool = True) -> Labelled:
    """Return images, channels last in memory, labels, and where they come from.

    Parameters
    ----------
    recipe
        Whose data set they are of.
    n
        How many.
    real
        Whether to take those of the data set if ``CONVLAWS_DATA`` names a folder; else random bytes
        of their shape.
    """
    if real and os.environ.get(datasets.DATA_VARIABLE):
        data = datasets.load(recipe.dataset)
        return data.train_images[:n], data.train_labels[:n], recipe.dataset
    size, channels = (28, 1) if recipe.dataset == "mnist" else (32, 3)
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (n, size, size, channels), dtype=torch.uint8, generator=rng)
    labels = torch.randint(10, (n,), generator=rng)
    return pixels.permute(0, 3, 1, 2), labels, "random bytes"


def training_bytes(recipe: Recipe) -> int:
    """Return how many bytes an image and its label are, as they lie in memory."""
    images, labels, _ = training_images(recipe, 1, real=False)
    return images.nbytes + labels.nbytes


def members_of_rates(recipe: Recipe, size: int) -> list[Member]:
    """Return so many members of one seed: the recipe's learning rate, a half of it, a third, …."""
    optimizer = recipe.optimizer
    rates = (optimizer.lr / (1 + index) for index in range(size))
    return [Member(replace(recipe, optimizer=replace(optimizer, lr=rate)), 0) for rate in rates]


@cache
def engine_network(network: str) -> nn.Module:
    """Return a network as the engine builds it, on the CPU and in evaluation mode."""
    recipe = NETWORKS[network]
    shape = training_images(recipe, 1, real=False)[0].shape[1:]
    return network_of(LADDER["+ fused optimiser"], recipe, shape, "cpu").eval()


@cache
def flops_per_image(network: str) -> int:
    """Return the floating-point operations, forward and backward, of convolutions and products."""
    shape = training_images(NETWORKS[network], 1, real=False)[0].shape
    with FlopCounterMode(display=False) as counter:
        engine_network(network)(torch.zeros(shape)).sum().backward()
    return counter.get_total_flops()
