"""Kernels of known convolutions, with channels or without, and what a border would have said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import scipy.signal
import torch

from tests.operator_table import NoTensor, conv
from theory.diagnosis.calling import Operator
from theory.diagnosis.kernel import circular_kernel, interior_kernel
from theory.diagnosis.search import Trials

if TYPE_CHECKING:
    from collections.abc import Callable

Shape = tuple[int, ...]


def _trials(op: Callable[..., Any], shape: Shape, axes: Shape | None = None) -> Trials:
    return Trials(Operator(op, shape, axes=axes), budget=1000)


def _applied(kernel: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the circular convolution of every channel with its kernel, summed over them."""
    axes = tuple(range(1, x.ndim))
    spectrum = np.fft.fftn(kernel, axes=[a + 1 for a in axes]) * np.fft.fftn(x, axes=axes)
    return np.fft.ifftn(spectrum.sum(1), axes=axes).real.round()


@pytest.mark.parametrize("dimension", [1, 2])
def test_a_kernel_on_the_circle_is_applied_by_convolution(dimension: int) -> None:
    shape = (2, 6, 4)[: dimension + 1]
    layer = conv(dimension, c_out=3)
    kernel = circular_kernel(_trials(layer, shape))
    assert kernel.shape == (3, *shape)
    x = np.random.default_rng(0).integers(-9, 9, shape).astype(float)
    expected = layer.double()(torch.from_numpy(x)[None])[0].detach().numpy()
    assert np.array_equal(_applied(kernel, x), expected)


@pytest.mark.parametrize(
    ("op", "shape", "expected"),
    [
        (lambda x: x.roll(1), (4,), [0, 1, 0, 0]),
        (lambda x: x[0] + 2 * x[1].roll(-1), (2, 3), [[1, 0, 0], [0, 0, 2]]),
        (lambda x: torch.stack([x, 3 * x.roll(1)]), (3,), [[1, 0, 0], [0, 3, 0]]),
    ],
    ids=["no channels", "into none", "out of none"],
)
def test_channels_that_are_not_there_have_no_axis(
    op: Callable[..., Any], shape: Shape, expected: list[Any]
) -> None:
    trials = Trials(Operator(op, shape, batched=False, axes=(-1,)), budget=1000)
    assert circular_kernel(trials).tolist() == expected


@pytest.mark.parametrize("found", [circular_kernel, lambda trials: interior_kernel(trials, (1,))])
def test_a_kernel_has_its_cells_last_where_the_operator_has_its_channels_last(
    found: Callable[[Trials], np.ndarray],
) -> None:
    """Of 3 features at 8 times, shifted in time, two are made: as of channels, but transposed."""
    mix = torch.tensor([[1.0, 2, 4], [0, 1, 5]], dtype=torch.float64)
    first = _trials(lambda x: mix @ x.roll(1, -1), (3, 8), axes=(-1,))
    last = _trials(lambda x: x.roll(1, -2) @ mix.T, (8, 3), axes=(0,))
    kernel = found(last)
    assert kernel.shape == (2, 3, 8)
    assert np.array_equal(kernel, found(first))


@pytest.mark.parametrize(("shape", "border"), [((9,), (2,)), ((8,), (3,)), ((7, 6), (2, 1))])
def test_a_kernel_in_the_interior_is_not_read_off_the_border(shape: Shape, border: Shape) -> None:
    """Every weight differs, and what the border returns is made useless."""
    weights = np.arange(1.0, 1 + np.prod([2 * n - 1 for n in shape])).reshape(
        [2 * n - 1 for n in shape]
    )
    inner = tuple(slice(b, n - b) for n, b in zip(shape, border, strict=True))

    def clean(x: np.ndarray) -> np.ndarray:
        return scipy.signal.convolve(weights, x, mode="valid", method="direct")

    def spoilt(x: np.ndarray) -> np.ndarray:
        y = clean(x)
        kept = y[inner].copy()
        y[...] = 1000 * x.sum()
        y[inner] = kept
        return y

    impulse = np.zeros(shape)
    impulse[tuple(n // 2 for n in shape)] = 1
    op = NoTensor(lambda x: spoilt(np.asarray(x)))
    trials = Trials(Operator(op, shape, axes=tuple(range(len(shape))), batched=False), budget=1000)
    found = interior_kernel(trials, border)
    assert np.array_equal(found, clean(impulse))
    assert np.array_equal(interior_kernel(trials, (0,) * len(shape)), spoilt(impulse))


@pytest.mark.parametrize(
    ("n", "m", "border", "expected"),
    [(4, 4, 2, [0, 7, 12, 7]), (2, 8, 3, [0, 0, 0, 7, 7, 7, 0, 0])],
)
def test_what_no_moved_impulse_reaches_stays_zero(
    n: int, m: int, border: int, expected: list[int]
) -> None:
    """Every cell returns 7 times the sum, and in the first case 5 times the cell at its place."""
    op = NoTensor(lambda x: 7 * np.full(m, x.sum()) + (5 * x if n == m else 0))
    trials = Trials(Operator(op, (n,), batched=False), budget=1000)
    assert interior_kernel(trials, (border,)).tolist() == expected


def test_every_channel_is_asked_in_the_interior() -> None:
    found = interior_kernel(_trials(conv(c_out=3, padding_mode="zeros"), (2, 8)), (1,))
    weight = conv(c_out=3).weight.detach().numpy()
    assert found.shape == (3, 2, 8)
    assert np.array_equal(found[..., 3:6], weight[..., ::-1])
    assert not found[..., :3].any()
    assert not found[..., 6:].any()
