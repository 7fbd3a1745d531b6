"""The equivalences and the tools of their trials are wrong in no way that goes unnoticed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from theory.affine_map import AffineMap, affine_map
from theory.digit_sums import pairs_of_digits, sum_head
from theory.equivalences import averaging_weight, convolution_from_dense, dense_from_convolution
from theory.modular_rank import rank_modulo
from theory.rank_bounds import class_dimension_bound, rank_bound

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


def _offset_left_in(op: Callable[..., Any], shape: tuple[int, ...]) -> AffineMap:
    right = affine_map(op, shape)
    return AffineMap(right.matrix + right.offset[:, None], right.offset)


def _offset_forgotten(op: Callable[..., Any], shape: tuple[int, ...]) -> AffineMap:
    right = affine_map(op, shape)
    return AffineMap(right.matrix, 0 * right.offset)


def _always_full(matrix: np.ndarray) -> int:
    return min(matrix.shape)


def _one_short(matrix: np.ndarray) -> int:
    return rank_modulo(matrix) - 1


def _flipped(weight: np.ndarray, *args: Any, **options: Any) -> np.ndarray:
    axes = tuple(range(2, weight.ndim))
    return dense_from_convolution(np.flip(weight, axes), *args, **options)


def _unpadded(weight: np.ndarray, shape: tuple[int, ...], **options: Any) -> np.ndarray:
    return dense_from_convolution(weight, shape, stride=options.get("stride", 1))


def _channels_swapped(weight: np.ndarray, *args: Any, **options: Any) -> np.ndarray:
    return dense_from_convolution(weight[:, ::-1], *args, **options)


def _transposed(matrix: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return convolution_from_dense(matrix, (shape[0], shape[2], shape[1])).swapaxes(2, 3)


def _summing(channels: int, size: int, axes: int = 2) -> np.ndarray:
    return averaging_weight(channels, size, axes) * size**axes


def _no_bias(base: int = 10) -> tuple[np.ndarray, np.ndarray]:
    weight, bias = sum_head(base)
    return weight, 0 * bias


def _one_digit(base: int = 10) -> tuple[np.ndarray, np.ndarray]:
    weight, bias = sum_head(base)
    return weight * (np.arange(2 * base) < base), bias


def _no_relations(filters: int, channels: int, kernel: int, side: int) -> int:
    return min(channels * side**2, filters * (side - kernel + 1) ** 2)


def _without_the_kernels(filters: int) -> int:
    return class_dimension_bound(filters) - 75 * filters


def _sums_moved(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    inputs, sums = pairs_of_digits(codes)
    return inputs, np.roll(sums, 1)


def _still(weights: list[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.SGD(weights, lr=0.0)


CLASSES, LAYERS, DEPTH = "test_function_classes", "test_equivalences", "test_depth"
LINEAR, NONLINEAR = "test_linear_layer", "test_nonlinearity"
IS_AFFINE = "test_a_network_without_nonlinearities_is_one_affine_map"
FOUR, MET = "test_four_filters_or_fewer_leave_affine_maps_out", "test_the_bound_on_the_rank_is_met"
AS_DENSE = "test_a_convolution_layer_is_a_fully_connected_layer"
AND_BACK = "test_a_fully_connected_layer_is_a_convolution_and_back"
ADDS = "test_one_layer_scores_the_true_sum_highest"
SKIP = "test_a_skip_adds_one_to_the_gain_of_a_layer"


@pytest.mark.parametrize(
    ("chapter", "trial", "arguments", "name", "mutant"),
    [
        (CLASSES, IS_AFFINE, (), "affine_map", _offset_left_in),
        (CLASSES, IS_AFFINE, (), "affine_map", _offset_forgotten),
        (CLASSES, IS_AFFINE, (), "rank_modulo", _always_full),
        (CLASSES, FOUR, (), "rank_modulo", _always_full),
        (CLASSES, FOUR, (), "rank_modulo", _one_short),
        (CLASSES, FOUR, (), "dense_from_convolution", _flipped),
        (CLASSES, FOUR, (), "rank_bound", _no_relations),
        (CLASSES, FOUR, (), "class_dimension_bound", _without_the_kernels),
        (CLASSES, MET, (2,), "rank_bound", _no_relations),
        (LAYERS, AS_DENSE, (), "dense_from_convolution", _flipped),
        (LAYERS, AS_DENSE, (), "dense_from_convolution", _unpadded),
        (LAYERS, AS_DENSE, (), "dense_from_convolution", _channels_swapped),
        (LAYERS, AND_BACK, (), "convolution_from_dense", _transposed),
        (LAYERS, AND_BACK, (), "dense_from_convolution", _flipped),
        (LAYERS, "test_average_pooling_is_a_convolution", (), "averaging_weight", _summing),
        (LINEAR, ADDS, (10,), "sum_head", _no_bias),
        (LINEAR, ADDS, (3,), "sum_head", _one_digit),
        (LINEAR, ADDS, (10,), "pairs_of_digits", _sums_moved),
        (LINEAR, "test_digits_that_are_only_told_apart", (), "pairs_of_digits", _sums_moved),
        (LAYERS, "test_no_order_of_the_inputs", ("Adam",), "RULES", {"Adam": _still}),
        (DEPTH, "test_relu_halves_the_gain", (), "rectified", torch.mul),
    ],
)
def test_a_planted_fault_turns_its_trial_red(
    monkeypatch: pytest.MonkeyPatch,
    chapter: str,
    trial: str,
    arguments: tuple[Any, ...],
    name: str,
    mutant: Any,
    load_chapter: Callable[[str], ModuleType],
) -> None:
    module = load_chapter(chapter)
    (function,) = [value for key, value in vars(module).items() if key.startswith(trial)]
    function(*arguments)
    monkeypatch.setattr(module, name, mutant)
    with pytest.raises((AssertionError, ExceptionGroup, ValueError, RuntimeError)):
        function(*arguments)


@pytest.mark.parametrize(("wrong", "right"), [("skip", "plain"), ("plain", "skip")])
def test_a_skip_that_is_none_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
    wrong: str,
    right: str,
    load_chapter: Callable[[str], ModuleType],
) -> None:
    module = load_chapter(DEPTH)
    monkeypatch.setattr(module, wrong, getattr(load_chapter(DEPTH), right))
    for trial in (SKIP, "test_a_skip_may_also_make_a_gradient_vanish"):
        with pytest.raises(AssertionError):
            getattr(module, trial)(*([2] if trial == SKIP else []))


def test_the_perceptron_that_does_not_learn_is_noticed(
    monkeypatch: pytest.MonkeyPatch, load_chapter: Callable[[str], ModuleType]
) -> None:
    module = load_chapter(NONLINEAR)
    labels = np.arange(1797) % 10
    images = np.zeros((1797, 64))
    monkeypatch.setattr(module, "load_digits", lambda **_: (images[:50], labels[:50]))
    with pytest.raises(AssertionError):
        module.test_some_real_data_leave_nothing_to_be_better_at()


@pytest.mark.parametrize("kernels", ["FIRST", "SECOND"])
def test_kernels_that_lose_something_are_noticed(
    kernels: str, load_chapter: Callable[[str], ModuleType]
) -> None:
    """One filter less, or one that repeats another's work, and the full class is not shown."""
    module = load_chapter(CLASSES)
    trial = module.test_five_filters_and_then_fifteen_lose_nothing_of_an_image
    enough, side = (5, 32) if kernels == "FIRST" else (3, 28)
    right = getattr(module, kernels)
    trial(right, enough, side)
    lossy = np.copy(right)
    lossy[2] = lossy[1]
    for wrong in (right[1:], lossy):
        with pytest.raises(AssertionError):
            trial(wrong, enough, side)


