"""Counts of layers and designs that cannot be are refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import sympy

from theory.geometry import Layer
from theory.parameters import (
    batch_norm_parameters,
    conv_parameters,
    equivalent_linear_parameters,
    linear_parameters,
    locally_connected_parameters,
)
from theory.recovery import Design, recover

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("number", [2.5, 3.0, True, "3", None, np.nan])
def test_what_is_no_integer_counts_nothing(number: Any) -> None:
    """Red if a half of a channel is counted, or a truth value is one."""
    laws: list[tuple[str, Callable[[], object]]] = [
        ("inputs", lambda: conv_parameters(number, 4, 5)),
        ("outputs", lambda: conv_parameters(3, number, 5)),
        ("inputs", lambda: linear_parameters(number, 4)),
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


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 4), (4, 3)])
def test_groups_that_do_not_divide_are_refused(inputs: int, outputs: int) -> None:
    with pytest.raises(ValueError, match="2 groups do not divide"):
        conv_parameters(inputs, outputs, 3, groups=2)


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


def test_a_symbol_that_need_not_be_an_integer_counts_nothing() -> None:
    """Red if one group is said not to divide its channels."""
    s, half = sympy.Symbol("s"), sympy.Symbol("n", integer=True) / 2
    for symbol in (s, half):
        for name, law in {
            "inputs": lambda x: conv_parameters(x, 6, 5),
            "outputs": lambda x: linear_parameters(6, x),
            "kernel": lambda x: conv_parameters(6, 6, (5, x)),
            "groups": lambda x: conv_parameters(6, 6, 5, groups=x),
            "cells": lambda x: locally_connected_parameters(6, 6, 5, x),
        }.items():
            with pytest.raises(
                TypeError,
                match=rf"^{name} is {symbol}, expected an integer: make its symbols integer=True$",
            ):
                law(symbol)


@pytest.mark.parametrize(
    ("law", "error", "message"),
    [
        (
            lambda: conv_parameters(3, 6, ()),
            ValueError,
            r"kernel has no side, expected one for each axis: give \(k, k\)",
        ),
        (
            lambda: locally_connected_parameters(3, 6, (), 4),
            ValueError,
            r"kernel has no side, expected one for each axis: give \(k, k\)",
        ),
        (
            lambda: equivalent_linear_parameters(3, 6, (), Layer(5)),
            ValueError,
            r"image has no side, expected one for each axis: give \(rows, columns\)",
        ),
        (
            lambda: equivalent_linear_parameters(3, 6, 32, Layer(5)),  # type: ignore[arg-type]
            TypeError,
            r"image is 32, expected a side for each axis: give \(rows, columns\)",
        ),
        (
            lambda: recover([Design()], [3172]),  # type: ignore[arg-type]
            TypeError,
            r"counts is \[3172\], expected a dict from filters to parameters: give {3: 3172}",
        ),
        (
            lambda: recover(Design(), {3: 3172}),  # type: ignore[arg-type]
            TypeError,
            "a single Design is given, expected several: put it into a list",
        ),
        (
            lambda: recover([Design(), 5], {3: 3172}),  # type: ignore[list-item]
            TypeError,
            r"5 is given as a design, expected a Design: use designs\(\)",
        ),
        (
            lambda: recover([Design()], {3.0: 3172}),
            TypeError,
            r"widths is 3\.0, expected an integer",
        ),
        (lambda: recover([Design()], {3: 0.5}), TypeError, r"count is 0\.5, expected an integer"),
        (lambda: recover([Design()], {0: 3172}), ValueError, "widths is 0, expected at least 1"),
        (lambda: recover([Design()], {3: 3172}, 0), ValueError, "image is 0, expected at least 1"),
    ],
)
def test_misuse_is_named(law: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}$"):
        law()
