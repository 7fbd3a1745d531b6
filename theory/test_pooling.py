"""Chapter 2, pooling: what the stride breaks, what the maximum breaks, and what is damped.

Pooling looks at windows and keeps one value of each: a fixed pixel, the mean or the maximum. The
stride alone costs shift-equivariance (the period becomes the stride), the maximum alone costs
linearity, and neither makes the output invariant to small changes of the input.

What passing does not prove: windows wrap and the stride divides the length, so padded or ragged
borders are not covered; how much pooling damps the changes of natural images is not measured.
"""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
import sympy
import torch
import z3

from theory import diagnose
from theory.exhaustion import answering_shifts, grid, shift, signal
from theory.ledger import settles
from theory.operators import average_pool, max_pool, relu, strided_pool
from theory.solver import follows, holds_always, maximum

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


@settles(
    "nn4i-2023-a1-t3b-pool",
    verdict="refuted",
    certainty="refuted",
    correction="Keeping a fixed pixel of every block is linear, a selection of samples; with a "
    "stride s > 1 it is not shift-equivariant (the TI of LTI): it passes on the shifts by "
    "multiples of s only.",
)
@settles(
    "nni-2023-ex1-t3b-strided-pooling",
    verdict="holds_if",
    certainty="proved",
    condition="The stride is at least 2, no window of a mean or maximum holds all cells (then the "
    "output never changes), and 'the output may change' means that it is no shift of the former "
    "output: a shift by a multiple of the stride does pass through, and a changed output alone is "
    "no objection, for a convolution changes its output too.",
)
def test_fixed_pixel_pooling_selects_and_has_the_stride_as_period() -> None:
    """f(x)[i] = x[si + p] is linear, and turns a shift by k into one by j exactly if k = sj.

    f(S^k x)[i] = x[si + p - k] and S^j f(x)[i] = x[s(i - j) + p] are the same sample of every x
    only if the two indices agree, on Z_n modulo n, of which s is a divisor.
    """
    s, i, p, k, j = sympy.symbols("s i p k j", integer=True)
    assert sympy.expand((s * i + p - k) - (s * (i - j) + p)) == s * j - k

    for blocks, stride in product(range(1, 5), repeat=2):
        n = blocks * stride
        basis = list(torch.eye(n))
        for pixel in range(stride):
            op = partial(strided_pool, stride=stride, pixel=(pixel,))
            matrix = torch.stack([op(e) for e in basis], 1)
            assert torch.equal(matrix, torch.eye(n)[pixel::stride])
            values = torch.arange(n) - n / 2  # of both signs: on impulses |x| is a selection too
            assert torch.equal(op(values), matrix @ values)
            for by in range(n):
                answers = {by // stride} if by % stride == 0 else set()
                assert answering_shifts(op, by, basis) == answers


@settles("nni-2023-ex1-t3b-strided-pooling", verdict="holds_if", certainty="proved")
@pytest.mark.parametrize("pool", [max_pool, average_pool])
def test_the_mean_or_maximum_of_all_cells_never_changes(pool: Callable[..., Tensor]) -> None:
    """Shorter windows pass on the shifts by multiples of the stride alone; one of all cells any.

    f(S^k x)[i] looks at the w cells from si - k on, S^j f(x)[i] at those from s(i - j) on. If w < n
    and these are two different cells of the circle, an impulse tells the windows apart: the first
    cell of the one is not in the other, or else the cell before it is. So k = sj modulo n.
    """
    cells, w, ahead = z3.Ints("cells w ahead")  # `ahead` is the one's start, from the other's

    def in_window(start: z3.ArithRef | int, cell: z3.ArithRef) -> z3.BoolRef:
        return z3.If(cell >= start, cell - start, cell - start + cells) < w

    windows = z3.And(w >= 1, ahead >= 1, ahead < cells)
    cell = z3.If(in_window(0, ahead), ahead - 1, ahead)
    told_apart = in_window(0, cell) != in_window(ahead, cell)
    assert follows(told_apart, windows, w < cells)
    assert not follows(told_apart, windows, w == cells)

    generator = torch.Generator().manual_seed(0)
    for n, stride in ((4, 2), (4, 4), (6, 2), (6, 3)):
        signals = [*torch.eye(n), *torch.randint(-9, 10, (20, n), generator=generator).float()]
        everywhere = set(range(n // stride))
        for size, by in product(range(1, n + 1), range(n)):
            op = partial(pool, size=size, stride=stride)
            answers = {by // stride} if by % stride == 0 else set()
            assert answering_shifts(op, by, signals) == (everywhere if size == n else answers)


@settles(
    "nn4i-2023-a1-t3-shift-wording",
    verdict="refuted",
    certainty="refuted",
    correction="ReLU treats all positions alike but depends on the sign of the value; its output "
    "moves exactly as its input does. The output of pooling with stride s does not: an input that "
    "moves by s pixels moves it by one, and other shifts give another output altogether.",
)
def test_relu_depends_on_values_and_strided_pooling_on_positions() -> None:
    """The smallest signals on which each half of the wording fails have one non-zero cell."""
    assert relu(signal(1)) == 1
    assert relu(signal(-1)) == 0

    pool = partial(strided_pool, stride=2)
    impulse = signal(1, 0, 0, 0)
    assert pool(impulse).tolist() == [1, 0]
    assert pool(shift(impulse, 1)).tolist() == [0, 0]
    assert pool(shift(impulse, 2)).tolist() == shift(pool(impulse), 1).tolist()
    witness = diagnose(pool, (4,)).shift_equivariant.witness
    assert witness is not None
    assert np.count_nonzero(witness.inputs[0]) == 1


def test_max_pooling_is_not_affine_and_average_pooling_is_linear() -> None:
    """Max is positively homogeneous and passes constants on, yet max(x) + max(-x) is not 2 max(0).

    The mean of a window is a sum of samples over a constant. Both have the stride as period, for
    the window at output i sees the samples si, ..., si + w - 1: the argument of fixed pixels.
    """
    a, b, c = z3.Reals("a b c")
    assert holds_always(z3.Implies(c >= 0, maximum(c * a, c * b) == c * maximum(a, b)))
    assert holds_always(maximum(a + c, b + c) == maximum(a, b) + c)
    assert holds_always((maximum(a, b) + maximum(-a, -b) == 0) == (a == b))

    generator = torch.Generator().manual_seed(0)
    signals = [*torch.eye(6), *torch.randint(-9, 10, (20, 6), generator=generator).float()]
    for pool, size, stride in product((max_pool, average_pool), range(1, 5), (1, 2, 3)):
        op = partial(pool, size=size, stride=stride)
        for by in range(6):
            answers = {by // stride} if by % stride == 0 else set()
            assert answering_shifts(op, by, signals) == answers


def test_max_pooling_and_relu_may_change_places() -> None:
    """Max over a window and ReLU are both nondecreasing, so pooling first gives the same values."""
    a, b = z3.Reals("a b")
    assert holds_always(maximum(maximum(a, b), 0) == maximum(maximum(a, 0), maximum(b, 0)))

    pool = partial(max_pool, size=2, stride=2)
    assert all(torch.equal(pool(relu(x)), relu(pool(x))) for x in grid(4))


@settles(
    "assignment-3-1b-maxpool",
    verdict="holds_if",
    certainty="proved",
    condition="Sensitivity is the absolute size of the change that a shift causes: the largest "
    "change of any value (any windows) or the Euclidean norm (windows that do not overlap), "
    "neither per cell nor relative to the output; and 'reduces' means 'never enlarges': a lone "
    "positive value that stays in its window changes nothing, one that crosses into the next "
    "changes the output as much as the input.",
)
def test_max_pooling_never_enlarges_a_change() -> None:
    """|max u - max v| is at most the largest |u_i - v_i|, so ||f(x) - f(y)|| <= ||x - y||.

    The induction step over the window is proved for all reals: if the first values and the maxima
    of the rest differ by at most d, so do the maxima of all. Disjoint windows add up.
    """
    u, v, rest_u, rest_v, d = z3.Reals("u v rest_u rest_v d")
    within = z3.And(z3.Abs(u - v) <= d, z3.Abs(rest_u - rest_v) <= d)
    assert holds_always(z3.Implies(within, z3.Abs(maximum(u, rest_u) - maximum(v, rest_v)) <= d))

    pool = partial(max_pool, size=2, stride=2)
    changes = {
        tuple(x.tolist()): (
            (pool(shift(x, 1)) - pool(x)).square().sum().item(),
            (shift(x, 1) - x).square().sum().item(),
        )
        for x in grid(4, (0, 1, 2))
    }
    assert all(after <= before for after, before in changes.values())
    assert changes[1, 0, 0, 0] == (0, 2)
    assert changes[0, 1, 0, 0] == (2, 2)
    assert not pool(signal(0, -1, 0, 0)).any()  # a negative one is not seen wherever it lies
    assert not pool(signal(0, 0, -1, 0)).any()


@settles("assignment-3-1b-maxpool", verdict="holds_if", certainty="exhausted")
def test_other_measures_of_sensitivity_may_grow() -> None:
    """Per cell, relative to the output, or in norm under overlapping windows: a witness for each.

    A pooled map has fewer cells and a smaller norm, and overlapping windows show one value twice.
    """

    def changes(pool: Callable[[Tensor], Tensor], x: Tensor, by: int) -> tuple[Tensor, Tensor]:
        """Return the squared changes that a shift causes, cell by cell, before and after a pool."""
        return (shift(x, by) - x).square(), (pool(shift(x, by)) - pool(x)).square()

    blocks, x = partial(max_pool, size=2, stride=2), signal(0, 1, 0, 0)
    assert [change.mean() for change in changes(blocks, x, 1)] == [1 / 2, 1]

    long_blocks, x = partial(max_pool, size=4, stride=4), signal(1, 1, 1, 1, 0, 0, 0, 0)
    before, after = changes(long_blocks, x, 1)
    assert before.sum() / x.square().sum() == 1 / 2
    assert after.sum() / long_blocks(x).square().sum() == 1

    overlapping, x = partial(max_pool, size=2, stride=1), signal(1, 0, 0, 0)
    before, after = changes(overlapping, x, 2)
    assert [before.sum(), after.sum()] == [2, 4]
    assert before.max() == after.max()


@settles(
    "tp1-cnn-q3-pool-invariance",
    verdict="refuted",
    certainty="refuted",
    correction="Pooling never enlarges the largest change of a value, but is not invariant: max "
    "pooling ignores a change only while the maximum of every window stays the same, average "
    "pooling only while every sum does; a larger maximum or a shift across a window's border "
    "passes through.",
)
@pytest.mark.parametrize("pool", [max_pool, average_pool])
def test_pooling_is_not_invariant_to_small_perturbations(pool: Callable[..., Tensor]) -> None:
    """However small the increase of a maximum, it shows; and so does a shift by one pixel.

    But no output changes by more than some input does: checked for all pairs of small signals, and
    for all reals proved of the maximum above; of a mean it is the triangle inequality.
    """
    op = partial(pool, size=2, stride=2)
    inputs, outputs = torch.stack(grid(4)), torch.stack([op(x) for x in grid(4)])
    before, after = (torch.cdist(cells, cells, p=torch.inf) for cells in (inputs, outputs))
    assert (after <= before).all()

    impulse = signal(0, 1, 0, 0)
    assert not torch.equal(op(shift(impulse, 1)), op(impulse))
    for exponent in range(52):
        nudged = impulse * (1 + 2.0**-exponent)
        assert not torch.equal(op(nudged), op(impulse))

    a, b, nudge = z3.Reals("a b nudge")
    grown = maximum(a + nudge, b) > maximum(a, b)
    assert holds_always(z3.Implies(z3.And(nudge > 0, a >= b), grown))