MASKED = np.ma.masked_array([[1.0, 2.0]], [[False, True]])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: dense_from_convolution(np.ones((1, 1, 4)), (3,)), ValueError, "does not fit"),
        (lambda: dense_from_convolution(np.ones(4), (4,)), ValueError, r"weight of shape \(4,\)"),
        (lambda: dense_from_convolution(np.ones((1, 1, 2)), (3, 3)), ValueError, "as many axes"),
        (lambda: dense_from_convolution(np.ones((1, 1, 0)), (3,)), ValueError, "none of them em"),
        (lambda: dense_from_convolution(np.ones((1, 1, 1)), (0,)), ValueError, "has no cell"),
        (
            lambda: dense_from_convolution(np.array([[["a"]]]), (3,)),
            TypeError,
            "^the weight holds <U1 entries",
        ),
        (
            lambda: dense_from_convolution(np.array([[[2**64 - 1]]]), (3,)),
            ValueError,
            "^the weight holds integers beyond int64",
        ),
        (
            lambda: dense_from_convolution(np.ones((1, 1, 1)), (3,), stride=0),
            ValueError,
            "stride is 0, expected at least 1",
        ),
        (
            lambda: dense_from_convolution(np.ones((1, 1, 1)), (3,), padding=-1),
            ValueError,
            "padding is -1, expected at least 0",
        ),
        (lambda: convolution_from_dense(np.ones((2, 5)), (2, 2)), ValueError, "and 4 columns"),
        (lambda: convolution_from_dense(np.ones((2, 4)), (-1, 2)), ValueError, "has no cell"),
        (lambda: convolution_from_dense(np.ones(4), (2, 2)), ValueError, "expected two axes"),
        (lambda: convolution_from_dense(MASKED, (1, 2)), TypeError, "matrix is a masked array"),
        (lambda: averaging_weight(0, 2), ValueError, "channels is 0, expected at least 1"),
        (lambda: averaging_weight(2, 0), ValueError, "size is 0, expected at least 1"),
        (lambda: averaging_weight(2, 2, -1), ValueError, "axes is -1, expected at least 1"),
        (lambda: rank_bound(0, 3, 3, 9), ValueError, "filters is 0, expected at least 1"),
        (lambda: rank_bound(3, -1, 3, 9), ValueError, "channels is -1, expected at least 1"),
        (lambda: rank_bound(3, 3, 0, 9), ValueError, "kernel is 0, expected at least 1"),
        (lambda: rank_bound(3, 3, 3, 9.5), TypeError, r"side is 9\.5, expected an integer"),
        (lambda: class_dimension_bound(0), ValueError, "filters is 0, expected at least 1"),
        (lambda: sum_head(0), ValueError, "base is 0, expected at least 1"),
        (lambda: sum_head(2.5), TypeError, r"base is 2\.5, expected an integer"),
        (lambda: pairs_of_digits(np.ones((0, 2))), ValueError, r"codes has shape \(0, 2\)"),
        (lambda: pairs_of_digits(np.ones(2)), ValueError, "expected one row for each digit"),
        (lambda: AffineMap(np.eye(2), np.zeros(2))(np.ones(3)), ValueError, "3 values, expected 2"),
        (lambda: AffineMap(np.eye(2), np.zeros(2))(MASKED), TypeError, "x is a masked array"),
    ],
)
def test_bad_input_is_told(
    call: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    "tensor",
    [
        torch.empty(1, 2, device="meta"),
        torch.ones(1, 2).to_sparse(),
        torch.ones(1, 2, requires_grad=True),
        torch.ones(1, 2, dtype=torch.bfloat16),
        [[1], [1, 2]],
    ],
    ids=["meta", "sparse", "of autograd", "bfloat16", "ragged"],
)
def test_what_numpy_makes_no_array_of_is_told(tensor: Any) -> None:
    for name, law in {
        "matrix": lambda: convolution_from_dense(tensor, (1, 2)),
        "weight": lambda: dense_from_convolution(tensor, (1, 2)),
        "codes": lambda: pairs_of_digits(tensor),
    }.items():
        with pytest.raises(TypeError, match=rf"^{name} is a \w+ that is no array of numbers: "):
            law()


