"""The truth derived by hand is what `diagnose` finds, whatever shape, boundary and precision."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.operator_table import OPERATORS, Row, Shape, assert_replays
from theory import Diagnosis, Finding, diagnose

if TYPE_CHECKING:
    from collections.abc import Callable

    from theory.diagnosis.equations import Boundary

BOUNDARIES: tuple[Boundary, ...] = ("circular", "interior")
CASES = list(product((0, 1), BOUNDARIES, (torch.float32, torch.float64)))


@pytest.mark.parametrize("name", OPERATORS)
def test_truth(name: str) -> None:
    row = OPERATORS[name]
    for which, boundary, dtype in CASES:
        shape = row.shapes[which]
        op = row.make(shape)
        diagnosis = diagnose(op, shape, boundary=boundary, dtype=dtype, budget=500)
        try:
            _check_linearity(row, diagnosis)
            _check_shifts(row, shape, boundary, diagnosis)
            _check_certainties(row, diagnosis)
            if dtype is torch.float64:
                _check_witnesses(diagnosis, op)
        except AssertionError as error:
            error.add_note(f"{shape}, {boundary}, {dtype}:\n{diagnosis}")
            raise


def _check_linearity(row: Row, found: Diagnosis) -> None:
    homogeneous = row.linear if row.homogeneous is None else row.homogeneous
    additive = row.linear if row.additive is None else row.additive
    assert found.deterministic.holds
    assert found.linear.holds is row.linear
    assert found.affine.holds is row.affine
    assert found.homogeneous.holds is homogeneous
    assert found.additive.holds is additive
    assert (found.offset is not None) == row.affine


def _check_shifts(row: Row, shape: Shape, boundary: Boundary, found: Diagnosis) -> None:
    axes = max(1, len(shape) - 1)
    if boundary == "circular":
        period = row.period(axes)
        border = tuple(None if p is None else 0 for p in period)
    else:
        followed = row.followed(axes)
        period = tuple(None if each is None else each[0] for each in followed)
        border = tuple(None if each is None else each[1] for each in followed)
    equivariant = all(p == 1 for p in period)
    lti = row.linear and equivariant and row.same_rate
    assert found.period == period
    assert found.border == border
    assert found.shift_equivariant.holds is equivariant
    assert found.lti.holds is lti
    assert (found.kernel is not None) == lti


def _check_certainties(row: Row, found: Diagnosis) -> None:
    """Check that each certainty is as high as it can be.

    What has a graph is proved if it is affine, and then its shifts are exhausted by its impulse
    responses; if every cell is the same function, they are proved as well.
    """
    proof = "proved" if row.affine and not row.opaque else "sampled"
    shifts = "proved" if row.pointwise else "exhausted" if row.affine else "sampled"
    shifts = "sampled" if row.opaque else shifts
    for name in ("linear", "affine", "homogeneous", "additive"):
        finding = found.findings[name]
        assert finding.certainty == (proof if finding.holds else "refuted"), name
    assert found.shift_equivariant.certainty == (
        shifts if found.shift_equivariant.holds else "refuted"
    )
    weakest = shifts if proof == "proved" else proof
    assert found.lti.certainty == (weakest if found.lti.holds else "refuted")


def _check_witnesses(found: Diagnosis, op: Callable[..., Any]) -> None:
    for name, finding in found.findings.items():
        if finding.holds is not False or finding.witness is not None:
            assert_replays(finding, op)
        else:
            assert _needs_no_witness(found, name, finding)


def _needs_no_witness(found: Diagnosis, name: str, finding: Finding) -> bool:
    """Whether the shapes alone refute: nothing to shift, or shifted at another rate."""
    at_two_rates = name == "lti" and "two rates" in finding.reason
    nothing_to_shift = name in {"shift_equivariant", "lti"} and (
        len(found.output_shape) < max(1, len(found.shape) - 1) or 1 in found.output_shape
    )
    return at_two_rates or nothing_to_shift


def test_the_table_is_large_enough_to_mean_something() -> None:
    assert len(OPERATORS) >= 120
    assert all(row.shapes[0] != row.shapes[1] for row in OPERATORS.values())
