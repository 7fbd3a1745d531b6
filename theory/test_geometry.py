"""Chapter 4, output sizes: how many cells come out of a convolution, a pooling, a transpose.

A size is the number of positions at which a window fits. With room = n + 2p - extent written as
qs + r, 0 <= r < s, these are the positions 0 to q: one more than the quotient, and the remainder is
lost. All other laws of sizes (ceil mode, transposes, padding that keeps the size) follow from it.

What passing does not prove: the laws are proved for all integers, by z3; that torch obeys them is
checked at the sizes listed, on the machine that runs them. Sizes say nothing about what a network
of these sizes learns.
"""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
import torch
import z3
from torch import nn
from torch.nn import functional

from theory.geometry import (
    Layer,
    output_size,
    pool_output_size,
    same_padding,
    transposed_output_size,
)
from theory.ledger import claims, settles
from theory.solver import follows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Operator = Callable[[torch.Tensor], torch.Tensor]

n, k, p, s, d, q, r, o = z3.Ints("n k p s d q r o")
extent = d * (k - 1) + 1
room = n + 2 * p - extent
# Every layer whose window fits: s * q + r is the room, divided by the stride with remainder.
fits = z3.And(n >= 1, k >= 1, d >= 1, p >= 0, s >= 1, room == s * q + r, r >= 0, r < s, q >= 0)
HALVING = Layer(2, stride=2)


def test_a_window_fits_at_quotient_plus_one_positions() -> None:
    """Position o is inside exactly if 0 <= o <= q, for all sizes, strides, paddings, dilations."""
    inside = s * o + extent <= n + 2 * p
    assert follows(inside == (o <= q), fits)
    assert not follows(inside == (o <= q - 1), fits)


@settles(
    "tp1-cnn-q1-output-size",
    verdict="refuted",
    certainty="refuted",
    correction="n_x = floor((x - k + 2p) / s) + 1, and n_y likewise (no dilation): the printed "
    "quotient lacks the + 1 and the rounding, and is too small wherever the kernel fits, by 1 less "
    "the fraction that is rounded off.",
)
def test_the_quotient_alone_is_never_the_size() -> None:
    """(x - k + 2p) / s = q + r / s is the size q + 1 only if r = s, which no remainder is.

    Smallest witness: one pixel, one tap; the quotient is 0.
    """
    assert follows(room != s * (q + 1), fits)
    assert follows(s * (q + 1) - room == s - r, fits)

    pixel = torch.ones(1, 1, 1, 1)
    assert functional.conv2d(pixel, pixel).shape[2:] == (1, 1)
    assert output_size(1, Layer(1)) == 1 != (1 - 1 + 2 * 0) / 1


def test_ceil_mode_adds_the_window_that_sticks_out_but_starts_inside() -> None:
    """Position o counts if the one before ends too early, and it starts before the last padding.

    ceil(room / s) is q if r = 0 and q + 1 else. One position is taken back if the last window would
    start in the padding at the end; never more, as the padding is at most half of the window.
    """
    pooling = z3.And(n >= 1, k >= 1, d >= 1, p >= 0, 2 * p <= k, s >= 1)
    divided = z3.And(pooling, room == s * q + r, r >= 0, r < s)
    last = z3.If(r == 0, q, q + 1)
    starts_inside = s * last < n + p
    size = last + z3.If(starts_inside, 1, 0)
    counts = z3.And(s * (o - 1) + extent < n + 2 * p, s * o < n + p)

    assert follows(counts == (o < size), divided, o >= 1, last >= 0)
    assert follows(z3.Or(starts_inside, s * (last - 1) < n + p), divided)
    assert not follows(starts_inside, divided)
    assert follows(s * q < n + p, fits, pooling)


def test_a_transpose_has_the_sizes_that_the_convolution_takes_to_its_input() -> None:
    """The convolution takes m cells to n exactly if m is one of s sizes, from the smallest up."""
    m, a = z3.Ints("m a")  # a: output padding
    smallest = (n - 1) * s - 2 * p + extent
    shrinks_to_n = z3.And(s * (n - 1) <= m + 2 * p - extent, m + 2 * p - extent < s * n)
    assert follows(shrinks_to_n == z3.And(a >= 0, a < s), s >= 1, m == smallest + a)


