"""Chapter 1, LTI is convolution: the linear shift-equivariant operators are the convolutions.

On signals over Z, a linear operator L is fixed on finite sums of impulses by the numbers
``A(j, n) = L[δ(i - n)](j)``. Shift-equivariance says ``A(j + 1, n + 1) = A(j, n)``, hence
``A(j, n) = A(j - n, 0)``, hence ``L[x] = x * g`` with ``g = L[δ]``; and every convolution is linear
and shift-equivariant. The same index argument serves Z_n, where every signal is a finite sum.

What passing does not prove. The first direction ends where finite sums end: beyond them L must
carry the infinite sum ``Σ x(n) δ(i - n)`` over term by term, and a bounded operator that does not
is shown. Identities between infinite sums are formal: they say that one side equals the other
wherever either converges absolutely. Proofs trust SymPy and z3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import sympy as sp
import z3
from sympy.polys.matrices import DomainMatrix
from torch import from_numpy
from torch.nn import functional

from theory.convolution import convolve
from theory.ledger import settles
from theory.signals import impulse, shift
from theory.solver import follows
from theory.structured_matrices import circulant_matrix

if TYPE_CHECKING:
    from collections.abc import Callable

i, j, k, n, t = sp.symbols("i j k n t", integer=True)
a, b = sp.symbols("a b")
f, g, h, x, y = map(sp.Function, "fghxy")  # arbitrary signals on Z
A = sp.Function("A")  # A(j, n) = L[δ(i - n)](j): an arbitrary linear operator on finite sums


def over_z(f: Callable[..., sp.Expr], g: Callable[..., sp.Expr], n: sp.Expr) -> sp.Sum:
    """Return (f * g)(n) for signals on Z, as the infinite sum that defines it."""
    return sp.Sum(f(k) * g(n - k), (k, -sp.oo, sp.oo))


def delta(i: sp.Expr) -> sp.Expr:
    """Return the sample of the unit impulse on Z."""
    return sp.KroneckerDelta(i, 0)


def by_equivariance(expression: sp.Expr) -> sp.Expr:
    """Put A(j, n) = g(j - n), which the index argument proves for a shift-equivariant L."""
    return expression.replace(A, lambda j, n: g(j - n))


# Linear and shift-equivariant is convolution


@settles("nni-2023-ex1-t1-lti-implies-convolution", verdict="holds_if", certainty="proved")
@settles("nn4i-2023-a1-t1-impulse-step", verdict="holds_if", certainty="proved")
@settles(
    "nni-2023-ex1-t1-shift-step",
    "nni-2023-ex1-t1-convolution-step",
    verdict="holds",
    certainty="proved",
)
def test_on_z_shift_equivariance_leaves_only_the_difference_of_the_indices() -> None:
    A = z3.Function("A", z3.IntSort(), z3.IntSort(), z3.RealSort())
    j, n = z3.Ints("j n")

    def equivariant(j: z3.ArithRef, n: z3.ArithRef) -> z3.BoolRef:
        return A(j + 1, n + 1) == A(j, n)

    def by_difference(j: z3.ArithRef, n: z3.ArithRef) -> z3.BoolRef:
        return A(j, n) == A(j - n, 0)

    # Induction over n from 0, upwards and downwards, each step for every j.
    assert follows(by_difference(j, z3.IntVal(0)))
    assert follows(by_difference(j, n + 1), by_difference(j - 1, n), equivariant(j - 1, n))
    assert follows(by_difference(j, n - 1), by_difference(j + 1, n), equivariant(j, n - 1))
    # Without equivariance, or with an operator that moves the other way, the step is lost.
    assert not follows(by_difference(j, n + 1), by_difference(j - 1, n))
    mirrored = A(j, n + 1) == A(j + 1, n)
    assert not follows(by_difference(j, n + 1), by_difference(j + 1, n), mirrored)
    # Conversely, entries that depend on the difference alone are equivariant.
    assert follows(equivariant(j, n), by_difference(j, n), by_difference(j + 1, n + 1))


@settles(
    "nni-2023-ex1-t1-lti-implies-convolution",
    verdict="holds_if",
    certainty="proved",
    condition="x has finitely many non-zero samples (or lives on Z_n), or L carries the infinite "
    "sum of weighted impulses over term by term, which a linear operator, even a bounded one, "
    "need not do.",
)
def test_on_finite_sums_of_impulses_lti_is_convolution_with_the_impulse_response() -> None:
    first, last = sp.symbols("first last", integer=True)  # any finite support of x
    output = sp.Sum(x(k) * A(j, k), (k, first, last))  # linearity
    convolution = over_z(x, g, j)
    assert by_equivariance(output) == sp.Sum(convolution.function, (k, first, last))


@settles(
    "nn4i-2023-a1-t1-iff",
    verdict="holds_if",
    certainty="proved",
    condition="L is linear, the left side is read for every x (for x = δ alone any L meets it, "
    "with h = L[δ]) and the right side for every k and j, and each x has finitely many non-zero "
    "samples or L carries the infinite sum of weighted impulses over term by term.",
)
def test_an_operator_convolves_with_h_exactly_when_it_answers_impulses_with_shifted_h() -> None:
    assert over_z(lambda i: delta(i - t), h, j).doit() == h(j - t)
    first, last = sp.symbols("first last", integer=True)
    output = sp.Sum(x(k) * A(j, k), (k, first, last))
    answered = output.replace(A, lambda j, n: h(j - n))
    assert answered == sp.Sum(over_z(x, h, j).function, (k, first, last))
    # One x is not enough: L[δ] is δ * h for h = L[δ], and L[δ(i - 1)] may yet be no shifted h.
    assert over_z(delta, lambda i: A(i, 0), j).doit() == A(j, 0)
    keep_second = np.diag([0, 1])
    h_kept = keep_second @ impulse(2)
    assert np.array_equal(convolve(impulse(2), h_kept, mode="circular"), keep_second @ impulse(2))
    assert not np.array_equal(keep_second @ impulse(2, at=1), shift(h_kept, 1))


@settles("nni-2023-ex1-t1-shift-step", verdict="holds", certainty="proved")
def test_equivariance_moves_each_weighted_impulse_response() -> None:
    # δ(i + t - n) is the impulse at n - t. The two sums agree term by term, finite or not; taking
    # x(n) out of L is homogeneity, already in what A stands for.
    moved_before = sp.Sum(x(n) * A(j, n - t), (n, -sp.oo, sp.oo))
    moved_after = sp.Sum(x(n) * A(j + t, n), (n, -sp.oo, sp.oo))
    assert by_equivariance(moved_before) == by_equivariance(moved_after)
    assert by_equivariance(moved_before.subs(t, -t)) != by_equivariance(moved_after)


@settles("nni-2023-ex1-t1-convolution-step", verdict="holds", certainty="proved")
def test_weighted_impulse_responses_sum_to_the_convolution_by_equivariance_once_more() -> None:
    # The step marked * without a reason is L[δ(i - n)](j + t) = g(j + t - n).
    responses = sp.Sum(x(k) * A(j + t, k), (k, -sp.oo, sp.oo))
    assert by_equivariance(responses) == over_z(x, g, j + t)
    assert responses != over_z(x, g, j + t)


def test_convolution_is_linear() -> None:
    combined = over_z(lambda i: a * x(i) + b * y(i), g, n).function
    assert sp.expand(combined - a * over_z(x, g, n).function - b * over_z(y, g, n).function) == 0


@settles("mnist-2017-t1-shift-property", verdict="holds", certainty="proved")
def test_translating_either_factor_translates_the_convolution() -> None:
    translated = over_z(f, g, n + t)
    assert over_z(lambda i: f(i + t), g, n).change_index(k, k + t, k) == translated
    assert over_z(f, lambda i: g(i + t), n) == translated
    # The opposite sign would be wrong for impulses already: δ(i + 1) * δ is 1 at -1 and 0 at 1.
    moved = over_z(lambda i: delta(i + 1), delta, n)
    assert [moved.subs(n, cell).doit() for cell in (-1, 1)] == [1, 0]


@settles("mnist-2017-t1-dot-product", verdict="holds", certainty="proved")
def test_each_output_is_a_dot_product_with_the_flipped_and_moved_filter() -> None:
    assert over_z(lambda i: f(t + i), g, n) == sp.Sum(f(t + k) * g(n - k), (k, -sp.oo, sp.oo))
    signal, kernel = sp.symarray("f", 4), sp.symarray("g", 3)
    padded = np.pad(signal, 2)
    dots = [padded[cell : cell + 3] @ kernel[::-1] for cell in range(6)]
    assert convolve(signal, kernel).tolist() == dots


def test_convolution_commutes_and_associates() -> None:
    assert over_z(f, g, n).change_index(k, n - k) == over_z(g, f, n)
    # ((f * g) * h)(n) and (f * (g * h))(n) are sums over k, the index of f, and a second one. On
    # the left it is t, the index of f * g; counted from k it is the index of g, as on the right.
    left = sp.Sum(over_z(f, g, t).function * h(n - t), (t, -sp.oo, sp.oo))
    right = sp.Sum(f(k) * g(t) * h((n - k) - t), (t, -sp.oo, sp.oo))
    assert left.change_index(t, t - k) == right


@settles("nn4i-2023-a1-t1-impulse-is-filter", verdict="holds", certainty="proved")
def test_the_impulse_response_is_the_kernel() -> None:
    assert over_z(delta, h, n).doit() == h(n)
    # The layer of a deep-learning library answers with the flipped kernel: it cross-correlates.
    kernel = np.array([1.0, 2.0, 3.0])
    middle = impulse(5, at=2)
    assert convolve(middle, kernel, mode="same").tolist() == [0, 1, 2, 3, 0]
    signal, weight = from_numpy(middle)[None], from_numpy(kernel)[None, None]
    assert functional.conv1d(signal, weight, padding=1)[0].tolist() == [0, 3, 2, 1, 0]


# What the theorem needs


@dataclass(frozen=True)
class Settling:
    """A sequence on Z that is `left` before cell `start`, then `cells`, then `right` for ever."""

    left: Any
    start: int
    cells: tuple[Any, ...]
    right: Any

    def __getitem__(self, i: int) -> Any:
        """Return the sample at cell i."""
        if i < self.start:
            return self.left
        return self.cells[i - self.start] if i < self.start + len(self.cells) else self.right

    def __add__(self, other: Settling) -> Settling:
        """Return the sum, cell by cell."""
        start = min(self.start, other.start)
        stop = max(s.start + len(s.cells) for s in (self, other))
        cells = tuple(self[i] + other[i] for i in range(start, stop))
        return Settling(self.left + other.left, start, cells, self.right + other.right)

    def __rmul__(self, factor: Any) -> Settling:
        """Return the multiple, cell by cell."""
        cells = tuple(factor * cell for cell in self.cells)
        return Settling(factor * self.left, self.start, cells, factor * self.right)

    def shifted(self, t: int) -> Settling:
        """Return the sequence with each sample t cells later."""
        return Settling(self.left, self.start + t, self.cells, self.right)


def constant(value: Any) -> Settling:
    """Return the sequence that is the same everywhere."""
    return Settling(value, 0, (), value)


def unit(at: int) -> Settling:
    """Return the impulse at a cell."""
    return Settling(0, at, (1,), 0)


def limit(x: Settling) -> Settling:
    """Apply the operator on trial: the limit at +∞, as a constant sequence."""
    return constant(x.right)


@settles(
    "nni-2023-ex1-t1-delta-decomposition",
    verdict="holds_if",
    certainty="proved",
    condition="x has finitely many non-zero samples, or L carries this infinite sum over term by "
    "term: linearity alone moves L through finite sums only.",
)
@settles("nni-2023-ex1-t1-lti-implies-convolution", verdict="holds_if", certainty="proved")
@settles("nn4i-2023-a1-t1-iff", verdict="holds_if", certainty="proved")
def test_a_bounded_lti_operator_that_kills_every_impulse_and_yet_is_not_zero() -> None:
    # Every signal is the sum of its weighted impulses, cell by cell,
    assert sp.Sum(x(n) * delta(i + t - n), (n, -sp.oo, sp.oo)).doit() == x(i + t)
    # and the limit at +∞, never beyond the largest sample, is linear and shift-equivariant.
    l1, r1, l2, r2 = sp.symbols("l1 r1 l2 r2")
    p = Settling(l1, -1, sp.symbols("p0:3"), r1)
    q = Settling(l2, 4, sp.symbols("q0:2"), r2)
    assert limit(a * p + b * q) == a * limit(p) + b * limit(q)
    for by in (-3, -1, 1, 2):
        assert limit(p.shifted(by)) == limit(p)
        assert all(limit(p).shifted(by)[cell] == limit(p)[cell] for cell in range(-5, 6))
    # But it sends every impulse to zero, hence every finite sum of impulses, and not the constant
    # 1, the infinite sum of all: it is no convolution with its impulse response.
    assert limit(unit(0)) == limit(unit(7)) == constant(0)
    assert limit(sum(map(unit, range(-5, 6)), constant(0))) == constant(0)
    assert limit(constant(1)) == constant(1)


@settles(
    "nn4i-2023-a1-t1-impulse-step",
    verdict="holds_if",
    certainty="proved",
    condition="L is shift-equivariant: only h = L[δ] is a definition, L[δ(i-k)] = h(i-k) for k ≠ 0 "
    "is the equivariance of L.",
)
def test_a_shifted_impulse_gives_the_shifted_response_by_equivariance_not_by_definition() -> None:
    response, response_to_shifted = A(i, 0), A(i, k)
    assert by_equivariance(response_to_shifted) == by_equivariance(response.subs(i, i - k))
    # The smallest linear operator that is not equivariant, on Z_2: it keeps the second cell only.
    keep_second = np.diag([0, 1])
    assert (keep_second @ impulse(2, at=1)).tolist() == [0, 1]
    assert shift(keep_second @ impulse(2), 1).tolist() == [0, 0]


@settles(
    "nn4i-2023-a1-t1-decomposition",
    verdict="holds_if",
    certainty="proved",
    condition="x(k) = 0 for every k < 0 (otherwise the sums run over all of Z), and x has finitely "
    "many non-zero samples or L carries the infinite sum over term by term.",
)
def test_a_sum_from_zero_rebuilds_the_samples_from_zero_on_and_no_others() -> None:
    one_sided = sp.Sum(x(k) * delta(i - k), (k, 0, sp.oo)).doit()
    assert one_sided == sp.Piecewise((x(i), i >= 0), (0, True))
    assert sp.Sum(x(k) * delta(i - k), (k, -sp.oo, sp.oo)).doit() == x(i)
    # The smallest signal that is lost: the impulse at -1.
    lost = sp.Sum(delta(k + 1) * delta(i - k), (k, 0, sp.oo))
    assert [lost.subs(i, cell).doit() for cell in (-1, 0, 1)] == [0, 0, 0]
    # A causal signal that the second equation loses: the step, under the limit operator.
    step = Settling(0, 0, (), 1)
    assert limit(step) == constant(1)
    assert sum((step[at] * limit(unit(at)) for at in range(50)), constant(0)) == constant(0)


@settles(
    "nn4i-2023-a1-t1-double-sum",
    verdict="refuted",
    certainty="refuted",
    correction="(x*h)(j) = Σ_k x(k) h(j-k) with k over all of Z: one sum for each output index j, "
    "without the sum over j and the index or factor [j-i]. With [j-i] read as δ(j-i), the double "
    "sum is right for i ≥ 0 if x(k) = 0 at every k < 0, and not in general.",
)
def test_convolution_is_a_single_sum_for_each_output() -> None:
    corrected = over_z(delta, delta, i)  # the smallest witness: x = h = δ, and δ * δ = δ
    assert [corrected.subs(i, cell).doit() for cell in (0, 1)] == [1, 0]
    over_both = (j, 0, sp.oo), (k, 0, sp.oo)  # in either order: no term is negative
    # With [j - i] as the place at which the signal h(i - k) is read, every output is the same;
    placed = sp.Sum(delta(k) * delta(j - i - k), *over_both)
    assert [placed.subs(i, cell).doit() for cell in (0, 1)] == [1, 1]
    # with [j - i] as a number, the sum has no limit at the cell where the answer is 1;
    factor = sp.Sum(delta(k) * delta(i - k) * (j - i), *over_both)
    assert factor.subs(i, 0).doit() == sp.oo
    # and with it as δ(j - i), which picks the outputs from 0 on, of the samples from 0 on, it loses
    # the impulse at -1, be it the signal or the response: the corrected sum keeps both.
    assert sp.Sum(delta(j - i), (j, 0, sp.oo)).doit() == sp.Piecewise((1, i >= 0), (0, True))
    early = delta(k + 1) * delta(i - k - 1)
    assert sp.Sum(early * delta(j - i), *over_both).subs(i, 0).doit() == 0
    assert over_z(lambda k: delta(k + 1), lambda k: delta(k - 1), 0).doit() == 1
    early = delta(k) * delta(i - k + 1)
    assert sp.Sum(early * delta(j - i), *over_both).subs(i, -1).doit() == 0
    assert over_z(delta, lambda k: delta(k + 1), -1).doit() == 1


# The circle: every shift-equivariant matrix is circulant


def cyclic_shift(shape: tuple[int, ...], axis: int) -> np.ndarray:
    """Return the matrix that moves signals of a shape one cell along an axis."""
    one_cell = [int(a == axis) for a in range(len(shape))]
    cells = np.eye(math.prod(shape), dtype=np.int64)
    return np.stack([shift(cell.reshape(shape), one_cell).ravel() for cell in cells], axis=1)


@pytest.mark.parametrize("shape", [*((n,) for n in range(1, 9)), (2, 3), (3, 3)])
def test_the_matrices_that_commute_with_the_cyclic_shifts_are_the_span_of_their_powers(
    shape: tuple[int, ...],
) -> None:
    steps = [cyclic_shift(shape, axis) for axis in range(len(shape))]
    eye = np.eye(len(steps[0]), dtype=np.int64)
    # vec(A S - S A) is (I ⊗ S' - S ⊗ I) vec(A), with vec in row-major order.
    equations = np.concatenate([np.kron(eye, S.T) - np.kron(S, eye) for S in steps])
    commutant = DomainMatrix.from_list(equations.tolist(), sp.QQ).nullspace()
    powers = []
    for cell in np.ndindex(shape):
        power = eye
        for S, exponent in zip(steps, cell, strict=True):
            power = power @ np.linalg.matrix_power(S, exponent)
        assert np.array_equal(power, circulant_matrix(impulse(shape, cell), shape))
        powers.append(power.ravel().tolist())
    span = DomainMatrix.from_list(powers, sp.QQ)
    assert commutant.shape[0] == span.rank() == commutant.vstack(span).rank() == len(eye)


@settles(
    "nni-2023-ex1-t3d-fc-not-ti",
    "nn4i-2023-a1-t3d-fc",
    verdict="holds_if",
    certainty="proved",
)
def test_on_every_circle_shift_equivariance_leaves_only_circulant_matrices() -> None:
    size, row, column = z3.Ints("size row column")
    A = z3.Function("A", z3.IntSort(), z3.IntSort(), z3.RealSort())

    def wrapped(index: z3.ArithRef) -> z3.ArithRef:
        return z3.If(index < 0, index + size, z3.If(index >= size, index - size, index))

    def by_difference(row: z3.ArithRef, column: z3.ArithRef) -> z3.BoolRef:
        return A(row, column) == A(wrapped(row - column), 0)

    above, after = wrapped(row - 1), wrapped(column + 1)
    commutes = A(row, after) == A(above, column)  # (A S)[row, column] = (S A)[row, column]
    cells = [row >= 0, row < size, column >= 0, column < size]
    # Induction over the column, for every row and every size.
    premises = [*cells, column + 1 < size, by_difference(above, column)]
    assert follows(by_difference(row, z3.IntVal(0)), *cells)
    assert follows(by_difference(row, column + 1), *premises, commutes)
    assert not follows(by_difference(row, column + 1), *premises)
    # Conversely, every circulant matrix commutes.
    assert follows(commutes, *cells, by_difference(row, after), by_difference(above, column))
