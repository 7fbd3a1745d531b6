"""The witnesses of `diagnose` are small, exact, and printed with what matters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from tests.operator_table import OPERATORS
from theory import diagnose

if TYPE_CHECKING:
    from theory import Witness


def _cells(witness: Witness) -> int:
    return int(np.any([x != 0 for x in witness.inputs], axis=0).sum())


def test_smallest_witness_of_relu() -> None:
    witness = diagnose(nn.ReLU(), (8,)).additive.witness
    assert witness is not None
    x, y = witness.inputs
    assert _cells(witness) == 1
    assert (x.sum(), y.sum()) == (1, -1)


def test_smallest_witness_of_a_bias_is_zero() -> None:
    diagnosis = diagnose(OPERATORS["circular conv + bias"].make((2, 8)), (2, 8))
    assert diagnosis.additive.witness is not None
    assert _cells(diagnosis.additive.witness) == 0


@pytest.mark.parametrize("name", ["max pooling", "2-D max pooling"])
def test_smallest_witnesses_of_max_pooling(name: str) -> None:
    shape = OPERATORS[name].shapes[0]
    diagnosis = diagnose(OPERATORS[name].make(shape), shape)
    assert diagnosis.additive.witness is not None
    assert _cells(diagnosis.additive.witness) == 1
    witness = diagnosis.shift_equivariant.witness
    assert witness is not None
    assert sum(witness.shift or ()) == 1
    # One impulse is followed, by 0 or by 1 cell; it takes two cells to see that neither is right.
    assert _cells(witness) == 2
    assert set(np.unique(witness.inputs[0])) == {0, 1}


def test_smallest_witness_of_subsampling() -> None:
    witness = diagnose(lambda x: x[::2], (8,)).shift_equivariant.witness
    assert witness is not None
    assert (witness.shift, witness.output_shift) == ((1,), None)
    assert witness.inputs[0].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]
    assert "no shift of" in str(witness)


def test_witnesses_are_shrunk_from_large_inputs() -> None:
    witness = diagnose(lambda x: x.clamp(max=1e4), (8,)).additive.witness
    assert witness is not None
    assert _cells(witness) == 1
    assert max(np.abs(x).max() for x in witness.inputs) <= 10_001


def test_a_faint_difference_is_printed_with_the_digits_that_differ() -> None:
    witness = diagnose(
        lambda x: x * (1 + 1e-12 * torch.eye(8, dtype=torch.float64)[2]), (8,)
    ).shift_equivariant.witness
    assert witness is not None
    left, right = str(witness).split(": ")[1].split(" but ")
    assert left.split(" = ")[1] != right.split(" = ")[1].split(" at ")[0]


def test_a_witness_in_the_interior_shows_both_windows() -> None:
    op = nn.MaxPool1d(2)
    found = diagnose(op, (1, 8), boundary="interior")
    witness = found.shift_equivariant.witness
    assert witness is not None
    assert witness.boundary == "interior"
    x, moved = witness.inputs
    assert np.array_equal(moved[..., 1:], x[..., :-1])
    left, right = witness.replay(op)
    assert np.array_equal(left, witness.left)
    assert np.array_equal(right, witness.right)
    assert "is no shift of" in str(witness)
    assert witness.to_dict()["boundary"] == "interior"
