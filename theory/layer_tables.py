"""The table of a network, layer by layer: the shapes of its maps and the parameters it has.

Networks live on torch's meta device, where tensors have shapes and no values: the largest of the
reports' networks takes no memory and no time.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import nn

META = torch.device("meta")


def conv(inputs: int, outputs: int, kernel: int, *, padding: int = 0) -> nn.Conv2d:
    """Return a convolution layer without values; sizes as in `torch.nn.Conv2d`."""
    return nn.Conv2d(inputs, outputs, kernel, padding=padding, device=META)


def linear(inputs: int, outputs: int) -> nn.Linear:
    """Return a fully connected layer without values."""
    return nn.Linear(inputs, outputs, device=META)


def pooled_convolutions(*widths: int, kernel: int = 5, padding: int = 2) -> list[nn.Module]:
    """Return convolutions between some widths, each followed by ReLU and a 2x2 max pool.

    Parameters
    ----------
    *widths : int
        Channels of the image, then of each convolution.
    kernel : int, optional
        Side of the kernels, in pixels.
    padding : int, optional
        Rows of zeros at each border.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [conv(inputs, outputs, kernel, padding=padding), nn.ReLU(), nn.MaxPool2d(2)]
    return layers


def layer_counts(network: nn.Module) -> list[int]:
    """Return the number of parameters of each layer that has any, in order."""
    layers = (layer for layer in network.modules() if not list(layer.children()))
    counts = [sum(parameter.numel() for parameter in layer.parameters()) for layer in layers]
    return [count for count in counts if count]


def shapes(layers: Iterable[nn.Module], *shape: int) -> list[tuple[int, ...]]:
    """Return the shape of what each of some layers puts out, without the batch axis.

    Parameters
    ----------
    layers : iterable of torch.nn.Module
        Layers on the meta device, in the order in which they are applied.
    *shape : int
        Channels, rows and columns of the image.

    Raises
    ------
    RuntimeError
        From torch, if a layer does not fit what it receives.
    """
    x = torch.empty(1, *shape, device=META)
    return [tuple((x := layer(x)).shape[1:]) for layer in layers]