def test_a_dense_layer_has_the_type_of_its_kernels() -> None:
    """Red if integers leave what is exact."""
    for given, expected in {np.bool_: np.int64, np.float32: np.float32, object: object}.items():
        kernels = np.ones((1, 1, 2), given)
        assert dense_from_convolution(kernels, (3,)).dtype == expected


def test_kernels_of_a_dense_layer_are_a_copy_of_its_weights() -> None:
    """Red if who writes into the kernels changes the layer."""
    matrix = np.arange(8.0).reshape(2, 4)
    convolution_from_dense(matrix, (1, 2, 2))[:] = 7
    assert matrix.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_counts_of_numpy_do_not_wrap_around() -> None:
    narrow: Any = np.int8(100)
    assert rank_bound(narrow, np.int8(99), np.int8(3), narrow) == rank_bound(100, 99, 3, 100)
    assert class_dimension_bound(np.uint8(2)) == class_dimension_bound(2)
    assert sum_head(narrow)[1].tolist() == sum_head(100)[1].tolist()
    assert averaging_weight(1, np.int8(16)).tolist() == averaging_weight(1, 16).tolist()
    padded = dense_from_convolution(np.ones((1, 1, 1)), (np.int8(2),), padding=narrow)
    assert padded.shape == (202, 2)


def test_small_cases_by_hand() -> None:
    kernel = np.array([[[1, 2]]])
    assert dense_from_convolution(kernel, (3,)).tolist() == [[1, 2, 0], [0, 1, 2]]
    assert dense_from_convolution(kernel, (2,), padding=1).tolist() == [[2, 0], [1, 2], [0, 1]]
    assert dense_from_convolution(kernel, (4,), stride=2).tolist() == [[1, 2, 0, 0], [0, 0, 1, 2]]
    assert averaging_weight(2, 2).tolist() == [[[[0.25] * 2] * 2]] * 2
    weight, bias = sum_head(2)
    assert weight.tolist() == [[0, 0, 0, 0], [0, 2, 0, 2], [0, 4, 0, 4]]
    assert bias.tolist() == [0, -1, -4]
    assert [each.shape for each in sum_head()] == [(19, 20), (19,)]  # of decimal digits
    map_of = affine_map(partial(torch.add, other=3), (2,))
    assert map_of.matrix.tolist() == [[1, 0], [0, 1]]
    assert map_of(np.array([1, 2])).tolist() == [4, 5]
    # one channel, two filters of 2x2 on 3x3: the relation p * q - q * p, once
    assert rank_bound(2, 1, 2, 3) == 7
    assert rank_bound(1, 1, 5, 5) == 1


def test_a_kernel_larger_than_the_image_has_no_rank() -> None:
    with pytest.raises(ValueError, match="side 5 does not fit an image of side 3"):
        rank_bound(4, 3, 5, 3)
    assert rank_bound(4, 3, 3, 3) == 4
