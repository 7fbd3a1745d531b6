"""The matrices of a convolution refuse by name what holds no numbers, and widen what is narrow."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import DTypeLike

from theory.equivalences import dense_from_convolution
from theory.methods.convolution_plan import Operation
from theory.structured_matrices import circulant_matrix, derivative_matrix, toeplitz_matrix

Law = Callable[[Any], np.ndarray]

LAWS: dict[str, Law] = {
    "the kernel": lambda h: toeplitz_matrix(h, 3),
    "the kernel, on a circle": lambda h: circulant_matrix(h, 3),
    "the input": lambda x: derivative_matrix(x, 1),
    "the weight": lambda w: dense_from_convolution([[w]] if _is_list(w) else w[None, None], (3,)),
}
of_each_law = pytest.mark.parametrize(
    ("name", "law"), [(key.split(",")[0], law) for key, law in LAWS.items()], ids=LAWS
)

HIDDEN = {
    "masked": (np.ma.array([1.0, 2.0], mask=[True, False]), "is a masked array"),
    "known to autograd": (torch.ones(2, requires_grad=True), "is a Tensor that is no array of"),
    "without values": (torch.ones(2, device="meta"), "is a Tensor that is no array of numbers"),
    "ragged": ([[1.0], [1.0, 2.0]], "is a list that is no array of numbers"),
}
NO_NUMBERS = {
    "words": np.array(["a", "b"]),
    "a list of words": ["a", "b"],
    "bytes": np.array([b"a"]),
    "times": np.array([1, 2], "datetime64[s]"),
    "spans of time": np.array([1, 2], "timedelta64[s]"),
    "records": np.zeros(2, [("a", float)]),
}


def _is_list(given: Any) -> bool:
    return isinstance(given, list)


@of_each_law
@pytest.mark.parametrize(("given", "message"), HIDDEN.values(), ids=HIDDEN)
def test_what_no_array_could_tell_is_refused_by_name(
    name: str, law: Law, given: Any, message: str
) -> None:
    """Red if a mask is dropped, or an error of NumPy's or PyTorch's passes."""
    called = "weight" if name == "the weight" else name
    with pytest.raises(TypeError, match=f"^{called} {message}"):
        law(given)


@of_each_law
@pytest.mark.parametrize("given", NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_what_is_no_number_is_refused_by_name(name: str, law: Law, given: Any) -> None:
    held = re.escape(f"{name} holds {np.asarray(given).dtype} entries: expected numbers")
    with pytest.raises(TypeError, match=f"^{held}"):
        law(given)


@of_each_law
def test_integers_beyond_int64_are_refused_by_name(name: str, law: Law) -> None:
    with pytest.raises(ValueError, match=f"^{name} holds integers beyond int64"):
        law(np.array([2**64 - 1], np.uint64))


@of_each_law
@pytest.mark.parametrize("dtype", [np.uint64, float])
def test_what_is_empty_is_refused_by_its_shape(name: str, law: Law, dtype: type) -> None:
    """Red if its largest integer is asked for first."""
    with pytest.raises(ValueError, match=rf"^{name.removeprefix('the ')} of shape \(.*0,?\)"):
        law(np.zeros(0, dtype))


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
@pytest.mark.parametrize(
    ("held", "computed"),
    [
        (bool, np.int64),
        (np.int8, np.int64),
        (np.uint64, np.int64),
        (np.float16, np.float32),
        (np.float32, np.float32),
        (np.dtype(np.float16).newbyteorder(), np.float32),
        (np.dtype(np.float64).newbyteorder(), np.float64),
        (np.complex64, np.complex64),
        (object, object),
    ],
)
def test_a_matrix_holds_what_the_convolution_is_computed_in(
    law: Law, held: DTypeLike, computed: type
) -> None:
    """Red if its products may wrap, or round, where those of the convolution do not."""
    assert law(np.ones(2, held)).dtype == computed


def test_products_of_the_matrix_of_a_layer_do_not_wrap() -> None:
    weight, x = np.full((1, 1, 2), 100, np.int8), np.full(2, 100, np.int8)
    assert (dense_from_convolution(weight, (2,)) @ x).tolist() == [20_000]


@pytest.mark.parametrize("operation", ["cross-correlation", "convolution"])
def test_a_derivative_matrix_becomes_a_tensor(operation: Operation) -> None:
    """Red if it has negative strides, of which torch makes none."""
    matrix = torch.from_numpy(derivative_matrix(np.arange(3.0), 2, operation=operation))
    assert sorted(matrix[0].tolist()) == [0, 1]


def test_a_tensor_without_gradients_is_an_array() -> None:
    tensor = torch.ones(2)
    assert toeplitz_matrix(tensor, 1).tolist() == [[1], [1]]
    assert circulant_matrix(tensor, 1).tolist() == [[2]]
    assert derivative_matrix(tensor, 1).tolist() == [[1], [1]]
