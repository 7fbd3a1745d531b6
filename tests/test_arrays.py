"""What a caller gives becomes an array of NumPy as it is, or is refused by its name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from theory.arrays import as_array


class _Labelled(np.ndarray):
    """An array of a class of its own, of which the laws know nothing."""


def test_an_array_is_not_copied() -> None:
    given = np.arange(3)
    assert as_array("signal", given) is given
    tensor = torch.arange(3)
    assert np.shares_memory(as_array("signal", tensor), tensor.numpy())


@pytest.mark.parametrize(
    "given",
    [
        [1, 2],
        (1, 2),
        torch.tensor([1, 2]),
        np.array([1, 2]).view(_Labelled),
        np.ma.masked_array([1, 2], [False, True]).filled(2),
    ],
    ids=["list", "tuple", "tensor", "another class", "filled"],
)
def test_what_numpy_takes_becomes_an_array_of_numpy(given: Any) -> None:
    array = as_array("signal", given)
    assert type(array) is np.ndarray
    assert (array.tolist(), array.dtype) == ([1, 2], np.int64)


def test_a_masked_array_is_refused() -> None:
    """Red if what is masked comes back as a number."""
    with pytest.raises(TypeError, match=r"^signal is a masked array: fill in what is masked"):
        as_array("signal", np.ma.masked_array([1, 2], [False, True]))


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ([[1], [1, 2]], "list"),
        (torch.ones(2, requires_grad=True), "Tensor"),
        (torch.ones(2).to_sparse(), "Tensor"),
        (torch.empty(2, device="meta"), "Tensor"),
    ],
    ids=["ragged", "of autograd", "sparse", "meta"],
)
def test_what_is_no_array_is_refused_with_the_first_line_of_the_reason(
    given: Any, kind: str
) -> None:
    with pytest.raises((TypeError, ValueError, RuntimeError)) as refused:
        np.asarray(given)
    reason = str(refused.value).splitlines()[0]
    with pytest.raises(TypeError) as caught:
        as_array("signal", given)
    assert str(caught.value) == f"signal is a {kind} that is no array of numbers: {reason}"
