"""The operators on trial do what their definitions say, and refuse what does not fit."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from theory.exhaustion import signal
from theory.operators import (
    add_bias,
    average_pool,
    dropout,
    fully_connected,
    max_pool,
    relu,
    strided_pool,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def test_windows_wrap_and_start_at_the_stride() -> None:
    x = signal(4, 1, 2, 9, 3, 0)
    assert max_pool(x, size=3, stride=2).tolist() == [4, 9, 4]
    assert average_pool(x, size=4, stride=3).tolist() == [4, 4]
    assert strided_pool(x, stride=3, pixel=(2,)).tolist() == [2, 0]


def test_the_top_right_pixel_of_each_block() -> None:
    image = torch.arange(24).view(4, 6)
    assert strided_pool(image, stride=2, pixel=(0, 1)).tolist() == [[1, 3, 5], [13, 15, 17]]


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda x: strided_pool(x, stride=4), "stride 4 does not divide the sides of shape"),
        (lambda x: max_pool(x, size=2, stride=0), "stride is 0, expected at least 1"),
        (lambda x: strided_pool(x, stride=-2), "stride is -2, expected at least 1"),
        (lambda x: max_pool(x, size=0, stride=2), "size is 0, expected at least 1"),
        (lambda x: average_pool(x, size=-1, stride=2), "size is -1, expected at least 1"),
        (lambda x: average_pool(x, size=2, stride=5), "stride 5 does not divide"),
        (lambda x: strided_pool(x, stride=2, pixel=(2,)), "pixel .* is not in a block of side 2"),
        (lambda x: strided_pool(x, stride=2, pixel=(0, 0)), "on 1 axes"),
        (lambda x: strided_pool(x, stride=2, pixel=()), "on 1 axes"),
        (lambda x: strided_pool(x[0], stride=1), "the signal has no axis"),
        (lambda x: max_pool(x[0], size=1, stride=1), "the signal has no axis"),
        (lambda x: add_bias(x, torch.ones(3, 6)), r"bias of shape \(3, 6\) on a signal of shape"),
        (lambda x: add_bias(x, torch.ones(1)), r"bias of shape \(1,\)"),
        (lambda x: fully_connected(x, torch.ones(2, 5)), r"shape \(2, 5\) on a signal of 6 values"),
        (lambda x: fully_connected(x, torch.ones(6)), r"shape \(6,\) .* expected two axes"),
        (lambda x: fully_connected(x, torch.ones(2, 2, 6)), "expected two axes"),
        (lambda x: dropout(x, 1), "rate is 1: give a probability from 0 to below 1"),
        (lambda x: dropout(x, -0.5), "rate is -0.5"),
        (lambda x: dropout(x, torch.nan), "rate is nan"),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[Tensor], Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        call(torch.zeros(6))


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda x: strided_pool(x, stride=2.0), r"stride is 2\.0, expected an integer"),
        (lambda x: max_pool(x, size=2, stride=True), "stride is True, expected an integer"),
        (lambda x: average_pool(x, size=1.5, stride=2), r"size is 1\.5, expected an integer"),
        (lambda x: strided_pool(x, stride=2, pixel=(0.5,)), "expected an integer for each"),
        (lambda x: relu(x * 1j), "the signal is complex"),
        (lambda x: max_pool(x * 1j, size=2, stride=2), "the signal is complex"),
    ],
)
def test_what_is_of_no_use_as_a_size_or_a_signal_is_refused(
    call: Callable[[Tensor], Any], complaint: str
) -> None:
    with pytest.raises(TypeError, match=complaint):
        call(torch.zeros(6))


@pytest.mark.parametrize(
    "op",
    [
        relu,
        partial(add_bias, bias=0),
        partial(strided_pool, stride=1),
        partial(strided_pool, stride=2),
        partial(max_pool, size=1, stride=1),
        partial(average_pool, size=1, stride=1),
        partial(fully_connected, matrix=torch.eye(4).double()),
        partial(dropout, rate=0),
    ],
)
def test_what_is_returned_may_be_written_into(op: Callable[[Tensor], Tensor]) -> None:
    """Red if it is a view of the signal."""
    x = signal(1, 2, 3, 4)
    op(x).fill_(7)
    assert x.tolist() == [1, 2, 3, 4]


def test_narrow_integers_neither_wrap_around_nor_round() -> None:
    """Red if a sum is as narrow as what is added, or in single precision, as torch has it."""
    narrow = torch.tensor([100, -128], dtype=torch.int8)
    large = torch.tensor([2**24 + 1, 1])  # the first is no number of single precision
    twice = torch.tensor([[2, 2]], dtype=torch.int8)
    assert add_bias(narrow, 100).tolist() == [200, -28]
    assert add_bias(narrow, narrow).tolist() == [200, -256]
    for half in (0.5, torch.tensor(0.5), torch.tensor([0.5, 0.5])):
        assert add_bias(large, half).tolist() == [2**24 + 1.5, 1.5]
    assert fully_connected(narrow, twice).tolist() == [-56]
    assert fully_connected(large, twice).tolist() == [2 * (2**24 + 2)]
    assert fully_connected(narrow > 0, twice > 0).tolist() == [1]
    assert fully_connected(narrow, torch.eye(2)).tolist() == [100, -128]
    assert average_pool(large, size=1, stride=1).tolist() == [2**24 + 1, 1]
    assert average_pool(narrow, size=2, stride=2).tolist() == [-14]
    assert dropout(large, rate=0).tolist() == [2**24 + 1, 1]


def test_what_counts_may_be_of_numpy() -> None:
    x = torch.arange(900.0).view(30, 30)
    narrow: Any = np.int8(15)
    assert torch.equal(max_pool(x, narrow, narrow), max_pool(x, 15, 15))
    assert torch.equal(average_pool(x, narrow, narrow), average_pool(x, 15, 15))


def test_dropout_draws_where_the_signal_is() -> None:
    x = torch.zeros(3, device="meta")
    assert dropout(x, 0.5).device == x.device


def test_a_fully_connected_layer_reads_a_map_row_by_row() -> None:
    square, identity = signal(1, 2, 3, 4).view(2, 2), torch.eye(4).double()
    assert fully_connected(square, identity).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("law", "name"),
    [
        (relu, "signal"),
        (lambda x: max_pool(x, 1, 1), "signal"),
        (lambda x: average_pool(x, 1, 1), "signal"),
        (lambda x: strided_pool(x, 1), "signal"),
        (lambda x: dropout(x, 0.5), "signal"),
        (lambda x: fully_connected(x, torch.ones(1, 3)), "signal"),
        (lambda x: fully_connected(torch.ones(3), x), "matrix"),
    ],
)
def test_an_array_is_no_signal(law: Callable[[Any], object], name: str) -> None:
    """Red if the first method that arrays lack is what the error names."""
    with pytest.raises(TypeError, match=f"^the {name} is a ndarray, expected a tensor: use torch"):
        law(np.arange(3))


@pytest.mark.parametrize("rate", ["0.5", None, [0.5], 1j])
def test_a_rate_is_a_number(rate: Any) -> None:
    with pytest.raises(TypeError, match=r"^rate is .*, expected a number: give a probability"):
        dropout(torch.ones(1), rate)
