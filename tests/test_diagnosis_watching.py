"""What an operator may read while its graph is recorded, and which of its errors are kept."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch._dynamo  # as make_fx does at its first call: more than a second in each mutant
from torch import Tensor
from torch._subclasses.functional_tensor import (
    FunctionalTensor,
    FunctionalTensorMode,
    dispatch_functionalize,
)
from torch.fx.experimental.proxy_tensor import make_fx

from theory.diagnosis.functional_state import MUTATES
from theory.diagnosis.watching import ReadError, Watch

COPIES: dict[str, Callable[[Tensor], Any]] = {
    "bool": bool,
    "int": int,
    "float": float,
    "complex": complex,
    "index": lambda x: range(9)[x.long()],
    "item": lambda x: x.item(),
    "tolist": lambda x: x.tolist(),
}
LENDS: dict[str, Callable[[Tensor], Any]] = {
    "numpy": lambda x: x.numpy(force=True),
    "dlpack": np.from_dlpack,
    "pickle": pickle.dumps,
}
TELLS: dict[str, Callable[[Tensor], Any]] = {"text": repr, "format": "{:}".format}


def _watched(op: Callable[[Tensor], Any]) -> tuple[Watch, Any, Exception | None]:
    """Return the watch of a run on four ones, what the operator gave, and the error it ended in."""
    watch, given = Watch(), []

    def run(x: Tensor) -> Tensor:
        with watch.on():
            given.append(op(x))
        return x

    try:
        make_fx(dispatch_functionalize(run, mode=FunctionalTensorMode()))(torch.ones(4))
    except Exception as error:
        return watch, None, error
    return watch, given[0], None


@pytest.mark.parametrize("how", COPIES)
def test_what_constants_make_is_read_and_what_they_are_is_noted(how: str) -> None:
    """Red where a constant may not be read, or where what was read of it is not known later."""
    one, other = torch.tensor(1.0), torch.tensor(2.0)
    watch, given, error = _watched(lambda x: COPIES[how]((one + other).sqrt().square().round()))
    assert (watch.first, error) == (None, None)
    assert given == COPIES[how](torch.tensor(3.0))
    assert {id(each) for each in watch.read} >= {id(one), id(other)}


def test_lists_of_constants_are_read() -> None:
    """Red where single numbers alone are, since torch makes such a list by itself."""
    watch, given, error = _watched(lambda x: (torch.full((2, 2), 7.0) + torch.arange(2)).tolist())
    assert (watch.first, error) == (None, None)
    assert given == [[7.0, 8.0], [7.0, 8.0]]


@pytest.mark.parametrize("how", LENDS)
def test_what_lends_the_memory_of_a_constant_is_noted_as_well(how: str) -> None:
    """Red where only what copies values is."""
    constant = torch.tensor(2.0)
    watch, given, error = _watched(lambda x: LENDS[how](constant))
    assert (watch.first, error) == (None, None)
    assert given == LENDS[how](constant)
    assert {id(each) for each in watch.read} == {id(constant)}


@pytest.mark.parametrize("how", LENDS)
def test_no_memory_is_lent_that_the_input_may_be_written_into_later(how: str) -> None:
    """Red where what is made during the run lends its memory as it gives copies of its values."""
    watch, _, error = _watched(lambda x: LENDS[how](torch.zeros(4)))
    assert error is not None
    assert watch.first is error


OF_NO_CONSTANT: dict[str, Callable[[Tensor], Tensor]] = {
    "the input": lambda x: x[0],
    "made of the input": lambda x: (torch.zeros(4) + 2 * x).sum(),
    "drawn": lambda x: torch.rand(()),
    "of a sparse tensor": lambda x: torch.sparse_coo_tensor(
        torch.arange(2)[None], torch.ones(2), (2,), check_invariants=False
    ).to_dense()[0],
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("of", OF_NO_CONSTANT)
def test_what_the_input_or_chance_decides_is_not_read(of: str, how: str) -> None:
    """Red where what one run happens to hold is taken for what all runs will."""
    watch, _, error = _watched(lambda x: COPIES[how](OF_NO_CONSTANT[of](x)))
    assert error is not None
    assert watch.first is not None


@pytest.mark.parametrize("how", [*COPIES, *LENDS])
def test_nor_where_the_error_is_caught_and_torch_functions_are_off(how: str) -> None:
    """Red where an operator that catches the error goes on as if it had not asked."""

    def asks(x: Tensor) -> None:
        with contextlib.suppress(Exception), torch._C.DisableTorchFunction():
            {**COPIES, **LENDS}[how](x[0])

    watch, _, error = _watched(asks)
    assert error is None
    assert watch.first is not None
    assert watch.read


@pytest.mark.parametrize("how", TELLS)
def test_no_text_is_made_of_the_input_and_any_of_a_constant(how: str) -> None:
    """Red where the digits of a traced tensor get out, or those of another do not."""
    watch, _, error = _watched(lambda x: TELLS[how](x.sum()))
    assert isinstance(error, ReadError)
    assert watch.first is error
    constant = torch.tensor([2.5])
    watch, given, error = _watched(lambda x: TELLS[how](constant))
    assert (watch.first, error) == (None, None)
    assert given == TELLS[how](constant)


def test_the_first_error_is_kept_and_no_later_one() -> None:
    """Red where an error that follows from the first hides why."""

    def fails_twice(x: Tensor) -> None:
        with contextlib.suppress(ReadError):
            repr(x)
        x.reshape(3)

    watch, _, error = _watched(fails_twice)
    assert isinstance(watch.first, ReadError)
    assert isinstance(error, RuntimeError)


def test_an_error_that_is_not_of_torch_is_none_of_its_own() -> None:
    """Red where an operator may not fail by itself."""
    watch, _, error = _watched(lambda x: [][1])
    assert isinstance(error, IndexError)
    assert watch.first is None


def test_arguments_by_name_reach_the_function() -> None:
    """Red where they are lost on the way."""
    watch, given, _ = _watched(lambda x: torch.add(x, x, alpha=2).sum(dim=0, keepdim=True).shape)
    assert given == (1,)
    assert watch.first is None


def test_no_tensor_of_another_kind_takes_the_data_of_the_input() -> None:
    """Red where torch is left to it."""
    plain = torch.zeros(4)

    def assigns(x: Tensor) -> None:
        plain.data = x

    watch, _, error = _watched(assigns)
    assert MUTATES in str(error)
    assert watch.first is error


def test_the_methods_of_tensors_come_back() -> None:
    """Red where a tensor that is read later is still watched."""
    methods = ("item", "tolist", "__bool__", "__index__", "numpy", "__dlpack__", "__reduce_ex__")
    kinds = (torch.Tensor, FunctionalTensor)
    before = [getattr(kind, name) for kind in kinds for name in methods]
    watch, _, _ = _watched(lambda x: x)
    assert [getattr(kind, name) for kind in kinds for name in methods] == before
    assert float(torch.tensor(2.0)) == 2
    assert watch.read == []
