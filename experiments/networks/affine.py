"""A network of affine layers, computed as the one affine map that it is.

``x -> A x + b`` has one row of ``A`` for each class. Sent back as images through the transposed
layers, the rows cost as many images a step as there are classes, whatever the batch, and give the
same scores and the same gradients as the batch sent forward through the layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from experiments.networks.layers import FlattenChannelsLast, Skip

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jaxtyping import Float

    from experiments.networks.layers import Shape

_KNOWN = (nn.Conv2d, nn.Linear, nn.AvgPool2d, FlattenChannelsLast)


def is_affine(layers: Iterable[nn.Module]) -> bool:
    """Whether :func:`back_through` knows each of these layers."""

    def known(layer: nn.Module) -> bool:
        match layer:
            case Skip(body=nn.Sequential() as body):
                return is_affine(body)
            case _:
                return isinstance(layer, _KNOWN)

    return all(map(known, layers))


class Affine(nn.Sequential):
    """Affine layers in a row, from images to class scores.

    Parameters
    ----------
    layers
        Layers that :func:`is_affine`; the last one gives a score for each class.
    image_shape
        ``(channels, height, width)`` of one image.
    """

    def __init__(self, layers: Iterable[nn.Module], image_shape: Shape) -> None:
        super().__init__(*layers)
        self._shapes: list[Shape] = []
        x = torch.zeros(1, *image_shape)
        with torch.no_grad():
            for layer in self:
                self._shapes.append(tuple(x.shape[1:]))
                x = layer(x)
        self._classes = x.shape[1]

    def layer_by_layer(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """Return the scores as the definition computes them; the reference for ``forward``."""
        return super().forward(x)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """Return the class scores (logits) of a batch."""
        rows = torch.eye(self._classes, dtype=x.dtype, device=x.device)
        offset = rows.new_zeros(self._classes)
        for layer, shape in zip(reversed(self), reversed(self._shapes), strict=True):
            rows, offset = back_through(layer, rows, offset, shape)
        return F.linear(x.flatten(1), rows.flatten(1), offset)


def back_through(
    layer: nn.Module, rows: Tensor, offset: Float[Tensor, " classes"], shape: Shape = ()
) -> tuple[Tensor, Float[Tensor, " classes"]]:
    """Turn an affine map of a layer's outputs into the map of its inputs.

    Parameters
    ----------
    layer
        ``y = L x + c``, a convolution of stride 1 for one, of a kind that :func:`is_affine`.
    rows
        The map's matrix, a row of the shape of one output for each class.
    offset
        What the map adds to each score.
    shape
        Of one input; needed where the outputs do not tell it, by averages and flattening.

    Returns
    -------
    tuple
        ``rows L``, each row of the shape of one input, and ``rows c + offset``.

    Raises
    ------
    TypeError
        If the layer is of another kind.
    """
    match layer:
        case nn.Linear():
            return rows @ layer.weight, offset + rows @ layer.bias
        case nn.Conv2d():
            assert layer.bias is not None  # for the type checker: Conv2d has one by default
            assert not isinstance(layer.padding, str)
            offset = offset + rows.sum((2, 3)) @ layer.bias
            return F.conv_transpose2d(rows, layer.weight, padding=layer.padding), offset
        case nn.AvgPool2d(kernel_size=int(size)):
            spread = rows.repeat_interleave(size, 2).repeat_interleave(size, 3) / size**2
            height, width = spread.shape[2:]
            return F.pad(spread, (0, shape[2] - width, 0, shape[1] - height)), offset
        case FlattenChannelsLast():
            channels, height, width = shape
            return rows.view(-1, height, width, channels).permute(0, 3, 1, 2), offset
        case Skip(body=nn.Sequential() as body):
            inside = rows
            for part in reversed(body):  # its layers keep the size of their maps
                inside, offset = back_through(part, inside, offset, shape)
            if layer.projection is not None:
                rows, offset = back_through(layer.projection, rows, offset, shape)
            return rows + inside, offset
        case _:
            raise TypeError(f"{type(layer).__name__} is not known to be affine")
