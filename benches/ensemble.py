"""Many networks by `torch.func.vmap`: what one would write, and what fleets are held against.

The parameters of all networks are stacked, the gradient of one network's loss is mapped over them,
and the update is written out, for an optimiser holds one network's weights. The network is eager
float32 in the order and layout of PyTorch's tutorials (`benches.tutorial`).

Source: "Model ensembling", PyTorch's tutorials.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn import functional as F  # noqa: N812

from benches.tutorial import tutorial_network
from experiments.augmentation import inputs_of
from experiments.training import initialised

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, Int64

    from experiments.datasets import Dataset
    from experiments.fleet import Member


class Ensemble:
    """Networks of one seed that differ in their learning rate and see the same images.

    Parameters
    ----------
    members
        What is trained, by SGD without weight decay.
    data
        Where the images come from.
    device
        ``"cpu"`` or ``"cuda"``.
    """

    def __init__(self, members: Sequence[Member], data: Dataset, device: str) -> None:
        recipe = members[0].recipe
        inputs = inputs_of(recipe, data.train_images)
        made = (initialised(recipe, member.seed, inputs, data) for member in members)
        networks = [
            tutorial_network(each).to(device, memory_format=torch.contiguous_format)  # type: ignore[call-overload]
            for each in made
        ]
        self._network = networks[0]
        self._weights, _ = stack_module_state(networks)
        self._momenta = {name: torch.zeros_like(each) for name, each in self._weights.items()}
        self._momentum, self._batch, self._inputs = recipe.optimizer.momentum, recipe.batch, inputs
        self._rates = torch.tensor([each.recipe.optimizer.lr for each in members], device=device)
        self._images = data.train_images.to(device, memory_format=torch.contiguous_format)
        self._labels = data.train_labels.to(device)

    def train_on(self, order: Int64[Tensor, " m"]) -> Float[Tensor, " members"]:
        """Train on the images that ``order`` names, in batches; return the members' mean losses."""
        batches = order.split(self._batch)
        total = torch.zeros_like(self._rates)
        for indices in batches:
            images = self._inputs.training(self._images, indices, None)
            total += self._step(images, self._labels[indices])
        return total / len(batches)

    @torch.no_grad()
    def _step(
        self, images: Float[Tensor, "b c h w"], labels: Int64[Tensor, " b"]
    ) -> Float[Tensor, " members"]:
        gradients, losses = vmap(grad_and_value(self._loss), in_dims=(0, None, None))(
            self._weights, images, labels
        )
        for name, weights in self._weights.items():
            momentum = self._momenta[name].mul_(self._momentum).add_(gradients[name])
            weights -= self._rates.view(-1, *[1] * (weights.ndim - 1)) * momentum
        return losses

    def _loss(
        self,
        weights: dict[str, Tensor],
        images: Float[Tensor, "b c h w"],
        labels: Int64[Tensor, " b"],
    ) -> Float[Tensor, ""]:
        return F.cross_entropy(functional_call(self._network, weights, (images,)), labels)