def _cases(cells: int, layer: Layer) -> Iterator[tuple[str, Operator, Callable[[], int]]]:
    """Yield every operator of torch that this layer gives, with the law of its output size."""
    taps, stride, padding, dilation = layer.kernel, layer.stride, layer.padding, layer.dilation
    w = torch.ones(1, 1, taps)
    steps: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation}
    yield (
        "convolution",
        partial(functional.conv1d, weight=w, **steps),
        partial(output_size, cells, layer),
    )
    for up in (False, True):
        law = partial(pool_output_size, cells, layer, ceil_mode=up)
        yield "max", partial(functional.max_pool1d, kernel_size=taps, **steps, ceil_mode=up), law
        if dilation == 1:
            yield "average", nn.AvgPool1d(taps, stride, padding, ceil_mode=up), law
    for more in range(stride):
        yield (
            "transposed",
            partial(functional.conv_transpose1d, weight=w, **steps, output_padding=more),
            partial(transposed_output_size, cells, layer, output_padding=more),
        )


def test_sizes_are_those_of_torch() -> None:
    """Convolution, max and average pooling with and without ceil mode, transposed convolution.

    Every layer of up to 4 taps on up to 7 cells, and some large ones; None where torch refuses.
    """
    small = product(range(1, 8), range(1, 5), range(1, 5), range(4), range(1, 4))
    large = product((97, 224), (6, 11), (5, 7), (3, 5), (1, 2))
    sizes: dict[str, Counter[int | None]] = defaultdict(Counter)
    for cells, *sides in (*small, *large):
        x = torch.zeros(1, 1, cells)
        for name, op, law in _cases(cells, Layer(*sides)):
            try:
                size = op(x).shape[-1]
            except RuntimeError:
                size = None
                with pytest.raises(ValueError, match=r"fit|half|window|leaves"):
                    law()
            else:
                assert law() == size, (name, cells, sides)
            sizes[name][size] += 1

    accepted = {name: counts.total() - counts[None] for name, counts in sizes.items()}
    assert sum(accepted.values()) > 5000
    assert all(len(counts) > 10 and counts[None] > 10 for counts in sizes.values())


@settles(
    "assignment-3-1c-padding",
    verdict="holds_if",
    certainty="proved",
    condition="The stride is 1, the kernel undilated and odd (of side 5 for p = 2): an even kernel "
    "keeps the size only with more rows at one end than at the other (k / 2 and k / 2 - 1, say), "
    "and a dilation d needs p = d(k - 1) / 2, where that is whole.",
)
def test_stride_1_keeps_every_size_exactly_with_half_of_the_extent_less_one() -> None:
    """2p = d(k - 1), whatever n; torch's own "same" padding puts the odd cell at the end."""
    keeps = q + 1 == n
    assert follows(keeps == (2 * p == d * (k - 1)), fits, s == 1)
    assert follows(keeps == (2 * p == k - 1), fits, s == 1, d == 1)
    assert not follows(keeps == (2 * p == k - 1), fits, s == 1)
    assert follows(z3.Not(keeps), fits, s == 1, d == 1, k % 2 == 0)
    first, last = z3.Ints("first last")  # rows at the two ends
    kept = n + first + last - k + 1 == n
    assert follows(first != last, kept, k % 2 == 0)
    assert follows(kept, first == k / 2, last == k / 2 - 1, k % 2 == 0)
    assert output_size(9 + 3, Layer(4)) == 9  # all three rows at one end do as well
    assert [[p] for p in same_padding(5)] == [_reported("assignment-3-1c-padding")] * 2

    for cells, taps, dilation in product((1, 4, 9), range(1, 7), (1, 2, 3)):
        x, weight = (
            torch.arange(1.0, cells + 1)[None, None],
            torch.arange(1.0, taps + 1)[None, None],
        )
        padded = functional.pad(x, same_padding(taps, dilation=dilation))
        output = functional.conv1d(padded, weight, dilation=dilation)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Using padding='same' with even kernel lengths")
            same = functional.conv1d(x, weight, padding="same", dilation=dilation)
        assert output.shape[-1] == cells
        assert torch.equal(output, same)


@settles("tp1-cnn-q8-same", verdict="holds", certainty="proved")
def test_a_kernel_of_5_keeps_all_sizes_with_stride_1_and_padding_2_only() -> None:
    """They keep every size. Conversely, s cells more give one position more: so s = 1, then p = 2.

    One size alone may be kept otherwise: 3 cells by stride 2 and padding 3.
    """
    reported = claims()["tp1-cnn-q8-same"].reported
    assert reported == {"k": 5, "stride": 1, "padding": 2}
    of_side_5 = z3.And(fits, k == 5, d == 1)
    assert follows(q + 1 == n, of_side_5, s == 1, p == 2)

    grown = n + s + 2 * p - extent
    assert follows(z3.And(s * (q + 1) <= grown, grown < s * (q + 2)), fits)
    assert follows(z3.And(s == 1, p == 2), of_side_5, q + 1 == n, (q + 1) + 1 == n + s)

    assert all(output_size(cells, Layer(5, 1, 2)) == cells for cells in range(1, 40))
    assert output_size(3, Layer(5, 2, 3)) == 3


