"""Annotated types can be looked up, and the shapes among them are those of what is passed.

No call in use is checked: jaxtyping's shapes are for readers, and here they are held to.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from fractions import Fraction
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

import jaxtyping
import numpy as np
import pytest
import torch
from jaxtyping import AbstractArray, Float, jaxtyped
from torch import nn

from theory.convolution import convolve, correlate, correlate_channels, rounding_bound
from theory.digit_sums import pairs_of_digits, sum_head
from theory.equivalences import averaging_weight, convolution_from_dense, dense_from_convolution
from theory.gradients import (
    bias_gradient,
    filter_gradient,
    filter_gradient_bound,
    input_gradient,
)
from theory.layer_matrix import input_cells, layer_matrix, weights
from theory.methods.convolution_plan import wrap
from theory.methods.direct_convolution import by_sum
from theory.methods.fast_convolution import by_fft, by_overlap_add, require_finite
from theory.modular_rank import rank_modulo
from theory.operators import add_bias, average_pool, fully_connected, max_pool, strided_pool
from theory.signals import impulse, integer_signal, rational_signal, shift
from theory.spectrum import frequency_response, real_weights, singular_values
from theory.structured_matrices import circulant_matrix, derivative_matrix, toeplitz_matrix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[1]


# Types that can be looked up


def reference() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield the functions, classes and methods that the API reference of theory documents."""
    page = (ROOT / "docs/api/theory.md").read_text(encoding="utf-8")
    for home, members in re.findall(r"automodule:: (\S+)\n +:members:(.*)", page):
        module = importlib.import_module(home)
        own = [k for k, v in vars(module).items() if getattr(v, "__module__", None) == home]
        for name in [each.strip() for each in members.split(",") if each.strip()] or own:
            found = getattr(module, name)
            if inspect.isclass(found):
                functions = inspect.getmembers(found, inspect.isfunction)
                yield from ((f"{home}.{name}.{key}", each) for key, each in functions)
            if callable(found):
                yield f"{home}.{name}", found


def test_every_type_of_the_api_reference_can_be_looked_up() -> None:
    names = []
    for name, documented in reference():
        get_type_hints(documented)  # raises a NameError
        names.append(name)
    assert {"theory.convolution.convolve", "theory.testing.OperatorTests.test_linear"} <= {*names}


