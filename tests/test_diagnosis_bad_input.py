"""What cannot be diagnosed as it is given is refused, with an error that says what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from theory import diagnose
from theory.testing import assert_same_operator


class _OfTwo(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x + y


_HALF = torch.ones(1, 1, 3, dtype=torch.half)


@pytest.mark.parametrize(
    ("op", "shape", "options", "error", "match"),
    [
        (
            nn.Conv2d(3, 4, 3),
            (1, 8, 8),
            {},
            ValueError,
            r"Conv2d takes no input of shape \(1, 8, 8\)",
        ),
        (nn.Conv2d(1, 1, 3, padding=1), (1, 8), {}, ValueError, "takes no input"),
        (nn.Conv1d(1, 4, 3), (8,), {}, ValueError, "takes no input"),
        (nn.LSTM(8, 4), (8,), {}, ValueError, "returns tuple"),
        (lambda x: [x, x], (8,), {}, ValueError, "returns list: give a function that returns one"),
        (lambda x: [[2 * x]], (8,), {}, ValueError, "returns list"),
        (lambda x: [np.array(x)], (8,), {}, ValueError, "returns list"),
        (nn.LazyLinear(3), (8,), {}, ValueError, "shape of weight yet: call it once first"),
        (
            nn.LazyBatchNorm1d(affine=False),
            (2, 8),
            {},
            ValueError,
            "shape of running_mean yet: call it once first",
        ),
        (nn.ReLU(), (0,), {}, ValueError, "all sizes at least 1"),
        (nn.ReLU(), (1, 2, 3, 4, 5), {}, ValueError, "one input without batch"),
        (nn.ReLU(), "8", {}, ValueError, "one input without batch"),
        (nn.ReLU(), (8,), {"boundary": "open"}, ValueError, "boundary is 'open'"),
        (nn.ReLU(), (8,), {"axes": (1,)}, ValueError, r"axes is \(1,\): give the axes of shape"),
        (nn.ReLU(), (2, 8), {"axes": (1, -1)}, ValueError, "each once"),
        (nn.ReLU(), (2, 8), {"axes": ()}, ValueError, "axes is"),
        (nn.ReLU(), (8,), {"budget": 0}, ValueError, "budget is 0"),
        (nn.ReLU(), (8,), {"seed": -1}, ValueError, "seed is -1"),
        (lambda x: x[:, 0], (8,), {"batched": False}, ValueError, "takes no input"),
        (nn.ReLU(), (8,), {"dtype": torch.int64}, ValueError, "give torch.float64"),
        (3, (8,), {}, TypeError, "3 is not callable"),
        (nn.ReLU(), (8,), {"budget": "x"}, ValueError, "budget is 'x': give the number"),
        (nn.ReLU(), (8,), {"seed": "a"}, ValueError, "seed is 'a': give a whole number"),
        (nn.ReLU(), (8,), {"budget": True}, ValueError, "budget is True: give the number"),
        (nn.ReLU(), (8,), {"seed": False}, ValueError, "seed is False: give a whole number"),
        (nn.ReLU(), (8,), {"seed": 2**64}, ValueError, r"give .* from 0 to below 2\*\*64$"),
        (nn.ReLU(), (True, 8), {}, ValueError, r"shape is \(True, 8\): give one input"),
        (nn.ReLU(), 8, {}, ValueError, "shape is 8: give one input without batch"),
        (nn.ReLU(), (8,), {"axes": (False,)}, ValueError, r"axes is \(False,\): give the axes"),
        *(
            (nn.ReLU(), (8,), {"batched": value}, ValueError, f"^batched is {value!r}: give True")
            for value in ("no", 0, 1, np.True_)
        ),
        (nn.ReLU, (8,), {}, TypeError, r"ReLU is a class: give an instance, ReLU\(...\)"),
        (nn.Conv1d(1, 1, 3, device="meta"), (1, 8), {}, ValueError, "no values in weight, .* meta"),
        (lambda x, y: x + y, (8,), {}, ValueError, "'y'; give a function of one array that calls"),
        (_OfTwo(), (8,), {}, ValueError, "'y'; give a function of one array that calls"),
        (
            nn.Linear(8, 8, dtype=torch.cfloat),
            (8,),
            {},
            ValueError,
            r"its weights are not: give a function that .*lambda x: op\(x.to\(torch.complex64\)\)",
        ),
        (
            lambda x: torch.conv1d(x, _HALF),
            (1, 8),
            {},
            ValueError,
            r"give a function that converts them, such as lambda x: op\(x.half\(\)\)",
        ),
        *(
            (op, (8,), {}, ValueError, "it takes integers: give a function of real numbers")
            for op in (
                nn.Embedding(9, 4),
                lambda x: torch.arange(9.0)[torch.as_tensor(x)],
                lambda x: np.arange(9.0)[x],
                lambda x: torch.arange(9.0).gather(0, x),
                lambda x: torch.arange(9.0).index_select(0, x),
                nn.functional.one_hot,
            )
        ),
    ],
)
def test_bad_input(
    op: Any, shape: Any, options: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        diagnose(op, shape, **options)


def test_a_lazy_module_is_sent_back() -> None:
    with pytest.raises(ValueError, match="LazyConv1d has not decided the shape of weight yet"):
        diagnose(nn.LazyConv1d(1, 3), (1, 8))


def test_axes_have_to_be_several() -> None:
    with pytest.raises(ValueError, match="axes is 1: give the axes of shape"):
        diagnose(nn.ReLU(), (2, 8), axes=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (4, 3, 8, 8)])
def test_a_batch_is_not_taken_for_an_input(shape: tuple[int, ...]) -> None:
    layer = nn.Conv2d(3, 3, 3, padding=1)
    with pytest.raises(ValueError, match=r"for a batch: give the shape of one input, \(3, 8, 8\)"):
        diagnose(layer, shape)
    assert diagnose(layer, shape, batched=False).linear.holds is False  # for it has a bias


def test_advice_is_given_where_it_helps_alone() -> None:
    with pytest.raises(ValueError, match="takes no input") as refused:
        diagnose(nn.Conv1d(2, 1, 3), (1, 8))
    assert "give a function" not in str(refused.value)


def test_the_advice_helps() -> None:
    layer = nn.Linear(8, 8, dtype=torch.cfloat)
    assert diagnose(lambda x: layer(x.to(torch.complex64)), (8,)).affine.holds
    assert diagnose(lambda x: torch.conv1d(x.half(), _HALF), (1, 8)).deterministic.holds


def test_two_operators_are_compared_from_a_seed_that_is_one() -> None:
    with pytest.raises(ValueError, match="seed is 'a'"):
        assert_same_operator(torch.abs, torch.abs, (8,), seed="a")  # type: ignore[arg-type]


def test_the_largest_seed_is_one() -> None:
    assert diagnose(torch.abs, (2,), seed=2**64 - 1).linear.holds is False


def test_integers_of_numpy_are_integers() -> None:
    two: Any = np.int64(2)
    found = diagnose(torch.abs, np.array([1, 2]), axes=[two - 1], seed=two, budget=two)  # type: ignore[arg-type]
    assert (found.shape, found.period) == ((1, 2), (1,))
    assert type(found.shape[0]) is int
