"""Gradients at their edges: bounds exactly, types, the largest integers, what is left alone.

A bound that is too wide passes wherever it is met; here each is compared with the number itself.
"""

from __future__ import annotations

import math
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from theory import gradients
from theory.gradients import bias_gradient, filter_gradient, filter_gradient_bound, input_gradient
from theory.methods import gradient_plan
from theory.methods.fast_gradients import blocked_roundings, fft_gradient_roundings
from theory.methods.gradient_plan import plan_gradient
from theory.signals import integer_signal

# Norms 5 and 3: the Pythagorean triple and quadruple.
X = np.array([[3.0, 0.0, 0.0, 4.0]])
G = np.array([[1.0, 2.0, 2.0]])


def growth(roundings, dtype):
    return math.expm1(roundings * 2.0 ** -(24 if dtype == np.float32 else 53))


def exactly(bound):
    return pytest.approx(bound, rel=1e-13, abs=0)


@pytest.mark.parametrize("method", ["direct", "matrix"])
@pytest.mark.parametrize(
    ("x_type", "g_type", "rounds"),
    [
        (np.float64, np.float64, np.float64),
        (np.float32, np.float32, np.float32),
        (np.float64, np.float32, np.float64),
        (np.float32, np.float64, np.float64),
        (np.float16, np.float16, np.float32),
        (np.float64, np.int8, np.float64),
    ],
)
def test_a_sum_of_3_outputs_rounds_3_times(method, x_type, g_type, rounds):
    bound = filter_gradient_bound(X.astype(x_type), G.astype(g_type), method=method)
    assert bound.shape == (1, 1)
    assert bound.item() == exactly(growth(3, rounds) * 15)


def test_a_batch_of_2_rounds_as_one_long_sum():
    x, g = np.stack([X, X]), np.stack([G, G])  # norms √50 and √18
    assert filter_gradient_bound(x, g, batched=True).item() == exactly(growth(6, np.float64) * 30)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_the_ffts_count_their_own_roundings(dtype):
    x, g = X.astype(dtype), G.astype(dtype)
    whole = growth(fft_gradient_roundings((1, *x.shape)), dtype) * 15
    assert filter_gradient_bound(x, g, method="fft").item() == exactly(whole)
    long_x, long_g = (np.tile(each, (1, 300)) for each in (X, np.pad(G, [(0, 0), (0, 1)])))
    long_x, long_g = long_x.astype(dtype), long_g[:, :-7].astype(dtype)  # 8 taps
    norms = math.sqrt(300) * 5 * np.linalg.norm(long_g.astype(np.float64))
    roundings = fft_gradient_roundings((1, *long_x.shape))
    found = filter_gradient_bound(long_x, long_g, method="fft").item()
    assert found == exactly(growth(roundings, dtype) * norms)
    roundings, meet = blocked_roundings((1, *long_x.shape), (1, *long_g.shape))
    assert meet == 2
    expected = growth(roundings, dtype) * math.sqrt(2) * norms
    assert filter_gradient_bound(long_x, long_g, method="blocked-fft").item() == exactly(expected)


def test_sums_of_complex_products_may_round_part_by_part():
    """Of 2 examples √8 for each product; of one √5, as for any single product."""
    one, two = (fft_gradient_roundings((batch, 1, 4)) for batch in (1, 2))
    assert two - one == pytest.approx(2 * math.sqrt(8) - math.sqrt(5), rel=1e-12)


@pytest.mark.parametrize("method", ["fft", "blocked-fft"])
@pytest.mark.parametrize("channels", [1, 2])
def test_each_type_has_one_type_of_gradient_by_the_fft(method, channels):
    x, g = np.ones((channels, 40)), np.ones((2, 36))
    for x_type, g_type, expected in [
        (np.float32, np.float32, np.float32),
        (np.float32, np.float64, np.float64),
        (np.float64, np.float32, np.float64),
        (np.float16, np.float16, np.float32),
        (np.int64, np.uint8, np.float64),
        (np.float32, np.int8, np.float64),
    ]:
        gradient = filter_gradient(x.astype(x_type), g.astype(g_type), method=method)
        assert gradient.dtype == expected
        assert gradient == pytest.approx(np.full((2, channels, 5), 36), rel=1e-5)


