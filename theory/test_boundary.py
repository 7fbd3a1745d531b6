"""Chapter 1, boundary: where a padded layer is a convolution, and how wide the border is.

With circular padding a layer is a convolution on the circle, everywhere. With zeros it is a
convolution on Z, seen through a window: alone exactly, but a second layer starts from zeros where
the convolution has values, and what is wrong at the border moves inwards by the padding of each
layer after the first. Reflected and replicated cells are no part of either signal, so the border is
there from the first layer on.

What passing does not prove. The widths are proved for all sizes, for stride 1 and symmetric
padding. That borders are as wide as that, cell by cell, is shown for kernels without zeros, at the
sizes that are tried: single kernels may cancel. How much a trained network makes of its border is
another question.
"""

from __future__ import annotations

from itertools import product
from typing import Literal, get_args

import numpy as np
import pytest
import torch
import z3
from torch import nn

from theory.affine_map import affine_map
from theory.convolution import convolve
from theory.layer_matrix import layer_matrix
from theory.signals import integer_signal, shift
from theory.solver import follows
from theory.structured_matrices import circulant_matrix, toeplitz_matrix

Mode = Literal["zeros", "circular", "reflect", "replicate"]
MODES: tuple[Mode, ...] = get_args(Mode)


def layer(*taps: float, padding: int, mode: Mode = "zeros") -> nn.Conv1d:
    """Return a layer of one channel and one filter with the given taps."""
    conv = nn.Conv1d(1, 1, len(taps), padding=padding, padding_mode=mode, bias=False)
    conv.weight.data = torch.tensor([[taps]], dtype=torch.float64)
    return conv


def odd_layer(taps: int, mode: Mode, *, dilation: int = 1, axes: int = 1) -> nn.Conv1d | nn.Conv2d:
    """Return a layer that keeps the size, with the positive integers from 1 on as weights."""
    conv = (nn.Conv1d if axes == 1 else nn.Conv2d)(
        1,
        1,
        taps,
        padding=dilation * (taps - 1) // 2,
        dilation=dilation,
        padding_mode=mode,
        bias=False,
        dtype=torch.float64,
    )
    values = torch.arange(1.0, conv.weight.numel() + 1, dtype=torch.float64)
    conv.weight.data = values.reshape(conv.weight.shape)
    return conv


def is_toeplitz(matrix: np.ndarray) -> bool:
    """Return whether each entry equals the one after it on its diagonal."""
    return np.array_equal(matrix[1:, 1:], matrix[:-1, :-1])


# One layer


def test_the_outputs_that_read_padding_are_as_many_at_each_end_as_the_padding_is_wide() -> None:
    n, padding, extent, at = z3.Ints("n padding extent at")
    outputs = n + 2 * padding - extent + 1
    given = [n >= 1, padding >= 0, extent >= 1, outputs >= 1, at >= 0, at < outputs]
    first = at - padding
    last = first + extent - 1  # the last cell that the kernel, taps and gaps, covers
    reads_padding = z3.Or(first < 0, last >= n)
    assert follows(reads_padding == z3.Or(at < padding, at >= outputs - padding), *given)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate"])
@pytest.mark.parametrize(("taps", "dilation"), [(1, 1), (3, 1), (3, 2), (5, 1)])
def test_only_in_the_border_does_a_padded_layer_differ_from_the_circle(
    mode: Mode, taps: int, dilation: int
) -> None:
    border = dilation * (taps - 1) // 2
    for n in (2 * border + 1, 2 * border + 4):
        padded = layer_matrix(odd_layer(taps, mode, dilation=dilation), n)
        around = layer_matrix(odd_layer(taps, "circular", dilation=dilation), n)
        differs = (padded != around).any(axis=1)
        assert np.flatnonzero(differs).tolist() == [*range(border), *range(n - border, n)]


def test_in_two_dimensions_the_border_is_a_frame() -> None:
    for mode in set(MODES) - {"circular"}:
        padded = layer_matrix(odd_layer(3, mode, axes=2), (5, 6))
        around = layer_matrix(odd_layer(3, "circular", axes=2), (5, 6))
        differs = (padded != around).any(axis=1).reshape(5, 6)
        assert differs[[0, -1]].all()
        assert differs[:, [0, -1]].all()
        assert not differs[1:-1, 1:-1].any()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("by", [1, 2])
