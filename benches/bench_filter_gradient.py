"""Filter gradient: which way of computing it is fastest, at which size and for how many taps.

Every method gives the gradient of a valid cross-correlation for the taps of its kernel, one signal
and one filter in float64. The samples are small integers: a sum is exact, and compared with
equality; an FFT is held to the bound on its rounding error. One call is timed that is not the
first of its size, with all that it does anew each time; what a library remembers of such a call,
a choice or a plan, is not in it. The methods take turns. Autograd's time is that of the backward
pass for the weight alone.

What this does not tell: which method is fastest for many channels, on images, or on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
import torch
from scipy import fft, linalg

from benches.pace import skip_unless_feasible
from benches.peers import Entrant, Field, choices
from benches.probe import probe
from benches.turns import Replay
from theory.gradients import Method as OwnMethod
from theory.gradients import filter_gradient, filter_gradient_bound
from theory.methods.choice import fastest_filter_gradient

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from benches.conftest import Measure

SIZES = {
    "smoke": [(2**8, 16)],
    "default": [
        *((2**6, 3), (2**8, 16), (2**10, 16), (2**10, 2**9)),
        *((2**12, 16), (2**12, 2**11), (2**14, 256)),
        *((2**p, m) for p in (16, 18, 20) for m in (128, 1024)),
    ],
    "full": [
        (2**p, m) for p in range(6, 21, 2) for m in (3, 16, 128, 1024, 2**p // 2) if 2 * m <= 2**p
    ],
}
"""Samples and taps."""

CHECKED_TAPS = 100
"""Compared with the exact ones, spread over all, where all would be more than `MOST_CHECKED`."""

MOST_CHECKED = 2**24
"""Products."""

LONGEST_CALL = {"smoke": 5.0, "default": 0.08, "full": 5.0}
"""Seconds; a method is left out where one call would take longer."""

LARGEST_CALL = 2
"""GiB; a method is left out where one call would take more memory."""

BUDGET = {"default": 0.06, "full": 1.0}
"""Seconds for the rounds of one method, of which there are a few at least."""

CLOCK = Replay()


@dataclass(frozen=True)
class Method:
    """A way of computing the gradient.

    Parameters
    ----------
    library
        Whose it is.
    algorithm
        How it works; ``auto`` where the library chooses.
    prepare
        From signal and output gradient to the call that is timed, with the arrays in the library's
        form.
    """

    library: str
    algorithm: Literal["direct", "matrix", "toeplitz", "fft", "blocked-fft", "auto"]
    prepare: Callable[[np.ndarray, np.ndarray], Callable[[], Any]]


def _own(method: OwnMethod) -> Callable[[np.ndarray, np.ndarray], Callable[[], Any]]:
    def prepare(x: np.ndarray, g: np.ndarray) -> Callable[[], Any]:
        signal, slope = x[None], g[None]
        return lambda: filter_gradient(signal, slope, method=method)

    return prepare


def _plain_fft(transforms: Any) -> Callable[[np.ndarray, np.ndarray], Callable[[], np.ndarray]]:
    """Multiply the transforms of all samples: n of them are a power of 2 here."""

    def prepare(x: np.ndarray, g: np.ndarray) -> Callable[[], np.ndarray]:
        rfft, irfft, n, taps = transforms.rfft, transforms.irfft, len(x), len(x) - len(g) + 1
        return lambda: irfft(rfft(x) * rfft(g, n).conj(), n)[:taps]

    return prepare


def _torch_fft(x: np.ndarray, g: np.ndarray) -> Callable[[], Any]:
    signal: Any = torch.from_numpy(x)
    slope: Any = torch.from_numpy(g)
    return _plain_fft(torch.fft)(signal, slope)


def _matmul_toeplitz(x: np.ndarray, g: np.ndarray) -> Callable[[], Any]:
    column, row = _toeplitz(x, g)
    return lambda: linalg.matmul_toeplitz((column, row), g[::-1])


def _explicit_toeplitz(x: np.ndarray, g: np.ndarray) -> Callable[[], Any]:
    column, row = _toeplitz(x, g)
    return lambda: linalg.toeplitz(column, row) @ g[::-1]


def _toeplitz(x: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return first column and first row of the matrix that takes g, flipped, to the gradient."""
    return x[len(g) - 1 :], x[len(g) - 1 :: -1]


def _autograd(x: np.ndarray, g: np.ndarray) -> Callable[[], Any]:
    signal, slope = torch.from_numpy(x)[None, None], torch.from_numpy(g)[None, None]
    weight = torch.zeros(1, 1, len(x) - len(g) + 1, dtype=torch.float64, requires_grad=True)
    y = torch.nn.functional.conv1d(signal, weight)
    return lambda: torch.autograd.grad(y, weight, slope, retain_graph=True)[0].numpy()


