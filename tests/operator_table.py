"""What each of many operators is, derived by hand: the table that `diagnose` is held against.

Every operator is made for a shape, with weights that are small integers, so that the same truth
holds in single and in double precision. ``circle`` is the period on every axis under the circular
boundary; ``interior`` is (period, border) on every axis in the interior, or None where no border
leaves cells that follow. Where axes differ, a tuple with an entry for each axis is given.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.ndimage
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from theory import Finding

Shape = tuple[int, ...]
Followed = tuple[int, int] | None
"""Period and border."""

LINE = ((8,), (12,))
CHANNELS_LINE = ((2, 8), (2, 12))
IMAGES = ((2, 8, 8), (2, 8, 12))
VOLUMES = ((1, 6, 6, 6), (1, 4, 6, 8))
EVEN = ((8,), (2, 4, 6))
"""Shapes for what acts on each cell alone."""


@dataclass(frozen=True)
class Row:
    """The truth on one operator.

    Attributes
    ----------
    make : callable
        Makes the operator for an input shape.
    circle, interior : see the module
    shapes : tuple of shapes
        Two input shapes that it takes.
    linear, affine : bool
        Linear and affine.
    homogeneous, additive : bool, optional
        As `linear` unless they are told apart.
    same_rate : bool
        Whether a shift moves the output by as many cells as the input.
    pointwise : bool
        Whether its graph shows one function for every cell.
    opaque : bool
        Whether it has no graph to prove anything from.
    """

    make: Callable[[Shape], Callable[..., Any]]
    circle: int | tuple[int | None, ...] | None
    interior: Followed | tuple[Followed, ...]
    shapes: tuple[Shape, Shape] = LINE
    linear: bool = True
    affine: bool = True
    homogeneous: bool | None = None
    additive: bool | None = None
    same_rate: bool = True
    pointwise: bool = False
    opaque: bool = False

    def period(self, axes: int) -> tuple[int | None, ...]:
        """Return the period on the circle along each axis."""
        return self.circle if isinstance(self.circle, tuple) else (self.circle,) * axes

    def followed(self, axes: int) -> tuple[Followed, ...]:
        """Return period and border in the interior along each axis."""
        if self.interior is None or isinstance(self.interior[0], int):
            return (self.interior,) * axes  # type: ignore[return-value]
        return self.interior  # type: ignore[return-value]


def integers(module: nn.Module, bias: bool = False) -> nn.Module:
    """Give a module weights from 1 to 9, so that all its sums are exact, and biases only if asked.

    No weight is zero, so that every weight shows; running statistics stay what they are.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            values = torch.randint(1, 10, parameter.shape, generator=generator)
            parameter.copy_(values if bias or "bias" not in name else 0 * values)
    return module


def conv(dimension: int = 1, c_out: int = 2, k: int = 3, **options: Any) -> nn.Module:
    """Return a convolution layer on two channels, circularly padded to the same size."""
    options = {"padding": k // 2, "padding_mode": "circular", "bias": False, **options}
    layer = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dimension - 1]
    return integers(layer(options.pop("c_in", 2), c_out, k, **options), bias=options["bias"])


def circulant(n: int, block: int = 1) -> torch.Tensor:
    """Return a matrix whose rows i and i + block agree up to the shift by block."""
    first = np.random.default_rng(0).integers(1, 100, (block, n)).astype(np.float32)
    return torch.from_numpy(np.stack([np.roll(first[i % block], i - i % block) for i in range(n)]))


def dense(matrix: torch.Tensor, bias: float = 0.0) -> nn.Module:
    """Return the fully connected layer with a matrix and one number as bias."""
    layer = nn.Linear(matrix.shape[1], matrix.shape[0])
    with torch.no_grad():
        layer.weight.copy_(matrix)
        layer.bias.fill_(bias)
    return layer


