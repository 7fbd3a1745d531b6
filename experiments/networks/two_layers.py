"""Two convolutions and a linear layer with nothing between: the affine network of the reports."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from experiments.networks.affine import back_through


class LinearTwoConv(nn.Module):
    """Conv(f, k) – conv(3f, k) – FC, with neither padding nor pooling nor ReLU.

    Such a network is one affine map, and computed as one: the FC layer's rows go back, as images,
    through the transposed convolutions (:mod:`experiments.networks.affine`).
    """

    def __init__(self, channels: int, size: int, filters: int, classes: int, kernel: int) -> None:
        super().__init__()
        self._maps = (classes, 3 * filters, size - 2 * (kernel - 1), size - 2 * (kernel - 1))
        self.conv1 = nn.Conv2d(channels, filters, kernel)
        self.conv2 = nn.Conv2d(filters, 3 * filters, kernel)
        self.fc = nn.Linear(3 * filters * self._maps[2] * self._maps[3], classes)

    def layer_by_layer(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """Return the scores as the definition computes them; the reference for ``forward``."""
        return self.fc(self.conv2(self.conv1(x)).flatten(1))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """Return the class scores (logits) of a batch."""
        rows = self.fc.weight.view(self._maps).contiguous(memory_format=torch.channels_last)
        offset: Tensor = self.fc.bias
        for layer in (self.conv2, self.conv1):
            rows, offset = back_through(layer, rows, offset)
        return F.linear(x.flatten(1), rows.flatten(1), offset)