def test_halves_are_computed_in_float32_by_every_method():
    """65,504 is the largest half; the sum is 40 times 4,096."""
    x, g = np.full((1, 44), 64, np.float16), np.full((1, 40), 64, np.float16)
    for method in ("direct", "matrix", "fft", "blocked-fft", "auto"):
        gradient = filter_gradient(x, g, method=method)
        assert gradient.dtype == np.float32
        assert gradient.ravel() == pytest.approx(np.full(5, 40 * 4096), rel=1e-5)
    assert input_gradient(g[None], x).dtype == bias_gradient(x).dtype == np.float32


@pytest.mark.parametrize("method", ["direct", "fft", "blocked-fft"])
def test_tensors_of_two_types_are_computed_in_the_wider(method):
    x, g = torch.rand(1, 40, dtype=torch.float64), torch.rand(1, 36)
    for one, other in [(x, g), (x.float(), g.double())]:
        gradient = filter_gradient(one, other, method=method)
        assert gradient.dtype == torch.float64
        expected = filter_gradient(one.double(), other.double(), method=method)
        assert torch.equal(gradient, expected)


def test_only_tensors_in_float32_need_torch_to_leave_its_factors_whole(monkeypatch):
    entered = []

    @contextmanager
    def recorded():
        entered.append(1)
        yield

    monkeypatch.setattr(gradients, "single_precision", recorded)
    x, g = np.ones((2, 40)), np.ones((2, 36))
    filter_gradient(x, g)
    filter_gradient(x.astype(np.float32), g.astype(np.float32))
    filter_gradient(torch.from_numpy(x), torch.from_numpy(g))
    assert not entered
    filter_gradient(torch.from_numpy(x).float(), torch.from_numpy(g).float())
    assert entered


@pytest.fixture(params=["fft", "blocked-fft"])
def chosen(request, monkeypatch):
    """Let this be the fastest method, whatever the machine."""
    plan_gradient.cache_clear()
    monkeypatch.setattr(gradient_plan, "fastest_filter_gradient", lambda *_, **__: request.param)
    yield request.param
    plan_gradient.cache_clear()


def test_products_of_spectra_that_overflow_are_left_to_the_sum_without_a_warning(chosen):
    """No sum exceeds 1e307, but low frequencies multiply to 1e310, real and imaginary parts alike.

    Red if a warning is let through: that of an overflow, or that of a difference of infinities.
    """
    x, g = np.full((2, 3000), 1e152), np.full((2, 2900), 1e152)
    x[:, 1000:], g[:, 1000:] = 0, 0
    for raised in ("over", "invalid"):
        with np.errstate(**{raised: "raise"}):
            gradient = filter_gradient(x, g, method="auto")
        assert np.array_equal(gradient, filter_gradient(x, g))
    assert np.isfinite(gradient).all()


def test_integers_are_looked_at_filter_by_filter_and_channel_by_channel():
    """Each sum is of 4 products of 2^62 in one filter or channel, and of one across the others."""
    x, slopes = np.full((1, 5), 2), np.full((1, 4), 2**61)
    with pytest.raises(ValueError, match="beyond int64"):
        filter_gradient(x, slopes)
    assert (filter_gradient(x[:, :2], slopes.T[:, :, None][:, 0]) == 2**62).all()
    weight = np.full((1, 1, 4), 2**61)
    with pytest.raises(ValueError, match="beyond int64"):
        input_gradient(weight, np.full((1, 3), 2))
    assert (input_gradient(weight.swapaxes(1, 2), np.full((1, 3), 2)) == 2**62).all()