@settles(
    "assignment-3-1d-kernel",
    verdict="refuted",
    certainty="refuted",
    correction="With one row of padding at each border the kernel is 11x11: 512 + 2 - 504 + 1. "
    "The printed 512 + 1 - 504 = 9 is right without padding: the 1 in it is that of the output "
    "size, not padding. (Stride 1, which these sizes force, and no dilation.)",
)
def test_padding_by_1_takes_512_to_504_with_a_kernel_of_11() -> None:
    """The sizes force stride 1 and then the extent; 9 gives 506, one row at one end 10."""
    sizes = z3.And(fits, n == 512, q + 1 == 504)
    assert follows(z3.And(s == 1, extent == 11), sizes, p == 1)
    assert follows(z3.And(s == 1, extent == 9), sizes, p == 0)
    assert [claims()["assignment-3-1d-kernel"].reported] == [
        {"input": 512, "padding": 1, "output": 504, "kernel": 9}
    ]
    assert output_size(512, Layer(11, padding=1)) == output_size(512, Layer(9)) == 504
    assert output_size(512 + 1, Layer(10)) == 504
    image = torch.zeros(1, 1, 512, 512)
    sizes = {side: nn.Conv2d(1, 1, side, padding=1)(image).shape[-1] for side in (9, 11)}
    assert sizes == {9: 506, 11: 504}


@settles("assignment-3-1e-pool", verdict="holds", certainty="exhausted")
def test_halving_504_leaves_252() -> None:
    """(504 - 2) / 2 is 251 without remainder, so rounding up or down makes no difference."""
    assert divmod(504 - 2, 2) == (251, 0)
    pooled = nn.MaxPool2d(2, 2)(torch.zeros(1, 504, 504))
    assert pooled.shape[1:] == (252, 252)
    for up in (False, True):
        assert [pool_output_size(504, HALVING, ceil_mode=up)] == _reported("assignment-3-1e-pool")


@settles(
    "assignment-3-1f-conv",
    verdict="holds_if",
    certainty="exhausted",
    condition="The printed - 1 is read as + 1, as the formula is printed in general: "
    "(252 - 3) / 1 + 1 is 250, and (252 - 3) / 1 - 1 is 248.",
)
def test_a_3x3_convolution_of_252_leaves_250_by_plus_one() -> None:
    """The printed expression is 2 less than its printed result, which torch confirms."""
    printed = (252 - 3) // 1 - 1
    size = nn.Conv2d(1, 1, 3)(torch.zeros(1, 252, 252)).shape[-1]
    assert [size] == _reported("assignment-3-1f-conv") == [output_size(252, Layer(3))]
    assert size == (252 - 3) // 1 + 1 == printed + 2


@settles(
    "tp1-cnn-q9-pool",
    verdict="holds_if",
    certainty="proved",
    condition="The side is even, as 32, 16 and 8 are; of an odd side the last row and column are "
    "dropped, (n - 1) / 2 remain (with ceil_mode (n + 1) / 2), and of a single row nothing.",
)
def test_halving_needs_an_even_side() -> None:
    """2 (q + 1) = n exactly if n is even, and n - 1 else; smallest witness: 3 cells leave 1."""
    halving = z3.And(fits, k == 2, s == 2, p == 0, d == 1)
    assert follows((2 * (q + 1) == n) == (n % 2 == 0), halving)
    assert follows(z3.Implies(n % 2 == 1, 2 * (q + 1) == n - 1), halving)

    sizes = {side: nn.MaxPool2d(2, 2)(torch.zeros(1, side, side)).shape[-1] for side in (3, 8, 32)}
    assert sizes == {3: 1, 8: 4, 32: 16}
    printed = _reported("tp1-cnn-q9-pool")
    assert isinstance(printed, dict)
    assert Layer(printed["k"], printed["stride"], printed["padding"]) == HALVING
    assert pool_output_size(3, HALVING, ceil_mode=True) == 2


def _reported(claim: str) -> object:
    return claims()[claim].reported
