"""Gradient of the filters of a layer: which way is fastest for batches, channels and images.

Every method gives the gradient for all filters of a layer that cross-correlates without padding,
summed over a batch. The samples are small integers: a sum is exact, and compared with equality; an
FFT is held to the bound on its rounding error. One call is timed that is not the first of its
size, with all that it does anew each time; what a library remembers of such a call, a choice or a
plan, is not in it. The methods take turns. Autograd's time is that of the backward pass for the
weight alone.

What this does not tell: which method is fastest for one channel, which is the question of
`bench_filter_gradient.py`, or on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from benches.pace import skip_unless_feasible
from benches.peers import Entrant, Field, choices
from benches.probe import probe
from benches.turns import Replay
from theory.gradients import Method as OwnMethod
from theory.gradients import filter_gradient, filter_gradient_bound
from theory.methods.choice import fastest_filter_gradient

if TYPE_CHECKING:
    from jaxtyping import Float

    from benches.conftest import Measure


@dataclass(frozen=True)
class Layer:
    """The sizes of a layer and of what it is given, of equal sides where it has several axes."""

    batch: int
    channels: int
    filters: int
    axes: int
    cells: int
    taps: int

    @property
    def input(self) -> tuple[int, ...]:
        """Return the shape of the input."""
        return (self.batch, self.channels, *[self.cells] * self.axes)

    @property
    def output(self) -> tuple[int, ...]:
        """Return the shape of the output."""
        return (self.batch, self.filters, *[self.cells - self.taps + 1] * self.axes)

    def __str__(self) -> str:
        cells, taps = ("x".join([str(n)] * self.axes) for n in (self.cells, self.taps))
        return f"{self.batch} of {self.channels} to {self.filters}, {cells} cells, {taps} taps"


LAYERS = {
    "smoke": [Layer(2, 2, 3, 2, 12, 3)],
    "default": [
        Layer(8, 3, 32, 2, 32, 3),
        Layer(8, 32, 32, 2, 16, 3),
        Layer(4, 8, 8, 2, 64, 15),
        Layer(8, 16, 16, 1, 2048, 9),
        Layer(4, 8, 8, 1, 4096, 256),
    ],
    "full": [
        *(Layer(32, 3, 64, 2, side, taps) for side in (32, 64) for taps in (3, 5, 11)),
        *(Layer(32, 64, 64, 2, side, taps) for side in (16, 32) for taps in (3, 5)),
        *(Layer(8, 16, 16, 2, 64, taps) for taps in (7, 15, 31)),
        *(Layer(8, 16, 16, 1, 2**p, m) for p in (10, 12, 14) for m in (3, 16, 128, 2**p // 4)),
    ],
}

LONGEST_CALL = {"smoke": 5.0, "default": 0.1, "full": 10.0}
"""Seconds; a method is left out where one call would take longer."""

LARGEST_CALL = 4
"""GiB; a method is left out where one call would take more memory."""

BUDGET = {"default": 0.03, "full": 1.0}
"""Seconds for the rounds of one method, of which there are a few at least."""

CLOCK = Replay()
_CONVOLUTIONS = {1: torch.nn.functional.conv1d, 2: torch.nn.functional.conv2d}

Call = Callable[[], Any]


@dataclass(frozen=True)
class Method:
    """A way of computing the gradient, and the call that is timed, from input and gradient."""

    library: str
    algorithm: Literal["direct", "fft", "blocked-fft", "auto"]
    prepare: Callable[[np.ndarray, np.ndarray], Call]


def _own(method: OwnMethod) -> Callable[[np.ndarray, np.ndarray], Call]:
    return lambda x, g: lambda: filter_gradient(x, g, method=method, batched=True)


def _own_on_tensors(x: np.ndarray, g: np.ndarray) -> Call:
    signal, slope = torch.from_numpy(x), torch.from_numpy(g)
    return lambda: filter_gradient(signal, slope, method="auto", batched=True)


def _windows(x: np.ndarray, g: np.ndarray) -> Call:
    """Lay out what each tap meets, and sum over batch and outputs in one product of matrices."""
    last = tuple(range(2, x.ndim))
    summed = (0, *last)

    def call() -> np.ndarray:
        seen = sliding_window_view(x, g.shape[2:], last)  # batch, channels, *taps, *outputs
        return np.tensordot(g, seen, (summed, (0, *range(x.ndim, seen.ndim))))

    return call


def _autograd(x: np.ndarray, g: np.ndarray) -> Call:
    signal, slope = torch.from_numpy(x), torch.from_numpy(g)
    taps = [n - m + 1 for n, m in zip(x.shape[2:], g.shape[2:], strict=True)]
    weight = torch.zeros(g.shape[1], x.shape[1], *taps, dtype=signal.dtype, requires_grad=True)
    y = _CONVOLUTIONS[len(taps)](signal, weight)
    return lambda: torch.autograd.grad(y, weight, slope, retain_graph=True)[0]


METHODS = {
    "theory direct": Method("theory", "direct", _own("direct")),
    "theory fft": Method("theory", "fft", _own("fft")),
    "theory blocked-fft": Method("theory", "blocked-fft", _own("blocked-fft")),
    "theory auto": Method("theory", "auto", _own("auto")),
    "theory auto, tensors": Method("theory", "auto", _own_on_tensors),
    "numpy windows": Method("NumPy", "direct", _windows),
    "torch autograd": Method("PyTorch", "direct", _autograd),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every method on one layer, in one precision, before going on to the next."""
    metafunc.parametrize(
        ("layer", "precision", "name"),
        [
            pytest.param(layer, precision, name, id=f"{layer}, {precision}, {name}")
            for layer in LAYERS[metafunc.config.getoption("scale")]
            for precision in ("float64", "float32")
            for name in METHODS
        ],
    )


