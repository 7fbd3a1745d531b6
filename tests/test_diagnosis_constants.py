"""Outputs that stay whatever the input is: affine, linear only if zero, and moved by no shift."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from theory import diagnose

if TYPE_CHECKING:
    from collections.abc import Callable

    from theory.diagnosis.equations import Boundary


def test_a_constant_list_is_affine_and_not_linear() -> None:
    found = diagnose(lambda x: [1, 2, 3], (8,))
    assert found.affine.certainty == "proved"
    assert found.affine.reason == "its output is constant"
    assert found.linear.holds is False
    assert diagnose(lambda x: [0, 0, 0], (8,)).linear.certainty == "proved"


@pytest.mark.parametrize(
    ("op", "boundary", "reason"),
    [
        (
            lambda x: [1, 2, 3],
            "circular",
            "a shift by 1 is no whole shift of the output (8 cells in, 3 out)",
        ),
        (lambda x: 0 * x + torch.arange(8), "interior", "the output is no shift of itself"),
        (lambda x: x.sum(), "circular", "the output has no cells that a shift moves"),
    ],
    ids=["sizes", "interior", "one number"],
)
def test_what_never_moves_is_refuted_for_what_forbids_it(
    op: Callable[..., Any], boundary: Boundary, reason: str
) -> None:
    found = diagnose(op, (8,), boundary=boundary).shift_equivariant
    assert found.holds is False
    assert found.reason.startswith(f"{reason}; shift-invariant (exhausted)")
