"""The networks of report ``nni-2023-ex1``: one or two convolutions, then a linear layer."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from experiments.networks.affine import back_through
from experiments.networks.layers import FlattenChannelsLast, GlobalAveragePooling

_flatten_channels_last = FlattenChannelsLast()


_global_average = GlobalAveragePooling()


class TwoConv(nn.Module):
    """Conv(f, k) – pool – ReLU – conv(3f, k) – pool – ReLU – FC, with no padding.

    With ``k = 5`` on 32x32 colour images it has 3,172 parameters for 3 filters and 46,590 for 20
    (claims ``nni-2023-ex1-q1a-params-3`` and ``-20``).
    """

    def __init__(self, channels: int, size: int, filters: int, classes: int, kernel: int) -> None:
        super().__init__()
        side = ((size - kernel + 1) // 2 - kernel + 1) // 2
        self.conv1 = nn.Conv2d(channels, filters, kernel)
        self.conv2 = nn.Conv2d(filters, 3 * filters, kernel)
        self.fc = nn.Linear(3 * filters * side**2, classes)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """Return the class scores (logits) of a batch."""
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        return self.fc(_flatten_channels_last(x))


class LinearTwoConv(nn.Module):
    """The same layers without ReLU and without pooling: conv – conv – FC.

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


class ConvFC(nn.Module):
    """Conv(f, k) – ReLU – FC on every activation, with no pooling."""

    def __init__(self, channels: int, size: int, filters: int, classes: int, kernel: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, kernel)
        self.fc = nn.Linear(filters * (size - kernel + 1) ** 2, classes)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """Return the class scores (logits) of a batch."""
        return self.fc(_flatten_channels_last(F.relu(self.conv1(x))))


class ConvGAP(nn.Module):
    """Conv(f, k) – ReLU – global average pooling – FC."""

    def __init__(self, channels: int, size: int, filters: int, classes: int, kernel: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, kernel)
        self.fc = nn.Linear(filters, classes)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """Return the class scores (logits) of a batch."""
        return self.fc(_global_average(F.relu(self.conv1(x))))
