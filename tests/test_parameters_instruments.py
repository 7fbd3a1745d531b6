"""Parameter counts and the search for a design miss nothing that fits and accept nothing else."""

from __future__ import annotations

import inspect
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
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
from theory.independence import independent_parameters
from theory.layer_tables import conv, layer_counts, linear, pooled_convolutions, shapes
from theory.parameters import (
    Design,
    batch_norm_parameters,
    conv_parameters,
    designs,
    equivalent_linear_parameters,
    linear_parameters,
    locally_connected_parameters,
    recover,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

COUNTS = {3: 3172, 20: 46590}


def _module(design: Design, widths: tuple[int, int], image: int) -> nn.Sequential:
    convs = [
        nn.Conv2d(inputs, outputs, kernel, padding=padding)
        for inputs, outputs, kernel, padding in zip(
            (3, widths[0]), widths, design.kernels, design.paddings, strict=True
        )
    ]
    body = nn.Sequential(convs[0], nn.MaxPool2d(design.pool), convs[1], nn.MaxPool2d(design.pool))
    features = body(torch.zeros(1, 3, image, image)).numel()
    return nn.Sequential(body, nn.Flatten(), nn.Linear(features, 10))


@pytest.mark.parametrize("design", list(designs([1, 4], [0, 1], [1, 2, 3])), ids=str)
def test_a_design_counts_what_torch_allocates(design: Design) -> None:
    for widths, image in product([(1, 1), (2, 5)], [11, 14]):
        if design.side(image):
            module = _module(design, widths, image)
            allocated = sum(parameter.numel() for parameter in module.parameters())
            assert design.parameters(widths, image) == allocated


@pytest.mark.parametrize("planted", list(designs([2, 3], [0, 1], [2, 4])), ids=str)
def test_a_planted_design_is_recovered(planted: Design) -> None:
    counts = {first: planted.parameters((first, 2 * first)) for first in (4, 7)}
    found = recover(designs(range(1, 6), range(3), [2, 4]), counts)
    assert found[planted] == (8, 14)


def test_the_search_misses_nothing_that_a_blind_search_finds() -> None:
    family = list(designs([1, 3, 5], [0, 1], [2]))
    blind = {
        design: widths
        for design in family
        for widths in product(range(1, 80), repeat=2)
        if [design.parameters(pair) for pair in zip(COUNTS, widths, strict=True)]
        == list(COUNTS.values())
    }
    assert recover(family, COUNTS) == blind
    assert set(blind.values()) == {(9, 60)}


@pytest.mark.parametrize("wrong", [{3: 3171, 20: 46590}, {3: 3172, 20: 46600}, {4: 3172}])
def test_counts_that_no_design_has_are_not_explained(wrong: dict[int, int]) -> None:
    family = (
        Design((kernel, kernel), (padding, padding))
        for kernel in range(1, 33)
        for padding in range(6)
    )
    assert recover(family, wrong) == {}


def test_a_forgotten_bias_would_be_noticed() -> None:
    assert conv_parameters(3, 20, 5) - conv_parameters(3, 20, 5, bias=False) == 20
    assert linear_parameters(1500, 10) - linear_parameters(1500, 10, bias=False) == 10
    without = 3172 - (3 + 9 + 10)
    assert recover([Design()], {3: without}) == {}


def test_counts_of_numpy_are_counted_and_refused_as_those_of_python() -> None:
    """Red if int8 overflows, or one number for the kernel has to be an int of Python."""
    narrow: Any = np.int8(100)
    assert conv_parameters(narrow, narrow, np.int64(5)) == conv_parameters(100, 100, 5)
    assert conv_parameters(narrow, narrow, (np.int8(5), 5)) == conv_parameters(100, 100, 5)
    assert conv_parameters(100, 100, np.array(5), groups=np.uint8(4)) == 25 * 2500 + 100
    assert linear_parameters(narrow, narrow) == 10_100
    assert batch_norm_parameters(narrow) == 200
    assert locally_connected_parameters(100, 100, 5, narrow) == 100 * 250_100
    for sides in [(100, 100), (narrow, narrow)]:
        assert equivalent_linear_parameters(narrow, narrow, sides, Layer(1)) == 10**12 + 10**6
    with pytest.raises(ValueError, match="inputs is -3, expected at least 1"):
        conv_parameters(np.int64(-3), 8, 5)


@pytest.mark.parametrize("number", [2.5, 3.0, True, "3", None, np.nan])
def test_what_is_no_integer_counts_nothing(number: Any) -> None:
    """Red if a half of a channel is counted, or a truth value is one."""
    laws: list[tuple[str, Callable[[], object]]] = [
        ("inputs", lambda: conv_parameters(number, 4, 5)),
        ("outputs", lambda: linear_parameters(4, number)),
        ("kernel", lambda: conv_parameters(3, 4, number)),
        ("groups", lambda: conv_parameters(3, 3, 5, groups=number)),
        ("channels", lambda: batch_norm_parameters(number)),
        ("cells", lambda: locally_connected_parameters(3, 3, 5, number)),
        ("inputs", lambda: equivalent_linear_parameters(number, 4, (9, 9), Layer(5))),
        ("outputs", lambda: equivalent_linear_parameters(4, number, (9, 9), Layer(5))),
        ("image", lambda: equivalent_linear_parameters(3, 3, (9, number), Layer(5))),
        ("kernels", lambda: Design(kernels=(5, number))),
        ("paddings", lambda: Design(paddings=(number, 0))),
        ("pool", lambda: Design(pool=number)),
        ("image", lambda: Design().side(number)),
        ("channels", lambda: Design().parameters((3, 9), 32, number)),
        ("classes", lambda: Design().parameters((3, 9), 32, 3, number)),
        ("widths", lambda: Design().second_width(number, 3172)),
        ("count", lambda: Design().second_width(3, number)),
    ]
    for name, law in laws:
        with pytest.raises(TypeError, match=rf"^{name} is .*, expected an integer"):
            law()


def test_a_bias_is_there_or_not() -> None:
    """Red if a number in place of a truth value is as many biases."""
    several: Any = 7
    assert conv_parameters(3, 4, 5, bias=several) == conv_parameters(3, 4, 5)
    assert linear_parameters(3, 4, bias=several) == linear_parameters(3, 4)
    neither: Any = None
    assert linear_parameters(3, 4, bias=neither) == linear_parameters(3, 4, bias=False)


@pytest.mark.parametrize(
    ("law", "message"),
    [
        (lambda: Design(kernels=(0, 5)), "kernels is 0, expected at least 1"),
        (lambda: Design(paddings=(0, -1)), "paddings is -1, expected at least 0"),
        (lambda: Design(pool=0), "pool is 0, expected at least 1"),
        (lambda: Design(kernels=(1, 2, 3)), r"kernels is \(1, 2, 3\), expected one for each"),
        (lambda: Design(paddings=1), "paddings is 1, expected one for each convolution"),
        (lambda: Design().side(0), "image is 0, expected at least 1"),
        (lambda: Design().parameters((3,)), r"widths is \(3,\), expected one for each"),
        (lambda: Design().parameters((3, 0)), "widths is 0, expected at least 1"),
        (lambda: Design().second_width(-3, 3172), "widths is -3, expected at least 1"),
        (lambda: Design().parameters((3, 9), channels=0), "channels is 0, expected"),
        (lambda: Design().parameters((3, 9), classes=-1), "classes is -1, expected"),
        (lambda: batch_norm_parameters(0), "channels is 0, expected at least 1"),
        (lambda: locally_connected_parameters(1, 1, 3, -2), "cells is -2, expected at least 1"),
        (lambda: equivalent_linear_parameters(-1, 1, (9,), Layer(3)), "inputs is -1, expected"),
        (lambda: equivalent_linear_parameters(1, -1, (9,), Layer(3)), "outputs is -1, expected"),
        (lambda: equivalent_linear_parameters(1, 1, (-9, -9), Layer(3)), "image is -9, expected"),
    ],
)
def test_counts_of_what_cannot_be_are_refused(law: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        law()


def test_numbers_of_a_design_are_those_of_python() -> None:
    """Red if a list makes a design that no dictionary takes, or a narrow number wraps around."""
    given: Any = [np.int8(5), np.int8(5)]
    design = Design(kernels=given, paddings=(np.int8(100), 0), pool=np.int8(2))
    assert {design: 1} == {Design(paddings=(100, 0)): 1}
    assert type(design.kernels[0]) is type(design.pool) is int
    assert design.side(np.int8(100)) == Design(paddings=(100, 0)).side(100) == 72
    narrow: Any = np.int8(100)
    assert Design().parameters((narrow, narrow), narrow, narrow, narrow) == Design().parameters(
        (100, 100), 100, 100, 100
    )
    width = Design().second_width(3, np.uint16(3172))
    assert (width, type(width)) == (9, int)


def test_a_design_that_leaves_nothing_is_refused_and_never_found() -> None:
    too_large = Design(kernels=(33, 5))
    assert too_large.side() == 0
    with pytest.raises(ValueError, match="leaves nothing of an image of side 32"):
        too_large.parameters((3, 9))
    assert too_large.second_width(3, 3172) is None
    assert recover([too_large], COUNTS) == {}


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


def test_a_width_is_a_positive_integer() -> None:
    assert Design().second_width(3, 3172) == 9
    assert Design().second_width(3, 3173) is None
    one, two = (Design().parameters((3, width)) for width in (1, 2))
    assert Design().second_width(3, one - (two - one)) is None
    assert Design().second_width(3, 1) is None


def test_one_filter_is_the_smallest_width() -> None:
    assert Design().second_width(3, Design().parameters((3, 1))) == 1


def test_images_of_another_side_are_searched_alike() -> None:
    """Red if any step of the search falls back to the side of 32 pixels."""
    count = Design().parameters((3, 9), 28)
    assert count != Design().parameters((3, 9))
    assert Design().second_width(3, count, 28) == 9
    assert recover([Design()], {3: count}, 28) == {Design(): (9,)}
    assert recover([Design()], {3: count}) == {}
    assert Design().second_width(3, count, 4) is None
    unpooled = Design(pool=1)  # whose count changes with every pixel
    assert unpooled.second_width(3, unpooled.parameters((3, 9), 32)) == 9
    assert recover([unpooled], {3: unpooled.parameters((3, 9), 32)}) == {unpooled: (9,)}


def test_a_kernel_that_does_not_fit_leaves_nothing_for_the_next_one() -> None:
    assert Design(kernels=(33, 1), pool=1).side() == 0
    assert Design(kernels=(1, 33), paddings=(0, 1), pool=1).side() == 2


def test_a_network_has_three_channels_ten_classes_and_biases_unless_told_otherwise() -> None:
    one = Design(kernels=(1, 1), pool=1)
    assert one.parameters((1, 1), 1) == (3 + 1) + (1 + 1) + 10 * (1 + 1)
    assert one.parameters((1, 1), 1, 2, 5) == (2 + 1) + (1 + 1) + 5 * (1 + 1)
    assert locally_connected_parameters(2, 3, 1, 4) == 4 * 3 * (2 + 1)
    assert locally_connected_parameters(2, 3, 1, 4, bias=False) == 4 * 3 * 2
    assert equivalent_linear_parameters(1, 1, (2,), Layer(1)) == 2 * (2 + 1)
    assert equivalent_linear_parameters(1, 1, (2,), Layer(1), bias=False) == 2 * 2


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
    return sum(parameter.numel() for parameter in module.parameters())


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


@pytest.mark.parametrize(
    ("law", "message"),
    [
        (lambda: conv(0, 2, 3), "inputs is 0, expected at least 1"),
        (lambda: conv(2, -1, 3), "outputs is -1, expected at least 1"),
        (lambda: conv(2, 2, 0), "kernel is 0, expected at least 1"),
        (lambda: conv(2, 2, 3, padding=-1), "padding is -1, expected at least 0"),
        (lambda: linear(0, 2), "inputs is 0, expected at least 1"),
        (lambda: linear(2, 0), "outputs is 0, expected at least 1"),
        (lambda: pooled_convolutions(3, 0), "outputs is 0, expected at least 1"),
        (lambda: shapes([], 3, -8, 8), "has no cell"),
        (lambda: layer_counts(nn.Sequential(nn.LazyLinear(2))), "LazyLinear has not decided the"),
    ],
)
def test_a_table_of_layers_that_cannot_be_is_refused(
    law: Callable[[], object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        law()


def test_sizes_of_a_table_are_integers_of_any_type() -> None:
    narrow: Any = np.int8(100)
    assert layer_counts(conv(narrow, narrow, narrow, padding=narrow)) == [100**4 + 100]
    assert layer_counts(linear(narrow, narrow)) == [10_100]
    assert shapes([nn.ReLU()], narrow, narrow) == [(100, 100)]
    with pytest.raises(TypeError, match=r"inputs is 2\.5, expected an integer"):
        conv(2.5, 2, 3)  # type: ignore[arg-type]


def test_parameters_beside_layers_are_counted() -> None:
    """Red if only what has no layers within is looked at, and weights of the inputs are lost."""
    attention = nn.MultiheadAttention(4, 2)
    assert layer_counts(nn.Sequential(attention, nn.Linear(1, 1))) == [4 * 12 + 12, 4 * 4 + 4, 2]


class _Returning(nn.Module):
    """A parameter, and what is made of it and the examples."""

    def __init__(self, answer: Callable[..., Any]) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2, dtype=torch.double))
        self.answer = answer

    def forward(self, x: torch.Tensor) -> Any:
        return self.answer(self.scale, x)


@pytest.mark.parametrize(
    ("module", "x", "error", "message"),
    [
        (nn.Linear(2, 1), torch.ones(1, 2).double(), TypeError, "weight is torch.float32, exp"),
        (nn.Linear(2, 1).double(), torch.ones(1, 2), TypeError, "x is torch.float32, expected"),
        (nn.Linear(2, 1).half(), torch.ones(1, 2).half(), TypeError, "weight is torch.float16"),
        (nn.LazyLinear(1).double(), torch.ones(1, 2).double(), ValueError, "call it once first"),
        (
            nn.Linear(2, 1, device="meta", dtype=torch.double),
            torch.ones(1, 2).double(),
            ValueError,
            "Linear has no values in weight, on the meta device",
        ),
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


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 4), (4, 3)])
def test_groups_that_do_not_divide_are_refused(inputs: int, outputs: int) -> None:
    with pytest.raises(ValueError, match="2 groups do not divide"):
        conv_parameters(inputs, outputs, 3, groups=2)


def test_a_count_is_an_integer_of_any_size() -> None:
    """Red if a division leaves floating point behind, which beyond 2**53 skips numbers."""
    assert conv_parameters(2, 2**60, 1, groups=2) == 2**61
    assert conv_parameters(2**60 + 2, 2, 1, groups=2, bias=False) == 2**60 + 2


def test_kernels_of_any_dimension() -> None:
    line, volume = nn.Conv1d(2, 3, 4), nn.Conv3d(2, 3, (2, 3, 4))
    assert conv_parameters(2, 3, (4,)) == _all_parameters(line, torch.empty(0)) == 27
    assert conv_parameters(2, 3, (2, 3, 4)) == _all_parameters(volume, torch.empty(0)) == 147
    assert batch_norm_parameters(5) == _all_parameters(nn.BatchNorm1d(5), torch.empty(0)) == 10
    assert equivalent_linear_parameters(2, 3, (5,), Layer(4)) == linear_parameters(10, 6) == 66
    with pytest.raises(ValueError, match="does not fit"):
        equivalent_linear_parameters(1, 1, (3, 5), Layer(4))


def test_a_layer_table_agrees_with_a_network_that_has_values() -> None:
    table = [*pooled_convolutions(3, 4, 5, kernel=3, padding=1), nn.Flatten(), linear(20, 2)]
    real = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Sequential(nn.Conv2d(4, 5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Sequential(nn.Flatten(), nn.Linear(20, 2)),
    )
    assert layer_counts(nn.Sequential(*table)) == layer_counts(real) == [112, 185, 42]
    x, computed = torch.zeros(1, 3, 9, 8), []
    for layer in (each for block in real for each in block):
        x = layer(x)
        computed.append(tuple(x.shape[1:]))
    assert shapes(table, 3, 9, 8) == computed
    with pytest.raises(RuntimeError):
        shapes(table, 3, 12, 8)


@pytest.mark.parametrize(
    "count",
    [
        lambda: conv_parameters(0, 6, 5),
        lambda: conv_parameters(-3, 6, 5),
        lambda: conv_parameters(3, 0, 5),
        lambda: conv_parameters(3, 6, 0),
        lambda: conv_parameters(3, 6, (5, -1)),
        lambda: conv_parameters(3, 6, 5, groups=0),
        lambda: linear_parameters(0, 10),
        lambda: linear_parameters(10, 0),
    ],
)
def test_a_layer_of_nothing_is_refused(count: Callable[[], int]) -> None:
    with pytest.raises(ValueError, match="expected at least 1"):
        count()
