"""The filter gradient of infinities and NaN: the FFT refuses them, and the choice is the sum.

So it is where only the transforms overflow.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from theory.gradients import filter_gradient, filter_gradient_bound
from theory.methods import gradient_plan
from theory.methods.fast_convolution import NotFiniteError
from theory.methods.gradient_plan import plan_gradient
from theory.signals import integer_signal

FFTS = ("fft", "blocked-fft")
LIBRARIES = (np.asarray, torch.from_numpy)
SHAPES = [((4096,), (3841,)), ((40, 30), (33, 28))]


def layer(n, m):
    """Return input and output gradient of a batch: the latter sums to 0, as the FFT sees it."""
    x, g = integer_signal((2, 3, *n), seed=0), integer_signal((2, 2, *m), seed=1)
    return x, g - g.sum(axis=tuple(range(2, g.ndim)), keepdims=True) / g[0, 0].size


@pytest.fixture(params=FFTS)
def chosen(request, monkeypatch):
    """Let this be the fastest method, whatever the machine."""
    plan_gradient.cache_clear()
    monkeypatch.setattr(gradient_plan, "fastest_filter_gradient", lambda *_, **__: request.param)
    yield request.param
    plan_gradient.cache_clear()


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(("n", "m"), SHAPES)
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_an_fft_refuses_a_factor_that_is_not_finite(library, n, m, which, value):
    """One sample, in the last channel of the last example, at the end that few windows reach."""
    factors = layer(n, m)
    factors[which].flat[-1] = value
    given = [library(factor) for factor in factors]
    for method in FFTS:
        with pytest.raises(NotFiniteError, match="use method='direct'"):
            filter_gradient(*given, method=method, batched=True)
        with pytest.raises(NotFiniteError, match="use method='direct'"):
            filter_gradient_bound(*given, method=method, batched=True)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("operation", ["cross-correlation", "convolution"])
@pytest.mark.parametrize(("n", "m"), SHAPES)
def test_the_choice_leaves_what_is_not_finite_to_the_sum(chosen, library, operation, n, m):
    """The corner of the last channel reaches one tap of it, in each filter."""
    x, g = layer(n, m)
    x[-1, -1].flat[-1] = np.inf
    given = library(x), library(g)
    options = {"operation": operation, "batched": True}
    gradient = np.asarray(filter_gradient(*given, method="auto", **options))
    expected = np.asarray(filter_gradient(*given, method="direct", **options))
    assert np.array_equal(gradient, expected, equal_nan=True)
    assert (~np.isfinite(gradient)).sum() == len(g[0])


def test_of_256_taps_one_inf_at_the_end_spoils_one(chosen):
    x, g = integer_signal((1, 4096), seed=0), integer_signal((1, 3841), seed=1)
    x[0, -1] = np.inf
    assert np.isfinite(filter_gradient(x, g, method="auto")).sum() == 255


def test_the_bound_of_the_choice_is_that_of_the_sum(chosen):
    """The sum rounds more often than the FFT, in the channels that are finite as well."""
    x, g = layer((4096,), (3841,))
    x[0, 0, 5] = np.nan
    bound = filter_gradient_bound(x, g, method="auto", batched=True)
    expected = filter_gradient_bound(x, g, method="direct", batched=True)
    assert np.array_equal(bound, expected, equal_nan=True)
    assert np.isfinite(bound).any()


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("method", FFTS)
def test_sums_that_overflow_are_not_taken_for_samples_that_are_not_finite(library, method):
    x, g = library(np.full((1, 3000), 1e306)), library(np.ones((1, 2951)))
    with np.errstate(over="ignore", invalid="ignore"):
        assert filter_gradient(x, g, method=method).shape == (1, 1, 50)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("dtype", "large", "small"), [(np.float64, 1e305, 1e-4), (np.float32, 1e36, 1e-3)]
)
def test_the_choice_is_the_sum_where_the_transforms_alone_overflow(
    chosen, library, dtype, large, small
):
    """No tap of the gradient is larger than 2000 * large * small, which is representable."""
    x, g = np.full((2, 1, 4096), large, dtype), np.full((2, 1, 1000), small, dtype)
    x[:, :, ::2] /= 2
    given = library(x), library(g)
    gradient = np.asarray(filter_gradient(*given, method="auto", batched=True))
    assert np.isfinite(gradient).all()
    direct = np.asarray(filter_gradient(*given, method="direct", batched=True))
    assert np.array_equal(gradient, direct)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_gradient_that_overflows_is_that_of_the_sum(chosen, library):
    """Infinite where the sum is, instead of NaN everywhere."""
    x, g = np.ones((1, 3000)), np.ones((1, 2951))
    x[0, -1] = g[0, -1] = 1e200
    with np.errstate(over="ignore"):
        gradient = np.asarray(filter_gradient(library(x), library(g), method="auto"))
    assert np.array_equal(np.flatnonzero(~np.isfinite(gradient)), [49])
    assert gradient[0, 0, -1] == np.inf
