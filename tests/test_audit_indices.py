"""Masks and indices that come from no input: what an audit makes of their values."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch._dynamo  # as the first audit does: more than a second in each mutant
from torch import Tensor, nn

from tests.audit_modules import Fn
from theory import audit
from theory.auditing.constants import has_values, lends_memory

MASK = torch.tensor([True, False, True, True])


@pytest.mark.parametrize(
    ("value", "has", "lends"),
    [
        (torch.ones(2), True, False),
        (torch.from_numpy(np.ones(2)), True, True),
        (torch.ones(2, device="meta"), False, False),
        (torch.eye(2).to_sparse(), False, False),
        (None, False, False),
        (2.0, False, False),
    ],
    ids=["a tensor", "an array's", "no values", "sparse", "nothing", "a number"],
)
def test_values_lie_in_memory_one_for_each_cell(value: Any, has: bool, lends: bool) -> None:
    """Red where what has no values is read, or memory that an array writes into is trusted."""
    assert has_values(value) is has
    assert lends_memory(value) is lends


@pytest.mark.parametrize(
    ("function", "shape", "output"),
    [
        (lambda x: x.masked_select(MASK), (4,), (3,)),
        (lambda x: x.masked_select(MASK), (1,), (3,)),
        (lambda x: x.masked_select(MASK[:, None]), (4, 3), (9,)),
        (lambda x: x[0, MASK].sum(0)[MASK[1:]], (4, 3), (2,)),
        (lambda x: x[:, MASK[:2], 1:, MASK[1:]], (2, 3, 3), (2, 1, 2)),
    ],
)
def test_a_mask_lets_through_as_many_cells_as_it_says(
    function: Callable[[Tensor], Tensor], shape: tuple[int, ...], output: tuple[int, ...]
) -> None:
    """Red where a mask is not spread over the other axes, or put to another one."""
    facts = audit(Fn(function), shape)
    assert facts.output_shape == output
    assert facts.warnings == ()


def test_an_index_on_a_device_without_values_is_computed_on_the_cpu() -> None:
    """Red where its device is kept, on which there is nothing to compute."""
    layer = nn.PReLU(device="meta")

    def every_second(x: Tensor, layer: nn.Module) -> Tensor:
        cells = torch.arange(0, x.shape[-1], 3, device=x.device)
        return layer(x).cumsum(-1)[..., cells + 1]

    facts = audit(Fn(every_second, layer), (1, 9))
    assert facts.output_shape == (1, 3)
    assert facts.receptive_field == (8,)


@pytest.mark.parametrize(
    "index",
    [
        lambda layer: layer.weight.argsort(),  # training changes it
        lambda layer: torch.randperm(3),
        lambda layer: torch.randint_like(layer.order, 3),
    ],
    ids=["of weights", "drawn", "drawn alike"],
)
def test_an_index_that_may_be_another_at_the_next_call_is_unknown(
    index: Callable[[nn.Module], Tensor],
) -> None:
    """Red where the values of one moment are taken for all that there will be."""
    layer = nn.PReLU(3)
    layer.register_buffer("order", torch.tensor([0, 2, 1]))
    picked = Fn(lambda x, layer: x.cumsum(-1)[..., index(layer)], layer)
    assert audit(picked, (1, 3)).receptive_field == (None,)
    given = Fn(lambda x, layer: x.cumsum(-1)[..., layer.order], layer)
    assert audit(given, (1, 3)).receptive_field == (3,)


def test_an_array_that_is_written_into_between_two_uses_is_unknown() -> None:
    """Red where its values are compared with those of the last use, and not of the first."""
    values = np.array([1, 2])
    cells = torch.from_numpy(values)

    def used_twice(x: Tensor) -> Tensor:
        values[:] = 1, 2
        first = x.cumsum(-1)[..., cells]
        values[:] = 0
        return first + x[..., cells]

    assert audit(Fn(used_twice), (1, 4)).receptive_field == (None,)


def test_a_single_truth_value_is_no_mask() -> None:
    """Red where it is taken for one of a single row: the module itself would fail."""
    flag = torch.tensor(True)
    with pytest.raises(ValueError, match="reads values"):
        audit(Fn(lambda x: torch.ops.aten.index(x, [flag])), (1, 4))


def test_what_a_primitive_of_primitives_sees_is_unknown() -> None:
    """Red where one that says nothing of what it reads is refused: torch knows its shapes."""

    def product(x: Tensor) -> Tensor:
        one = torch.ones(4, 4, dtype=torch.int8)
        mm = torch.ops.aten.mm.default
        return torch.ops.higher_order.out_dtype(mm, torch.int32, x[0].to(torch.int8), one)

    facts = audit(Fn(product), (4, 4))
    assert facts.output_shape == (4, 4)
    assert facts.receptive_field == (None,)


class _Forgetful(nn.Module):
    """It leaves a tensor out of its copies, as one that keeps what it computed may do."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("distance", torch.tensor(2))
        self.kept = torch.zeros(2)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Forgetful:
        made = type(self)()
        made._buffers["distance"] = copy.deepcopy(self.distance, memo)
        del made.kept
        return made

    def forward(self, x: Tensor) -> Tensor:
        return x.roll(int(self.distance), -1).cumsum(-1)


def test_a_copy_may_leave_out_what_the_module_keeps() -> None:
    """Red where the two have to keep as many tensors."""
    assert audit(_Forgetful(), (1, 8)).receptive_field == (8,)