def test_integers_beyond_int64_are_named():
    beyond, small = np.array([[2**64 - 1]], np.uint64), np.array([[1]])
    for factors, name in [((beyond, small), "input"), ((small, beyond), "output gradient")]:
        with pytest.raises(ValueError, match=rf"^the {name} holds integers beyond int64"):
            filter_gradient(*factors)
    with pytest.raises(ValueError, match=r"^the weight holds integers beyond int64"):
        input_gradient(beyond[None], small)
    with pytest.raises(ValueError, match=r"^the output gradient holds integers beyond int64"):
        bias_gradient(beyond)


def test_narrow_integers_do_not_wrap():
    weight, slopes = np.full((2, 1, 2), 100, np.int8), np.full((2, 3), 100, np.int8)
    assert input_gradient(weight, slopes).tolist() == [[20_000, 40_000, 40_000, 20_000]]


def test_the_input_gradient_is_in_the_wider_type_of_either_factor():
    weight, slopes = np.full((1, 1, 1), 1 + 2.0**-40), np.ones((1, 2))
    for one, other in [(weight, slopes.astype(np.float32)), (weight.astype(np.float32), slopes)]:
        found = input_gradient(one, other)
        assert found.dtype == np.float64
        assert (found == float(one[0, 0, 0])).all()


# Batches


@pytest.mark.parametrize("operation", ["cross-correlation", "convolution"])
@pytest.mark.parametrize(("m", "k"), [((5,), (3,)), ((4, 3), (2, 3))])
def test_the_input_gradient_of_a_batch_is_that_of_each_example(operation, m, k):
    weight = integer_signal((3, 2, *k), seed=0, dtype=np.int64)
    g = integer_signal((4, 3, *m), seed=1, dtype=np.int64)
    found = input_gradient(weight, g, operation=operation, batched=True)
    assert found.dtype == np.int64
    expected = [input_gradient(weight, each, operation=operation) for each in g]
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("library", [np.asarray, torch.from_numpy])
def test_the_bias_gradient_of_a_batch_is_the_sum_of_those_of_its_examples(library):
    g = integer_signal((4, 3, 5, 2), seed=0)
    found = bias_gradient(library(g), batched=True)
    assert np.array_equal(found, sum(bias_gradient(each) for each in g))


def test_a_batch_has_one_more_axis():
    with pytest.raises(ValueError, match=r"expected \(batch, filters, \*m\)"):
        bias_gradient(np.ones((2, 3)), batched=True)
    with pytest.raises(
        ValueError, match=r"expected \(filters, channels, \*k\) and \(filters, \*m\)"
    ):
        input_gradient(np.ones((3, 2, 2)), np.ones((2, 5)))
    with pytest.raises(ValueError, match=r"\(filters, channels, \*k\) and \(batch, filters, \*m\)"):
        input_gradient(np.ones((3, 2, 2)), np.ones((3, 5)), batched=True)
    with pytest.raises(ValueError, match="beyond int64"):
        bias_gradient(np.full((4, 1, 1), 2**61), batched=True)


@pytest.mark.parametrize("function", [filter_gradient, filter_gradient_bound])
def test_a_masked_factor_of_two_is_refused_by_name(function):
    masked = np.ma.array(np.ones((1, 4)), mask=[[True, False, False, False]])
    with pytest.raises(TypeError, match=r"^the input is a masked array"):
        function(masked, np.ones((1, 2)))
    with pytest.raises(TypeError, match=r"^the output gradient is a masked array"):
        function(np.ones((1, 5)), masked)


def test_a_masked_factor_is_refused_by_name_and_a_list_is_an_array():
    masked = np.ma.array(np.ones((1, 4)), mask=[[True, False, False, False]])
    with pytest.raises(TypeError, match=r"^the output gradient is a masked array"):
        bias_gradient(masked)
    assert bias_gradient([[1, 2]]).tolist() == [3]
