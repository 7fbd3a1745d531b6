"""Gradients of integers and rational numbers are exact, and never wrap."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from theory.convolution import correlate_channels
from theory.gradients import bias_gradient, filter_gradient, filter_gradient_bound, input_gradient
from theory.signals import integer_signal, rational_signal


def test_exact_numbers_stay_exact_and_narrow_integers_do_not_overflow():
    x, g = rational_signal((2, 5), seed=0), rational_signal((3, 4), seed=1)
    gradient = filter_gradient(x, g)
    assert np.array_equal(gradient, filter_gradient(x, g, method="matrix"))
    assert all(isinstance(entry, Fraction) for entry in gradient.flat)
    narrow = np.full((1, 3), 100, np.int8)
    for method in ("direct", "matrix"):
        assert filter_gradient(narrow, narrow, method=method).tolist() == [[[30_000]]]


@pytest.mark.parametrize("method", ["direct", "matrix"])
def test_sums_beyond_int64_are_refused_and_do_not_wrap(method):
    large = np.array([[2**62]])
    with pytest.raises(ValueError, match="beyond int64: use dtype=object"):
        filter_gradient(large, np.array([[2]]), method=method)
    batch = np.stack([large, large])  # each example alone would do
    assert filter_gradient(batch[:1], np.ones((1, 1, 1), int), batched=True).item() == 2**62
    with pytest.raises(ValueError, match="beyond int64: use dtype=object"):
        filter_gradient(batch, np.ones((2, 1, 1), int), method=method, batched=True)
    exact = filter_gradient(
        batch.astype(object), np.ones((2, 1, 1), object), method=method, batched=True
    )
    assert exact.item() == 2**63
    with pytest.raises(ValueError, match="holds integers beyond int64"):
        filter_gradient(np.array([[2**64 - 1]], np.uint64), np.array([[1]]), method=method)


def test_sums_over_filters_and_channels_do_not_wrap():
    with pytest.raises(ValueError, match="beyond int64"):
        input_gradient(np.full((2, 1, 1), 2**31), np.full((2, 1), 2**31))
    with pytest.raises(ValueError, match="beyond int64"):
        bias_gradient(np.full((1, 2), 2**62))
    with pytest.raises(ValueError, match="beyond int64"):
        correlate_channels(np.full((2, 1), 2**31), np.full((1, 2, 1), 2**31))


def test_truth_values_and_unsigned_integers_count_as_integers():
    steps = np.array([[True, True, False]])
    assert filter_gradient(steps, steps[:, :2]).tolist() == [[[2, 1]]]
    assert input_gradient(np.array([[[200]]], np.uint8), steps).tolist() == [[200, 200, 0]]


@pytest.mark.parametrize("sizes", [((61,), (7,)), ((31, 17), (5, 17)), ((97,), (97,))])
def test_the_fft_tells_integers_apart_at_awkward_sizes(sizes):
    """Primes, which the transform rounds up; one tap and as many taps as cells."""
    n, m = sizes
    x, g = integer_signal((2, *n), seed=0), integer_signal((3, *m), seed=1)
    errors = np.abs(filter_gradient(x, g, method="fft") - filter_gradient(x, g))
    bound = filter_gradient_bound(x, g, method="fft")
    assert (errors.max(tuple(range(2, errors.ndim))) <= bound).all()
    assert bound.max() < 0.5


def test_the_choice_is_the_sum_where_that_is_exact():
    x, g = integer_signal((1, 3000), seed=0, dtype=np.int64), np.ones((1, 1500), np.int64)
    assert filter_gradient(x, g, method="auto").dtype == np.int64
    assert filter_gradient(x.astype(object)[:, :9], g[:, :5], method="auto").dtype == object
