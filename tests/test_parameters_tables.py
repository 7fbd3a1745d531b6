"""Tables of layers have the shapes and counts of the network that they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from theory.layer_tables import conv, layer_counts, linear, pooled_convolutions, shapes

if TYPE_CHECKING:
    from collections.abc import Callable


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
