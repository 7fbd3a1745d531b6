"""The networks of the reports: some by name, the rest as lines of layers.

Two choices make them fast and change no result:

* Max-pooling comes before ReLU. Both are monotone, so ``relu(max(x)) = max(relu(x))`` and a
  quarter of the ReLUs remain.
* Feature maps are flattened in memory order (channels last). The initial weights of a linear
  layer are independent and identically distributed, so a fixed permutation of its inputs changes
  neither the distribution of the initial network nor the training that follows.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from experiments import layers, pretrained
from experiments.errors import InputError
from experiments.layers import FlattenChannelsLast, GlobalAveragePooling
from experiments.recipe import Initialisation
from experiments.resnet import ResNet18

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

    Such a network is one affine map ``x -> A x + b``. ``A`` is found by sending the FC layer's
    rows, as images, back through the transposed convolutions: that costs ``classes`` images a
    step instead of a batch through the layers, and gives the same scores and gradients.
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
            assert layer.bias is not None  # for the type checker: Conv2d has one by default
            offset = offset + rows.sum((2, 3)) @ layer.bias
            rows = F.conv_transpose2d(rows, layer.weight)
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


_NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "two-conv": TwoConv,
    "linear-two-conv": LinearTwoConv,
    "conv-fc": ConvFC,
    "conv-gap": ConvGAP,
    "resnet-18": lambda channels, size, filters, classes, kernel: ResNet18(
        channels, filters, classes, "3x3"
    ),
    "resnet-18-7x7": lambda channels, size, filters, classes, kernel: ResNet18(
        channels, filters, classes, "7x7"
    ),
}


def build(
    name: str, image_shape: tuple[int, int, int], filters: int | None, classes: int
) -> nn.Module:
    """Build a network, with PyTorch's default initialisation.

    The kernel of a named network is 5x5; on images smaller than 16 pixels it is 2x2, so that two
    stages fit on 8x8. Those of a ResNet are the same on all.

    Parameters
    ----------
    name
        One of ``two-conv``, ``linear-two-conv``, ``conv-fc``, ``conv-gap`` (for square images),
        ``resnet-18``, ``resnet-18-7x7`` (:mod:`experiments.resnet`, by their stems), or a line of
        layers that ends with one score for each class (:mod:`experiments.layers`).
    image_shape
        ``(channels, height, width)`` of one image.
    filters
        Number of filters of the first convolution of a named network, from which the others follow;
        None for a line of layers.
    classes
        Number of scores.

    Raises
    ------
    ValueError
        If the name is unknown, a layer does not fit, or the filters do not belong to the network.
    """
    if name in _NETWORKS:
        if filters is None:
            raise InputError(f"network {name!r} needs its number of filters")
        channels, size, width = image_shape
        if size != width:
            raise InputError(
                f"network {name!r} takes square images, got {size}x{width}; write a line of layers"
            )
        return _NETWORKS[name](channels, size, filters, classes, kernel=5 if size >= 16 else 2)
    if not layers.is_line(name):
        raise InputError(
            f"network {name!r} is unknown; known: {', '.join(_NETWORKS)}, or a line of layers "
            "such as 'conv32k5 relu max2 fc10'"
        )
    if filters is not None:
        raise InputError(f"network {name!r} names its own filters; leave the setting out")
    network, scores = layers.build(name, image_shape)
    if scores != (classes,):
        raise InputError(
            f"network {name!r} gives scores of shape {scores}, expected {classes}; "
            f"let it end with fc{classes}"
        )
    return network


@torch.no_grad()
def initialise(network: nn.Module, how: Initialisation, data_root: Path | None = None) -> None:
    """Draw the weights of convolutions and linear layers anew, or take trained ones.

    Parameters
    ----------
    network
        Changed in place; as it is for ``"pytorch"``. Draws come from PyTorch's global generator.
    how
        As in :class:`experiments.recipe.Recipe`. Sources: He et al., "Delving deep into
        rectifiers" (2015); TensorFlow's tutorial "Deep MNIST for experts".
    data_root
        Where trained weights may lie, as in :func:`experiments.pretrained.find`.

    Raises
    ------
    ValueError
        As :func:`experiments.pretrained.start_from_imagenet`, if that is asked for.
    """
    if how == "imagenet":
        pretrained.start_from_imagenet(network, data_root)
    if how in ("imagenet", "pytorch"):
        return
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            if how == "kaiming-uniform":
                nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
            else:
                nn.init.trunc_normal_(layer.weight, std=0.1, a=-0.2, b=0.2)
                if layer.bias is not None:
                    nn.init.constant_(layer.bias, 0.1)
