"""Every exact identity holds for objects: integers beyond int64, and fractions.

NumPy makes integers of its own where objects and integers meet, and these wrap. So each result is
compared with sums of Python's numbers, one product after the other, and holds nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest

from theory.convolution import convolve, correlate, correlate_channels, rounding_bound
from theory.equivalences import dense_from_convolution
from theory.gradients import bias_gradient, filter_gradient, input_gradient
from theory.signals import integer_signal
from theory.structured_matrices import circulant_matrix, derivative_matrix, toeplitz_matrix

Signal = Callable[..., np.ndarray]
Pairs = Iterator[tuple[np.ndarray, np.ndarray]]

SIZES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((5,), (3,)),
    ((3,), (5,)),
    ((4, 3), (2, 2)),
]
INSIDE = [((5,), (3,)), ((5,), (5,)), ((4, 3), (2, 2))]
SCALES = {
    "products beyond int64": 2**31,
    "entries beyond int64": 2**70,
    "fractions": Fraction(1, 3),
}


def signal(shape: tuple[int, ...], seed: int, *, scale: Any) -> np.ndarray:
    """Return from 1 to 19 times the scale, so that no sum cancels; objects."""
    return (integer_signal(shape, seed=seed, dtype=object) + 10) * scale


def full(x: np.ndarray, h: np.ndarray) -> np.ndarray:
    x, h = x.astype(object), h.astype(object)
    y = np.zeros([n + k - 1 for n, k in zip(x.shape, h.shape, strict=True)], object)
    for i in np.ndindex(x.shape):
        for j in np.ndindex(h.shape):
            y[tuple(map(sum, zip(i, j, strict=True)))] += x[i] * h[j]
    return y


def part(x: np.ndarray, h: np.ndarray, mode: str) -> np.ndarray:
    """Return what a mode keeps of the full convolution."""
    whole = full(x, h)
    if mode == "circular":
        y = np.zeros(x.shape, object)
        for m in np.ndindex(whole.shape):
            y[tuple(cell % n for cell, n in zip(m, x.shape, strict=True))] += whole[m]
        return y
    kept = {
        "full": lambda n, k: slice(None),
        "same": lambda n, k: slice((k - 1) // 2, (k - 1) // 2 + n),
        "valid": lambda n, k: slice(k - 1, n),
    }[mode]
    return whole[tuple(map(kept, x.shape, h.shape))]


def layer(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the sums over channels of the valid cross-correlations."""
    return np.stack([sum(map(inside, x, kernels)) for kernels in weight])


def inside(x: np.ndarray, h: np.ndarray) -> np.ndarray:
    return part(x, np.flip(h), "valid")


def framed(x: np.ndarray) -> np.ndarray:
    """Return the channels with a zero of Python all round each."""
    padded = np.zeros((len(x), *(n + 2 for n in x.shape[1:])), object)
    padded[(slice(None), *(slice(1, -1) for _ in x.shape[1:]))] = x
    return padded


def modes(signal: Signal) -> Pairs:
    for n, k in SIZES:
        x, h = signal(n, 1), signal(k, 2)
        for mode in ("full", "same", "circular"):
            yield convolve(x, h, mode=mode), part(x, h, mode)
            flipped = part(x, np.flip(h), mode)
            if mode == "circular":
                flipped = np.roll(flipped, [1 - size for size in k], range(len(k)))
            yield correlate(x, h, mode=mode), flipped
    for n, k in INSIDE:
        x, h = signal(n, 1), signal(k, 2)
        yield convolve(x, h, mode="valid", method="auto"), part(x, h, "valid")
        yield correlate(x, h, mode="valid"), inside(x, h)


