"""Random compositions of known layers get the verdict that the rules of composition imply."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.operator_table import batch_norm, conv
from theory import Diagnosis, diagnose

CELLS = 16
DEPTH = 5
EXAMPLES = settings(max_examples=25)


@dataclass(frozen=True)
class Layer:
    """What is known of one layer on two channels.

    Attributes
    ----------
    make : callable
        Makes it. All weights are positive: no layer undoes another.
    linear, affine : bool
        Linear and affine.
    period : int or None
        On the circle.
    rate : Fraction
        Output cells per input cell that a shift moves by; one over the period in the interior.
    border : callable
        From the border of its input to that of its output, in the interior.
    lost : int
        Cells that it takes off a line.
    """

    make: Callable[[], nn.Module]
    linear: bool = True
    affine: bool = True
    period: int | None = 1
    rate: Fraction = Fraction(1)
    border: Callable[[int], int] = lambda before: before
    lost: int = 0


def _one_more(before: int) -> int:
    return before + 1


HALF = Fraction(1, 2)
LAYERS = {
    "circular conv": Layer(conv, border=_one_more),
    "circular conv + bias": Layer(lambda: conv(bias=True), linear=False, border=_one_more),
    "zero-padded conv": Layer(lambda: conv(padding_mode="zeros"), period=None, border=_one_more),
    "unpadded conv": Layer(lambda: conv(padding=0, padding_mode="zeros"), period=None, lost=2),
    "1x1 conv": Layer(lambda: conv(k=1)),
    "strided conv": Layer(
        lambda: conv(stride=2), period=2, rate=HALF, border=lambda before: ceil((before + 1) / 2)
    ),
    "batch norm": Layer(lambda: batch_norm(nn.BatchNorm1d(2)), linear=False),
    "average pooling": Layer(
        lambda: nn.AvgPool1d(2), period=2, rate=HALF, border=lambda before: ceil(before / 2)
    ),
    "max pooling": Layer(
        lambda: nn.MaxPool1d(2),
        linear=False,
        affine=False,
        period=2,
        rate=HALF,
        border=lambda before: ceil(before / 2),
    ),
    "upsampling": Layer(
        lambda: nn.Upsample(scale_factor=2), rate=Fraction(2), border=lambda before: 2 * before
    ),
    "ReLU": Layer(nn.ReLU, linear=False, affine=False),
    "leaky ReLU": Layer(lambda: nn.LeakyReLU(0.25), linear=False, affine=False),
    "softplus": Layer(nn.Softplus, linear=False, affine=False),
}


@st.composite
def compositions(draw: st.DrawFn) -> list[str]:
    """Draw the names of up to five layers that leave at least eight cells, and at most 32."""
    names: list[str] = []
    cells = CELLS
    for _ in range(draw(st.integers(1, DEPTH))):
        fits = [name for name in LAYERS if _fits(LAYERS[name], cells)]
        names.append(draw(st.sampled_from(fits)))
        cells = _after(LAYERS[names[-1]], cells)
    return names


def _after(layer: Layer, cells: int) -> int:
    return int((cells - layer.lost) * layer.rate)


def _fits(layer: Layer, cells: int) -> bool:
    whole = (cells * layer.rate).denominator == 1
    return whole and 8 <= _after(layer, cells) <= 2 * CELLS


def _linearity(layers: list[Layer], found: Diagnosis) -> None:
    """Hold linear against linear: a composition is what all of its layers are."""
    linear, affine = all(layer.linear for layer in layers), all(layer.affine for layer in layers)
    assert found.linear.holds is linear
    assert found.affine.holds is affine
    assert found.affine.certainty == ("proved" if affine else "refuted")


def _smallest(layers: list[Layer]) -> int:
    """Return the smallest shift that every layer passes on, which each sees at its own rate."""
    k = 1
    while True:
        shift = Fraction(k)
        for layer in layers:
            step = Fraction(layer.period or 1)
            if (shift / step).denominator != 1:
                break
            shift *= layer.rate
        else:
            return k
        k += 1


@EXAMPLES
@given(compositions())
def test_on_the_circle(names: list[str]) -> None:
    layers = [LAYERS[name] for name in names]
    found = diagnose(nn.Sequential(*(layer.make() for layer in layers)), (2, CELLS), budget=500)
    _linearity(layers, found)
    followed = all(layer.period is not None for layer in layers)
    period = _smallest(layers) if followed else None
    rate = Fraction(1)
    for layer in layers:
        rate *= layer.rate
    assert found.period == (period,)
    assert found.shift_equivariant.holds is (period == 1)
    linear = all(layer.linear for layer in layers)
    assert found.lti.holds is (linear and period == 1 and rate == 1)


@EXAMPLES
@given(compositions())
def test_in_the_interior(names: list[str]) -> None:
    """Padding no longer breaks anything: it adds to the border, which later layers rescale."""
    layers = [LAYERS[name] for name in names]
    found = diagnose(
        nn.Sequential(*(layer.make() for layer in layers)),
        (2, CELLS),
        boundary="interior",
        budget=500,
    )
    _linearity(layers, found)
    border, rate = 0, Fraction(1)
    for layer in layers:
        border, rate = layer.border(border), rate * layer.rate
    period = _smallest(layers)
    moved = period * rate
    enough = found.output_shape[-1] - 2 * border >= 2 * moved
    assert found.period == ((period,) if enough else (None,))
    assert found.border == ((border,) if enough else (None,))
    linear = all(layer.linear for layer in layers)
    assert found.lti.holds is (linear and enough and period == moved == 1)


@pytest.mark.parametrize(
    ("names", "lie", "check"),
    [
        (["ReLU"], {"linear": True, "affine": True}, test_on_the_circle),
        (["max pooling"], {"period": 1}, test_on_the_circle),
        (["zero-padded conv", "ReLU"], {"period": 1}, test_on_the_circle),
        (["upsampling", "circular conv"], {"border": lambda before: 1}, test_in_the_interior),
        (["circular conv", "ReLU"], {"border": lambda before: before}, test_in_the_interior),
    ],
)
def test_a_wrong_rule_is_refuted(
    names: list[str], lie: dict[str, Any], check: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a lie about the first layer, its composition does not get the implied verdict."""
    monkeypatch.setitem(LAYERS, names[0], dataclasses.replace(LAYERS[names[0]], **lie))
    with pytest.raises(AssertionError):
        check.hypothesis.inner_test(names)