def banded(n: int) -> torch.Tensor:
    """Return the circulant matrix of a three-cell kernel."""
    one = torch.eye(n)
    return 2 * one + 3 * one.roll(1, 0) + 5 * one.roll(-1, 0)


class NoTensor:
    """A numpy operator that sees no tensor."""

    def __init__(self, f: Callable[[np.ndarray], np.ndarray]) -> None:
        self.f = f

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return f(x) as an array."""
        return self.f(np.asarray(x))


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate that looks at the means of all channels."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid())
        with torch.no_grad():
            self.gate[0].weight.copy_(torch.tensor([[0.25, -0.5], [0.5, 0.25]]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the gated channels."""
        gate = self.gate(x.mean((-2, -1)))
        return x * gate[..., None, None]


class Attention(nn.Module):
    """Self-attention over the cells of a line, whose channels are the features."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend without positions."""
        cells = x.transpose(-1, -2)
        return F.scaled_dot_product_attention(cells, cells, cells).transpose(-1, -2)


class Residual(nn.Module):
    """x + f(x)."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the branch."""
        return x + self.branch(x)


def batch_norm(layer: nn.Module) -> nn.Module:
    """Give a batch normalisation a running mean, and evaluate."""
    layer.running_mean.copy_(torch.tensor([1.0, 2.0]))  # type: ignore[operator, union-attr]
    return layer.eval()


def assert_replays(finding: Finding, op: Callable[..., Any]) -> None:
    """Check that a refutation has a witness that replays, and that nothing else has one."""
    if finding.holds is not False:
        assert finding.witness is None
        return
    assert finding.certainty == "refuted"
    assert finding.witness is not None
    left, right = finding.witness.replay(op)
    assert np.array_equal(left, finding.witness.left)
    assert np.array_equal(right, finding.witness.right)
    assert not np.array_equal(left, right)
    assert str(finding.witness)


