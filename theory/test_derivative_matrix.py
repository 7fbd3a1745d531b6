"""Chapter 3, the matrix of derivatives: Toeplitz, and circulant only by chance.

The derivatives of a convolution's outputs for its taps are samples of the signal, ``I_{x-i}`` in
row x and column i. That matrix is constant along its diagonals (for a cross-correlation, along its
antidiagonals), but nothing makes it wrap round, unless the boundary does.

What passing does not prove: stride 1, no dilation, no padding but the circular one that a trial
names; one dimension.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import sympy as sp
import torch
import z3
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd.functional import jacobian
from torch.nn import functional

from theory.convolution import convolve
from theory.ledger import settles
from theory.signals import integer_signal
from theory.solver import holds_always
from theory.structured_matrices import circulant_matrix, derivative_matrix

seeds = st.integers(0, 2**16)


def jacobian_by_torch(x: np.ndarray, taps: int, *, circular: bool = False) -> np.ndarray:
    """Return the derivatives of torch's convolution layer, fed the flipped filter, by its taps."""
    signal = torch.from_numpy(x)[None]
    if circular:
        signal = torch.cat([signal[:, len(x) - taps + 1 :], signal], 1)

    def convolution(f: torch.Tensor) -> torch.Tensor:
        return functional.conv1d(signal, f.flip(0)[None, None])[0]

    return jacobian(convolution, torch.zeros(taps, dtype=torch.float64)).numpy()


def is_circulant(matrix: np.ndarray) -> bool:
    """Return whether a matrix is square and moving it along both axes, round, leaves it alone."""
    return matrix.shape[0] == matrix.shape[1] and np.array_equal(
        np.roll(matrix, 1, axis=(0, 1)), matrix
    )


@settles(
    "mnist-2017-t3-sum-limit",
    verdict="holds_if",
    certainty="proved",
    condition="The filter, which fits (m <= n), is continued by zeros: f_a = 0 for m < a <= n. The "
    "sum over its own taps ends at m, and for any other continuation some signal gives another "
    "value.",
)
def test_the_sum_ends_with_the_filter_unless_zeros_continue_it() -> None:
    """Σ_1^n = Σ_1^m for every signal exactly if f_a = 0 beyond m: one step of induction each way.

    `partial(a)` is the sum up to a. An impulse at n + 1 - a, inside the signal, picks f_a out of
    the sum for the last output, x = n + 1.
    """
    f, signal = (z3.Function(name, z3.IntSort(), z3.RealSort()) for name in ("f", "I"))
    partial = z3.Function("partial", z3.IntSort(), z3.RealSort())
    x, a, at, m, n = z3.Ints("x a at m n")
    step = partial(a + 1) == partial(a) + f(a + 1) * signal(x - (a + 1))
    unchanged = partial(a + 1) == partial(m)
    premises = [step, partial(a) == partial(m)]
    assert holds_always(z3.Implies(z3.And(*premises, f(a + 1) == 0), unchanged))
    assert not holds_always(z3.Implies(z3.And(*premises), unchanged))

    inside = z3.And(n + 1 - at >= 1, n + 1 - at <= n)
    assert holds_always(z3.Implies(z3.And(m >= 0, m < at, at <= n), inside))
    impulse_step = partial(a + 1) == partial(a) + f(a + 1) * z3.If(
        n + 1 - (a + 1) == n + 1 - at, z3.RealVal(1), z3.RealVal(0)
    )
    picked = partial(a) == z3.If(a >= at, f(at), 0)
    picked_next = partial(a + 1) == z3.If(a + 1 >= at, f(at), 0)
    assert holds_always(z3.Implies(z3.And(impulse_step, picked), picked_next))
    empty = z3.And(a == 0, partial(0) == 0, at >= 1)
    assert holds_always(z3.Implies(empty, picked))
    both = z3.And(*(partial(end) == z3.If(end >= at, f(at), 0) for end in (m, n)))
    beyond = z3.And(m < at, at <= n)
    assert holds_always(z3.Implies(z3.And(both, beyond), partial(n) - partial(m) == f(at)))


@settles("mnist-2017-t3-sum-limit", verdict="holds_if", certainty="sampled")
@settings(max_examples=30)
@given(st.integers(1, 4), st.integers(1, 4), seeds)
def test_torch_sums_over_the_taps_alone(m: int, outputs: int, seed: int) -> None:
    n = m + outputs - 1
    taps, signal = integer_signal(m, seed=seed), integer_signal(n, seed=seed + 1)
    by_torch = jacobian_by_torch(signal, m) @ taps

    def printed(continuation: np.ndarray) -> list[float]:
        """Σ_{a=1}^n f_a I_{x-a} at x = m + 1, ..., n + 1, with 7 for samples outside the signal."""
        extended = np.concatenate([taps, continuation])

        def sample(at: int) -> float:
            return signal[at - 1] if 1 <= at <= n else 7.0

        return [
            sum(extended[a - 1] * sample(x - a) for a in range(1, n + 1))
            for x in range(m + 1, n + 2)
        ]

    assert printed(np.zeros(n - m)) == by_torch.tolist()
    if n > m and signal[0] != 0:
        assert printed(np.eye(n - m)[-1]) != by_torch.tolist()


