"""Counts, ranks and searches that are planted wrong turn the trials of parameters red."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from theory import (
    test_parameter_constraints,
    test_parameter_misprints,
    test_parameter_sharing,
    test_parameter_tables,
    test_parameters,
)
from theory import test_recovery as chapter
from theory.geometry import Layer
from theory.parameters import (
    conv_parameters,
    equivalent_linear_parameters,
    linear_parameters,
    locally_connected_parameters,
)
from theory.recovery import Design, recover

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType
from tests.allocated import allocated


def test_a_search_that_stops_before_the_second_solution_turns_its_trial_red(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def without_small_kernels(
        family: Iterable[Design], counts: dict[int, int], image: int = 32
    ) -> dict[Design, tuple[int, ...]]:
        return recover((design for design in family if min(design.kernels) > 1), counts, image)

    monkeypatch.setattr(chapter, "recover", without_small_kernels)
    for trial in (
        chapter.test_the_two_counts_leave_two_choices_of_sizes,
        chapter.test_rivals_pad_and_pool_otherwise,
    ):
        with pytest.raises(AssertionError):
            trial()


def _groups_forgotten(inputs: int, outputs: int, kernel: Any, **options: Any) -> int:
    return conv_parameters(inputs, outputs, kernel, bias=options.get("bias", True))


def _one_bias(inputs: int, outputs: int, kernel: Any, **options: Any) -> int:
    bias = options.pop("bias", True)
    return conv_parameters(inputs, outputs, kernel, bias=False, **options) + int(bias)


def _one_channel(inputs: int, outputs: int, kernel: Any, **options: Any) -> int:
    return conv_parameters(1, outputs, kernel, bias=options.get("bias", True))


def _no_bias(inputs: int, outputs: int, *, bias: bool = True) -> int:
    return linear_parameters(inputs, outputs, bias=False)


def _input_biases(inputs: int, outputs: int, *, bias: bool = True) -> int:
    return inputs * (outputs + int(bias))


def _with_buffers(channels: int) -> int:
    return 4 * channels + 1


def _shared_biases(inputs: int, outputs: int, kernel: Any, cells: int, *, bias: bool = True) -> int:
    weights = locally_connected_parameters(inputs, outputs, kernel, cells, bias=False)
    return weights + outputs * int(bias)


def _unpadded(
    inputs: int, outputs: int, image: tuple[int, ...], layer: Layer, *, bias: bool = True
) -> int:
    bare = Layer(min(layer.kernel, *image), layer.stride)
    return equivalent_linear_parameters(inputs, outputs, image, bare, bias=bias)


def _all_parameters(module: nn.Module, x: torch.Tensor) -> int:
    return allocated(module)


def _all_equations(module: nn.Module, x: torch.Tensor) -> int:
    return module(x).numel()


@pytest.mark.parametrize(
    ("laws", "trial", "instrument", "mutant"),
    [
        (test_parameters, "test_convolution_counts_are", "conv_parameters", _groups_forgotten),
        (test_parameters, "test_convolution_counts_are", "conv_parameters", _one_bias),
        (test_parameters, "test_a_convolution_has_a_weight", "conv_parameters", _groups_forgotten),
        (test_parameters, "test_a_convolution_has_a_weight", "conv_parameters", _one_bias),
        (test_parameters, "test_a_convolution_has_a_weight", "conv_parameters", _one_channel),
        (test_parameters, "test_a_convolution_has_fewer", "conv_parameters", _one_channel),
        (test_parameters, "test_separating", "conv_parameters", _one_channel),
        (test_parameters, "test_fully_connected_counts", "linear_parameters", _no_bias),
        (test_parameters, "test_fully_connected_counts", "linear_parameters", _input_biases),
        (test_parameters, "test_batch_norm", "batch_norm_parameters", _with_buffers),
        (
            test_parameters,
            "test_a_layer_that_shares_nothing",
            "locally_connected_parameters",
            _shared_biases,
        ),
        (
            test_parameters,
            "test_the_equivalent",
            "equivalent_linear_parameters",
            _unpadded,
        ),
        (test_parameter_tables, "test_the_flattened_map", "linear_parameters", _no_bias),
        (test_parameter_misprints, "test_one_convolution", "conv_parameters", _one_bias),
        (test_parameter_misprints, "test_sixteen", "conv_parameters", _one_bias),
        (test_parameter_misprints, "test_the_last_layer", "linear_parameters", _no_bias),
        (test_parameter_misprints, "test_the_minimal", "linear_parameters", _input_biases),
        (test_parameter_misprints, "test_96_filters", "conv_parameters", _one_channel),
        (test_parameter_sharing, "test_the_digit_network", "linear_parameters", _no_bias),
        (test_parameter_constraints, "test_the_simpler", "conv_parameters", _one_channel),
        (chapter, "test_one_convolution", "conv_parameters", _one_bias),
        (chapter, "test_one_convolution", "linear_parameters", _no_bias),
        (chapter, "test_as_many_neurons", "conv_parameters", _one_bias),
    ],
)
def test_a_planted_fault_turns_its_trial_red(
    monkeypatch: pytest.MonkeyPatch,
    laws: ModuleType,
    trial: str,
    instrument: str,
    mutant: Callable[..., int],
) -> None:
    (name,) = (each for each in vars(laws) if each.startswith(trial))
    assert not inspect.signature(getattr(laws, name)).parameters
    monkeypatch.setattr(laws, instrument, mutant)
    with pytest.raises(AssertionError):
        getattr(laws, name)()


@pytest.mark.parametrize("mutant", [_all_parameters, _all_equations])
def test_a_rank_that_counts_everything_turns_its_trials_red(
    monkeypatch: pytest.MonkeyPatch, mutant: Callable[..., int]
) -> None:
    for laws in (test_parameter_sharing, test_parameter_constraints):
        monkeypatch.setattr(laws, "independent_parameters", mutant)
    with pytest.raises(AssertionError):
        test_parameter_sharing.test_sharing_multiplies_the_equations_for_each_weight(5, 3)
    with pytest.raises(AssertionError):
        test_parameter_constraints.test_equations_of_a_linear_layer(2, 3)
