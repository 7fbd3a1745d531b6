"""``assert_adjoint`` catches what is not the adjoint, however little is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from tests.testing_operators import circular, circular_adjoint, replayed, rough, rough_back
from theory.testing import assert_adjoint

if TYPE_CHECKING:
    from collections.abc import Callable


ADJOINTS: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[int, ...]]] = {
    "the kernel is not flipped": (circular, circular, (1, 6)),
    "one cell off": (circular, lambda y: circular_adjoint(y).roll(1, -1), (1, 6)),
    "scaled": (rough, lambda y: rough_back(y) * (1 + 1e-9), (4,)),
    "not conjugated": (np.fft.fft, lambda y: np.fft.fft(y), (8,)),
    "offset": (circular, lambda y: circular_adjoint(y) + 1, (1, 6)),
    "nonlinear": (circular, lambda y: circular_adjoint(y).relu(), (1, 6)),
    "far out": (lambda x: x, lambda y: y.clamp(max=1e4), (4,)),
    "one entry, barely": (
        lambda x: x[:70],
        lambda y: F.pad(y, (0, 20)) + 1e-12 * F.pad(y[37:38], (60, 29)),
        (90,),
    ),
}


@pytest.mark.parametrize("name", ADJOINTS)
def test_what_is_not_the_adjoint_is_caught_and_replays(name: str) -> None:
    op, adjoint, shape = ADJOINTS[name]
    with pytest.raises(AssertionError, match=r"A\* is not the adjoint of A") as failure:
        assert_adjoint(op, adjoint, shape)
    replayed(failure, op=op, adjoint=adjoint)


def test_an_adjoint_needs_a_linear_operator_and_fitting_shapes() -> None:
    with pytest.raises(AssertionError, match="of A: A is not linear, and only a linear") as failure:
        assert_adjoint(torch.relu, torch.relu, (4,))
    replayed(failure, op=torch.relu)
    with pytest.raises(AssertionError, match=r"A maps \(4,\) to \(3,\), A\* maps \(3,\) to \(3,\)"):
        assert_adjoint(rough, lambda y: y, (4,))


def test_a_complex_adjoint_is_asked_about_real_outputs_only() -> None:
    """The conjugate makes no difference there; on complex outputs it would."""

    def back(y: torch.Tensor) -> torch.Tensor:
        return 8 * torch.fft.ifft(torch.conj(y))

    with pytest.raises(AssertionError, match="only sampled"):
        assert_adjoint(torch.fft.fft, back, (8,), certainty="exhausted")
