"""Every method keeps to its bound on rounding, for arrays and tensors alike."""

from __future__ import annotations

from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import torch

from theory.gradients import filter_gradient, filter_gradient_bound
from theory.methods import fast_gradients
from theory.signals import integer_signal

METHODS = ("direct", "fft", "blocked-fft", "auto")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("operation", ["cross-correlation", "convolution"])
@pytest.mark.parametrize("types", [("f8", "f8"), ("f4", "f4"), ("f4", "f8"), ("i4", "f8")])
@pytest.mark.parametrize(("n", "m"), [((70,), (60,)), ((3000,), (2500,)), ((9, 7), (4, 7))])
def test_one_channel_and_one_filter_alone_are_as_among_others(method, operation, types, n, m):
    """Red if the short way for these differs from the one for many; the samples are integers."""
    x, g = integer_signal((2, *n), seed=0), integer_signal((3, *m), seed=1)
    x, g = (each.astype(held) for each, held in zip((x, g), types, strict=True))
    options = {"operation": operation, "method": method}
    among = filter_gradient(x, g, **options)[:1, :1]
    bound = filter_gradient_bound(x[:1], g[:1], method=method).item()
    alone = filter_gradient(x[:1], g[:1], **options)
    assert (alone.shape, alone.dtype) == (among.shape, among.dtype)
    assert np.abs(alone - among).max() <= 2 * bound
    if method == "direct":
        assert np.array_equal(alone, among)
    in_a_batch = filter_gradient(x[None, :1], g[None, :1], batched=True, **options)
    assert np.array_equal(alone, in_a_batch)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(
    ("n", "m"),
    [((20_000,), (19_990,)), ((300, 40), (290, 37)), ((70,), (3,)), ((9, 4, 5), (7, 4, 2))],
)
def test_arrays_and_tensors_keep_to_one_bound_in_their_own_precision(n, m, precision):
    """Red if windows, axes or types differ; 20 000 cells are more than go in at once."""
    x, g = integer_signal((2, 2, *n), seed=0), integer_signal((2, 3, *m), seed=1)
    exact = filter_gradient(x, g, batched=True)
    narrow = x.astype(precision), g.astype(precision)
    for method in METHODS:
        bound = filter_gradient_bound(*narrow, method=method, batched=True)
        array = filter_gradient(*narrow, method=method, batched=True)
        tensors = map(torch.from_numpy, narrow)
        tensor = filter_gradient(*tensors, method=method, batched=True)
        assert array.dtype == precision
        assert tensor.dtype == getattr(torch, precision)
        for gradient in (array, tensor.numpy()):
            error = np.abs(gradient - exact).max(tuple(range(2, exact.ndim)))
            assert (error <= bound).all(), method


@pytest.mark.parametrize("scale", [2.0**-600, 2.0**600])
def test_squares_that_leave_the_range_do_not_take_the_bound_along(scale):
    """Red if a channel of another scale decides for all, too."""
    x, g = integer_signal((2, 20), seed=0), integer_signal((3, 18), seed=1)
    by_channel = np.array([[scale], [1.0]])
    scaled = filter_gradient_bound(x * by_channel, g / scale)
    assert scaled == pytest.approx(filter_gradient_bound(x, g) * by_channel.T / scale, rel=1e-13)


def test_what_rounds_as_it_becomes_floats_counts_for_the_bound():
    large, floats = np.array([[2**53 + 1]]), np.array([[1 + 2.0**-40]])
    exact = (2**53 + 1) * Fraction(floats.item())
    for x in (large, large.astype(object)):
        error = Fraction(filter_gradient(x, floats).item()) - exact
        assert abs(error) <= Fraction(filter_gradient_bound(x, floats).item())
        assert filter_gradient_bound(x, floats) > filter_gradient_bound(x.astype(float), floats)
        assert filter_gradient_bound(x, np.array([[1]])) == 0


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("method", METHODS)
def test_as_many_windows_at_once_as_a_gpu_takes_add_up_to_the_same(monkeypatch, method, device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("PyTorch finds no GPU")
    on_a_gpu = fast_gradients._cells_at_once(torch.empty(0, device="meta"))
    assert on_a_gpu == fast_gradients._CELLS_ON_A_GPU > fast_gradients._cells_at_once(np.empty(0))
    monkeypatch.setattr(fast_gradients, "_cells_at_once", lambda _: on_a_gpu)
    x, g = integer_signal((2, 2, 20_000), seed=0), integer_signal((2, 3, 19_990), seed=1)
    exact = filter_gradient(x, g, batched=True)
    bound = filter_gradient_bound(x, g, method=method, batched=True)
    tensors = (torch.from_numpy(each).to(device) for each in (x, g))
    found = filter_gradient(*tensors, method=method, batched=True)
    assert found.device.type == device
    assert (np.abs(found.cpu().numpy() - exact).max(axis=2) <= bound).all()


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("method", METHODS)
def test_tensors_keep_to_their_bound_whatever_torch_may_cut_short(monkeypatch, method, device):
    """Of factors of 21 bits TF32 leaves 11. Red on any machine: what is allowed is looked at."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("PyTorch finds no GPU")
    seen = []

    def looked_at(product, *arguments):
        seen.append(torch.get_float32_matmul_precision())
        return product(*arguments)

    monkeypatch.setattr(torch, "einsum", partial(looked_at, torch.einsum))
    monkeypatch.setattr(torch.Tensor, "__matmul__", lambda *both: looked_at(torch.matmul, *both))
    sizes = (2, 2, 90), (2, 3, 70)
    x, g = (integer_signal(n, seed=s, bound=2**20, dtype=np.int64) for s, n in enumerate(sizes))
    exact = filter_gradient(x, g, batched=True)
    factors = [torch.from_numpy(each).to(device, torch.float32) for each in (x, g)]
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        found = filter_gradient(*factors, method=method, batched=True)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert set(seen) == {"highest"}
    bound = filter_gradient_bound(*factors, method=method, batched=True)
    assert (np.abs(found.cpu().numpy() - exact).max(axis=2) <= bound).all()


def test_the_bound_of_a_tensor_is_that_of_its_array():
    x, g = integer_signal((2, 90), seed=0), integer_signal((1, 80), seed=1)
    for method in ("direct", "fft", "blocked-fft"):
        of_arrays = filter_gradient_bound(x, g, method=method)
        of_tensors = filter_gradient_bound(*map(torch.from_numpy, (x, g)), method=method)
        assert np.array_equal(of_arrays, of_tensors)
        assert of_arrays.shape == (1, 2)
    whole = x.astype(np.int64), g.astype(np.int64)
    assert not filter_gradient_bound(*whole, method="auto").any()
    assert filter_gradient_bound(*whole, method="fft").all()


def test_roundings_count_the_windows_and_how_many_meet():
    """80 outputs of 5 taps: windows of 40 cells, 36 apart, of which two meet at most."""
    roundings, meet = fast_gradients.blocked_roundings((3, 1, 84), (3, 1, 80))
    assert roundings == fast_gradients.product_roundings((40,), 3 * 3)
    assert meet == 2
    whole = fast_gradients.fft_gradient_roundings((3, 1, 84))
    assert whole == fast_gradients.product_roundings((90,), 3)
