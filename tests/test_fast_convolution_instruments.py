"""Convolution by the FFT: every length, every mix of types, and roundings counted stage by stage.

The bounds on rounding hold with room to spare, so that a stage which they forget would not show in
what a convolution returns. Their counts are therefore compared with a count by hand.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from theory.convolution import convolve
from theory.methods.fast_convolution import all_finite, by_fft, fft_roundings, overlap_add_roundings
from theory.signals import integer_signal

METHODS = ("fft", "overlap-add")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cells", range(1, 31))
def test_transforms_of_every_length_give_the_sum(method, cells):
    """Red if an inverse transform assumes an even length: 9, 15, 25 and 27 are odd."""
    x, h = integer_signal(cells - cells // 3, seed=cells), integer_signal(cells // 3 + 1, seed=1)
    assert np.array_equal(np.rint(convolve(x, h, method=method)), convolve(x, h))


@pytest.mark.parametrize("cells", [*range(1, 31), (3, 5), (9, 4), (4, 3, 5)])
def test_a_circle_as_long_as_the_signal_holds_the_valid_outputs(cells):
    """Red if what wraps round reaches one of them, for every length of the kernel."""
    x = integer_signal(cells, seed=1)
    for shape in np.ndindex(x.shape):
        h = integer_signal(tuple(k + 1 for k in shape), seed=2)
        y = by_fft(x, h, valid=True)
        exact = convolve(x, h, mode="valid")
        assert y.shape == exact.shape
        assert np.array_equal(np.rint(y), exact)
        assert np.array_equal(y, convolve(x, h, mode="valid", method="fft"))
        counted = fft_roundings(x, h, valid=True)
        assert counted == fft_roundings(x, np.ones([1] * x.ndim))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("shape", [(6,), (10_000,), (2, 3)])
def test_a_sum_that_overflows_is_not_taken_for_outputs_that_do(dtype, shape):
    """Red where the sum alone decides, or where infinities of both signs go unnoticed."""
    outputs = np.full(shape, np.finfo(dtype).max, dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        assert all_finite(outputs)
        outputs.flat[1:3] = np.inf, -np.inf
        assert not all_finite(outputs)
        outputs.flat[1:3] = 1, np.nan
        assert not all_finite(outputs)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (np.float64, np.float32, np.float64),
        (np.int64, np.float32, np.float64),
        (np.complex128, np.float64, np.complex128),
        (np.complex64, np.float32, np.complex64),
        (np.complex64, np.float64, np.complex128),
    ],
)
def test_the_wider_type_of_either_factor_is_kept(method, one, other, expected):
    """Red if the type of one factor alone chooses the transform or the type of the sum."""
    x, h = integer_signal(20, seed=1, dtype=one), integer_signal(5, seed=2, dtype=other)
    if np.iscomplexobj(x):
        x = x * one(1 + 2j)
    for a, b in [(x, h), (h, x), (x[:5], integer_signal(20, seed=2, dtype=other))]:
        y = convolve(a, b, method=method)
        assert y.dtype == expected
        assert np.array_equal(np.round(y), convolve(a, b))


def stages(*radices: int) -> float:
    """Count the weighed roundings of a transform in stages of the given radices.

    A butterfly of radix r > 2 is r + 2 operations on terms of sqrt(2 r) times the norm; one of
    radix 2 is an addition. A twiddle factor is a product, √5, and 2 for its table.
    """
    butterflies = (1 if r == 2 else (r + 2) * math.sqrt(2 * r) for r in radices)
    return sum(butterflies) + len(radices) * (math.sqrt(5) + 2)


def product(*transform: float) -> float:
    """Count three transforms, one product of spectra, and two roundings for the scale."""
    return 3 * sum(transform) + math.sqrt(5) + 2


@pytest.mark.parametrize(
    ("full", "radices"),
    [
        (1, ()),
        (2, (2,)),
        (3, (3,)),
        (5, (5,)),
        (7, (2, 2, 2)),  # transforms of real signals have no radix 7: 8 cells
        (9, (3, 3)),
        (25, (5, 5)),
        (360, (2, 2, 2, 3, 3, 5)),
    ],
)
def test_the_roundings_of_one_transform_are_those_of_its_stages(full, radices):
    counted = fft_roundings(np.zeros(full), np.zeros(1))
    assert counted == pytest.approx(product(stages(*radices)), rel=1e-14)


def test_the_axes_of_a_transform_add_up():
    counted = fft_roundings(np.zeros((3, 4)), np.zeros((1, 2)))
    assert counted == pytest.approx(product(stages(3), stages(5)), rel=1e-14)


@pytest.mark.parametrize(
    ("x", "h", "axes", "why"),
    [
        ((10_000,), (3,), [(2,) * 5], "at least 32 cells"),
        ((200, 200), (5, 3), [(2, 2, 2, 5), (2,) * 5], "for each axis by itself"),
        ((20, 20, 20), (3, 3, 3), [(2, 2, 2, 3)] * 3, "8 times the kernel, up to 8 blocks meet"),
        ((10_000,), (600,), [(2,) * 6 + (3, 5, 5)], "8 times the kernel: 4800"),
        ((10_000,), (882,), [(2,) * 5 + (3, 3, 5, 5)], "8 times the kernel, to the next 2, 3, 5"),
        ((50_000,), (3000,), [(2,) * 14], "no more than 2^14 cells"),
        ((99_000,), (9000,), [(2,) * 4 + (3, 3, 5, 5, 5)], "unless twice the kernel is more"),
        ((500, 500), (40, 40), [(2,) * 7] * 2, "no more than 2^14 cells in a plane"),
        ((20,), (6,), [(5, 5)], "no more than one transform for everything"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_the_roundings_of_blocks_are_those_of_one_and_of_adding_them_up(x, h, axes, why):
    """Red if a block is larger or smaller than meant, or the blocks that meet are miscounted."""
    expected = product(*(stages(*radices) for radices in axes)) + 2 ** len(axes) - 1
    for factors in [(x, h), (h, x)]:
        counted = overlap_add_roundings(*map(np.zeros, factors))
        assert counted == pytest.approx(expected, rel=1e-14), why
