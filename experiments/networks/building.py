"""From the text that a recipe names its network by to the network itself, and its first weights.

Three choices make the networks fast and change no result:

* Max-pooling comes before ReLU. Both are monotone, so ``relu(max(x)) = max(relu(x))`` and a
  quarter of the ReLUs remain.
* Feature maps are flattened in memory order (channels last). The initial weights of a linear
  layer are independent and identically distributed, so a fixed permutation of its inputs changes
  neither the distribution of the initial network nor the training that follows.
* A line of layers that are all affine is computed as the one affine map that it is
  (:mod:`experiments.networks.affine`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import torch
from torch import nn

from experiments.arguments import as_count, check_text
from experiments.errors import InputError
from experiments.networks import layers, pretrained
from experiments.networks.affine import Affine, is_affine
from experiments.networks.resnet import ResNet18
from experiments.networks.two_layers import LinearTwoConv
from experiments.recipe import Initialisation

_LINES = {
    "two-conv": "conv{f}k{k}valid relu max2 conv{f3}k{k}valid relu max2 fc{classes}",
    "conv-fc": "conv{f}k{k}valid relu fc{classes}",
    "conv-gap": "conv{f}k{k}valid relu gap fc{classes}",
}
"""Those that are a line of layers: for f filters (f3 is three times as many) of k by k."""

_NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "linear-two-conv": LinearTwoConv,
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
        ``resnet-18``, ``resnet-18-7x7`` (:mod:`experiments.networks.resnet`, by their stems), or a
        line of layers that ends with one score for each class (:mod:`experiments.networks.layers`).
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
        If the name is unknown, a layer does not fit, the filters do not belong to the network, the
        shape is not of three numbers, or a number is no integer from 1.
    """
    check_text("a network's name", name)
    classes = as_count(f"network {name!r}: classes", classes)
    if filters is not None:
        filters = as_count(f"network {name!r}: filters", filters)
    if len(image_shape) != 3:
        raise InputError(
            f"network {name!r}: an image has channels, height and width, got {image_shape}"
        )
    for what, size in zip(("channels", "height", "width"), image_shape, strict=True):
        as_count(f"network {name!r}: the {what} of an image", size)
    if name in _LINES or name in _NETWORKS:
        if filters is None:
            raise InputError(f"network {name!r} needs its number of filters")
        channels, size, width = image_shape
        if size != width:
            raise InputError(
                f"network {name!r} takes square images, got {size}x{width}; write a line of layers"
            )
        kernel = 5 if size >= 16 else 2
        if name in _NETWORKS:
            return _NETWORKS[name](channels, size, filters, classes, kernel)
        line = _LINES[name].format(f=filters, f3=3 * filters, k=kernel, classes=classes)
        return layers.build(line, image_shape)[0]
    if not layers.is_line(name):
        known = ", ".join([*_LINES, *_NETWORKS])
        raise InputError(
            f"network {name!r} is unknown; known: {known}, or a line of layers such as "
            "'conv32k5 relu max2 fc10'"
        )
    if filters is not None:
        raise InputError(f"network {name!r} names its own filters; leave the setting out")
    network, scores = layers.build(name, image_shape)
    if scores != (classes,):
        raise InputError(
            f"network {name!r} gives scores of shape {scores}, expected {classes}; "
            f"let it end with fc{classes}"
        )
    return Affine(network, image_shape) if is_affine(network) else network


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
        Where trained weights may lie, as in :func:`experiments.networks.pretrained.find`.

    Raises
    ------
    ValueError
        If the name is unknown, or as :func:`experiments.networks.pretrained.start_from_imagenet`.
    """
    if how not in get_args(Initialisation):
        known = ", ".join(get_args(Initialisation))
        raise InputError(f"initialisation {how!r} is unknown; known: {known}")
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
