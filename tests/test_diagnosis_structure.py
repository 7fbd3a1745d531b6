"""Structure proves every layer of torch that is affine, in one, two and three dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from torch import nn

from theory.diagnosis.calling import Operator
from theory.diagnosis.isolation import isolated
from theory.diagnosis.structure import Level, interpret
from theory.diagnosis.tracing import trace

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHAPES = {1: (2, 8), 2: (2, 6, 6), 3: (2, 4, 4, 4)}
_MODES = {1: ("linear",), 2: ("bilinear", "bicubic"), 3: ("trilinear",)}


def _layers() -> Iterator[tuple[str, nn.Module, tuple[int, ...]]]:
    """Yield every affine layer of torch by the names that it has in each dimension."""
    for d, shape in _SHAPES.items():
        makers = {
            f"Conv{d}d": (2, 2, 3),
            f"ConvTranspose{d}d": (2, 2, 3, 2),
            f"AvgPool{d}d": (2,),
            f"AdaptiveAvgPool{d}d": (3,),
            f"ZeroPad{d}d": (1,),
            f"ConstantPad{d}d": (1, 2.0),
            f"ReflectionPad{d}d": (1,),
            f"ReplicationPad{d}d": (1,),
            f"CircularPad{d}d": (1,),
            f"BatchNorm{d}d": (2,),
            f"Dropout{d}d": (),
        }
        for name, arguments in makers.items():
            yield name, getattr(nn, name)(*arguments).eval(), shape
        for mode in ("zeros", "circular", "reflect", "replicate"):
            conv = getattr(nn, f"Conv{d}d")(2, 2, 3, padding=1, padding_mode=mode)
            yield f"Conv{d}d, {mode}", conv, shape
        for mode in ("nearest", "nearest-exact", "area", *_MODES[d]):
            yield f"Upsample, {mode}, {d}-D", nn.Upsample(scale_factor=2, mode=mode), shape
        tracked = getattr(nn, f"InstanceNorm{d}d")(2, track_running_stats=True)
        yield f"InstanceNorm{d}d, tracked", tracked.eval(), shape
    yield "Identity", nn.Identity(), (2, 8)
    yield "Linear", nn.Linear(8, 3), (2, 8)
    yield "Flatten", nn.Flatten(), (2, 8)
    yield "Unflatten", nn.Unflatten(1, (2, 4)), (8, 3)
    yield "Fold", nn.Fold((4, 4), 2), (4, 9)
    yield "Unfold", nn.Unfold(3, padding=1, stride=2), (1, 4, 4)
    yield "PixelShuffle", nn.PixelShuffle(2), (4, 3, 3)
    yield "PixelUnshuffle", nn.PixelUnshuffle(2), (1, 4, 4)
    yield "ChannelShuffle", nn.ChannelShuffle(2), (4, 3, 3)
    yield "AlphaDropout", nn.AlphaDropout().eval(), (2, 8)
    yield "FeatureAlphaDropout", nn.FeatureAlphaDropout().eval(), (2, 8)


LAYERS = {name: (layer, shape) for name, layer, shape in _layers()}


@pytest.mark.parametrize("name", LAYERS)
def test_structure_proves(name: str) -> None:
    layer, shape = LAYERS[name]
    with isolated(seed=0):
        operator = Operator(layer, shape)
        ramp = np.arange(np.prod(shape), dtype=float).reshape(shape)
        found = interpret(trace(operator, [0 * ramp, ramp]))
    assert found.culprit == ""
    assert found.level <= Level.AFFINE