def layers(signal: Signal) -> Pairs:
    for n, k in SIZES[::2]:
        x, weight = signal((2, *n), 1), signal((4, 2, *k), 2)
        yield correlate_channels(x, weight), layer(x, weight)
        yield correlate_channels(x, weight, padding=1), layer(framed(x), weight)
        halves = [layer(framed(x[:1]), weight[:2, :1]), layer(framed(x[1:]), weight[2:, :1])]
        yield (
            correlate_channels(x, weight[:, :1], padding=1, groups=2),
            np.concatenate(halves),
        )


def matrices(signal: Signal) -> Pairs:
    for n, k in SIZES:
        x, h = signal(n, 1), signal(k, 2)
        for mode in ("full", "same"):
            yield toeplitz_matrix(h, n, mode=mode) @ x.ravel(), part(x, h, mode).ravel()
        yield circulant_matrix(h, n) @ x.ravel(), part(x, h, "circular").ravel()
    for n, k in INSIDE:
        x, h = signal(n, 1), signal(k, 2)
        yield toeplitz_matrix(h, n, mode="valid") @ x.ravel(), part(x, h, "valid").ravel()
        yield derivative_matrix(x, k) @ h.ravel(), inside(x, h).ravel()
        by_convolution = derivative_matrix(x, k, operation="convolution")
        yield by_convolution @ h.ravel(), part(x, h, "valid").ravel()


def gradients(signal: Signal) -> Pairs:
    for n, m in INSIDE:
        x, g = signal((2, *n), 1), signal((3, *m), 2)
        expected = np.stack([np.stack([inside(c, f) for c in x]) for f in g])
        for method in ("direct", "matrix", "auto"):
            yield filter_gradient(x, g, method=method), expected
            batch = np.stack([x, x]), np.stack([g, g])
            yield filter_gradient(*batch, method=method, batched=True), 2 * expected
        weight = signal((3, 2, *n), 3)
        by_channel = [sum(map(full, g, weight[:, c])) for c in range(2)]
        yield input_gradient(weight, g), np.stack(by_channel)
        yield bias_gradient(g), np.array([sum(each.flat) for each in g], object)


def dense(signal: Signal) -> Pairs:
    for n, k in SIZES[::2]:
        x, weight = signal((2, *n), 1), signal((3, 2, *k), 2)
        matrix = dense_from_convolution(weight, n, padding=1)
        yield matrix @ x.ravel(), layer(framed(x), weight).ravel()


def require_exact(found: np.ndarray, expected: np.ndarray) -> None:
    assert {type(entry) for entry in found.flat} <= {int, Fraction}
    assert found.shape == expected.shape
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
@pytest.mark.parametrize("identities", [modes, layers, matrices, gradients, dense])
def test_every_identity_is_exact_on_objects(
    identities: Callable[[Signal], Pairs], scale: int | Fraction
) -> None:
    """Red where a zero, a factor or a sum is an integer of NumPy's."""
    for found, expected in identities(partial(signal, scale=scale)):
        require_exact(found, expected)


@pytest.mark.parametrize("identities", [modes, layers, matrices, gradients, dense])
@pytest.mark.parametrize("objects", [0, 1])
def test_integers_that_meet_objects_become_objects(
    identities: Callable[[Signal], Pairs], objects: int
) -> None:
    """Red where int64 is multiplied by one integer of Python, which NumPy takes for an int64."""

    def signal_of_either_type(shape: tuple[int, ...], seed: int) -> np.ndarray:
        drawn = signal(shape, seed, scale=2**31)
        return drawn if seed % 2 == objects else drawn.astype(np.int64)

    for found, expected in identities(signal_of_either_type):
        assert np.array_equal(found, expected)


def test_single_precision_that_meets_objects_rounds_as_float64() -> None:
    """Red where float32 is multiplied by one integer of Python, which NumPy takes for a float32."""
    x, h = np.array([1 / 3], np.float32), np.array([3**5], object)
    for factors in ((x, h), (h, x)):
        error = Fraction(float(convolve(*factors).item())) - Fraction(x.item()) * 3**5
        assert abs(error) <= Fraction(rounding_bound(*factors))