def test_circular_padding_commutes_with_shifts_and_others_only_in_the_interior(
    mode: Mode, by: int
) -> None:
    """An output and the one it came from must both lie in the interior."""
    n, taps = 11, 5
    conv = odd_layer(taps, mode)
    impulses = torch.eye(n, dtype=torch.float64)[:, None]
    with torch.no_grad():
        moved_before = conv(torch.roll(impulses, by, 2))
        moved_after = torch.roll(conv(impulses), by, 2)
    agrees = (moved_before == moved_after).all(dim=0)[0]
    border = 0 if mode == "circular" else taps // 2
    inside = range(border + by, n - border) if border else range(n)
    assert torch.nonzero(agrees).flatten().tolist() == [*inside]


def test_a_zero_padded_layer_is_a_window_on_the_convolution_on_z() -> None:
    # Its matrix is Toeplitz to the last row: as long as a signal stays in the window, moving it
    # moves whatever of the output stays. Made-up cells outside break that; on a circle nothing
    # stays outside, and what leaves comes back.
    n, conv = 7, odd_layer(5, "zeros")
    kernel = conv.weight.detach().numpy()[0, 0, ::-1]
    assert np.array_equal(layer_matrix(conv, n), toeplitz_matrix(kernel, n, mode="same"))
    assert {mode for mode in MODES if is_toeplitz(layer_matrix(odd_layer(5, mode), n))} == {
        "zeros",
        "circular",
    }
    inside = np.pad(integer_signal(n - 2, seed=1), (0, 2))
    moved = shift(inside, 2, boundary="zero")
    with torch.no_grad():
        still, after = (conv(torch.from_numpy(x)[None])[0].numpy() for x in (inside, moved))
    assert np.array_equal(after[2:], still[:-2])


# Stacks


def test_a_stack_of_zero_padded_layers_is_wrong_where_a_later_layer_reads_its_padding() -> None:
    """For all sizes: exactly p outputs at each end, p being the padding after the first layer."""
    cells, padding, extent, more, wider, at = z3.Ints("cells padding extent more wider at")
    # The layers after the first read its `cells` outputs like one layer of this padding and
    # extent; by induction, as one more layer adds its own to both. What they pad themselves, an
    # output reads only nearer to the end.
    given = [cells >= 1, padding >= 0, extent >= 1, more >= 0, wider >= 1, at >= 0]
    first, last = at - more - padding, at - more + (wider - 1) - padding + (extent - 1)
    assert follows(first == at - (padding + more), *given)
    assert follows(last - first + 1 == extent + wider - 1, *given)
    outputs = cells + 2 * padding - extent + 1
    reads_padding = z3.Or(at - padding < 0, at - padding + extent - 1 >= cells)
    border = z3.Or(at < padding, at >= outputs - padding)
    assert follows(reads_padding == border, *given, at < outputs)


def test_two_layers_lose_nothing_if_the_first_gives_all_or_the_second_reads_nothing_else() -> None:
    """For all sizes: p2 = 0, or p1 >= k1 - 1; and otherwise a value that is not 0 is lost."""
    n, p1, k1, p2, k2, at = z3.Ints("n p1 k1 p2 k2 at")
    cells = n + 2 * p1 - k1 + 1  # of the first layer
    sizes = [n >= 1, p1 >= 0, k1 >= 1, cells >= 1, p2 >= 0, k2 >= 1, cells + 2 * p2 - k2 >= 0]
    outside = z3.Or(at < 0, at >= cells)
    sees_signal = z3.And(at - p1 <= n - 1, at - p1 + k1 - 1 >= 0)
    within_reach = z3.And(at >= -p2, at < cells + p2)  # the cells that the second layer reads
    nothing_lost = z3.Not(z3.And(outside, sees_signal, within_reach))
    assert follows(nothing_lost, *sizes, z3.Or(p2 == 0, p1 >= k1 - 1))
    # The convolution's value at -1 sees the signal, and the second layer reads it as 0.
    lost = z3.And(sees_signal, within_reach, outside)
    assert follows(z3.substitute(lost, (at, z3.IntVal(-1))), *sizes, p2 >= 1, p1 < k1 - 1)


