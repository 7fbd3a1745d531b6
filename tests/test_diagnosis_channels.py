"""What is large in one part of an output hides nothing in another, unless they round together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.operator_table import NoTensor, assert_replays
from theory import diagnose
from theory.diagnosis.amplification import Amplification, amplification
from theory.diagnosis.calling import Operator
from theory.diagnosis.search import Trials
from theory.diagnosis.tracing import trace
from theory.testing import assert_same_operator
from theory.testing.sameness import sameness

if TYPE_CHECKING:
    from collections.abc import Callable

Shape = tuple[int, ...]


class _OneLoud(nn.Module):
    """One linear channel of a large gain, and three that are rectified."""

    def __init__(self, gain: float, transformed: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv1d(4, 4, 3, padding=1, padding_mode="circular", bias=False)
        self.gain = gain
        self.transformed = transformed

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        loud = torch.fft.irfft(torch.fft.rfft(y), n=x.shape[-1]) if self.transformed else y
        return torch.cat([self.gain * loud[:, :1], torch.relu(y[:, 1:])], 1)


class _HeldLoud(nn.Module):
    """A constant of 1500 is added in one channel and taken off again; the other is a sine."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([(x + 1500) - 1500, torch.sin(x)], 1)


class _OffsetLoud(nn.Module):
    """A constant of 3e8 stays in one channel; the other is a sine."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x + 3e8, torch.sin(x)], 1)


def _beside_numpy(x: np.ndarray) -> np.ndarray:
    return np.concatenate([20000.3 * x, np.maximum(x, 0)])


@pytest.mark.parametrize(
    ("op", "shape", "dtype"),
    [
        (_OneLoud(20000), (4, 16), torch.float32),
        (_OneLoud(1e5), (4, 64), torch.float32),
        (_OneLoud(20000, transformed=True), (4, 64), torch.float32),
        (_OneLoud(1e13), (4, 16), torch.float64),
        (lambda x: torch.cat([30000.3 * x, x.relu()]), (1, 1024), torch.float32),
        (lambda x: torch.cat([30000.3 * x, x.relu()]), (64,), torch.float32),
        (lambda x: torch.cat([1e14 / 3 * x, x.relu()]), (64,), torch.float64),
        (NoTensor(_beside_numpy), (4, 64), torch.float32),
        (_HeldLoud(), (1, 1024), torch.float32),
        (_OffsetLoud(), (1, 1024), torch.float32),
    ],
    ids=[
        *("convolution", "longer", "transform", "double", "one channel", "no channels"),
        *("no channels, double", "numpy", "held inside", "offset"),
    ],
)
def test_a_channel_of_large_gain_hides_no_nonlinearity(
    op: Callable[..., Any], shape: Shape, dtype: torch.dtype
) -> None:
    """Red where one gain, or one offset, bounds the rounding of the whole output."""
    diagnosis = diagnose(op, shape, dtype=dtype)
    for name in ("linear", "additive", "affine", "lti"):
        assert diagnosis.findings[name].holds is False, name
    assert_replays(diagnosis.affine, op)
    left, right = diagnosis.additive.witness.replay(op)  # type: ignore[union-attr]
    assert np.abs(left - right).max() > 2**-4, "the witness is no more than rounding"


def test_nor_a_shift_that_is_not_followed() -> None:
    weights = torch.arange(12)
    found = diagnose(lambda x: torch.stack([x.roll(1), 1e-15 * x * weights]), (12,))
    assert found.shift_equivariant.certainty == "refuted"


def test_nor_that_two_operators_differ() -> None:
    def loud(x: torch.Tensor) -> torch.Tensor:
        return torch.cat([1e6 / 3 * x, x / 3])

    def other(x: torch.Tensor) -> torch.Tensor:
        return torch.cat([1e6 / 3 * x, x / 3 + 0.01 * x.roll(1)])

    assert sameness(loud, other, (1, 64), dtype=torch.float32).finding.holds is False
    assert_same_operator(loud, lambda x: torch.cat([1e6 * x / 3, x / 3]), (1, 64))


_FILTER = torch.tensor([0.7, -0.2, 0.4] + [0.0] * 12, dtype=torch.float64)


def _real_and_imaginary(x: torch.Tensor) -> torch.Tensor:
    """Return an imaginary part that is 0 on paper, and rounds as much as the real part does."""
    y = torch.fft.ifft(torch.fft.fft(x) * torch.fft.fft(_FILTER.to(x.dtype)))
    return torch.cat([y.real, y.imag])


def _apart_in_two_orders(x: torch.Tensor) -> torch.Tensor:
    """Return beside a sum its difference from the same sum in another order, 0 on paper."""
    y = x * 0.3 + x.roll(1) * 0.7 + x.roll(2) * 0.1
    return torch.cat([y, y - (x.roll(2) * 0.1 + x.roll(1) * 0.7 + x * 0.3)])


def _scaled_between_transforms(x: torch.Tensor) -> torch.Tensor:
    """Mix a loud channel into all by transforms over both axes, and what it rounds with it."""
    loud = x * 100.0 ** torch.arange(4, dtype=x.dtype)[:, None]
    return torch.fft.ifft2(torch.fft.fft2(loud)).real


def _in_numpy(op: Callable[[torch.Tensor], torch.Tensor]) -> NoTensor:
    return NoTensor(lambda x: op(torch.from_numpy(np.ascontiguousarray(x))).numpy())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("traced", [True, False])
@pytest.mark.parametrize(
    ("op", "channels"),
    [(_real_and_imaginary, 1), (_apart_in_two_orders, 1), (_scaled_between_transforms, 4)],
    ids=["complex", "two orders", "mixed"],
)
def test_channels_that_round_together_do_not_refute_each_other(
    op: Callable[[torch.Tensor], torch.Tensor], channels: int, traced: bool, dtype: torch.dtype
) -> None:
    """Red where a channel's gain is that of its own responses, which may be nothing but rounding.

    Without a graph, where transforms over all of the output are not allowed for.
    """
    called = op if traced else _in_numpy(op)
    diagnosis = diagnose(called, (channels, 15), dtype=dtype)
    assert diagnosis.linear.holds
    assert diagnosis.affine.holds


def _reaching(op: Callable[..., Any], shape: Shape) -> Amplification:
    operator = Operator(op, shape)
    found = amplification(operator, trace(operator, [np.zeros(shape)]))
    assert found is not None
    return found


def test_what_is_rounded_inside_reaches_what_it_is_added_to_alone() -> None:
    found = _reaching(lambda x: torch.cat([1e6 * x, x]), (1, 8)).at_ones
    assert (found[0] > 1e5).all()
    assert (found[1] < 10).all()


def test_what_cancels_has_been_rounded() -> None:
    found = _reaching(lambda x: (1e6 * x + x.roll(1)) - 1e6 * x, (8,)).at_ones
    assert found.max() > 1e5
    held = _reaching(lambda x: torch.cat([(x + 5e4) - 5e4, x]), (1, 8)).at_zero
    assert held[0].max() > 1e4
    assert (held[1] == 0).all()


def test_a_transform_rounds_relative_to_its_norm() -> None:
    """Every second frequency of a repeated signal is 0; of its rounding, none is."""
    found = _reaching(lambda x: torch.fft.fft(torch.cat([x, x])).real[1::2], (8,)).at_ones
    assert found.min() > 0.1


def test_an_output_that_is_not_finite_shows_no_amplification() -> None:
    operator = Operator(lambda x: torch.log(x.abs() - 1), (8,))
    assert amplification(operator, trace(operator, [])) is None


def test_no_bound_is_larger_than_that_of_the_whole_output() -> None:
    for op in (lambda x: torch.cat([1e6 * x, x]), lambda x: (1e10 * x + x.roll(1)) - 1e10 * x):
        operator = Operator(op, (1, 8))
        graph = trace(operator, [])
        trials = Trials(operator, 1, 0.0, amplification(operator, graph))
        whole = Trials(operator, 1).rounding.largest_gain
        assert trials.rounding.largest_gain == trials.rounding_of_sums.largest_gain == whole
