"""Layers of a fleet: what one layer does, for K members side by side.

Maps of a fleet have the shape ``(n, K·c, h, w)``, member after member along the channels and
channels last in memory; vectors have the shape ``(n, K, f)``. A convolution over a fleet's maps is
one grouped convolution, a fully-connected layer one batched matrix product. What acts on each
channel by itself, or on each number, serves a fleet as it is. No number of one member ever meets
one of another.

Maps that all members have in common, ``(n, c, h, w)``, may enter a first convolution: it then has
K times the filters and one group, which is faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from experiments.errors import InputError
from experiments.networks import layers, two_layers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float


class _Stacked(nn.Module):
    """A layer that holds the parameters and buffers of its members, stacked along a new axis."""

    _needs: tuple[str, ...] = ("weight", "bias")

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        for name in self._needs:
            if getattr(members[0], name) is None:
                raise InputError(f"a fleet cannot hold {members[0]}: it has no {name}")
        for name, first in members[0].named_parameters(recurse=False):
            stacked = torch.stack([getattr(member, name).detach() for member in members])
            self.register_parameter(name, nn.Parameter(stacked, first.requires_grad))
        for name, _ in members[0].named_buffers(recurse=False):
            self.register_buffer(name, torch.stack([getattr(member, name) for member in members]))


class Conv2d(_Stacked):
    """Cross-correlation of each member's maps with its own filters."""

    weight: Float[Tensor, "K f c k k"]
    bias: Float[Tensor, "K f"] | None
    _needs = ("weight",)

    def __init__(self, members: Sequence[nn.Conv2d]) -> None:
        super().__init__(members)
        first = members[0]
        if first.groups != 1 or first.padding_mode != "zeros":
            raise InputError(f"a fleet cannot hold {first}: it has groups, or no zero padding")
        if first.bias is None:
            self.register_parameter("bias", None)
        self._settings: dict[str, Any] = {
            "stride": first.stride,
            "padding": first.padding,
            "dilation": first.dilation,
        }

    def forward(self, x: Float[Tensor, "n C h w"]) -> Float[Tensor, "n maps h2 w2"]:
        """Return the maps of all members; ``C`` is K·c, or c where they have one input."""
        weight = self.weight.flatten(0, 1)
        bias = None if self.bias is None else self.bias.flatten()
        return F.conv2d(x, weight, bias, groups=x.shape[1] // weight.shape[1], **self._settings)


class Linear(_Stacked):
    """A fully-connected layer of each member's own."""

    weight: Float[Tensor, "K g f"]
    bias: Float[Tensor, "K g"]

    def forward(self, x: Float[Tensor, "n K f"]) -> Float[Tensor, "n K g"]:
        """Return one vector for each image and member."""
        return torch.baddbmm(self.bias[:, None], x.transpose(0, 1), self.weight.mT).transpose(0, 1)


class BatchNorm(_Stacked):
    """Batch normalisation of maps or vectors, with statistics of each member's own."""

    running_mean: Float[Tensor, "K c"]
    running_var: Float[Tensor, "K c"]
    num_batches_tracked: Tensor
    weight: Float[Tensor, "K c"]
    bias: Float[Tensor, "K c"]
    _needs = ("weight", "bias", "running_mean", "running_var", "momentum")

    def __init__(self, members: Sequence[nn.BatchNorm1d | nn.BatchNorm2d]) -> None:
        super().__init__(members)
        self._momentum, self._eps = float(members[0].momentum or 0), members[0].eps

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return maps or vectors, normalised over the images, and over the pixels of maps."""
        if self.training:
            self.num_batches_tracked.add_(1)
        return F.batch_norm(
            x.flatten(1) if x.ndim == 3 else x,
            self.running_mean.flatten(),
            self.running_var.flatten(),
            self.weight.flatten(),
            self.bias.flatten(),
            self.training,
            self._momentum,
            self._eps,
        ).view_as(x)


class Dropout(nn.Module):
    """Dropout by a random stream of each member's own.

    On the CPU a member drops what its solo run drops, bit for bit. On CUDA, where a solo run's
    dropout is drawn by a fused kernel, it is another draw.
    """

    def __init__(self, p: float, streams: Sequence[torch.Generator]) -> None:
        super().__init__()
        self._kept = 1 - p
        self._streams = streams

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return maps or vectors with some numbers set to 0 and the others scaled up."""
        if not self.training:
            return x
        layout = torch.channels_last if x.ndim == 4 else torch.contiguous_format  # drawn in order
        masks = [
            torch.empty_like(own, memory_format=layout).bernoulli_(self._kept, generator=stream)
            for own, stream in zip(x.chunk(len(self._streams), 1), self._streams, strict=True)
        ]
        return x * torch.cat(masks, 1).div_(self._kept)


class Flatten(nn.Module):
    """Each member's maps as a vector, in memory order."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self._members = len(members)

    def forward(self, x: Float[Tensor, "n C h w"]) -> Float[Tensor, "n K features"]:
        """Return one vector for each image and member."""
        by_member = x.permute(0, 2, 3, 1).unflatten(3, (self._members, -1)).movedim(3, 0)
        return by_member.flatten(2).transpose(0, 1)


class GlobalAveragePooling(nn.Module):
    """The average of each channel over its pixels."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self._members = len(members)
        self._average = members[0]

    def forward(self, x: Float[Tensor, "n C h w"]) -> Float[Tensor, "n K c"]:
        """Return one vector for each image and member."""
        return self._average(x).unflatten(1, (self._members, -1))


class Halves(layers.Halves):
    """The same layers on the upper and on the lower half, each member's outputs side by side."""

    def forward(self, x: Float[Tensor, "n C h w"]) -> Float[Tensor, "n K features"]:
        """Return one vector for each image and member, the upper half's first."""
        return torch.cat([self.body(half) for half in x.chunk(2, dim=2)], dim=2)


class LinearTwoConv(nn.Module):
    """Conv – conv – FC as one affine map a member.

    As in :class:`experiments.networks.two_layers.LinearTwoConv`, the rows of each member's FC
    layer go back, as images, through its transposed convolutions.
    """

    def __init__(self, members: Sequence[two_layers.LinearTwoConv]) -> None:
        super().__init__()
        self.conv1 = Conv2d([member.conv1 for member in members])
        self.conv2 = Conv2d([member.conv2 for member in members])
        self.fc = Linear([member.fc for member in members])

    def forward(self, x: Float[Tensor, "n C h w"]) -> Float[Tensor, "n K classes"]:
        """Return the scores; ``C`` is K·c, or c where all members have one input."""
        members, classes, features = self.fc.weight.shape
        maps = self.conv2.weight.shape[1]
        side = round((features // maps) ** 0.5)
        rows = self.fc.weight.view(members, classes, maps, side, side)
        rows = rows.movedim(0, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last)
        offset = self.fc.bias
        for layer in (self.conv2, self.conv1):
            assert layer.bias is not None  # for the type checker: these convolutions have one
            sums = rows.sum((2, 3)).unflatten(1, (members, -1))
            offset = offset + torch.einsum("oki,ki->ko", sums, layer.bias)
            rows = F.conv_transpose2d(rows, layer.weight.flatten(0, 1), groups=members)
        rows = rows.unflatten(1, (members, -1)).movedim(1, 0).flatten(2)
        own = x.unflatten(1, (-1, rows.shape[2] // x[0, 0].numel())).movedim(1, 0).flatten(2)
        return (own @ rows.mT + offset[:, None]).transpose(0, 1)
