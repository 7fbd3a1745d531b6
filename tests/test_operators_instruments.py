"""Operators, layers that do not learn and tables planted wrong turn the trials of operators red."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
import torch

from theory.exhaustion import shift
from theory.operators import add_bias, average_pool, dropout, max_pool, relu, strided_pool

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from torch import Tensor


def _leaky(x: Tensor) -> Tensor:
    return torch.where(x < 0, x / 100, x)


def _clipped(x: Tensor) -> Tensor:
    return x.clamp(min=0, max=2**14)


def _absolute(x: Tensor) -> Tensor:
    return x.abs()


def _next_pixel(x: Tensor, stride: int, pixel: tuple[int, ...] | None = None) -> Tensor:
    return shift(strided_pool(x, stride, pixel), 1)


def _always_first_pixel(x: Tensor, stride: int, pixel: tuple[int, ...] | None = None) -> Tensor:
    return strided_pool(x, stride)


def _minimum(x: Tensor, size: int, stride: int) -> Tensor:
    return -max_pool(-x, size, stride)


def _narrow(x: Tensor, size: int, stride: int) -> Tensor:
    return max_pool(x, max(size - 1, 1), stride)


def _sum(x: Tensor, size: int, stride: int) -> Tensor:
    return average_pool(x, size, stride) * size**x.ndim


def _unscaled(x: Tensor, rate: float, generator: torch.Generator | None = None) -> Tensor:
    return dropout(x, rate, generator) * (1 - rate)


@pytest.mark.parametrize(
    ("chapter", "trial", "operator", "mutant"),
    [
        ("test_operators", "test_a_negative_factor_does_not_pass_through_relu", "relu", _absolute),
        ("test_operators", "test_a_negative_factor_does_not_pass_through_relu", "relu", _leaky),
        ("test_operators", "test_what_acts_on_each_value_alone", "relu", torch.clone),
        ("test_operators", "test_dropout_keeps_the_mean_only_if_it_rescales", "dropout", _unscaled),
        ("test_operators", "test_dropout_keeps_the_mean_only_if_it_rescales", "relu", _absolute),
        ("test_pooling", "test_fixed_pixel_pooling_selects", "strided_pool", _next_pixel),
        ("test_pooling", "test_fixed_pixel_pooling_selects", "strided_pool", _always_first_pixel),
        ("test_pooling", "test_max_pooling_and_relu_may_change_places", "relu", _absolute),
        ("test_pooling", "test_max_pooling_never_enlarges_a_change", "max_pool", _sum),
        ("test_pooling", "test_other_measures_of_sensitivity_may_grow", "max_pool", average_pool),
        ("test_fully_connected", "test_equivariant_is_not_invariant", "max_pool", _sum),
    ],
)
def test_a_planted_operator_turns_its_trial_red(
    monkeypatch: pytest.MonkeyPatch,
    chapter: str,
    trial: str,
    operator: str,
    mutant: Callable[..., Tensor],
    load_chapter: Callable[[str], ModuleType],
) -> None:
    module = load_chapter(chapter)
    (function,) = [value for name, value in vars(module).items() if name.startswith(trial)]
    function()
    monkeypatch.setattr(module, operator, mutant)
    with pytest.raises(AssertionError):
        function()


@pytest.mark.parametrize(
    ("trial", "arguments"),
    [
        ("test_no_order_of_flattening_learns_differently", ([1, 0, 2, 3],)),
        ("test_from_unpermuted_weights_training_may_end_elsewhere", ()),
        ("test_a_weight_is_updated_by_its_own_input_and_output_error", ()),
    ],
)
def test_a_layer_that_does_not_learn_turns_the_trials_of_training_red(
    monkeypatch: pytest.MonkeyPatch,
    trial: str,
    arguments: tuple[list[int], ...],
    load_chapter: Callable[[str], ModuleType],
) -> None:
    module = load_chapter("test_flattening")
    getattr(module, trial)(*arguments)
    train = module._train
    monkeypatch.setattr(module, "_train", lambda W, *rest, **options: (W, train(W, *rest)[1]))
    with pytest.raises(AssertionError):
        getattr(module, trial)(*arguments)


@pytest.mark.parametrize("pool", [max_pool, average_pool])
def test_a_pool_that_enlarges_a_change_is_caught(
    pool: Callable[..., Tensor], load_chapter: Callable[[str], ModuleType]
) -> None:
    trial = load_chapter("test_pooling").test_pooling_is_not_invariant_to_small_perturbations
    trial(pool)
    with pytest.raises(AssertionError):
        trial(lambda x, size, stride: 2 * pool(x, size, stride))


@pytest.mark.parametrize("mutant", [_leaky, _clipped, _absolute])
def test_a_planted_relu_is_caught_by_the_sixteen_bit_numbers(
    mutant: Callable[[Tensor], Tensor], load_chapter: Callable[[str], ModuleType]
) -> None:
    trial = load_chapter("test_operators").test_relu_zeroes_the_negative_and_keeps_the_positive
    with pytest.raises(AssertionError):
        trial(mutant)


@pytest.mark.parametrize(
    ("mutant", "layer"),
    [
        (_absolute, torch.nn.ReLU()),
        (partial(_minimum, size=2, stride=2), torch.nn.MaxPool2d(2)),
        (partial(_narrow, size=2, stride=2), torch.nn.MaxPool2d(2)),
        (partial(_sum, size=2, stride=2), torch.nn.AvgPool2d(2)),
    ],
)
def test_a_planted_definition_differs_from_torch(
    mutant: Callable[[Tensor], Tensor],
    layer: torch.nn.Module,
    load_chapter: Callable[[str], ModuleType],
) -> None:
    trial = load_chapter("test_operators").test_the_definitions_are_those_of_torch
    with pytest.raises(AssertionError):
        trial(mutant, layer)


@pytest.mark.parametrize(
    ("op", "linear", "affine", "smallest"),
    [
        (relu, True, True, 1),
        (relu, False, False, None),
        (partial(add_bias, bias=1), True, True, 1),
        (partial(add_bias, bias=1), False, False, 1),
        (partial(strided_pool, stride=2), True, True, 1),
        (partial(strided_pool, stride=2), False, False, 2),
    ],
)
def test_a_wrong_row_of_the_table_is_refused(
    op: Callable[[Tensor], Tensor],
    linear: bool,
    affine: bool,
    smallest: int | None,
    load_chapter: Callable[[str], ModuleType],
) -> None:
    trial = load_chapter("test_operators").test_each_operator_is_what_the_table_says
    with pytest.raises(AssertionError):
        trial(op, linear, affine, smallest)