@pytest.mark.parametrize(("k1", "k2"), [(1, 1), (1, 3), (3, 1), (2, 2), (2, 3), (3, 2), (3, 3)])
def test_the_border_of_two_layers_is_met_cell_by_cell(k1: int, k2: int) -> None:
    """With positive weights no loss can cancel: what is lost shows, and in the border alone."""
    first, second = np.arange(1.0, k1 + 1), np.arange(1.0, k2 + 1)
    for n, p1, p2 in product((1, 4, 9), range(3), range(3)):
        if n + 2 * p1 < k1 or n + 2 * p1 - k1 + 1 + 2 * p2 < k2:
            continue
        stack = nn.Sequential(layer(*first, padding=p1), layer(*second, padding=p2))
        once = layer(*convolve(first, second), padding=p1 + p2)
        in_a_row, at_once = affine_map(stack, (1, n)).matrix, layer_matrix(once, n)
        assert in_a_row.shape == at_once.shape
        outputs = len(at_once)
        differs = set(np.flatnonzero((in_a_row != at_once).any(axis=1)))
        assert bool(differs) is not (p2 == 0 or p1 >= k1 - 1)
        if p2 <= k2 - 1 and p1 < k1 - 1:
            assert differs == {o for o in range(outputs) if o < p2 or o >= outputs - p2}


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_each_layer_after_the_first_moves_the_border_inwards_by_its_padding(depth: int) -> None:
    n, taps = 13, np.ones(3)
    kernel = taps
    for _ in range(depth - 1):
        kernel = convolve(kernel, taps)
    stack = nn.Sequential(*(layer(*taps, padding=1) for _ in range(depth)))
    in_a_row = affine_map(stack, (1, n)).matrix
    differs = (in_a_row != layer_matrix(layer(*kernel, padding=depth), n)).any(axis=1)
    border = depth - 1
    assert np.flatnonzero(differs).tolist() == [*range(border), *range(n - border, n)]
    # Cells whose value involves padding at all are one more at each end.
    involved = (in_a_row != affine_map(circular(depth), (1, n)).matrix).any(axis=1)
    assert np.flatnonzero(involved).tolist() == [*range(depth), *range(n - depth, n)]


def circular(depth: int) -> nn.Sequential:
    """Return a stack of averaging layers on a circle."""
    return nn.Sequential(*(layer(1, 1, 1, padding=1, mode="circular") for _ in range(depth)))


def test_the_smallest_stacks_that_differ_from_one_convolution() -> None:
    # On one cell each layer keeps its middle tap, and one convolution its middle tap of five.
    ones = layer(1, 1, 1, padding=1)
    assert affine_map(nn.Sequential(ones, ones), (1, 1)).matrix.tolist() == [[1]]
    assert layer_matrix(layer(*convolve(np.ones(3), np.ones(3)), padding=2), 1).tolist() == [[3]]
    # On two cells the stack may be no convolution whatever: one step right and one step left
    # forgets the last cell and keeps the first.
    right, left = layer(1, 0, 0, padding=1), layer(0, 0, 1, padding=1)
    there_and_back = affine_map(nn.Sequential(right, left), (1, 2)).matrix
    assert there_and_back.tolist() == [[1, 0], [0, 0]]
    assert not is_toeplitz(there_and_back)


def test_a_stack_of_causal_layers_is_one_convolution() -> None:
    """Padding at the start alone: what is lost lies after the end, where no later layer looks."""
    n, p, q = 6, np.array([1.0, 2, 3]), np.array([2.0, -1, 1, 4])
    stack = nn.Sequential(
        nn.ConstantPad1d((2, 0), 0.0),
        layer(*p, padding=0),
        nn.ConstantPad1d((3, 0), 0.0),
        layer(*q, padding=0),
    )
    kernel = convolve(p, q)[::-1]
    assert np.array_equal(affine_map(stack, (1, n)).matrix, toeplitz_matrix(kernel, n)[:n])


def test_a_stack_of_circular_layers_is_one_convolution_on_the_circle() -> None:
    n, p, q = 5, np.array([1.0, 2, 3]), np.array([2.0, -1, 1, 4, 1])
    stack = nn.Sequential(
        layer(*p, padding=1, mode="circular"), layer(*q, padding=2, mode="circular")
    )
    # The flipped kernel, seven taps round five cells, with its middle at cell 0.
    around = np.roll(circulant_matrix(convolve(p, q)[::-1], n)[:, 0], -3)
    assert np.array_equal(affine_map(stack, (1, n)).matrix, circulant_matrix(around, n))
