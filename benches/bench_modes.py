"""Modes: what convolution and cross-correlation cost where only some of the outputs are kept.

Of n float64 samples with k taps, in modes ``full``, ``same`` and ``valid``, with the method left to
the library where it has a choice. The samples are small integers: a sum is exact, and compared with
equality; what chose an FFT is held to the bound on its rounding error. One call is timed, and the
libraries take turns.

What this does not tell: how the methods compare, which is the question of `bench_convolution.py`.
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from scipy import signal

from benches.peers import Entrant, Field, choices
from benches.probe import probe
from benches.turns import Replay
from theory.convolution import convolve, correlate, rounding_bound
from theory.methods.choice import fastest_convolution

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float

    from benches.conftest import Measure

Operation = Literal["convolution", "cross-correlation"]
Mode = Literal["full", "same", "valid"]

_MODES: tuple[Mode, ...] = ("full", "same", "valid")
_WHAT: list[tuple[Operation, Mode]] = [
    *(("cross-correlation", mode) for mode in _MODES),
    *(("convolution", mode) for mode in _MODES[1:]),  # in full it has a bench of its own
]
SIZES = {
    "smoke": [(2**8, 16)],
    "default": [(2**6, 3), (2**12, 2**11)],
    "full": [
        *((2**p, k) for k in (3, 256) for p in range(6, 21, 2) if 2 * k <= 2**p),
        *((2**p, 2**p // 2) for p in range(6, 15, 2)),
    ],
}
"""Samples and taps."""

BUDGET = {"default": 0.06, "full": 1.0}
"""Seconds for the rounds of one library, of which there are a few at least."""

CLOCK = Replay()

LIBRARIES: dict[str, tuple[str, str, dict[Operation, Callable[..., np.ndarray]]]] = {
    "theory auto": (
        "theory",
        "auto",
        {
            "convolution": partial(convolve, method="auto"),
            "cross-correlation": partial(correlate, method="auto"),
        },
    ),
    "numpy": (
        "NumPy",
        "direct",
        {"convolution": np.convolve, "cross-correlation": np.correlate},
    ),
    "scipy": (
        "SciPy",
        "auto",
        {"convolution": signal.convolve, "cross-correlation": signal.correlate},
    ),
}
"""By the name of a peer: whose it is, how it works, and what it calls the operations."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every library on one question before going on to the next."""
    metafunc.parametrize(
        ("operation", "mode", "n", "k", "name"),
        [
            pytest.param(*what, n, k, name, id=f"{', '.join(what)}, n={n}, k={k}, {name}")
            for n, k in SIZES[metafunc.config.getoption("scale")]
            for what in _WHAT
            for name in LIBRARIES
        ],
    )


@pytest.mark.benchmark(timer=CLOCK)
def test_mode(
    operation: Operation, mode: Mode, n: int, k: int, name: str, scale: str, measure: Measure
) -> None:
    timed = _field(operation, mode, n, k, scale)[name]
    library, algorithm, _ = LIBRARIES[name]
    outputs = {"full": n + k - 1, "same": n, "valid": n - k + 1}[mode]
    measure(
        CLOCK.replayed(timed.seconds),
        group=f"modes, {operation}, {mode}, n = {n}, k = {k}",
        rounds=len(timed.seconds),
        peak_memory_bytes=timed.peak_memory_bytes,
        bytes=8 * (n + k + outputs),
        method=name,
        library=library,
        algorithm=algorithm,
        operation=operation,
        mode=mode,
        precision="float64",
        samples=n,
        taps=k,
        **(_choices(mode, n, k) if name == "theory auto" else {}),
    )


@cache
def _field(operation: Operation, mode: Mode, n: int, k: int, scale: str) -> Field:
    """Time the libraries that compute the right thing, in turns."""
    x, h = _factors(n, k)
    exact = LIBRARIES["numpy"][2][operation](x.astype(np.int64), h.astype(np.int64), mode=mode)

    def enter(name: str) -> Entrant:
        _, algorithm, operations = LIBRARIES[name]
        call = partial(operations[operation], x, h, mode=mode)
        first = probe(call)
        assert first.result.shape == exact.shape, (
            f"{name} gives {first.result.shape} outputs, expected {exact.shape}"
        )
        error, bound = np.abs(first.result - exact).max(), _bound(algorithm, mode, x, h)
        assert error <= bound, f"{name} is off by {error:.2g}; rounding explains {bound:.2g}"
        return Entrant(call, first)

    return Field(LIBRARIES, enter, BUDGET.get(scale))


def _bound(algorithm: str, mode: Mode, x: np.ndarray, h: np.ndarray) -> float:
    """Return 0 for sums of integers, and what an FFT may be off by where one may be chosen."""
    if algorithm == "direct":
        return 0.0
    return max(rounding_bound(x, h, mode=mode, method=by) for by in ("fft", "overlap-add"))


def _choices(mode: Mode, n: int, k: int) -> dict[str, Any]:
    valid = mode == "valid"
    return choices(lambda costs: fastest_convolution((n,), (k,), valid=valid, costs=costs))


@cache
def _factors(n: int, k: int) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " k"]]:
    """Return integers from -8 to 8: sums of up to 2^46 products are exact in float64."""
    rng = np.random.default_rng((n, k))
    return rng.integers(-8, 9, n).astype(np.float64), rng.integers(-8, 9, k).astype(np.float64)
