"""The table of a network, layer by layer: the shapes of its maps and the parameters it has.

Networks live on torch's meta device, where tensors have shapes and no values: the largest of the
reports' networks takes no memory and no time.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import nn

from theory.counts import as_count
from theory.signals import cells_per_axis
from theory.tensors import require_shape

META = torch.device("meta")


def conv(inputs: int, outputs: int, kernel: int, *, padding: int = 0) -> nn.Conv2d:
    """Return a convolution layer without values; sizes as in `torch.nn.Conv2d`.

    Raises
    ------
    TypeError, ValueError
        If a size is not an integer, or too small: the padding may be 0, the others are at least 1.
    """
    inputs, outputs = as_count("inputs", inputs), as_count("outputs", outputs)
    kernel, padding = as_count("kernel", kernel), as_count("padding", padding, 0)
    return nn.Conv2d(inputs, outputs, kernel, padding=padding, device=META)


def linear(inputs: int, outputs: int) -> nn.Linear:
    """Return a fully connected layer without values.

    Raises
    ------
    TypeError, ValueError
        If a size is not an integer, or below 1.
    """
    inputs, outputs = as_count("inputs", inputs), as_count("outputs", outputs)
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

    Raises
    ------
    TypeError, ValueError
        As `conv`.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [conv(inputs, outputs, kernel, padding=padding), nn.ReLU(), nn.MaxPool2d(2)]
    return layers


def layer_counts(network: nn.Module) -> list[int]:
    """Return the number of parameters of each layer that has any, in order.

    Those that a module has beside its layers are counted before them.

    Raises
    ------
    ValueError
        If a layer is lazy, and has not decided on its parameters yet.
    """
    counts = []
    for layer in network.modules():
        own = dict(layer.named_parameters(recurse=False))
        for name, parameter in own.items():
            require_shape(layer, name, parameter)
        counts.append(sum(parameter.numel() for parameter in own.values()))
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
    TypeError, ValueError
        If the shape is not of integers, or one of them is below 1.
    RuntimeError
        From torch, if a layer does not fit what it receives.
    """
    x = torch.empty(1, *cells_per_axis(shape), device=META)
    return [tuple((x := layer(x)).shape[1:]) for layer in layers]