# Shapes that are true


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that asserts the shapes of its arguments and of its result."""
    hints, signature = get_type_hints(function), inspect.signature(function)

    def call(*args: Any, **kwargs: Any) -> Any:
        with jaxtyped("context"):  # one size for each name, a call
            for name, value in signature.bind(*args, **kwargs).arguments.items():
                several = signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
                for each in value if several else (value,):
                    assert fits(each, hints[name]), f"{name}: {hints[name]}"
            result = function(*args, **kwargs)
            assert fits(result, hints["return"]), f"result: {hints['return']}"
        return result

    return call


def fits(value: Any, hint: Any) -> bool:
    """Say whether the arrays in a value have the shapes that its type gives them."""
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return isinstance(value, hint)
    inner = get_args(hint)
    if get_origin(hint) in (Union, UnionType):
        return any(fits(value, each) for each in inner)
    if get_origin(hint) is tuple and Ellipsis not in inner:
        return all(map(fits, value, inner))
    if isinstance(value, list):
        return all(fits(each, inner[0]) for each in value)
    return True


X = np.arange(12.0).reshape(3, 4)
H = np.array([[1.0, 2.0, 4.0]])
EXACT = np.array([Fraction(1, 3), Fraction(2), Fraction(5)])
IMAGES = np.arange(2 * 3 * 5 * 4.0).reshape(2, 3, 5, 4)
SLOPES = np.ones((2, 2, 4, 4))
TENSORS = torch.from_numpy(IMAGES), torch.from_numpy(SLOPES)
KERNELS = np.ones((2, 3, 2, 1))
CIRCLE = nn.Conv2d(4, 6, (3, 1), padding=(1, 0), padding_mode="circular", groups=2)
STRIDED = nn.Conv2d(2, 3, (3, 2), stride=(2, 1))

CALLS: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = [
    (impulse, ((2, 3),), {"dtype": bool}),
    (shift, (X, (1, -1)), {"boundary": "zero"}),
    (integer_signal, ((2, 3),), {"seed": 0, "dtype": object}),
    (rational_signal, (3,), {"seed": 0}),
    *((each, (X, H), {"mode": m}) for each in (convolve, correlate) for m in ("full", "circular")),
    *((convolve, (X, H), {"method": m}) for m in ("fft", "overlap-add", "auto")),
    (convolve, (EXACT, EXACT[:2]), {}),
    (rounding_bound, (EXACT, EXACT[:2]), {}),
    (correlate_channels, (IMAGES[0], KERNELS), {"padding": (0, 1)}),
    (toeplitz_matrix, (H, (3, 4)), {"mode": "same"}),
    (circulant_matrix, (EXACT, 2), {}),
    (wrap, (EXACT, (2,)), {}),
    (by_sum, (X, H), {"valid": True}),
    (by_fft, (X, H), {}),
    (by_overlap_add, (X, H), {}),
    (require_finite, (X, H, IMAGES), {}),
    *(
        (each, factors, {"batched": batched, "method": method})
        for each in (filter_gradient, filter_gradient_bound)
        for method in ("direct", "fft", "blocked-fft")
        for batched, factors in (
            (False, (IMAGES[0], SLOPES[0])),
            (True, (IMAGES, SLOPES)),
            (True, TENSORS),
        )
    ),
    (input_gradient, (KERNELS, SLOPES[0]), {}),
    (bias_gradient, (SLOPES[0],), {}),
    (bias_gradient, (TENSORS[1],), {}),
    (derivative_matrix, (X, (1, 3)), {}),
    (layer_matrix, (STRIDED, (5, 4)), {}),
    (input_cells, (STRIDED, (5, 4)), {}),
    (weights, (CIRCLE,), {}),
    (real_weights, (CIRCLE,), {}),
    (frequency_response, (CIRCLE, (5, 4)), {}),
    (singular_values, (CIRCLE, (5, 4)), {}),
    (dense_from_convolution, (KERNELS, (5, 4)), {}),
    (convolution_from_dense, (np.ones((6, 12)), (3, 2, 2)), {}),
    (averaging_weight, (3, 2), {}),
    (rank_modulo, (np.eye(3, 4, dtype=np.int64),), {}),
    (sum_head, (4,), {}),
    (pairs_of_digits, (X,), {}),
    (add_bias, (TENSORS[0], TENSORS[0]), {}),
    (strided_pool, (TENSORS[1][0, 0], 2), {}),
    (max_pool, (TENSORS[0][0, 0], 2, 1), {}),
    (average_pool, (TENSORS[1][0, 0], 2, 2), {}),
    (fully_connected, (TENSORS[0][0, 0, 0], torch.ones(3, 4).double()), {}),
]


@pytest.mark.parametrize(("function", "args", "kwargs"), CALLS)
def test_shapes_are_what_signatures_say(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    checked(function)(*args, **kwargs)


def _planted(*x: Float[np.ndarray, " n"]) -> tuple[int, list[Float[np.ndarray, " n"]]]:
    return 0, [np.ones(3)]


def test_a_false_shape_is_caught() -> None:
    planted = checked(_planted)
    planted(np.ones(3), np.ones(3))
    for wrong in ((np.ones(2),), (np.ones(3), np.ones(4)), (np.ones(3, int),)):
        with pytest.raises(AssertionError):
            planted(*wrong)


# Sizes that are computed from others


def unbound(source: str) -> set[str]:
    """Return the computed axes of a module that no check could work out.

    An expression needs the axes in it to be named by themselves, in an argument or the result.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            arguments = ast.walk(node.args)
            returned = ast.walk(node.returns) if node.returns else ()
            axes = [axis for each in (*arguments, *returned) for axis in _axes(each)]
            names = {axis for axis in axes if axis.isidentifier()}
            for axis in axes:
                free = {*re.findall(r"[A-Za-z_]\w*", axis)}
                if not axis.isidentifier() and (free - names or not _is_expression(axis)):
                    found.add(axis)
    return found


def _axes(node: ast.AST) -> list[str]:
    """Return the axes of a jaxtyping annotation, but for numbers and any number of axes."""
    match node:
        case ast.Subscript(ast.Name(kind), ast.Tuple([_, ast.Constant(str(shape))])):
            if hasattr(jaxtyping, kind):
                return [axis.lstrip("*_#") for axis in shape.split() if axis.strip("._0123456789")]
    return []


def _is_expression(axis: str) -> bool:
    try:
        ast.parse(axis, mode="eval")
    except SyntaxError:
        return False
    return True


@pytest.mark.parametrize("room", ["theory", "experiments", "benches"])
def test_computed_axes_can_be_worked_out(room: str) -> None:
    sources = {path: path.read_text(encoding="utf-8") for path in (ROOT / room).rglob("*.py")}
    found = {str(path): unbound(source) for path, source in sources.items()}
    assert not {path: axes for path, axes in found.items() if axes}


@pytest.mark.parametrize(
    ("returned", "found"), [("n 2*h", set()), ("n h+2p", {"h+2p"}), ("n K*h", {"K*h"})]
)
def test_an_axis_that_cannot_be_worked_out_is_caught(returned: str, found: set[str]) -> None:
    source = f'def f(x: Float[Tensor, "n h *rest"]) -> Float[Tensor, "{returned}"]: ...'
    assert unbound(source) == found
