"""Convolution: which way of computing it is fastest at which size.

Every method gives the full convolution of n float64 samples with k taps that lie in memory in the
form that its library wants. The samples are small integers: a direct sum is exact, and compared
with equality; an FFT is held to the bound on its rounding error. (Of the largest convolutions a
thousand outputs are compared.) One call is timed that is not the first of its size: what a library
does anew each time, such as padding, is in it. What it remembers is not: SciPy the twiddle factors
of its last transforms, on which ours are built, and ours the method that was chosen; SciPy's
``auto`` chooses anew. The methods take turns.

What this does not tell: which method is fastest on many short signals at once, in two dimensions,
or on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
import torch
from scipy import fft, signal

from benches.pace import skip_unless_feasible
from benches.peers import Entrant, Field, choices, skip_without
from benches.probe import probe
from benches.turns import Replay
from theory.convolution import convolve, rounding_bound
from theory.methods.choice import fastest_convolution

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

    from benches.conftest import Measure

# 32 KiB, 1 MiB and 2 MiB, where first and second caches end, are 2^12, 2^17 and 2^18 samples.
SIZES = {
    "smoke": [(2**8, 16)],
    "default": [
        *((2**p, 3) for p in (6, 10, 12, 16, 18, 20)),
        *((2**p, 256) for p in (10, 12, 14, 18)),
        *((2**p, 4096) for p in (14, 18, 20)),
        *((2**p, 2**p // 2) for p in (8, 12, 16, 18)),
    ],
    "full": [
        *((2**p, k) for k in (3, 16, 64, 256, 1024, 4096) for p in range(6, 21) if 2 * k <= 2**p),
        *((2**p, 2**p // 2) for p in range(6, 21)),
    ],
}
"""Samples and taps."""

MOST_PRODUCTS = {"smoke": 2**30, "default": 2**30, "full": 2**33}
"""A sum of more products is left out without trying a part of it, which would take as long."""

CHECKED_OUTPUTS = 1000
"""Compared with the exact ones, spread over all, where all would be more than `MOST_CHECKED`."""

MOST_CHECKED = 2**28
"""Products."""

LONGEST_CALL = {"smoke": 5.0, "default": 0.08, "full": 5.0}
"""Seconds; a method is left out where one call would take longer."""

LARGEST_CALL = 4
"""GiB; a method is left out where one call would take more memory."""

BUDGET = {"default": 0.06, "full": 1.0}
"""Seconds for the rounds of one method, of which there are a few at least."""

CLOCK = Replay()


@dataclass(frozen=True)
class Method:
    """A way of convolving.

    Parameters
    ----------
    library
        Whose it is.
    algorithm
        How it works; ``auto`` where the library chooses.
    prepare
        From signal and kernel to the call that is timed, with the arrays in the library's form.
    precision
        What it computes in.
    requires
        The module that must be installed.
    """

    library: str
    algorithm: Literal["direct", "fft", "overlap-add", "auto"]
    prepare: Callable[[np.ndarray, np.ndarray], Callable[[], Any]]
    precision: Literal["float64", "float32"] = "float64"
    requires: str | None = None


def _torch_conv1d(x: np.ndarray, h: np.ndarray) -> Callable[[], Tensor]:
    signals, weight = _layer_input(x), _layer_weight(h)
    return lambda: torch.nn.functional.conv1d(signals, weight, padding=len(h) - 1)


def _torch_fft(x: np.ndarray, h: np.ndarray) -> Callable[[], Tensor]:
    a, b, outputs = torch.from_numpy(x), torch.from_numpy(h), len(x) + len(h) - 1

    def call() -> Tensor:
        cells = fft.next_fast_len(outputs, real=True)
        return torch.fft.irfft(torch.fft.rfft(a, cells) * torch.fft.rfft(b, cells), cells)[:outputs]

    return call


def _numpy_fft(x: np.ndarray, h: np.ndarray) -> Callable[[], np.ndarray]:
    outputs = len(x) + len(h) - 1

    def call() -> np.ndarray:
        cells = 1 << (outputs - 1).bit_length()
        return np.fft.irfft(np.fft.rfft(x, cells) * np.fft.rfft(h, cells), cells)[:outputs]

    return call


def _fft_conv_pytorch(x: np.ndarray, h: np.ndarray) -> Callable[[], Tensor]:
    from fft_conv_pytorch import fft_conv

    signals, weight = _layer_input(x), _layer_weight(h)
    return lambda: fft_conv(signals, weight, padding=len(h) - 1)


def _layer_input(x: np.ndarray) -> Float[Tensor, "1 1 n"]:
    return torch.from_numpy(x)[None, None]


def _layer_weight(h: np.ndarray) -> Float[Tensor, "1 1 k"]:
    """Flip the kernel: what a layer computes is a cross-correlation."""
    return torch.from_numpy(h[::-1].copy())[None, None]


METHODS = {
    "theory direct": Method("theory", "direct", lambda x, h: lambda: convolve(x, h)),
    "theory fft": Method("theory", "fft", lambda x, h: lambda: convolve(x, h, method="fft")),
    "theory overlap-add": Method(
        "theory", "overlap-add", lambda x, h: lambda: convolve(x, h, method="overlap-add")
    ),
    "theory auto": Method("theory", "auto", lambda x, h: lambda: convolve(x, h, method="auto")),
    "numpy.convolve": Method("NumPy", "direct", lambda x, h: lambda: np.convolve(x, h)),
    "numpy.fft": Method("NumPy", "fft", _numpy_fft),
    "scipy convolve direct": Method(
        "SciPy", "direct", lambda x, h: lambda: signal.convolve(x, h, method="direct")
    ),
    "scipy convolve auto": Method(
        "SciPy", "auto", lambda x, h: lambda: signal.convolve(x, h, method="auto")
    ),
    "scipy fftconvolve": Method("SciPy", "fft", lambda x, h: lambda: signal.fftconvolve(x, h)),
    "scipy oaconvolve": Method(
        "SciPy", "overlap-add", lambda x, h: lambda: signal.oaconvolve(x, h)
    ),
    "torch conv1d": Method("PyTorch", "direct", _torch_conv1d),
    "torch.fft": Method("PyTorch", "fft", _torch_fft),
    "fft_conv_pytorch": Method(
        "fft-conv-pytorch",
        "fft",
        _fft_conv_pytorch,
        precision="float32",
        requires="fft_conv_pytorch",
    ),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every method at one size before going on to the next."""
    sizes = dict.fromkeys(SIZES[metafunc.config.getoption("scale")])
    metafunc.parametrize(
        ("n", "k", "name"),
        [
            pytest.param(n, k, name, id=f"n={n}, k={k}, {name}")
            for n, k in sizes
            for name in METHODS
        ],
    )