@settles("mnist-2017-t3-rows", verdict="holds", certainty="proved")
def test_row_x_holds_the_m_samples_before_x() -> None:
    """Differentiated with m, x and i left open; and the outputs with full overlap, for all sizes.

    Both filter and signal count from 1 here, so that output x reads the samples x - 1 to x - m.
    """
    m, x, i = sp.symbols("m x i", integer=True, positive=True)
    a = sp.Symbol("a", integer=True)
    f, signal = sp.IndexedBase("f"), sp.Function("I")
    derivative = sp.diff(sp.Sum(f[a] * signal(x - a), (a, 1, m)), f[i]).doit()
    assert derivative == sp.Piecewise((signal(x - i), i <= m), (0, True))

    n, taps, at = z3.Ints("n taps at")
    reads_inside = z3.And(at - taps >= 1, at - 1 <= n)
    listed = z3.And(at >= taps + 1, at < (taps + 1) + (n - taps + 1))
    assert holds_always(z3.Implies(z3.And(taps >= 1, taps <= n), reads_inside == listed))


@settles("mnist-2017-t3-rows", verdict="holds", certainty="sampled")
@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 1), (3, 2), (4, 4), (6, 3)])
def test_torch_has_the_same_rows(n: int, m: int) -> None:
    """On the signal 1, ..., n, whose samples are their own indices."""
    by_torch = jacobian_by_torch(np.arange(1.0, n + 1), m)
    rows = [[x - i for i in range(1, m + 1)] for x in range(m + 1, n + 2)]
    assert by_torch.tolist() == rows
    assert rows[0] == list(range(m, 0, -1))


@settles(
    "mnist-2017-t3-circulant",
    verdict="refuted",
    certainty="refuted",
    correction="It is Toeplitz, (n - m + 1) x m with entries I_{x-i}, and circulant only if it is "
    "square, n = 2m - 1, and I_{j+m} = I_j for j = 1, ..., m - 1. In general it is a block of a "
    "circulant matrix of n rows; with a circular boundary and m = n taps it is circulant itself.",
)
def test_the_derivatives_are_toeplitz_and_not_circulant() -> None:
    """Smallest witnesses: n = 2, m = 1 is not square; n = 3, m = 2 is, but I_3 is not I_1."""
    assert jacobian_by_torch(np.array([1.0, 1.0]), 1).shape == (2, 1)
    witness = jacobian_by_torch(np.array([0.0, 0.0, 1.0]), 2)
    assert witness.tolist() == [[0, 0], [1, 0]]
    assert not is_circulant(witness)
    for n, m in itertools.product(range(1, 6), range(1, 6)):
        if m > n:
            continue
        for values in itertools.product([0.0, 1.0], repeat=n):
            matrix = jacobian_by_torch(np.array(values), m)
            assert np.array_equal(matrix[1:, 1:], matrix[:-1, :-1])
            repeats = n == 2 * m - 1 and values[: m - 1] == values[m:]
            assert is_circulant(matrix) is repeats


@settles("mnist-2017-t3-circulant", verdict="refuted", certainty="refuted")
def test_a_square_matrix_of_derivatives_is_circulant_exactly_if_the_signal_repeats() -> None:
    """For every m: each entry that a circulant matrix carries round the border is one equation.

    The entry in row r and column c, from 0, is I_{m+r-c}. Moving by one along both axes must leave
    it alone: always true inside, and true round each border exactly if I_{j+m} = I_j.
    """
    signal = z3.Function("I", z3.IntSort(), z3.RealSort())
    m, r, c = z3.Ints("m r c")

    def entry(row: z3.ArithRef, column: z3.ArithRef) -> z3.ArithRef:
        return signal(m + row - column)

    def repeats(j: z3.ArithRef) -> z3.BoolRef:
        return signal(j + m) == signal(j)

    assert holds_always(entry(r + 1, c + 1) == entry(r, c))
    assert holds_always((entry(r + 1, z3.IntVal(0)) == entry(r, m - 1)) == repeats(r + 1))
    assert holds_always((entry(z3.IntVal(0), c + 1) == entry(m - 1, c)) == repeats(m - 1 - c))
    assert holds_always(entry(z3.IntVal(0), z3.IntVal(0)) == entry(m - 1, m - 1))
    # r and c run from 0 to m - 2, hence r + 1 and m - 1 - c from 1 to m - 1.


@settles("mnist-2017-t3-circulant", verdict="refuted", certainty="refuted")
@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_with_a_circular_boundary_and_all_taps_the_derivatives_are_circulant(n: int) -> None:
    signal = integer_signal(n, seed=n)
    for taps in range(1, n + 1):
        matrix = jacobian_by_torch(signal, taps, circular=True)
        assert np.array_equal(matrix, circulant_matrix(signal, n)[:, :taps])
        assert is_circulant(matrix) is (taps == n)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 2), (5, 3), (5, 5)])
def test_hankel_for_cross_correlation_and_toeplitz_for_convolution(n: int, m: int) -> None:
    signal = sp.symarray("x", n, real=True)
    hankel = derivative_matrix(signal, m)
    toeplitz = derivative_matrix(signal, m, operation="convolution")
    for i, k in np.ndindex(n - m + 1, m):
        assert hankel[i, k] == signal[i + k]
        assert toeplitz[i, k] == signal[i + m - 1 - k]
    taps = sp.symarray("w", m, real=True)
    difference = toeplitz @ taps - convolve(signal, taps, mode="valid")
    assert [sp.expand(entry) for entry in difference] == [0] * (n - m + 1)
