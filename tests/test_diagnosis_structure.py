"""Structure proves every layer of torch that is affine, and never more than a rule allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from theory.diagnosis.calling import Operator
from theory.diagnosis.isolation import isolated
from theory.diagnosis.structure import UNSEEN, Level, Structure, interpret
from theory.diagnosis.tracing import trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


def _found(op: Callable[..., Any], shape: tuple[int, ...] = (4,)) -> Structure:
    with isolated(seed=0):
        ramp = np.arange(np.prod(shape), dtype=float).reshape(shape)
        return interpret(trace(Operator(op, shape), [0 * ramp, ramp]))


@pytest.mark.parametrize("name", LAYERS)
def test_structure_proves(name: str) -> None:
    found = _found(*LAYERS[name])
    assert found.culprit == ""
    assert found.level <= Level.AFFINE


_A = torch.arange(1, 5, dtype=torch.float64)
_AT = torch.tensor([0, 2, 1, 3])
_MASK = _AT > 1
_PAIR = torch.ones(1, 1, 2, dtype=torch.float64)

RULES: dict[Level, dict[str, Callable[[torch.Tensor], Any]]] = {
    Level.ZERO: {
        "a zero times a constant": lambda x: 0 * _A,
        "filled with zero": lambda x: torch.full_like(x, 0),
    },
    Level.CONSTANT: {
        "an array": lambda x: _A,
        "filled with a number": lambda x: torch.full_like(x, 2),
        "nonlinear of a constant": lambda x: torch.cos(_A),
        "unknown of a constant": lambda x: torch.special.entr(_A),
    },
    Level.LINEAR: {
        "rearranged": lambda x: x.gather(0, _AT),
        "one of several": lambda x: x.split(2)[1],
        "divided by a constant": lambda x: x / _A,
        "a sum with itself": lambda x: torch.add(x, x, alpha=3),
        "a sum with zero": lambda x: x + torch.zeros_like(x),
        "a sum with a computed zero": lambda x: torch.stack([x, 0 * _A]),
        "padded with zeros": lambda x: F.pad(x, (1, 1)),
        "scattered into zeros": lambda x: torch.zeros_like(x).scatter(0, _AT, x),
        "a constant on the right": lambda x: x * _A,
        "a constant on the left": lambda x: _A * x,
        "a product added to zero": lambda x: torch.addcmul(torch.zeros_like(x), x, _A),
        "masked by zero": lambda x: x.masked_fill(_MASK, 0),
        "chosen by a mask": lambda x: torch.where(_MASK, x, 0 * _A),
        "convolved": lambda x: F.conv1d(x[None, None], _PAIR),
        "as the kernel": lambda x: F.conv1d(_A[None, None], x[None, None, :2]),
        "bags": lambda x: F.embedding_bag(_AT[None], x[:, None], mode="sum"),
        "bags' weights": lambda x: F.embedding_bag(
            _AT[None], _A[:, None], mode="sum", per_sample_weights=x[None]
        ),
        "the weight of a bilinear layer": lambda x: F.bilinear(_A[None], _A[None], x.diag()[None]),
        "maxima of constant bags": lambda x: (
            x.sum() * F.embedding_bag(_AT[None], _A[:, None], mode="max")
        ),
    },
    Level.AFFINE: {
        "bilinear with a constant, and a bias": lambda x: F.bilinear(
            _A[None], x[None], torch.diag(_A)[None], _A[:1]
        ),
        "a sum": lambda x: x + _A,
        "ones": lambda x: x + torch.ones_like(x),
        "a number": lambda x: x + torch.scalar_tensor(3),
        "nonlinear of a constant, added": lambda x: x + torch.cos(_A),
        "padded with a number": lambda x: F.pad(x, (1, 1), value=3.0),
        "stacked on a constant": lambda x: torch.stack([x, _A]),
        "scattered into a constant": lambda x: _A.scatter(0, _AT, x),
        "a product added to a constant": lambda x: torch.addcmul(_A, x, _A),
        "a constant product added": lambda x: torch.addmv(x, torch.diag(_A), _A),
        "from it to a constant": lambda x: torch.lerp(x, _A, 0.5),
        "from a constant to it": lambda x: torch.lerp(_A, x, _A),
        "a constant quotient added": lambda x: torch.addcdiv(x, _A, _A),
        "a quotient added": lambda x: torch.addcdiv(_A, x, _A),
        "masked by a number": lambda x: x.masked_fill(_MASK, 3.0),
        "masks a constant": lambda x: _A.masked_fill(_MASK, x[0]),
        "where the mask holds": lambda x: torch.where(_MASK, x, _A),
        "where it does not hold": lambda x: torch.where(_MASK, _A, x),
        "convolved, with a bias": lambda x: F.conv1d(x[None, None], _PAIR, _A[:1]),
        "as the bias": lambda x: F.conv1d(_A[None, None], _PAIR, x[:1]),
        "normalised with constants": lambda x: F.batch_norm(x[None], _A, _A),
        "normalised and moved": lambda x: F.batch_norm(x[None], 0 * _A, _A, _A, _A),
    },
    Level.NONLINEAR: {
        "bilinear with itself": lambda x: F.bilinear(x[None], x[None], torch.diag(_A)[None]),
        "as the place that is read": lambda x: _A[x.long()],
        "as the place that is written": lambda x: _A.scatter(0, x.long(), _A),
        "as the place of zeros": lambda x: _A.index_fill(0, x.long(), 0),
        "divides": lambda x: _A / (x + 9),
        "times itself": lambda x: x * x,
        "times itself, added": lambda x: torch.addcmul(_A, x, x),
        "as the share of a mixture": lambda x: torch.lerp(_A, 2 * _A, x),
        "divides what is added": lambda x: torch.addcdiv(_A, _A, x + 9),
        "as a mask": lambda x: torch.where(x > 2, _A, 0),
        "as a mask to fill": lambda x: _A.masked_fill(x > 2, 3.0),
        "as kernel and signal": lambda x: F.conv1d(x[None, None], x[None, None, :2]),
        "as the mean": lambda x: F.batch_norm(_A[None], x, _A),
        "as the variance": lambda x: F.batch_norm(_A[None], _A, x + 9),
        "as the factor of a normalisation": lambda x: F.batch_norm(x[None], _A, _A, x),
        "maxima of bags": lambda x: F.embedding_bag(_AT[None], x[:, None], mode="max"),
        "as bags and their weights": lambda x: F.embedding_bag(
            _AT[None], x[:, None], mode="sum", per_sample_weights=x[None]
        ),
        "as the places of bags": lambda x: F.embedding_bag(x[None].long(), _A[:, None], mode="sum"),
        "in single precision": lambda x: x.float(),
        "in single precision for a while": lambda x: x.float().double(),
        "complex, in single precision": lambda x: torch.fft.fft(x).to(torch.complex64),
        "rounded down": lambda x: x.long(),
        "sorted": lambda x: x.sort().values,
        "linear of what is not": lambda x: x.relu().flip(0),
    },
    Level.UNKNOWN: {
        "in no table": lambda x: torch.special.entr(x),
        "linear of what is unknown": lambda x: torch.special.entr(x).flip(0),
        "reduced where it is written": lambda x: _A.scatter(0, _AT, x, reduce="multiply"),
        "divided and rounded": lambda x: torch.div(x, 2, rounding_mode="floor"),
        "random": lambda x: x + torch.rand(4),
        "sized by its values": lambda x: x[x > 0],
    },
}
CASES = [(level, name) for level, ops in RULES.items() for name in ops]


@pytest.mark.parametrize(("level", "name"), CASES, ids=[f"{each.name}, {n}" for each, n in CASES])
def test_each_rule_gives_its_level_and_no_lower_one(level: Level, name: str) -> None:
    assert _found(RULES[level][name]).level is level


@pytest.mark.parametrize(
    ("op", "pointwise"),
    [
        (lambda x: x.relu() + x.sin(), True),
        (lambda x: x.float(), True),
        (lambda x: torch.special.entr(x), True),
        (lambda x: x.flip(0) * 2, False),
        (lambda x: x * _A, False),
        (lambda x: x + torch.rand(4), False),
        (lambda x: x.sort().values, False),
        (lambda x: 6 // x.long().clamp(min=1), False),
    ],
    ids=["sum", "type", "unknown", "moved", "weighted", "random", "sorted", "integers divided"],
)
def test_one_function_of_every_cell_is_told_from_several(
    op: Callable[..., Any], pointwise: bool
) -> None:
    assert _found(op).pointwise is pointwise


@pytest.mark.parametrize(
    ("op", "coarsest"),
    [
        (lambda x: x + _A.half(), torch.float64),
        (lambda x: x.long() * _A, torch.float64),
        (lambda x: x.float().double(), torch.float32),
        (lambda x: torch.fft.fft(x.float()).to(torch.complex128), torch.float32),
        (lambda x: x.bfloat16().float() + x.half(), torch.bfloat16),
        (lambda x: _A, torch.float64),
    ],
    ids=["a coarse constant", "integers", "single", "complex", "of two", "constant"],
)
def test_the_coarsest_type_that_the_input_passes(
    op: Callable[..., Any], coarsest: torch.dtype
) -> None:
    assert _found(op).coarsest is coarsest


def test_what_has_no_graph_proves_nothing() -> None:
    claims = (UNSEEN.is_affine, UNSEEN.is_linear, UNSEEN.pointwise, UNSEEN.transforms)
    assert claims == (False,) * 4
    assert _found(lambda x: torch.fft.fft(x).real).transforms
    assert not _found(lambda x: x.flip(0)).transforms


def test_the_primitives_are_those_that_the_input_passes() -> None:
    """What makes a constant is no part of the proof, and need not be linear itself."""

    def weighed(x: torch.Tensor) -> torch.Tensor:
        decay = torch.fft.fft(torch.arange(len(x), dtype=x.dtype)).abs() ** -0.5
        return torch.cumsum(x * decay, 0)

    found = _found(weighed)
    assert found.is_linear
    assert found.primitives == ("mul", "cumsum")
    assert not found.transforms