@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence:UserWarning")  # fft_conv_pytorch
@pytest.mark.benchmark(timer=CLOCK)
def test_convolution(n: int, k: int, name: str, scale: str, measure: Measure) -> None:
    timed = _field(n, k, scale)[name]
    method = METHODS[name]
    measure(
        CLOCK.replayed(timed.seconds),
        group=f"convolution, n = {n}, k = {k}",
        rounds=len(timed.seconds),
        # what the definition asks for; what an FFT does depends on its factors and twiddles
        flops=2 * n * k if method.algorithm == "direct" else None,
        peak_memory_bytes=timed.peak_memory_bytes,
        bytes=8 * (n + k + n + k - 1),
        method=name,
        library=method.library,
        algorithm=method.algorithm,
        precision=method.precision,
        samples=n,
        taps=k,
        **(_choices(n, k) if name == "theory auto" else {}),
    )


@cache
def _field(n: int, k: int, scale: str) -> Field:
    """Time the methods that compute the right thing, in turns."""
    x, h = _factors(n, k)

    def enter(name: str) -> Entrant:
        method = METHODS[name]
        skip_without(method.requires)
        _skip_unless_feasible(name, x, h, longest=LONGEST_CALL[scale], most=MOST_PRODUCTS[scale])
        call = method.prepare(x, h)
        first = probe(call)
        _check(name, np.asarray(first.result).ravel(), x, h)
        return Entrant(call, first)

    return Field(METHODS, enter, BUDGET.get(scale))


def _choices(n: int, k: int) -> dict[str, Any]:
    return choices(lambda costs: fastest_convolution((n,), (k,), costs=costs))


@cache
def _factors(n: int, k: int) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " k"]]:
    """Return integers from -8 to 8: sums of up to 2^46 products are exact in float64."""
    rng = np.random.default_rng((n, k))
    return rng.integers(-8, 9, n).astype(np.float64), rng.integers(-8, 9, k).astype(np.float64)


@cache
def _exact(n: int, k: int) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]]:
    """Return outputs that are checked, and what they are exactly."""
    x, h = (factor.astype(np.int64) for factor in _factors(n, k))
    if n * k <= MOST_CHECKED:
        return np.arange(n + k - 1), np.convolve(x, h)
    rng = np.random.default_rng((n, k, 1))
    chosen = np.sort(rng.choice(n + k - 1, CHECKED_OUTPUTS, replace=False))
    framed = np.pad(x, k - 1)
    return chosen, np.array([framed[i : i + k] @ h[::-1] for i in chosen])


def _skip_unless_feasible(
    name: str,
    x: np.ndarray,
    h: np.ndarray,
    *,
    longest: float,
    most: int,
) -> None:
    """Skip if one call would take too long or too much, judging by a part of the signal.

    No method's time and memory grow more slowly than in proportion to the signal, fixed costs
    aside, which at a 64th of the signal are too small to matter.
    """
    if METHODS[name].algorithm == "direct" and len(x) * len(h) > most:
        pytest.skip(f"{name}, n = {len(x)}, k = {len(h)}: a sum of {len(x) * len(h):.1g} products")
    part = max(len(h), len(x) // 64)
    skip_unless_feasible(
        METHODS[name].prepare(x[:part], h),
        len(x) / part,
        f"{name}, n = {len(x)}, k = {len(h)}",
        longest=longest,
        largest=LARGEST_CALL,
    )


def _check(name: str, y: np.ndarray, x: np.ndarray, h: np.ndarray) -> None:
    """Compare with the exact convolution, to within the rounding that the method is allowed."""
    outputs = (len(x) + len(h) - 1,)
    assert y.shape == outputs, f"{name} gives {y.shape} outputs, expected {outputs}"
    chosen, exact = _exact(len(x), len(h))
    error = np.abs(y[chosen] - exact).max()
    bound = _bound(METHODS[name], x, h)
    assert error <= bound, f"{name} is off by {error:.2g}; rounding explains {bound:.2g} at most"


def _bound(method: Method, x: np.ndarray, h: np.ndarray) -> float:
    if method.algorithm == "direct":
        return 0.0  # sums of integers
    x, h = x.astype(method.precision), h.astype(method.precision)
    own = method.algorithm
    if own == "auto" and method.library != "theory":
        own = "fft"  # or the sum, which rounds nothing here
    bound = rounding_bound(x, h, method=own)
    # Where the cells are not rounded up to small factors, a transform of F cells is itself computed
    # as a convolution (Bluestein): two transforms of less than 4 F cells, and one beforehand. With
    # log2(4 F) <= 1.25 log2 F for F >= 256 that is less than 4 transforms in place of each.
    return bound * (4 if method.requires == "fft_conv_pytorch" else 1)
