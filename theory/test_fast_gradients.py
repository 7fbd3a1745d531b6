"""Chapter 3, fast gradients: the FFT multiplies by the matrix of derivatives, as part of another.

Every Toeplitz matrix is a block of a circulant one, which the Fourier transform diagonalises; for
the derivatives of a valid convolution, a circle as long as the signal is enough. Whether that takes
fewer operations than the sum depends on how many taps and outputs there are.

What passing does not prove: what takes fewer operations need not take less time. They are counted
for a textbook transform; better ones are known, and no lower bound of the order of n log n is.
"""

from __future__ import annotations

import itertools
from typing import get_args

import numpy as np
import sympy as sp
import z3
from hypothesis import given, settings
from hypothesis import strategies as st

from theory.gradients import Method, Operation, filter_gradient, filter_gradient_bound
from theory.ledger import settles
from theory.signals import integer_signal
from theory.solver import holds_always
from theory.structured_matrices import circulant_matrix, derivative_matrix

FFT_METHODS: tuple[Method, ...] = ("fft", "blocked-fft")


@settles("mnist-2017-t3-circulant", verdict="refuted", certainty="refuted")
@settles(
    "mnist-2017-t3-fft",
    verdict="holds_if",
    certainty="proved",
    condition="The matrix, Toeplitz and not circulant, is embedded in a circulant one, whole (n or "
    "more rows) or in blocks, and the smaller of m taps and n - m + 1 outputs is large against its "
    "own logarithm: the direct sum takes m (n - m + 1) products, one FFT of all cells of the order "
    "of n log n (so log n must be small against both), blocks of the order of n times the log of "
    "the smaller; for a filter of a few taps the direct sum is the efficient one.",
)
def test_the_matrix_is_a_block_of_a_circulant_one_and_no_smaller_one_will_do() -> None:
    """Row r and column c hold I_{m+r-c}; its index, from 0, never leaves the circle of n cells.

    A circulant matrix of N rows has at most N different entries, and these are n.
    """
    n, m, r, c = z3.Ints("n m r c")
    at = m - 1 + r - c
    cells = z3.And(m >= 1, m <= n, r >= 0, r <= n - m, c >= 0, c < m)
    assert holds_always(z3.Implies(cells, z3.And(at >= 0, at < n)))
    for taps, size in itertools.combinations_with_replacement(range(1, 7), 2):
        signal = sp.symarray("x", size)
        block = derivative_matrix(signal, taps, operation="convolution")
        assert np.array_equal(block, circulant_matrix(signal, size)[taps - 1 :, :taps])
        assert len(set(block.ravel())) == size


@settles("mnist-2017-t3-fft", verdict="holds_if", certainty="proved")
def test_the_direct_sum_costs_cells_times_the_smaller_of_taps_and_outputs() -> None:
    """The m (n - m + 1) products are between half of, and all of, n + 1 times the smaller one.

    Against c n log n for the FFT the ratio is log n over the smaller factor, up to a constant.
    """
    smaller, larger = z3.Reals("smaller larger")
    cells = smaller + larger  # n + 1
    product = smaller * larger
    bounds = z3.And(2 * product >= smaller * cells, product <= smaller * cells)
    assert holds_always(z3.Implies(z3.And(smaller > 0, smaller <= larger), bounds))
    n = sp.Symbol("n", positive=True)

    def ratio(taps: sp.Expr) -> sp.Expr:
        return sp.limit(n * sp.log(n) / (taps * (n - taps + 1)), n, sp.oo)

    assert ratio(sp.Integer(5)) == ratio(n - 4) == sp.oo
    assert ratio(n / 2) == ratio(sp.sqrt(n)) == 0
    assert ratio(sp.log(n)) == 1


