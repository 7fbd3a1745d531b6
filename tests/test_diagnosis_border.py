"""A border is what the ends explain: what differs for another reason follows no shift."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from tests.operator_table import NoTensor, assert_replays, conv, dense
from theory import diagnose
from theory.diagnosis import equivariance, reach
from theory.testing import assert_lti

if TYPE_CHECKING:
    from collections.abc import Callable

    Case = tuple[Callable[..., Any], tuple[int, ...]]


def _hann(n: int = 16) -> torch.Tensor:
    return torch.hann_window(n, periodic=False, dtype=torch.float64)


def _only(n: int, *cells: int) -> torch.Tensor:
    kept = torch.zeros(n, dtype=torch.float64)
    kept[list(cells)] = 1
    return kept


def _squares(n: int) -> torch.Tensor:
    position = (torch.arange(n, dtype=torch.float64) - (n - 1) / 2) ** 2
    return position[:, None] + position


def _wide(c_out: int = 1) -> nn.Module:
    return conv(k=15, c_in=1, c_out=c_out, padding_mode="zeros")


_W = _hann()
_GAUSS = torch.exp(-(((torch.arange(32, dtype=torch.float64) - 15.5) / 6) ** 2))
_VIGNETTE = torch.outer(_W, _W)
_OFF = torch.diag(torch.ones(15, dtype=torch.float64), 1)
_TRIDIAGONAL = torch.diag(_W) + _OFF + 2 * _OFF.T
_BLIND = torch.tensor([1.0, 2, 3, 4, 0, 0, 0, 0, 4, 3, 2, 1], dtype=torch.float64)
_PERIOD_4 = torch.tensor([1.0, 2, 2, 1], dtype=torch.float64).repeat(4)
_R2 = _squares(16)
_WIDE = _wide()

DEPEND_ON_POSITION: dict[str, Case] = {
    "Hann taper": (lambda x: x * _W, (16,)),
    "Gaussian taper": (lambda x: x * _GAUSS, (32,)),
    "vignette": (lambda x: x * _VIGNETTE, (1, 16, 16)),
    "taper along the width": (lambda x: x * _W, (1, 8, 16)),
    "gate": (lambda x: x * _only(16, 7, 8), (16,)),
    "gate before a convolution": (
        nn.Sequential(nn.ZeroPad1d(-4), nn.ZeroPad1d(4), conv(c_in=1)),
        (1, 16),
    ),
    "tridiagonal matrix": (lambda x: _TRIDIAGONAL @ x, (16,)),
    "position embedding": (lambda x: x + _R2, (1, 16, 16)),
    "numpy taper": (NoTensor(lambda x: x * _W.numpy()), (16,)),
    "taper in one channel": (
        lambda x: torch.cat([_WIDE.to(x.dtype)(x), x * _W]),
        (1, 16),
    ),
    "taper of pairs": (lambda x: nn.AvgPool1d(2)(x) * _hann(8), (1, 16)),
    "taper before upsampling": (lambda x: (x * _W).repeat_interleave(2, -1), (1, 16)),
    "nothing in the middle": (lambda x: x * _BLIND, (12,)),
    "last cell forgotten": (lambda x: x * (1 - _only(16, 15)), (16,)),
    "one cell leaks into one": (lambda x: x.roll(1) + 1e-13 * _only(16, 2) * x[-1], (16,)),
}


@pytest.mark.parametrize("name", DEPEND_ON_POSITION)
def test_what_depends_on_the_position_is_refuted(name: str) -> None:
    """The middle cells are alike, so that a border as wide as it takes would leave equal ones."""
    op, shape = DEPEND_ON_POSITION[name]
    found = diagnose(op, shape, boundary="interior")
    assert found.shift_equivariant.holds is False
    assert found.lti.holds is False
    assert found.period[-1] is None
    assert found.kernel is None
    assert_replays(found.shift_equivariant, op)
    with pytest.raises(AssertionError):
        assert_lti(op, shape, boundary="interior")


def test_a_larger_shift_is_found_behind_one_that_the_ends_do_not_explain() -> None:
    found = diagnose(lambda x: x * _PERIOD_4, (16,), boundary="interior")
    assert (found.period, found.border, found.period_certainty) == ((4,), (0,), "exhausted")
    assert_replays(found.shift_equivariant, lambda x: x * _PERIOD_4)


@pytest.mark.parametrize(
    ("weights", "period"), [(_W, None), (_GAUSS, None), (_only(16, 7, 8), None), (_PERIOD_4, 4)]
)
def test_where_trials_do_not_explain_a_border_nothing_is_said(
    weights: torch.Tensor, period: int | None
) -> None:
    """They cannot show that a nonlinear operator sees no further, and so refute nothing."""
    found = diagnose(lambda x: torch.relu(x * weights), (len(weights),), boundary="interior")
    assert found.shift_equivariant.holds is None
    assert found.shift_equivariant.certainty == "undecided"
    assert "do not show that the ends explain it" in found.shift_equivariant.reason
    assert (found.period, found.period_certainty) == ((period,), "undecided")


MOST_CELLS_SEE_AN_END: dict[str, tuple[Callable[..., Any], tuple[int, ...], int]] = {
    "zeros": (_WIDE, (1, 16), 7),
    "bias": (conv(k=15, c_in=1, padding_mode="zeros", bias=True), (1, 16), 7),
    "circular": (conv(k=15, c_in=1), (1, 16), 7),
    "reflect": (conv(k=15, c_in=1, padding_mode="reflect"), (1, 16), 7),
    "replicate": (conv(k=13, c_in=1, padding_mode="replicate"), (1, 16), 6),
    "2-D": (conv(2, k=7, c_in=1, padding_mode="zeros"), (1, 8, 8), 3),
}


@pytest.mark.parametrize("name", MOST_CELLS_SEE_AN_END)
def test_a_wide_border_that_the_ends_explain_is_sampled(name: str) -> None:
    """Half of the input is what a wide kernel needs, but two cells are little to go by."""
    op, shape, border = MOST_CELLS_SEE_AN_END[name]
    found = diagnose(op, shape, boundary="interior")
    assert found.shift_equivariant.holds
    assert found.shift_equivariant.certainty == "sampled"
    assert "a longer input shows more" in found.shift_equivariant.reason
    assert found.border == (border,) * (len(shape) - 1)
    assert found.period_certainty == "sampled"


def test_a_matrix_with_two_alike_rows_is_never_exhausted() -> None:
    """Their windows reach from end to end, so that every other row might be explained by the ends.

    The reason says how few are compared.
    """
    rows = torch.from_numpy(np.random.default_rng(0).integers(1, 99, (16, 16)).astype(float))
    rows[8] = torch.cat([torch.zeros(1), rows[7, :-1]])
    rows[7, 15] = 0
    rows[8, 0] = 0
    found = diagnose(dense(rows), (16,), boundary="interior").shift_equivariant
    assert found.certainty == "sampled"
    assert "leaves 2 of 16 to compare" in found.reason


EXPLAINED: dict[str, tuple[Callable[..., Any], tuple[int, ...], tuple[int, int]]] = {
    "nine taps": (conv(k=9, padding_mode="zeros"), (2, 16), (1, 4)),
    "roll, one end alone": (lambda x: x.roll(5), (16,), (1, 5)),
    "mean of what there is": (nn.AvgPool1d(5, 1, 2, count_include_pad=False), (1, 16), (1, 2)),
    "padded far": (conv(padding=3, padding_mode="zeros"), (2, 12), (1, 3)),
    "what is cropped shows as an end": (
        nn.Sequential(nn.ZeroPad1d(-2), conv(c_in=1, padding_mode="zeros")),
        (1, 16),
        (1, 1),
    ),
    "and a part of a cell": (
        lambda x: F.pad(x.repeat_interleave(2, -1)[..., 1:-1], (1, 1)).unfold(-1, 3, 1).sum(-1),
        (1, 16),
        (1, 1),
    ),
    "strided, padded": (conv(k=7, stride=2, padding_mode="zeros"), (2, 24), (2, 2)),
}


@pytest.mark.parametrize("curved", [False, True])
@pytest.mark.parametrize("name", EXPLAINED)
def test_what_the_ends_explain_is_a_border(name: str, curved: bool) -> None:
    """By the basis or, behind a nonlinearity, by trials."""
    op, shape, step = EXPLAINED[name]
    found = diagnose(
        (lambda x: torch.nn.functional.softplus(op(x))) if curved else op,
        shape,
        boundary="interior",
    )
    assert (found.period, found.border) == ((step[0],), (step[1],))
    assert found.period_certainty == ("sampled" if curved else "exhausted")


@pytest.mark.parametrize("seed", range(3))
def test_a_deep_network_sees_far_now_and_then_only(seed: int) -> None:
    """What made cells near an end differ is moved into the middle: red where inputs are random."""
    torch.manual_seed(seed)
    layers = [(nn.Conv1d(2, 2, 3, padding=1), nn.ReLU()) for _ in range(4)]
    found = diagnose(nn.Sequential(*sum(layers, ())), (2, 24), boundary="interior")
    assert found.shift_equivariant.holds
    assert found.border == (4,)


def test_windows_move_with_the_cells() -> None:
    """A window of two cells, of eight: the first output cell sees beyond the first input cell."""
    step = equivariance.Step(1, 1, 0)
    middle = np.array([2, 3]), np.array([3, 4])  # cells 3 and 4 see themselves and the one before
    sees = reach.Reach(*middle, np.array([0]), np.array([7]))
    assert sees.inside(step, 8, 8).tolist() == [False] + [True] * 7
    cropped = reach.Reach(*middle, np.array([2]), np.array([5]))
    assert cropped.inside(step, 8, 8).tolist() == [False, True, False, *[True] * 3, False, True]
