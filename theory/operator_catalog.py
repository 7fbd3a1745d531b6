"""The layers on trial: one of every kind that torch offers, and what `diagnose` says of it.

Nothing is written down here about what the layers do: their verdicts are computed. The element-wise
activations are those that the installed torch has, whichever these are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.modules import activation

from theory.diagnosis import Diagnosis, diagnose

_LINE = (2, 8)
_IMAGE = (4, 4, 4)

_ARGUMENTS: dict[str, tuple[float, ...]] = {"Threshold": (0.5, 0.0)}
"""What an activation needs to be made."""

NOT_ELEMENTWISE = frozenset(
    {"GLU", "LogSoftmax", "MultiheadAttention", "Softmax", "Softmax2d", "Softmin"}
)
"""The classes among torch's activations that look at more than one cell at a time."""


@dataclass(frozen=True)
class OnTrial:
    """A layer on trial.

    Attributes
    ----------
    make : callable
        Makes it, in the mode in which it is tried.
    shape : tuple of int
        Shape of one input, channel first.
    """

    make: Callable[[], nn.Module]
    shape: tuple[int, ...] = _LINE


@dataclass(frozen=True, eq=False)
class Diagnoses:
    """What two diagnoses say of a layer.

    Attributes
    ----------
    circle : Diagnosis
        With shifts that wrap: what it says on linearity, and the period.
    interior : Diagnosis
        With shifts that do not: the border.
    """

    circle: Diagnosis
    interior: Diagnosis


def elementwise_activations() -> dict[str, OnTrial]:
    """Return torch's activations that act on each cell alone, by name, ready to be evaluated.

    Raises
    ------
    LookupError
        If this torch has an activation that cannot be made without arguments that are unknown here.
    """
    layers = {}
    for name in activation.__all__:
        if name in NOT_ELEMENTWISE:
            continue
        make = partial(getattr(activation, name), *_ARGUMENTS.get(name, ()))
        try:
            make()
        except TypeError as error:
            raise LookupError(
                f"torch.nn.{name} is new: say what it needs in _ARGUMENTS or that it is "
                f"NOT_ELEMENTWISE ({error})"
            ) from error
        layers[name] = OnTrial(partial(_evaluating, make))
    return layers


class _Function(nn.Module):
    """A layer without parameters, from a function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class _Residual(nn.Module):
    """x + f(x)."""

    def __init__(self, *branch: nn.Module) -> None:
        super().__init__()
        self.branch = nn.Sequential(*branch)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


class _SqueezeExcite(nn.Module):
    """Each channel times a gate that sees the means of all channels (Hu et al., 2018, §3)."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x.mean(-1))[..., None]


class _Unpooled(nn.Module):
    """Max pooling, undone: the largest value of each block stays where it was."""

    def forward(self, x: Tensor) -> Tensor:
        y, where = nn.functional.max_pool1d_with_indices(x, (2,))
        return nn.functional.max_unpool1d(y, where, (2,))


def _evaluating(make: Callable[..., nn.Module], *arguments: Any, **options: Any) -> nn.Module:
    return make(*arguments, **options).eval()


def _trained(make: Callable[..., nn.Module], *arguments: Any, **options: Any) -> nn.Module:
    """Return a normalisation that has seen data: a fresh one subtracts a mean of 0."""
    layer = _evaluating(make, *arguments, **options)
    layer.get_buffer("running_mean").fill_(0.5)
    return layer


def _conv(**options: Any) -> nn.Module:
    """Return a convolution on two channels."""
    return nn.Conv1d(2, 2, 3, padding=1, bias=False, **options)


def _attention(x: Float[Tensor, "batch channels cells"]) -> Float[Tensor, "batch channels cells"]:
    """Let every cell attend to all cells; nothing says where a cell is."""
    cells = x.transpose(-1, -2)
    return scaled_dot_product_attention(cells, cells, cells).transpose(-1, -2)


