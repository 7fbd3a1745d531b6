"""Singular values of a convolution layer: what do all of them cost, and what the largest alone.

A layer with as many filters as channels, kernels of 3 x 3 and circular padding, in double
precision. All singular values are compared with those of the textbook's way, the full spectrum one
matrix at a time; a norm with the largest of them, which a bound has to reach and power iteration
cannot exceed. By how much they miss it stands beside the times.

What this does not tell: what strides, groups and large kernels cost, or trained weights, whose few
large singular values both Gram and power iteration find sooner.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from benches.pace import rounds_within
from theory.gram_iteration import gram_bound
from theory.layer_matrix import layer_matrix
from theory.spectrum import operator_norm, singular_values

if TYPE_CHECKING:
    from jaxtyping import Float

    from benches.conftest import Measure
    from benches.probe import Probe

SIZES = {
    "smoke": [(2, 4)],
    "default": [(4, 8), (16, 32), (64, 32)],
    "full": [(4, 8), (8, 8), (16, 32), (64, 8), (64, 16), (64, 32), (64, 64), (256, 16)],
}
"""Channels, and cells along both axes."""

SLOWEST = "full spectrum, PyTorch"
"""A default run leaves it out at its largest size, for the sake of its four minutes."""

BUDGET = {"smoke": 0.0, "default": 0.2, "full": 4.0}
"""Seconds for the rounds of one bench."""

FULL_SECONDS = 8.0

LARGEST_MATRIX = 512
"""Rows; four times as many would take a hundred times as long as all else."""

POWER_ITERATIONS = 100
"""Products with the layer and its transpose: many for a habit, few for convergence."""

UNIT = float(np.finfo(np.float64).eps) / 2


@dataclass(frozen=True)
class Method:
    """A way to an answer.

    Parameters
    ----------
    library
        Whose it is.
    call
        From the layer and the cells along an axis to the answer.
    threads
        How many PyTorch may use; None for as many as it does.
    """

    library: str
    call: Callable[[nn.Conv2d, int], Any]
    threads: int | None = None


def _full_spectrum(layer: nn.Conv2d, n: int) -> Float[np.ndarray, " count"]:
    spectrum = np.fft.fft2(layer.weight.detach().numpy(), (n, n), axes=(2, 3))
    matrices = spectrum.transpose(2, 3, 0, 1)
    return np.sort(np.linalg.svd(matrices, compute_uv=False), axis=None)[::-1]


def _full_spectrum_torch(layer: nn.Conv2d, n: int) -> Float[torch.Tensor, " count"]:
    matrices = torch.fft.fft2(layer.weight.detach(), (n, n)).permute(2, 3, 0, 1)
    return torch.linalg.svdvals(matrices).flatten().sort(descending=True).values


def _half_spectrum(layer: nn.Conv2d, n: int, threads: int = 1) -> Float[np.ndarray, " count"]:
    spectrum = np.fft.rfft2(layer.weight.detach().numpy(), (n, n), axes=(2, 3))
    matrices = spectrum.transpose(3, 2, 0, 1)
    decompose: Callable[..., Any] = partial(np.linalg.svd, compute_uv=False)
    if threads == 1:
        values = decompose(matrices)
    else:
        with ThreadPoolExecutor(threads) as pool:
            values = np.stack([*pool.map(decompose, matrices)])
    times = [1 if 2 * frequency % n == 0 else 2 for frequency in range(n // 2 + 1)]
    return np.sort(np.repeat(values, times, axis=0), axis=None)[::-1]


def _dense(layer: nn.Conv2d, n: int) -> Float[np.ndarray, " count"]:
    if layer.out_channels * n**2 > LARGEST_MATRIX:
        pytest.skip(f"the dense matrix has {layer.out_channels * n**2} rows")
    return np.linalg.svd(layer_matrix(layer, (n, n)), compute_uv=False)


def _power_iteration(layer: nn.Conv2d, n: int) -> float:
    x = torch.randn(
        (1, layer.in_channels, n, n),
        dtype=torch.float64,
        generator=torch.Generator().manual_seed(0),
    )
    with torch.no_grad():
        for _ in range(POWER_ITERATIONS):
            x = x / x.norm()
            y = functional.conv2d(_wrapped(x), layer.weight)
            x = functional.conv2d(_wrapped(y), layer.weight.transpose(0, 1).flip(2, 3))
        return float(x.norm().sqrt())


def _wrapped(x: Float[torch.Tensor, "1 c n n"]) -> Float[torch.Tensor, "1 c n+2 n+2"]:
    return functional.pad(x, (1, 1, 1, 1), mode="circular")


VALUES = {
    "full spectrum, NumPy": Method("NumPy", _full_spectrum),
    SLOWEST: Method("PyTorch", _full_spectrum_torch),
    "half spectrum, NumPy": Method("NumPy", _half_spectrum),
    "half spectrum, NumPy, two threads": Method("NumPy", partial(_half_spectrum, threads=2)),
    "theory, one thread": Method("theory", lambda layer, n: singular_values(layer, (n, n)), 1),
    "theory": Method("theory", lambda layer, n: singular_values(layer, (n, n))),
    "dense matrix": Method("NumPy", _dense),
}

NORMS = {
    "theory, exact": Method("theory", lambda layer, n: operator_norm(layer, (n, n))),
    "theory, Gram bound": Method("theory", lambda layer, n: gram_bound(layer, (n, n))),
    "power iteration": Method("PyTorch", _power_iteration),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every method at one size before going on to the next."""
    methods = VALUES if metafunc.function is test_values else NORMS
    scale = metafunc.config.getoption("scale")
    *_, (most, widest) = SIZES["default"]
    left_out = {(most, widest, SLOWEST)} if scale == "default" else set()
    metafunc.parametrize(
        ("channels", "n", "name"),
        [
            pytest.param(channels, n, name, id=f"{channels} channels, n={n}, {name}")
            for channels, n in SIZES[scale]
            for name in methods
            if (channels, n, name) not in left_out
        ],
    )


