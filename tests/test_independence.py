"""Independent parameters are counted exactly, and what has no rank is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from theory.independence import independent_parameters

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_rank_is_exact_where_floating_point_is_not() -> None:
    layer = nn.Linear(2, 1, bias=False).double()
    nearly = torch.tensor([[1, 1], [1, 1 + 2.0**-52]], dtype=torch.double)
    assert torch.linalg.matrix_rank(nearly) == 1
    assert independent_parameters(layer, nearly) == 2
    assert independent_parameters(layer, torch.ones(2, 2).double()) == 1
    assert independent_parameters(layer, torch.zeros(2, 2).double()) == 0


def test_a_parameter_that_is_shared_is_one_unknown() -> None:
    layer = nn.Linear(1, 1, bias=False).double()
    layer.weight.data.fill_(3)
    assert independent_parameters(nn.Sequential(layer, layer), torch.ones(1, 1).double()) == 1


def test_a_line_is_known_from_two_points() -> None:
    """Red if the parameters of one equation are taken for as many equations of one parameter."""
    line = nn.Linear(1, 1).double()
    points = torch.tensor([[1], [2], [3]], dtype=torch.double)
    assert [independent_parameters(line, points[:n]) for n in (1, 2, 3)] == [1, 2, 2]


class _Returning(nn.Module):
    """A parameter, and what is made of it and the examples."""

    def __init__(self, answer: Callable[..., Any]) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2, dtype=torch.double))
        self.answer = answer

    def forward(self, x: torch.Tensor) -> Any:
        return self.answer(self.scale, x)


class _Sparse(nn.Module):
    """A parameter with entries left out."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2, dtype=torch.double).to_sparse())


@pytest.mark.parametrize(
    ("module", "x", "error", "message"),
    [
        (nn.Linear(2, 1), torch.ones(1, 2).double(), TypeError, "weight is torch.float32, exp"),
        (nn.Linear(2, 1).double(), np.ones((1, 2)), TypeError, "^x is a ndarray, expected a tens"),
        (nn.Linear(2, 1).double(), torch.ones(1, 2), TypeError, "x is torch.float32, expected"),
        (nn.Linear(2, 1).half(), torch.ones(1, 2).half(), TypeError, "weight is torch.float16"),
        (nn.LazyLinear(1).double(), torch.ones(1, 2).double(), ValueError, "call it once first"),
        (
            nn.Linear(2, 1, device="meta", dtype=torch.double),
            torch.ones(1, 2).double(),
            ValueError,
            "Linear has no values in weight, on the meta device",
        ),
        (_Sparse(), torch.ones(1, 2).double(), ValueError, "_Sparse has a sparse scale: make it"),
        (
            _Returning(lambda scale, x: (scale * x, x)),
            torch.ones(2).double(),
            TypeError,
            "_Returning returns a tuple, expected a tensor",
        ),
        *(
            (
                _Returning(torch.mul),
                torch.tensor([1.0, value], dtype=torch.double),
                ValueError,
                "derivatives of _Returning are not all finite",
            )
            for value in (torch.nan, torch.inf)
        ),
    ],
)
def test_what_has_no_rank_is_refused(
    module: nn.Module, x: torch.Tensor, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        independent_parameters(module, x)


def test_a_module_without_parameters_has_no_independent_ones() -> None:
    assert independent_parameters(nn.ReLU(), torch.ones(1, 2).double()) == 0


def test_examples_may_be_indices() -> None:
    """Red if examples have to be of the precision that parameters have."""
    embedding = nn.Embedding(3, 2).double()
    assert independent_parameters(embedding, torch.tensor([0, 1, 1])) == 4
