"""Fast convolution at its edges: circles beyond the cache, and samples that are not finite."""

from __future__ import annotations

import numpy as np
import pytest

from theory.convolution import convolve, rounding_bound
from theory.methods.fast_convolution import CACHED_CELLS, NotFiniteError
from theory.signals import integer_signal

LONG = 8 * CACHED_CELLS
"""Cells up to which both factors are transformed at once."""


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.int64])
@pytest.mark.parametrize("n", [LONG - 1, LONG + 1])
def test_a_long_circle_gives_what_the_sum_gives_in_its_own_type(dtype, n):
    """Red if the way past the cache computes something else, or in another type."""
    x, h = integer_signal(n, seed=0, dtype=np.int64), integer_signal(3, seed=1, dtype=np.int64)
    y = convolve(x.astype(dtype), h.astype(dtype), method="fft")
    assert y.dtype == (np.float64 if dtype is np.int64 else dtype)
    bound = rounding_bound(x.astype(dtype), h.astype(dtype), method="fft")
    assert np.abs(y - convolve(x, h)).max() <= bound


@pytest.mark.parametrize("method", ["fft", "overlap-add"])
@pytest.mark.parametrize("n", [300, LONG + 1])
@pytest.mark.parametrize("value", [np.inf, np.nan])
@pytest.mark.parametrize("which", [0, 1])
def test_a_sample_that_is_not_finite_is_found_in_either_factor(method, n, value, which):
    factors = np.ones(n), np.ones(5)
    factors[which][-1] = value
    with pytest.raises(NotFiniteError, match="spread infinities and NaN"):
        convolve(*factors, method=method)


def test_a_block_in_a_plane_that_is_not_finite_is_found():
    x = np.ones((90, 80))
    x[-1, -1] = np.inf
    with pytest.raises(NotFiniteError, match="spread infinities and NaN"):
        convolve(x, np.ones((3, 3)), method="overlap-add")


@pytest.mark.parametrize("sizes", [((90, 70), (3, 5)), ((70, 40, 33), (2, 4, 3))])
def test_blocks_are_joined_along_each_axis_in_its_place(sizes):
    """Several blocks along each, of other counts: red where an axis is taken for another."""
    x, h = (integer_signal(size, seed=s, dtype=np.int64) for s, size in enumerate(sizes))
    found = convolve(x.astype(float), h.astype(float), method="overlap-add")
    bound = rounding_bound(x.astype(float), h.astype(float), method="overlap-add")
    assert np.abs(found - convolve(x, h)).max() <= bound