def _tile(shape: Shape) -> torch.Tensor:
    return torch.tensor([1.0, 2.0]).repeat(shape[-1] // 2)


def _ramp(shape: Shape) -> torch.Tensor:
    return torch.arange(1.0, shape[-1] + 1)


def _fixed(op: Callable[..., Any]) -> Callable[[Shape], Callable[..., Any]]:
    """Make the same operator whatever the shape."""
    return lambda shape: op


def _median(x: torch.Tensor) -> torch.Tensor:
    return torch.stack([x.roll(1, -1), x, x.roll(-1, -1)]).median(0).values


def _low_pass(shape: Shape) -> Callable[[torch.Tensor], torch.Tensor]:
    response = torch.zeros(shape[-1] // 2 + 1)
    response[:3] = torch.tensor([1.0, 0.5, 0.25])
    return lambda x: torch.fft.irfft(torch.fft.rfft(x) * response, n=shape[-1])


_pointwise = functools.partial(Row, circle=1, interior=(1, 0), shapes=EVEN, pointwise=True)
_activation = functools.partial(_pointwise, linear=False, affine=False)
_along = functools.partial(Row, shapes=CHANNELS_LINE)
_image = functools.partial(Row, shapes=IMAGES)
_volume = functools.partial(Row, shapes=VOLUMES)
_curved = {"linear": False, "affine": False}

_ELEMENTWISE = {
    "identity": _pointwise(_fixed(nn.Identity())),
    "zero": _pointwise(_fixed(lambda x: 0 * x)),
    "negation": _pointwise(_fixed(torch.neg)),
    "third": _pointwise(_fixed(lambda x: x / 3)),
    "near-zero weight": _pointwise(_fixed(lambda x: 2.0**-40 * x)),
    "constant": Row(_fixed(torch.ones_like), 1, (1, 0), linear=False),
    "bias": _pointwise(_fixed(lambda x: x + 1), linear=False),
    "one minus x": _pointwise(_fixed(lambda x: 1 - x), linear=False),
    "ReLU": _activation(_fixed(nn.ReLU()), homogeneous=False),
    "ReLU in place": _activation(_fixed(nn.ReLU(inplace=True))),
    "ReLU6": _activation(_fixed(nn.ReLU6())),
    "leaky ReLU": _activation(_fixed(nn.LeakyReLU(0.25))),
    "ELU": _activation(_fixed(nn.ELU())),
    "CELU": _activation(_fixed(nn.CELU())),
    "SELU": _activation(_fixed(nn.SELU())),
    "GELU": _activation(_fixed(nn.GELU())),
    "SiLU": _activation(_fixed(nn.SiLU())),
    "Mish": _activation(_fixed(nn.Mish())),
    "sigmoid": _activation(_fixed(nn.Sigmoid())),
    "log-sigmoid": _activation(_fixed(nn.LogSigmoid())),
    "tanh": _activation(_fixed(nn.Tanh())),
    "softplus": _activation(_fixed(nn.Softplus())),
    "softsign": _activation(_fixed(nn.Softsign())),
    "softshrink": _activation(_fixed(nn.Softshrink(0.5))),
    "hardshrink": _activation(_fixed(nn.Hardshrink(0.5))),
    "tanhshrink": _activation(_fixed(nn.Tanhshrink())),
    "hardsigmoid": _activation(_fixed(nn.Hardsigmoid())),
    "hardswish": _activation(_fixed(nn.Hardswish())),
    "hardtanh": _activation(_fixed(nn.Hardtanh())),
    "threshold": _activation(_fixed(nn.Threshold(0.5, 0.0))),
    "PReLU": _activation(_fixed(nn.PReLU()), pointwise=False),
    "absolute value": _activation(_fixed(torch.abs)),
    "square": _activation(_fixed(torch.square)),
    "rounding": _activation(_fixed(torch.round)),
    "clamp above 1e4": _activation(_fixed(lambda x: x.clamp(max=1e4))),
    "to integers": _activation(_fixed(lambda x: x.long().to(x.dtype))),
    "dropout, evaluating": _pointwise(_fixed(nn.Dropout().eval())),
    "alpha dropout, evaluating": _pointwise(_fixed(nn.AlphaDropout().eval())),
    "channel dropout, evaluating": _pointwise(_fixed(nn.Dropout1d().eval()), shapes=CHANNELS_LINE),
}

_POSITIONS = {
    "bias by position": Row(lambda s: lambda x: x + _ramp(s), None, None, linear=False),
    "periodic bias": Row(lambda s: lambda x: x + _tile(s), 2, (2, 0), linear=False),
    "modulation": Row(lambda s: lambda x: x * _tile(s), 2, (2, 0)),
    "window": Row(lambda s: lambda x: x * _ramp(s), None, None),
    "roll by 2": Row(_fixed(lambda x: x.roll(2)), 1, (1, 2)),
    "flip": Row(_fixed(lambda x: x.flip(-1)), 4, None, shapes=((8,), (2, 8))),
    "circular difference": Row(_fixed(lambda x: x - x.roll(1)), 1, (1, 1)),
    "difference": Row(_fixed(torch.diff), None, (1, 0)),
    "x - mean": Row(_fixed(lambda x: x - x.mean()), 1, None),
    "mean everywhere": Row(_fixed(lambda x: 0 * x + x.mean()), 1, None),
    "cumulative sum": Row(_fixed(lambda x: x.cumsum(0)), None, None),
    "interpolation of neighbours": Row(_fixed(lambda x: torch.lerp(x, x.roll(1), 0.5)), 1, (1, 1)),
    "stack of shifts": Row(_fixed(lambda x: torch.stack([x, x.roll(1)])), 1, (1, 1)),
    "channel sum": _along(_fixed(lambda x: x.sum(0)), 1, (1, 0)),
    "channel exchange": _along(_fixed(lambda x: x.flip(0)), 1, (1, 0)),
    "index_add": Row(
        lambda s: lambda x: torch.zeros_like(x).index_add_(0, torch.arange(s[0]), x), 1, (1, 0)
    ),
    "doubled in place": Row(_fixed(lambda x: x.mul_(2)), 1, (1, 0), pointwise=True),
    "circular max filter": Row(_fixed(lambda x: torch.maximum(x, x.roll(1))), 1, (1, 1), **_curved),
    "median filter": Row(_fixed(_median), 1, (1, 1), homogeneous=True, **_curved),
    "sort": Row(_fixed(lambda x: x.sort().values), None, None, **_curved),
    "x times its sum": Row(_fixed(lambda x: x * x.sum()), 1, None, **_curved),
    "x times its neighbour": Row(_fixed(lambda x: x * x.roll(1)), 1, (1, 1), **_curved),
    "softmax": Row(_fixed(nn.Softmax(-1)), 1, None, **_curved),
    "log-softmax": Row(_fixed(nn.LogSoftmax(-1)), 1, None, **_curved),
    "softmin": Row(_fixed(nn.Softmin(-1)), 1, None, **_curved),
    "softmax over channels": _along(_fixed(nn.Softmax(-2)), 1, (1, 0), **_curved),
    "softmax over image channels": _image(_fixed(nn.Softmax2d()), 1, (1, 0), **_curved),
    "gated linear unit": _along(_fixed(nn.GLU(-2)), 1, (1, 0), **_curved),
    "attention without positions": _along(_fixed(Attention()), 1, None, **_curved),
    "squeeze-excite": _image(_fixed(SqueezeExcite()), 1, None, **_curved),
}

_CONVOLUTIONS = {
    "circular conv": _along(_fixed(conv()), 1, (1, 1)),
    "circular conv + bias": _along(_fixed(conv(bias=True)), 1, (1, 1), linear=False),
    "circular conv, five cells": _along(_fixed(conv(k=5)), 1, (1, 2), shapes=((2, 8), (2, 12))),
    "zero-padded conv": _along(_fixed(conv(padding_mode="zeros")), None, (1, 1)),
    "reflection-padded conv": _along(_fixed(conv(padding_mode="reflect")), None, (1, 1)),
    "replication-padded conv": _along(_fixed(conv(padding_mode="replicate")), None, (1, 1)),
    "unpadded conv": _along(_fixed(conv(padding=0, padding_mode="zeros")), None, (1, 0)),
    "1x1 conv": _along(_fixed(conv(k=1)), 1, (1, 0)),
    "strided circular conv": _along(_fixed(conv(stride=2)), 2, (2, 1)),
    "strided zero-padded conv": _along(_fixed(conv(stride=2, padding_mode="zeros")), None, (2, 1)),
    "dilated circular conv": _along(_fixed(conv(dilation=2, padding=2)), 1, (1, 2)),
    "grouped circular conv": _along(_fixed(conv(groups=2)), 1, (1, 1)),
    "depthwise circular conv": _along(_fixed(conv(c_out=4, groups=2)), 1, (1, 1)),
    "two circular convs": _along(_fixed(nn.Sequential(conv(), conv())), 1, (1, 2)),
    "conv, ReLU, conv": _along(
        _fixed(nn.Sequential(conv(bias=True), nn.ReLU(inplace=True), conv(padding=0))),
        None,
        (1, 1),
        **_curved,
    ),
    "2-D circular conv": _image(_fixed(conv(2)), 1, (1, 1)),
    "2-D zero-padded conv": _image(_fixed(conv(2, padding_mode="zeros")), None, (1, 1)),
    "2-D zero-padded conv + bias": _image(
        _fixed(conv(2, padding_mode="zeros", bias=True)), None, (1, 1), linear=False
    ),
    "2-D conv of even size": _image(
        _fixed(conv(2, k=2, padding="same", padding_mode="zeros")), None, (1, 1)
    ),
    "2-D conv, 1x3": _image(_fixed(conv(2, k=3, padding=(0, 1))), (None, 1), ((1, 0), (1, 1))),
    "circular along the width": _image(
        _fixed(
            lambda x: F.avg_pool2d(F.pad(F.pad(x, (1, 1, 0, 0), "circular"), (0, 0, 1, 1)), 3, 1)
        ),
        (None, 1),
        (1, 1),
    ),
    "3-D circular conv": _volume(_fixed(conv(3, c_in=1)), 1, (1, 1)),
    "3-D zero-padded conv": _volume(_fixed(conv(3, c_in=1, padding_mode="zeros")), None, (1, 1)),
    "transposed conv": _along(
        _fixed(integers(nn.ConvTranspose1d(2, 2, 2, stride=2))), 1, (1, 0), same_rate=False
    ),
    "overlapping transposed conv": _along(
        _fixed(integers(nn.ConvTranspose1d(2, 2, 4, stride=2, padding=1, bias=False))),
        None,
        (1, 1),
        same_rate=False,
    ),
    "2-D transposed conv": _image(
        _fixed(integers(nn.ConvTranspose2d(2, 1, 2, stride=2))),
        1,
        (1, 0),
        shapes=((2, 4, 4), (2, 4, 6)),
        same_rate=False,
    ),
    "fold of unfold": _image(
        lambda s: nn.Sequential(nn.Unfold(2, stride=2), nn.Fold(s[1:], 2, stride=2)), 1, (1, 0)
    ),
    "low-pass in frequency": Row(_low_pass, 1, None),
}

_FULLY_CONNECTED = {
    "FC": Row(lambda s: dense(circulant(s[0], s[0])), None, None),
    "FC to half": Row(lambda s: dense(circulant(s[0], s[0])[: s[0] // 2]), None, None),
    "FC of near-zero weights": Row(lambda s: dense(1e-9 * circulant(s[0], s[0])), None, None),
    "circulant FC": Row(lambda s: dense(circulant(s[0])), 1, None),
    "circulant FC + bias": Row(lambda s: dense(circulant(s[0]), 2.0), 1, None, linear=False),
    "banded circulant FC": Row(lambda s: dense(banded(s[0])), 1, (1, 1)),
    "2-block-circulant FC": Row(lambda s: dense(circulant(s[0], 2)), 2, None),
    "4-block-circulant FC": Row(lambda s: dense(circulant(s[0], 4)), 4, None),
    "FC over channels": _along(
        _fixed(lambda x: torch.tensor([[1.0, 2], [3, 5]]).to(x) @ x), 1, (1, 0)
    ),
}

_RATES = {
    "nearest upsampling": _along(_fixed(nn.Upsample(scale_factor=2)), 1, (1, 0), same_rate=False),
    "nearest-exact upsampling": _along(
        _fixed(nn.Upsample(scale_factor=2, mode="nearest-exact")), 1, (1, 0), same_rate=False
    ),
    "linear upsampling": _along(
        _fixed(nn.Upsample(scale_factor=2, mode="linear")), None, (1, 1), same_rate=False
    ),
    "aligned linear upsampling": _along(
        _fixed(nn.Upsample(scale_factor=2, mode="linear", align_corners=True)), None, None
    ),
    "2-D nearest upsampling": _image(
        _fixed(nn.Upsample(scale_factor=2)), 1, (1, 0), same_rate=False
    ),
    "bilinear upsampling": _image(
        _fixed(nn.Upsample(scale_factor=2, mode="bilinear")), None, (1, 1), same_rate=False
    ),
    "bicubic upsampling": _image(
        _fixed(nn.Upsample(scale_factor=2, mode="bicubic")), None, (1, 3), same_rate=False
    ),
    "2-D downsampling by areas": _image(
        _fixed(nn.Upsample(scale_factor=0.5, mode="area")), 2, (2, 0)
    ),
    "pixel shuffle": Row(
        _fixed(nn.PixelShuffle(2)), 1, (1, 0), shapes=((4, 4, 4), (8, 4, 6)), same_rate=False
    ),
    "pixel unshuffle": _image(_fixed(nn.PixelUnshuffle(2)), 2, (2, 0)),
    "channel shuffle": _image(_fixed(nn.ChannelShuffle(2)), 1, (1, 0)),
    "subsampling": Row(_fixed(lambda x: x[::2]), 2, (2, 0)),
    "subsampling by 4": Row(_fixed(lambda x: x[3::4]), 4, (4, 0)),
    "sample and hold": Row(_fixed(lambda x: x[::2].repeat_interleave(2)), 2, (2, 0)),
    "zero insertion": Row(
        _fixed(lambda x: torch.stack([x, 0 * x], -1).flatten()), 1, (1, 0), same_rate=False
    ),
    "phase exchange": Row(_fixed(lambda x: x.view(-1, 2).flip(1).flatten()), 2, (2, 0)),
}

_POOLING = {
    "average pooling": _along(_fixed(nn.AvgPool1d(2)), 2, (2, 0)),
    "average pooling, stride 1": _along(_fixed(nn.AvgPool1d(3, 1, 1)), None, (1, 1)),
    "2-D average pooling, 2x4": _image(_fixed(nn.AvgPool2d((2, 4))), (2, 4), ((2, 0), (4, 0))),
    "3-D average pooling": _volume(_fixed(nn.AvgPool3d(2)), 2, (2, 0)),
    "max pooling": _along(_fixed(nn.MaxPool1d(2)), 2, (2, 0), **_curved),
    "max pooling, stride 1": _along(_fixed(nn.MaxPool1d(3, 1, 1)), None, (1, 1), **_curved),
    "2-D max pooling": _image(_fixed(nn.MaxPool2d(2)), 2, (2, 0), **_curved),
    "3-D max pooling": _volume(_fixed(nn.MaxPool3d(2)), 2, (2, 0), **_curved),
    "power-average pooling": _along(_fixed(nn.LPPool1d(2, 2)), 2, (2, 0), **_curved),
    "2-D power-average pooling": _image(_fixed(nn.LPPool2d(2, 2)), 2, (2, 0), **_curved),
    "global average": _along(_fixed(nn.AdaptiveAvgPool1d(1)), None, None),
    "2-D global average": _image(_fixed(nn.AdaptiveAvgPool2d(1)), None, None),
    "global max": _along(_fixed(nn.AdaptiveMaxPool1d(1)), None, None, **_curved),
    "sum": Row(_fixed(torch.sum), None, None),
    "largest": Row(_fixed(torch.amax), None, None, **_curved),
    "norm": Row(_fixed(torch.linalg.norm), None, None, **_curved),
    "first cell": Row(_fixed(lambda x: x[0]), None, None),
}

_PADDING = {
    "circular padding": _along(_fixed(nn.CircularPad1d(1)), None, (1, 1)),
    "zero padding": _along(_fixed(nn.ZeroPad1d(1)), None, (1, 1)),
    "constant padding": _along(_fixed(nn.ConstantPad1d(1, 2.0)), None, (1, 1), linear=False),
    "reflection padding": _along(_fixed(nn.ReflectionPad1d(1)), None, (1, 1)),
    "replication padding": _along(_fixed(nn.ReplicationPad1d(1)), None, (1, 1)),
    "2-D circular padding": _image(_fixed(nn.CircularPad2d(1)), None, (1, 1)),
    "2-D zero padding": _image(_fixed(nn.ZeroPad2d(1)), None, (1, 1)),
    "2-D reflection padding": _image(_fixed(nn.ReflectionPad2d(1)), None, (1, 1)),
    "2-D replication padding": _image(_fixed(nn.ReplicationPad2d(1)), None, (1, 1)),
    "3-D zero padding": _volume(_fixed(nn.ZeroPad3d(1)), None, (1, 1)),
    "3-D replication padding": _volume(_fixed(nn.ReplicationPad3d(1)), None, (1, 1)),
    "cropping": Row(_fixed(lambda x: x[1:-1]), None, (1, 0)),
}

_NORMALISATION = {
    "batch norm, evaluating": _along(
        _fixed(batch_norm(nn.BatchNorm1d(2))), 1, (1, 0), linear=False
    ),
    "batch norm, training": _along(_fixed(nn.BatchNorm1d(2)), 1, None, **_curved),
    "2-D batch norm, evaluating": _image(
        _fixed(batch_norm(nn.BatchNorm2d(2))), 1, (1, 0), linear=False
    ),
    "instance norm": _along(_fixed(nn.InstanceNorm1d(2)), 1, None, **_curved),
    "group norm": _along(_fixed(nn.GroupNorm(2, 2)), 1, None, **_curved),
    "layer norm": Row(lambda s: nn.LayerNorm(s[-1]), 1, None, **_curved),
    "RMS norm": Row(lambda s: nn.RMSNorm(s[-1]), 1, None, **_curved),
    "local response norm": _along(_fixed(nn.LocalResponseNorm(2)), 1, (1, 0), **_curved),
}

_COMPOSITES = {
    "residual of a conv": _along(_fixed(Residual(conv())), 1, (1, 1)),
    "residual of conv and ReLU": _along(
        _fixed(Residual(nn.Sequential(conv(), nn.ReLU()))), 1, (1, 1), **_curved
    ),
    "blur and subsample": _along(_fixed(nn.Sequential(conv(), nn.AvgPool1d(2))), 2, (2, 1)),
    "conv, batch norm, ReLU": _along(
        _fixed(nn.Sequential(conv(), batch_norm(nn.BatchNorm1d(2)), nn.ReLU())),
        1,
        (1, 1),
        **_curved,
    ),
    "conv and flatten": _image(_fixed(nn.Sequential(conv(2), nn.Flatten())), (None, None), None),
    "conv and global average": _image(
        _fixed(nn.Sequential(conv(2), nn.AdaptiveAvgPool2d(1), nn.Flatten())), (None, None), None
    ),
}

_ARRAYS = {
    "numpy roll": Row(_fixed(NoTensor(lambda x: np.roll(x, 2))), 1, (1, 2), opaque=True),
    "numpy convolve": Row(
        _fixed(lambda x: np.convolve(x, [1, 2, 1], "same")), None, (1, 1), opaque=True
    ),
    "numpy reversed view": Row(
        _fixed(lambda x: np.asarray(x)[..., ::-1]), 4, None, shapes=((8,), (2, 8)), opaque=True
    ),
    "numpy clip": Row(
        _fixed(NoTensor(lambda x: np.maximum(x, 0))), 1, (1, 0), opaque=True, **_curved
    ),
    "numpy FFT": Row(_fixed(np.fft.fft), None, None, opaque=True),
    "scipy wrap": Row(
        _fixed(lambda x: scipy.ndimage.correlate1d(x, [1.0, 2.0, 4.0], mode="wrap")),
        1,
        (1, 1),
        opaque=True,
    ),
    "scipy reflect": Row(
        _fixed(lambda x: scipy.ndimage.correlate1d(x, [1.0, 2.0, 4.0], mode="reflect")),
        None,
        (1, 1),
        opaque=True,
    ),
}

OPERATORS: dict[str, Row] = {
    **_ELEMENTWISE,
    **_POSITIONS,
    **_CONVOLUTIONS,
    **_FULLY_CONNECTED,
    **_RATES,
    **_POOLING,
    **_PADDING,
    **_NORMALISATION,
    **_COMPOSITES,
    **_ARRAYS,
}