class _Counting:
    """Arithmetic modulo a prime, with the additions, subtractions and products counted.

    Modulo 65537 there is a root of unity of each order 2^k up to 2^16, so that a transform can be
    carried out without rounding; integers below half of the prime come out as they are.
    """

    PRIME = 65537

    def __init__(self) -> None:
        self.operations = 0

    def add(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        self.operations += a.size
        return (a + b) % self.PRIME

    def multiply(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        self.operations += a.size
        return a * b % self.PRIME

    def transform(self, x: np.ndarray, root: int) -> np.ndarray:
        """Σ_j x[j] root^(jk), by the textbook recursion of radix 2."""
        if len(x) == 1:
            return x
        half = len(x) // 2
        even, odd = (self.transform(part, root**2 % self.PRIME) for part in (x[::2], x[1::2]))
        turned = self.multiply(np.array([pow(root, k, self.PRIME) for k in range(half)]), odd)
        return np.concatenate([self.add(even, turned), self.add(even, -turned)])

    def filter_gradient(self, x: np.ndarray, g: np.ndarray) -> np.ndarray:
        """Multiply by the circulant matrix of len(x) rows that holds the derivatives."""
        n, taps = len(x), len(x) - len(g) + 1
        root = pow(3, (self.PRIME - 1) // n, self.PRIME)  # 3 generates the units modulo 65537
        inverse = pow(root, -1, self.PRIME)
        forward = self.transform(x, root)
        conjugate = self.transform(np.pad(g, (0, n - len(g))), inverse)
        back = self.transform(self.multiply(forward, conjugate), inverse)
        scaled = self.multiply(back[:taps], np.full(taps, pow(n, -1, self.PRIME)))
        return np.where(scaled > self.PRIME // 2, scaled - self.PRIME, scaled)


def direct_operations(n: int, taps: int) -> int:
    """Count the products and additions of `taps` sums over n - taps + 1 outputs."""
    return taps * (2 * (n - taps + 1) - 1)


@settles("mnist-2017-t3-fft", verdict="holds_if", certainty="exhausted")
def test_counted_out_the_fft_wins_for_long_filters_and_loses_for_short_ones() -> None:
    """All numbers of taps on 64 cells; the transforms are carried out, exactly."""
    rounds = 6
    n = 2**rounds
    x = integer_signal(n, seed=0, dtype=np.int64)
    wins = []
    for taps in range(1, n + 1):
        g = integer_signal(n - taps + 1, seed=taps, dtype=np.int64)
        field = _Counting()
        gradient = field.filter_gradient(x, g)
        assert np.array_equal(gradient, filter_gradient(x[None], g[None])[0, 0])
        # Three transforms of n/2 products and n additions a round, n products, taps scalings.
        assert field.operations == 3 * (3 * n // 2) * rounds + n + taps
        if field.operations < direct_operations(n, taps):
            wins.append(taps)
    assert wins == list(range(wins[0], wins[-1] + 1))
    assert min(wins[0], n - wins[-1] + 1) > rounds
    assert n // 2 in wins


@settles("mnist-2017-t3-fft", verdict="holds_if", certainty="sampled")
@settings(max_examples=30)
@given(
    st.sampled_from(get_args(Operation)),
    st.lists(st.tuples(st.integers(1, 80), st.integers(1, 8)), min_size=1, max_size=2),
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)),
    st.integers(0, 2**16),
)
def test_matrix_and_fft_give_the_gradient(
    operation: Operation, axes: list[tuple[int, int]], widths: tuple[int, int, int], seed: int
) -> None:
    """The matrix exactly; the FFT, on one circle and on windows, within its rounding bound."""
    batch, channels, filters = widths
    x = integer_signal((batch, channels, *(m + k - 1 for m, k in axes)), seed=seed)
    g = integer_signal((batch, filters, *(m for m, _ in axes)), seed=seed + 1)

    def by(method: Method) -> np.ndarray:
        return filter_gradient(x, g, operation=operation, method=method, batched=True)

    exact = by("direct")
    assert np.array_equal(by("matrix"), exact)
    for method in FFT_METHODS:
        error = np.abs(by(method) - exact).max(tuple(range(2, exact.ndim)))
        assert (error <= filter_gradient_bound(x, g, method=method, batched=True)).all()


@settles("mnist-2017-t3-fft", verdict="holds_if", certainty="exhausted")
def test_counted_out_windows_win_wherever_the_kernel_is_much_shorter() -> None:
    """Transforms of N cells take 3 N/2 log2 N operations: three of n, or two for each window.

    Windows of 8 k cells reach 7 k + 1 outputs; adding up their products costs no more than their
    making. All powers of 2 up to 2^20 cells, and kernels from 8 taps to an eighth of them.
    """
    for size in range(6, 21):
        for taps in range(3, size - 2):
            n, k, window = 2**size, 2**taps, 2 ** (taps + 3)
            windows = -(-(n - k + 1) // (window - k + 1))
            whole = 3 * (3 * n // 2) * size + n
            cut = (2 * windows + 1) * (3 * window // 2) * (taps + 3) + 2 * windows * window
            assert (cut < whole) == (size - taps >= 5), (size, taps, cut / whole)
