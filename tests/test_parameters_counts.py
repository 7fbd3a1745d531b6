"""Counts are those of every layer: of any size, dimension and type of integer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch import nn

from tests.allocated import allocated
from theory.geometry import Layer
from theory.parameters import (
    batch_norm_parameters,
    conv_parameters,
    equivalent_linear_parameters,
    linear_parameters,
    locally_connected_parameters,
)
from theory.recovery import Design, recover


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


def test_a_bias_is_there_or_not() -> None:
    """Red if a number in place of a truth value is as many biases."""
    several: Any = 7
    assert conv_parameters(3, 4, 5, bias=several) == conv_parameters(3, 4, 5)
    assert linear_parameters(3, 4, bias=several) == linear_parameters(3, 4)
    neither: Any = None
    assert linear_parameters(3, 4, bias=neither) == linear_parameters(3, 4, bias=False)


def test_a_network_has_three_channels_ten_classes_and_biases_unless_told_otherwise() -> None:
    one = Design(kernels=(1, 1), pool=1)
    assert one.parameters((1, 1), 1) == (3 + 1) + (1 + 1) + 10 * (1 + 1)
    assert one.parameters((1, 1), 1, 2, 5) == (2 + 1) + (1 + 1) + 5 * (1 + 1)
    assert locally_connected_parameters(2, 3, 1, 4) == 4 * 3 * (2 + 1)
    assert locally_connected_parameters(2, 3, 1, 4, bias=False) == 4 * 3 * 2
    assert equivalent_linear_parameters(1, 1, (2,), Layer(1)) == 2 * (2 + 1)
    assert equivalent_linear_parameters(1, 1, (2,), Layer(1), bias=False) == 2 * 2


def test_a_count_is_an_integer_of_any_size() -> None:
    """Red if a division leaves floating point behind, which beyond 2**53 skips numbers."""
    assert conv_parameters(2, 2**60, 1, groups=2) == 2**61
    assert conv_parameters(2**60 + 2, 2, 1, groups=2, bias=False) == 2**60 + 2


def test_kernels_of_any_dimension() -> None:
    line, volume = nn.Conv1d(2, 3, 4), nn.Conv3d(2, 3, (2, 3, 4))
    assert conv_parameters(2, 3, (4,)) == allocated(line) == 27
    assert conv_parameters(2, 3, (2, 3, 4)) == allocated(volume) == 147
    assert batch_norm_parameters(5) == allocated(nn.BatchNorm1d(5)) == 10
    assert equivalent_linear_parameters(2, 3, (5,), Layer(4)) == linear_parameters(10, 6) == 66
    with pytest.raises(ValueError, match="does not fit"):
        equivalent_linear_parameters(1, 1, (3, 5), Layer(4))
