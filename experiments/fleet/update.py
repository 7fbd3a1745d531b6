"""The optimisers' update rules, with settings of each member's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float

    from experiments.recipe import Optimizer

_BETAS = 0.9, 0.999
_EPSILON = 1e-8


class UpdateRule:
    """One step of SGD, with or without momentum, or of Adam, for all members at once.

    All that a step needs lies on the device and changes in place, step count and learning rates
    included, so a step can be captured as a CUDA graph.

    Parameters
    ----------
    parameters
        Each of shape ``(K, ...)``.
    settings
        Of each member; the name is the same for all. SGD without momentum is momentum 0.

    References
    ----------
    Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1.
    """

    def __init__(self, parameters: Sequence[Tensor], settings: Sequence[Optimizer]) -> None:
        self._parameters = list(parameters)
        self._settings = settings
        self._sizes = [parameter[0].numel() for parameter in parameters]
        self._lr = self._column([each.lr for each in settings])
        self._decay = self._column([each.weight_decay for each in settings])
        self._decays = any(each.weight_decay for each in settings)
        self._momentum = self._column([each.momentum for each in settings])
        averages = 2 if settings[0].name == "adam" else any(each.momentum for each in settings)
        self._averages = [torch.zeros_like(_rows(parameters)) for _ in range(averages)]
        self._steps = torch.zeros((), dtype=torch.float64, device=self._lr.device)

    def begin(self, epoch: int, epochs: int) -> None:
        """Set each member's learning rate for an epoch (from 1) of a run of ``epochs``."""
        self._lr.copy_(self._column([each.lr_at(epoch, epochs) for each in self._settings]))

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        """Move the parameters by these gradients of the members' losses."""
        gradient = _rows(gradients)
        if self._decays:
            gradient.addcmul_(_rows(self._parameters), self._decay)
        adam = self._settings[0].name == "adam"
        update = (self._adam(gradient) if adam else self._sgd(gradient)) * self._lr
        for parameter, change in zip(self._parameters, update.split(self._sizes, 1), strict=True):
            parameter.sub_(change.view_as(parameter))

    def _sgd(self, gradient: Float[Tensor, "K p"]) -> Float[Tensor, "K p"]:
        for velocity in self._averages:
            gradient = velocity.mul_(self._momentum).add_(gradient)
        return gradient

    def _adam(self, gradient: Float[Tensor, "K p"]) -> Float[Tensor, "K p"]:
        first, second = self._averages
        self._steps += 1
        first.lerp_(gradient, 1 - _BETAS[0])
        second.mul_(_BETAS[1]).addcmul_(gradient, gradient, value=1 - _BETAS[1])
        bias = [(1 - beta**self._steps).to(gradient.dtype) for beta in _BETAS]
        return (first / bias[0]).div_((second / bias[1]).sqrt_().add_(_EPSILON))

    def _column(self, values: Sequence[float]) -> Float[Tensor, "K 1"]:
        like = self._parameters[0]
        return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None]


def _rows(tensors: Sequence[Tensor]) -> Float[Tensor, "K p"]:
    """Return one row a member, with all its numbers."""
    return torch.cat([tensor.detach().flatten(1) for tensor in tensors], 1)