_OTHERS: dict[str, dict[str, OnTrial]] = {
    "across cells or channels": {
        "Softmax over cells": OnTrial(partial(nn.Softmax, dim=-1)),
        "Softmax over channels": OnTrial(partial(nn.Softmax, dim=-2)),
        "LogSoftmax over cells": OnTrial(partial(nn.LogSoftmax, dim=-1)),
        "Softmin over cells": OnTrial(partial(nn.Softmin, dim=-1)),
        "GLU over channels": OnTrial(partial(nn.GLU, dim=-2)),
        "attention without positions": OnTrial(partial(_Function, _attention)),
    },
    "pooling": {
        "average, 2 cells": OnTrial(partial(nn.AvgPool1d, 2)),
        "average, 3 cells, stride 1, padded": OnTrial(partial(nn.AvgPool1d, 3, 1, 1)),
        "average, adaptive, to half": OnTrial(partial(nn.AdaptiveAvgPool1d, 4)),
        "average, global": OnTrial(partial(nn.AdaptiveAvgPool1d, 1)),
        "max, 2 cells": OnTrial(partial(nn.MaxPool1d, 2)),
        "max, 3 cells, stride 1, padded": OnTrial(partial(nn.MaxPool1d, 3, 1, 1)),
        "max, adaptive, to half": OnTrial(partial(nn.AdaptiveMaxPool1d, 4)),
        "max, global": OnTrial(partial(nn.AdaptiveMaxPool1d, 1)),
        "max, fractional": OnTrial(partial(nn.FractionalMaxPool2d, 2, output_size=5), (1, 8, 8)),
        "max, 2 cells, undone": OnTrial(_Unpooled),
        "power average, 2 cells": OnTrial(partial(nn.LPPool1d, 2, 2)),
    },
    "padding": {
        "zeros": OnTrial(partial(nn.ZeroPad1d, 1)),
        "a constant": OnTrial(partial(nn.ConstantPad1d, 1, 2.0)),
        "reflection": OnTrial(partial(nn.ReflectionPad1d, 1)),
        "replication": OnTrial(partial(nn.ReplicationPad1d, 1)),
        "circular": OnTrial(partial(nn.CircularPad1d, 1)),
    },
    "convolution": {
        f"padded: {mode}": OnTrial(partial(_conv, padding_mode=mode))
        for mode in ("zeros", "reflect", "replicate", "circular")
    }
    | {
        "stride 2, padded: circular": OnTrial(partial(_conv, padding_mode="circular", stride=2)),
        "transposed, stride 2": OnTrial(partial(nn.ConvTranspose1d, 2, 2, 2, stride=2, bias=False)),
    },
    "up- and down-sampling": {
        "nearest, to twice": OnTrial(partial(nn.Upsample, scale_factor=2)),
        "linear, to twice": OnTrial(partial(nn.Upsample, scale_factor=2, mode="linear")),
        "nearest, to half": OnTrial(partial(nn.Upsample, scale_factor=0.5)),
        "linear, to half": OnTrial(partial(nn.Upsample, scale_factor=0.5, mode="linear")),
        "pixel shuffle": OnTrial(partial(nn.PixelShuffle, 2), _IMAGE),
        "pixel unshuffle": OnTrial(partial(nn.PixelUnshuffle, 2), _IMAGE),
        "channel shuffle": OnTrial(partial(nn.ChannelShuffle, 2), _IMAGE),
    },
    "normalisation": {
        "batch norm, training": OnTrial(partial(nn.BatchNorm1d, 2)),
        "batch norm, evaluating": OnTrial(partial(_trained, nn.BatchNorm1d, 2)),
        "instance norm": OnTrial(partial(nn.InstanceNorm1d, 2)),
        "instance norm with running statistics, evaluating": OnTrial(
            partial(_trained, nn.InstanceNorm1d, 2, track_running_stats=True)
        ),
        "group norm": OnTrial(partial(nn.GroupNorm, 1, 2)),
        "layer norm": OnTrial(partial(nn.LayerNorm, 8)),
        "RMS norm": OnTrial(partial(nn.RMSNorm, 8)),
        "local response norm": OnTrial(partial(nn.LocalResponseNorm, 2)),
    },
    "dropout": {
        f"{kind.__name__}, {mode}": OnTrial(partial(make, kind))
        for kind in (nn.Dropout, nn.Dropout1d, nn.AlphaDropout, nn.FeatureAlphaDropout)
        for mode, make in (("training", lambda kind: kind()), ("evaluating", _evaluating))
    },
    "arrangement and blocks": {
        "identity": OnTrial(nn.Identity),
        "flatten": OnTrial(nn.Flatten),
        "residual of a convolution": OnTrial(lambda: _Residual(_conv(padding_mode="circular"))),
        "residual of a convolution and ReLU": OnTrial(
            lambda: _Residual(_conv(padding_mode="circular"), nn.ReLU())
        ),
        "squeeze-excite": OnTrial(_SqueezeExcite),
    },
}


@cache
def catalog() -> dict[str, dict[str, OnTrial]]:
    """Return the layers on trial, by kind and name.

    Raises
    ------
    LookupError
        As `elementwise_activations`.
    """
    return {"activation": elementwise_activations(), **_OTHERS}


def judge(layer: OnTrial) -> Diagnoses:
    """Diagnose a layer with shifts that wrap, and with shifts that do not.

    Its weights are drawn from a fixed seed, and torch's generator is put back.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        made = layer.make()
    return Diagnoses(diagnose(made, layer.shape), diagnose(made, layer.shape, boundary="interior"))