METHODS = {
    "theory direct": Method("theory", "direct", _own("direct")),
    "theory fft": Method("theory", "fft", _own("fft")),
    "theory blocked-fft": Method("theory", "blocked-fft", _own("blocked-fft")),
    "theory auto": Method("theory", "auto", _own("auto")),
    "numpy.correlate": Method(
        "NumPy", "direct", lambda x, g: lambda: np.correlate(x, g, mode="valid")
    ),
    "numpy.fft": Method("NumPy", "fft", _plain_fft(np.fft)),
    "scipy.fft": Method("SciPy", "fft", _plain_fft(fft)),
    "torch.fft": Method("PyTorch", "fft", _torch_fft),
    "scipy matmul_toeplitz": Method("SciPy", "toeplitz", _matmul_toeplitz),
    "scipy toeplitz": Method("SciPy", "matrix", _explicit_toeplitz),
    "torch autograd": Method("PyTorch", "direct", _autograd),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every method at one size before going on to the next."""
    sizes = dict.fromkeys(SIZES[metafunc.config.getoption("scale")])
    metafunc.parametrize(
        ("n", "m", "name"),
        [
            pytest.param(n, m, name, id=f"n={n}, m={m}, {name}")
            for n, m in sizes
            for name in METHODS
        ],
    )


@pytest.mark.benchmark(timer=CLOCK)
def test_filter_gradient(n: int, m: int, name: str, scale: str, measure: Measure) -> None:
    timed = _field(n, m, scale)[name]
    method, outputs = METHODS[name], n - m + 1
    measure(
        CLOCK.replayed(timed.seconds),
        group=f"filter gradient, n = {n}, m = {m}",
        rounds=len(timed.seconds),
        # what the definition asks for; what an FFT does depends on its factors and twiddles
        flops=2 * outputs * m if method.algorithm in ("direct", "matrix") else None,
        peak_memory_bytes=timed.peak_memory_bytes,
        bytes=8 * (n + outputs + m),
        method=name,
        library=method.library,
        algorithm=method.algorithm,
        precision="float64",
        samples=n,
        taps=m,
        **(_choices(n, m) if name == "theory auto" else {}),
    )


@cache
def _field(n: int, m: int, scale: str) -> Field:
    """Time the methods that compute the right thing, in turns."""
    x, g = _factors(n, m)

    def enter(name: str) -> Entrant:
        _skip_unless_feasible(name, x, g, LONGEST_CALL[scale])
        call = METHODS[name].prepare(x, g)
        first = probe(call)
        _check(name, np.asarray(first.result).ravel(), x, g)
        return Entrant(call, first)

    return Field(METHODS, enter, BUDGET.get(scale))


def _choices(n: int, m: int) -> dict[str, Any]:
    shapes = (1, 1, n), (1, 1, n - m + 1)
    return choices(lambda costs: fastest_filter_gradient(*shapes, costs=costs))


@cache
def _factors(n: int, m: int) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " outputs"]]:
    """Return integers from -8 to 8: sums of up to 2^46 products are exact in float64."""
    rng = np.random.default_rng((n, m))
    x, g = rng.integers(-8, 9, n), rng.integers(-8, 9, n - m + 1)
    return x.astype(np.float64), g.astype(np.float64)


@cache
def _exact(n: int, m: int) -> tuple[Int[np.ndarray, " c"], Float[np.ndarray, " c"]]:
    """Return taps that are checked, and what they are: each a dot product of integers."""
    x, g = _factors(n, m)
    chosen = np.arange(m)
    if n * m > MOST_CHECKED:
        chosen = np.sort(np.random.default_rng((n, m, 1)).choice(m, CHECKED_TAPS, replace=False))
    return chosen, np.array([x[k : k + len(g)] @ g for k in chosen])


def _skip_unless_feasible(name: str, x: np.ndarray, g: np.ndarray, longest: float) -> None:
    """Skip if one call would take too long or too much, judging by a part of the signal.

    For so many taps no method's time and memory grow more slowly than in proportion to the signal,
    fixed costs aside.
    """
    n, taps = len(x), len(x) - len(g) + 1
    part = min(n, max(2 * taps, n // 64, 2**12))
    skip_unless_feasible(
        METHODS[name].prepare(x[:part], g[: part - taps + 1]),
        n / part,
        f"{name}, n = {n}, m = {taps}",
        longest=longest,
        largest=LARGEST_CALL,
    )


def _check(name: str, gradient: np.ndarray, x: np.ndarray, g: np.ndarray) -> None:
    """Compare with the exact gradient, to within the rounding that the method is allowed."""
    taps = (len(x) - len(g) + 1,)
    assert gradient.shape == taps, f"{name} gives {gradient.shape} taps, expected {taps}"
    chosen, exact = _exact(len(x), *taps)
    error, bound = np.abs(gradient[chosen] - exact).max(), _bound(METHODS[name], x, g)
    assert error <= bound, f"{name} is off by {error:.2g}; rounding explains {bound:.2g} at most"


def _bound(method: Method, x: np.ndarray, g: np.ndarray) -> float:
    by: OwnMethod
    match method.algorithm:
        case "direct" | "matrix":
            return 0.0  # sums of integers
        case "auto" | "blocked-fft" as by:
            pass
        case _:  # SciPy's transforms have n cells here, a power of 2, as ours do
            by = "fft"
    return float(filter_gradient_bound(x[None], g[None], method=by)[0, 0])