def test_values(
    channels: int, n: int, name: str, scale: str, probe: Callable[..., Probe], measure: Measure
) -> None:
    method = VALUES[name]
    layer, exact = _layer(channels), _reference(channels, n)
    with _threads(method.threads):
        first = probe(lambda: method.call(layer, n))
        values = np.asarray(first.result)
        assert values.shape == exact.shape, f"{name} gives {values.shape}, expected {exact.shape}"
        error, bound = np.abs(values - exact).max(), _bound(channels, n, name)
        assert error <= bound, f"{name} is off by {error:.2g}; rounding explains {bound:.2g}"
        _measure(method, first, "spectrum", (channels, n, name), scale, measure)


def test_norm(
    channels: int, n: int, name: str, scale: str, probe: Callable[..., Probe], measure: Measure
) -> None:
    method = NORMS[name]
    layer, norm = _layer(channels), float(_reference(channels, n)[0])
    with _threads(method.threads):
        first = probe(lambda: method.call(layer, n))
        excess, (low, high) = first.result / norm - 1, _allowed(channels, n, name)
        assert low <= excess <= high, f"{name} is off the norm by {excess:+.2g} times itself"
        case = (channels, n, name)
        _measure(method, first, "norm", case, scale, measure, relative_excess=excess)


def _measure(
    method: Method,
    first: Probe,
    question: str,
    case: tuple[int, int, str],
    scale: str,
    measure: Measure,
    **facts: Any,
) -> None:
    channels, n, name = case
    layer = _layer(channels)
    measure(
        lambda: method.call(layer, n),
        group=f"{question}, {channels} channels, {n} x {n}",
        rounds=rounds_within(BUDGET[scale], first.seconds),
        peak_memory_bytes=first.peak_memory_bytes,
        bytes=layer.weight.nbytes + 8 * channels * n**2,
        method=name,
        library=method.library,
        precision="float64",
        channels=channels,
        cells=n**2,
        **facts,
    )


@contextlib.contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@cache
def _layer(channels: int) -> nn.Conv2d:
    with torch.random.fork_rng():
        torch.manual_seed(channels)
        return nn.Conv2d(
            channels,
            channels,
            kernel_size=3,
            padding=1,
            padding_mode="circular",
            bias=False,
            dtype=torch.float64,
        )


@cache
def _reference(channels: int, n: int) -> Float[np.ndarray, " count"]:
    return _full_spectrum(_layer(channels), n)


def _bound(channels: int, n: int, name: str) -> float:
    """Bound how far two sets of singular values may lie apart by rounding.

    Values alone take 4 k^3 operations on a matrix of k rows, of weight √5 where they are complex
    (Golub and Van Loan, *Matrix Computations*, 4th ed., figure 8.6.1), each of which changes it by
    a unit of its norm. The norm of all matrices together is that of all singular values. Before,
    come transforms, of fewer operations than 200 in a row.
    """
    rows = channels * n**2 if name == "dense matrix" else channels
    norm = float(np.linalg.norm(_reference(channels, n)))
    return 2 * math.expm1((4 * math.sqrt(5) * rows**3 + 200) * UNIT) * norm


def _allowed(channels: int, n: int, name: str) -> tuple[float, float]:
    """Return how far an answer may lie from the norm, relative to it, downwards and upwards.

    Gram iteration overstates it as `gram_bound` says. Power iteration cannot, but for rounding;
    where it gets to in time depends on the start, and within a tenth is what it is for.
    """
    rounding = _bound(channels, n, name) / float(_reference(channels, n)[0])
    if name == "theory, Gram bound":
        return -rounding, channels ** (1 / 128) * (1 + 14 * channels**2 * 2.0**-24) - 1
    return (-0.1 if name == "power iteration" else -rounding), rounding
