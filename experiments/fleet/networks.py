"""A fleet: networks of one architecture, rebuilt as one network that holds them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from experiments.errors import InputError
from experiments.fleet import layers as fused
from experiments.networks import layers, resnet, two_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxtyping import Float
    from torch import Tensor

_CHANNEL_BY_CHANNEL = (nn.ReLU, nn.ELU, nn.MaxPool2d, nn.AvgPool2d, nn.ZeroPad2d)
"""Layers that serve a fleet as they are."""


class Fleet(nn.Module):
    """Networks of one architecture as one.

    Parameters
    ----------
    members
        The networks. The fleet starts from their weights; :meth:`member` gives one its own back.
    streams
        The generator that each member's dropout draws from, on the device of its weights.

    Raises
    ------
    ValueError
        If there is no member, they are not alike, or one has a layer that a fleet cannot hold; the
        message names it.
    """

    def __init__(self, members: Sequence[nn.Module], streams: Sequence[torch.Generator]) -> None:
        super().__init__()
        if not members:
            raise InputError("a fleet needs at least one network")
        if len({repr(member) for member in members}) > 1:
            raise InputError("a fleet needs networks of one architecture, got some that differ")
        self._members = list(members)
        self._spelled_out = [_spelled_out(member) for member in members]
        self.layers = _side_by_side(self._spelled_out, streams)
        self._takes_one_input = _starts_with_convolution(self._spelled_out[0])

    def __len__(self) -> int:
        return len(self._members)

    def forward(self, x: Float[Tensor, "n C h w"], *, common: bool) -> Float[Tensor, "n K classes"]:
        """Return the scores of all members.

        Parameters
        ----------
        x
            The inputs of member after member along the channels, or those that all of them see.
        common
            Whether all of them see the same.
        """
        if common and not self._takes_one_input:
            x = x.repeat(1, len(self), 1, 1)
        return self.layers(x)

    @torch.no_grad()
    def member(self, index: int) -> nn.Module:
        """Return a member's network, once it has the fleet's weights and statistics."""
        state = {name: value[index] for name, value in self.layers.state_dict().items()}
        self._spelled_out[index].load_state_dict(state)
        return self._members[index]


_FUSED: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    nn.Conv2d: fused.Conv2d,
    nn.Linear: fused.Linear,
    nn.BatchNorm1d: fused.BatchNorm,
    nn.BatchNorm2d: fused.BatchNorm,
    layers.FlattenChannelsLast: fused.Flatten,
    layers.GlobalAveragePooling: fused.GlobalAveragePooling,
    two_layers.LinearTwoConv: fused.LinearTwoConv,
}


def _side_by_side(members: Sequence[Any], streams: Sequence[torch.Generator]) -> nn.Module:
    """Return what does for a fleet, layer by layer, what each of these does for itself."""
    first = members[0]
    if isinstance(first, nn.Sequential):
        chain = (_side_by_side(layer, streams) for layer in zip(*members, strict=True))
        return nn.Sequential(*chain)
    if isinstance(first, layers.Halves | layers.Skip):
        body = _side_by_side([member.body for member in members], streams)
        if isinstance(first, layers.Halves):
            return fused.Halves(body)
        projections = [member.projection for member in members]
        return layers.Skip(body, first.projection and _side_by_side(projections, streams))
    if isinstance(first, nn.Dropout):
        return fused.Dropout(first.p, streams)
    if isinstance(first, _CHANNEL_BY_CHANNEL):
        return first
    if type(first) in _FUSED:
        return _FUSED[type(first)](members)
    raise InputError(
        f"a fleet cannot hold {type(first).__name__}, for which it has no layer that keeps its "
        "members apart; train such networks one by one, on the CPU"
    )


def _spelled_out(network: nn.Module) -> nn.Module:
    """Return the network with every module that has a name for a chain of layers as that chain."""
    match network:
        case nn.Sequential():
            chain = list(network)
        case resnet.ResNet18():
            stem = [network.conv1, network.bn1, nn.ReLU(), network.pool]
            chain = [*stem, *network.blocks, layers.GlobalAveragePooling(), network.fc]
        case resnet.BasicBlock():
            body = [network.conv1, network.bn1, nn.ReLU(), network.conv2, network.bn2]
            shortcut = network.downsample if len(network.downsample) else None
            chain = [layers.Skip(nn.Sequential(*body), shortcut), nn.ReLU()]
        case layers.Skip():
            projection = network.projection and _spelled_out(network.projection)
            return layers.Skip(_spelled_out(network.body), projection)
        case layers.Halves():
            return layers.Halves(_spelled_out(network.body))
        case _:
            return network
    return nn.Sequential(*map(_spelled_out, chain))


def _starts_with_convolution(layer: nn.Module) -> bool:
    """Whether a convolution comes first, but for layers that act on each channel by itself."""
    if isinstance(layer, layers.Halves):
        return _starts_with_convolution(layer.body)
    if isinstance(layer, nn.Sequential):
        rest = (part for part in layer if not isinstance(part, _CHANNEL_BY_CHANNEL))
        return _starts_with_convolution(next(rest, nn.Identity()))
    return isinstance(layer, nn.Conv2d | two_layers.LinearTwoConv)
