"""The operators on trial and the tools of their trials are wrong in no way that goes unnoticed."""

from __future__ import annotations

import runpy
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import z3
from torch import nn
from torch.nn.modules import activation

from theory import operator_catalog
from theory.exhaustion import answering_shifts, grid, period, shift, signal
from theory.operator_catalog import Layer, catalog, elementwise_activations, judge
from theory.operators import (
    add_bias,
    average_pool,
    dropout,
    fully_connected,
    max_pool,
    relu,
    strided_pool,
)
from theory.solver import holds_always, maximum

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
    module = load_chapter("test_fully_connected")
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


# The definitions


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
    assert add_bias(large, 0.5).tolist() == [2**24 + 1.5, 1.5]
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


# The tools


def test_answering_shifts_finds_all_and_only_those_that_answer() -> None:
    basis = list(torch.eye(4))
    assert answering_shifts(partial(shift, by=1), 1, basis) == {1}
    assert answering_shifts(lambda x: x.flip(0), 1, basis) == {3}
    assert answering_shifts(lambda x: 0 * x, 1, basis) == {0, 1, 2, 3}
    assert answering_shifts(lambda x: x.cumsum(0), 1, basis) == set()


def test_the_period_is_the_smallest_shift_answered_in_proportion() -> None:
    basis = list(torch.eye(12))
    every_third = torch.tensor([1.0, 0, 0] * 4)
    assert period(lambda x: x, basis) == 1
    assert period(lambda x: x * every_third, basis) == 3
    assert period(partial(strided_pool, stride=4), basis) == 4
    assert period(lambda x: x.flip(0), basis) == 6
    assert period(lambda x: x.cumsum(0), basis) is None


def test_a_grid_holds_every_signal_once() -> None:
    signals = {tuple(x.tolist()) for x in grid(3, (0, 1))}
    assert len(signals) == len(grid(3, (0, 1))) == 8
    assert (1, 0, 1) in signals


def test_the_solver_tells_laws_from_falsehoods() -> None:
    a, b = z3.Reals("a b")
    assert holds_always(maximum(a, b) == maximum(b, a))
    assert holds_always(maximum(a, b) >= a)
    assert not holds_always(maximum(a, b) > a)
    assert not holds_always(maximum(a, b) == a)


def test_the_solver_never_guesses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(z3.Solver, "check", lambda self: z3.unknown)
    with pytest.raises(RuntimeError, match="could not decide"):
        holds_always(z3.Real("a") >= 0)


# The catalog of layers


class _NeedsAnArgument(nn.Module):
    def __init__(self, slope: float) -> None:
        super().__init__()


class _LooksAtNeighbours(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.roll(1, -1)


def _offer(monkeypatch: pytest.MonkeyPatch, layer: type[nn.Module]) -> None:
    """Let torch have one activation more."""
    monkeypatch.setattr(activation, layer.__name__, layer, raising=False)
    monkeypatch.setattr(activation, "__all__", [*activation.__all__, layer.__name__])


def test_a_new_activation_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _offer(monkeypatch, _NeedsAnArgument)
    with pytest.raises(LookupError, match=r"torch\.nn\._NeedsAnArgument is new"):
        elementwise_activations()


def test_a_new_activation_that_cannot_be_made_hinders_no_import(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _offer(monkeypatch, _NeedsAnArgument)
    fresh = runpy.run_path(operator_catalog.__file__)
    with pytest.raises(LookupError, match=r"torch\.nn\._NeedsAnArgument is new"):
        fresh["catalog"]()


def test_a_verdict_neither_uses_nor_moves_the_generator() -> None:
    """The weights, and with them the kernel, come from a seed of their own."""
    layer = catalog()["convolution"]["padded: circular"]
    kernels = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        kernels.append(judge(layer).circle.kernel)
        assert torch.equal(torch.get_rng_state(), before)
    first, second = kernels
    assert first is not None
    assert first.tolist() == second.tolist()


def test_a_new_activation_that_is_not_elementwise_is_noticed(
    monkeypatch: pytest.MonkeyPatch, load_chapter: Callable[[str], ModuleType]
) -> None:
    _offer(monkeypatch, _LooksAtNeighbours)
    assert "_LooksAtNeighbours" in elementwise_activations()
    with pytest.raises(AssertionError, match="_LooksAtNeighbours"):
        load_chapter("test_operators_catalog").test_every_activation_of_this_torch_is_on_trial()


@pytest.mark.parametrize(
    ("kind", "name", "instead", "trial"),
    [
        ("padding", "zeros", nn.Identity, "test_padding_makes_a_border_as_wide_as_itself"),
        ("pooling", "max, 2 cells", nn.Identity, "test_averages_are_linear_and_maxima_are_not"),
        (
            "normalisation",
            "layer norm",
            nn.Identity,
            "test_only_frozen_statistics_make_a_normalisation_affine",
        ),
        (
            "dropout",
            "Dropout, training",
            nn.Identity,
            "test_dropout_is_random_in_training_and_the_identity_afterwards",
        ),
        (
            "across cells or channels",
            "attention without positions",
            nn.Identity,
            "test_looking_at_all_cells_leaves_no_interior",
        ),
    ],
)
def test_another_layer_in_place_of_one_is_noticed(
    kind: str,
    name: str,
    instead: type[nn.Module],
    trial: str,
    monkeypatch: pytest.MonkeyPatch,
    load_chapter: Callable[[str], ModuleType],
) -> None:
    monkeypatch.setitem(catalog()[kind], name, Layer(instead))
    with pytest.raises(AssertionError):
        getattr(load_chapter("test_operators_catalog"), trial)()


def test_a_fully_connected_layer_reads_a_map_row_by_row() -> None:
    square, identity = signal(1, 2, 3, 4).view(2, 2), torch.eye(4).double()
    assert fully_connected(square, identity).tolist() == [1, 2, 3, 4]
