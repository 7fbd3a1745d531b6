"""Tensors that have no shape or no values are refused, and all others pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from theory.tensors import require_dense, require_shape, require_values

if TYPE_CHECKING:
    from collections.abc import Callable

OWNER = nn.Linear(2, 1)
UNDECIDED = "^Linear has not decided the shape of weight yet: call it once first$"


@pytest.mark.parametrize("kind", [nn.UninitializedParameter, nn.UninitializedBuffer])
@pytest.mark.parametrize("require", [require_shape, require_values])
def test_a_tensor_without_a_shape_is_refused(
    require: Callable[..., None], kind: Callable[[], torch.Tensor]
) -> None:
    with pytest.raises(ValueError, match=UNDECIDED):
        require(OWNER, "weight", kind())


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.empty(2, device="meta"), "^Linear has no values in weight, on the meta device: "),
        (torch.ones(2).to_sparse(), "^Linear has a sparse weight: make it dense"),
    ],
    ids=["meta", "sparse"],
)
def test_a_tensor_without_values_is_refused_though_it_has_a_shape(
    tensor: torch.Tensor, message: str
) -> None:
    require_shape(OWNER, "weight", tensor)
    with pytest.raises(ValueError, match=message):
        require_values(OWNER, "weight", tensor)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.empty(2, device="meta"), "^the input has no values, on the meta device: make it "),
        (torch.ones(2).to_sparse(), "^the input is a sparse tensor: make it dense, with its to_d"),
    ],
    ids=["meta", "sparse"],
)
def test_so_is_one_that_a_caller_gives(tensor: torch.Tensor, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        require_dense("the input", tensor)


def test_a_tensor_with_values_passes() -> None:
    for tensor in (OWNER.weight, torch.ones(()), torch.ones(2, 2).T):
        require_dense("the input", tensor)
        require_values(OWNER, "weight", tensor)
