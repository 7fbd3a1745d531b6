"""``assert_same_operator`` catches what differs by more than rounding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from tests.testing_operators import replayed, rough
from theory.testing import assert_same_operator

if TYPE_CHECKING:
    from collections.abc import Callable


DIFFERENT: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[int, ...]]] = {
    "another sign": (lambda x: x, lambda x: -x, (4,)),
    "another offset": (lambda x: x, lambda x: x + 1e-9, (4,)),
    "beyond rounding": (rough, lambda x: rough(x) * (1 + 1e-9), (4,)),
    "far out": (lambda x: x, lambda x: x.clamp(max=1e4), (4,)),
    "one entry, barely": (
        lambda x: x,
        lambda x: x + 1e-12 * F.pad(x[40:41], (50, 49)),
        (100,),
    ),
    "not finite": (lambda x: x, lambda x: torch.where(x > 2, torch.nan, x), (4,)),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_differs_is_caught_and_replays(name: str) -> None:
    a, b, shape = DIFFERENT[name]
    with pytest.raises(AssertionError, match="b is not the same operator as a") as failure:
        assert_same_operator(a, b, shape)
    replayed(failure, a=a, b=b)


def test_other_output_shapes_differ() -> None:
    with pytest.raises(AssertionError, match=r"shapes \(4,\) and \(2,\)"):
        assert_same_operator(lambda x: x, lambda x: x[:2], (4,))


def test_rounding_is_no_difference() -> None:
    blur = nn.Conv1d(1, 1, 5, padding=2, padding_mode="circular", bias=False)
    taps = blur.weight.detach().double().numpy().ravel()
    transform = np.conj(np.fft.fft(np.roll(np.pad(taps, (0, 11)), -2)))

    def by_fourier(x: np.ndarray) -> np.ndarray:
        return np.fft.ifft(np.fft.fft(x) * transform).real

    assert_same_operator(blur, by_fourier, (1, 16))