@pytest.mark.benchmark(timer=CLOCK)
def test_layer_gradient(
    layer: Layer, precision: str, name: str, scale: str, measure: Measure
) -> None:
    timed = _field(layer, precision, scale)[name]
    method = METHODS[name]
    x, g = _factors(layer, precision)
    products = g.size * layer.channels * layer.taps**layer.axes
    gradient = layer.filters * layer.channels * layer.taps**layer.axes
    measure(
        CLOCK.replayed(timed.seconds),
        group=f"layer gradient, {layer}, {precision}",
        rounds=len(timed.seconds),
        # what the definition asks for; what an FFT does depends on its factors and twiddles
        flops=2 * products if method.algorithm == "direct" else None,
        peak_memory_bytes=timed.peak_memory_bytes,
        bytes=x.nbytes + g.nbytes + gradient * x.itemsize,
        method=name,
        library=method.library,
        algorithm=method.algorithm,
        precision=precision,
        layer=str(layer),
        **(_choices(layer, name) if method.algorithm == "auto" else {}),
    )


@cache
def _field(layer: Layer, precision: str, scale: str) -> Field:
    """Time the methods that compute the right thing, in turns."""
    x, g = _factors(layer, precision)

    def enter(name: str) -> Entrant:
        _skip_unless_feasible(name, x, g, LONGEST_CALL[scale])
        call = METHODS[name].prepare(x, g)
        first = probe(call)
        _check(name, np.asarray(first.result), layer, x, g)
        return Entrant(call, first)

    return Field(METHODS, enter, BUDGET.get(scale))


def _choices(layer: Layer, name: str) -> dict[str, Any]:
    by_taps = name.endswith("tensors")
    return choices(
        lambda costs: fastest_filter_gradient(
            layer.input, layer.output, by_taps=by_taps, costs=costs
        )
    )


@cache
def _factors(
    layer: Layer, precision: str
) -> tuple[Float[np.ndarray, "batch channels ..."], Float[np.ndarray, "batch filters ..."]]:
    """Return integers from -2 to 2: sums of up to 2^22 products are exact in float32."""
    rng = np.random.default_rng(0)
    x, g = (rng.integers(-2, 3, shape) for shape in (layer.input, layer.output))
    return x.astype(precision), g.astype(precision)


@cache
def _exact(layer: Layer) -> Float[np.ndarray, "filters channels ..."]:
    """Return the sums, by PyTorch in float64, where each is exact in any order."""
    gradient: torch.Tensor = _autograd(*_factors(layer, "float64"))()
    return gradient.numpy()


def _skip_unless_feasible(name: str, x: np.ndarray, g: np.ndarray, longest: float) -> None:
    """Skip if one call would take too long or too much, judging by a part of the batch."""
    part = max(1, len(x) // 4)
    skip_unless_feasible(
        METHODS[name].prepare(x[:part], g[:part]),
        len(x) / part,
        f"{name}, {x.shape} to {g.shape}",
        longest=longest,
        largest=LARGEST_CALL,
    )


def _check(name: str, gradient: np.ndarray, layer: Layer, x: np.ndarray, g: np.ndarray) -> None:
    """Compare with the exact gradient, to within the rounding that the method is allowed."""
    exact = _exact(layer)
    assert gradient.shape == exact.shape, f"{name} gives {gradient.shape}, expected {exact.shape}"
    assert gradient.dtype == x.dtype, f"{name} gives {gradient.dtype}, expected {x.dtype}"
    error = np.abs(gradient - exact).max((*range(2, exact.ndim),))
    by: list[OwnMethod] = []  # sums of these integers are exact
    match METHODS[name].algorithm:
        case "auto":
            by = ["fft", "blocked-fft"]
        case "fft" | "blocked-fft" as one:
            by = [one]
    bounds = [filter_gradient_bound(x, g, method=method, batched=True) for method in by]
    bound = np.maximum.reduce([np.zeros_like(error), *bounds])
    assert (error <= bound).all(), f"{name} is off by {error.max():.2g}, more than rounding"
