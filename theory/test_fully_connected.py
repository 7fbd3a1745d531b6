"""Chapter 2, fully connected layers: which of them commute with translations.

A square matrix is a circular convolution exactly if it is circulant. To commute with translations
(equivariance) is not to ignore them (invariance).

What passing does not prove: anything about sizes other than those that are solved for; matrices on
circles of every size are solved for in chapter 1.
"""

from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np
import pytest
import sympy
import torch

from theory import diagnose
from theory.exhaustion import grid, period, shift, signal
from theory.ledger import claims, settles
from theory.operators import fully_connected, max_pool


def _shift_matrix(cells: int, by: int = 1) -> sympy.Matrix:
    """Return the matrix that moves a signal round the circle."""
    return sympy.eye(cells)[[i - by for i in range(cells)], :]


def _commutant(*shifts: sympy.Matrix) -> sympy.Matrix:
    """Return the general matrix A with AS = SA for every S given, its free entries as symbols."""
    size = shifts[0].rows
    A = sympy.Matrix(size, size, sympy.symbols(f"a:{size * size}"))
    equations = [entry for S in shifts for entry in A * S - S * A]
    (solution,) = sympy.linsolve(equations, list(A))
    return sympy.Matrix(size, size, solution)


@settles(
    "nni-2023-ex1-t3d-fc-not-ti",
    "nn4i-2023-a1-t3d-fc",
    verdict="holds_if",
    certainty="proved",
    condition="The matrix is not circulant (for a flattened 2-D map: not doubly block circulant; "
    "for several channels: not one such block for each pair of them; with c outputs for each "
    "input: not c circulant ones whose rows take turns), for shifts that wrap round (for "
    "zero-filled shifts one way, the triangular Toeplitz matrices instead); a circulant matrix is "
    "a circular convolution, linear and shift-equivariant (the TI of LTI).",
)
@pytest.mark.parametrize("shape", [(1,), (2,), (3,), (5,), (2, 2), (2, 3)], ids=str)
def test_a_matrix_commutes_with_shifts_exactly_if_it_is_circulant(shape: tuple[int, ...]) -> None:
    """AS = SA says A[i + 1, j + 1] = A[i, j]: an entry depends on the difference i - j alone.

    A is square and S wraps round, so the equation carries an entry along its whole wrapped
    diagonal, at every size; with symbolic entries it is solved here for some, in one and in two
    dimensions.
    """
    cells = list(product(*map(range, shape)))
    size = len(cells)
    orders = [np.roll(np.arange(size).reshape(shape), 1, axis) for axis in range(len(shape))]
    solution = _commutant(*(sympy.eye(size)[order.ravel().tolist(), :] for order in orders))

    by_difference: dict[tuple[int, ...], set[sympy.Expr]] = {}
    for (i, j), entry in zip(product(cells, repeat=2), solution, strict=True):
        difference = tuple((a - b) % n for a, b, n in zip(i, j, shape, strict=True))
        by_difference.setdefault(difference, set()).add(entry)
    assert all(len(entries) == 1 for entries in by_difference.values())
    assert len(set(solution)) == len(by_difference) == size


@settles(
    "nni-2023-ex1-t3d-fc-not-ti",
    "nn4i-2023-a1-t3d-fc",
    verdict="holds_if",
    certainty="proved",
)
@pytest.mark.parametrize(("inputs", "outputs", "n"), [(2, 2, 2), (2, 1, 3), (1, 3, 2), (3, 2, 3)])
def test_with_channels_each_pair_has_a_circulant_block_of_its_own(
    inputs: int, outputs: int, n: int
) -> None:
    """All channels move together: the equation is that of one channel, block by block.

    Such a matrix is no circulant one, and yet it follows every shift: a convolution layer.
    """
    A = sympy.Matrix(outputs * n, inputs * n, sympy.symbols(f"a:{outputs * inputs * n**2}"))
    before, after = (
        sympy.diag(*[_shift_matrix(n)] * channels, unpack=True) for channels in (inputs, outputs)
    )
    (solution,) = sympy.linsolve(list(A * before - after * A), list(A))
    following = sympy.Matrix(*A.shape, solution)
    for o, c, i, j in product(range(outputs), range(inputs), range(n), range(n)):
        block = following[o * n : (o + 1) * n, c * n : (c + 1) * n]
        assert block[i, j] == block[(i - j) % n, 0]
    assert len(following.free_symbols) == outputs * inputs * n


@settles(
    "nni-2023-ex1-t3d-fc-not-ti",
    "nn4i-2023-a1-t3d-fc",
    verdict="holds_if",
    certainty="proved",
)
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_a_matrix_commutes_with_zero_filled_shifts_if_it_is_triangular_toeplitz(n: int) -> None:
    """Where the last cell falls off and 0 comes in, AS = SA holds for the causal filters instead.

    The same equation carries an entry along its diagonal, and a zero in from the border.
    """
    S = sympy.Matrix(n, n, lambda i, j: int(i == j + 1))
    A = _commutant(S)

    toeplitz = sympy.Matrix(n, n, lambda i, j: A[i - j, 0] if i >= j else 0)
    assert toeplitz == A
    assert len(A.free_symbols) == n


@settles(
    "nni-2023-ex1-t3d-fc-not-ti",
    "nn4i-2023-a1-t3d-fc",
    verdict="holds_if",
    certainty="proved",
)
@pytest.mark.parametrize(("n", "c"), [(2, 2), (2, 3), (3, 2), (4, 2)])
def test_a_taller_matrix_may_follow_shifts_with_circulant_ones_that_take_turns(
    n: int, c: int
) -> None:
    """A shift by one cell moves c n outputs by c: A[i + c, j + 1] = A[i, j], and both wrap round.

    So the rows i, i + c, i + 2c, ... are a circulant matrix. To repeat each cell is the simplest,
    shift-equivariant and, at two rates, not LTI. Where the outputs are no multiple of the inputs, a
    shift by one cell is no whole number of outputs.
    """
    A = sympy.Matrix(c * n, n, sympy.symbols(f"a:{c * n * n}"))
    (solution,) = sympy.linsolve(list(A * _shift_matrix(n) - _shift_matrix(c * n, c) * A), list(A))
    following = sympy.Matrix(c * n, n, solution)
    for turn, i, j in product(range(c), range(n), range(n)):
        rows = following[turn::c, :]
        assert rows[i, j] == rows[(i - j) % n, 0]
    assert len(following.free_symbols) == c * n

    repeat = partial(fully_connected, matrix=torch.eye(n).double().repeat_interleave(c, 0))
    assert period(repeat, list(torch.eye(n).double())) == 1
    found = diagnose(repeat, (n,))
    assert (found.shift_equivariant.holds, found.lti.holds) == (True, False)


def test_the_smallest_matrix_that_is_not_lti_has_two_rows() -> None:
    """A 1x1 matrix is circulant; of the sixteen 2x2 matrices of zeros and ones, four are."""
    basis = [signal(1, 0), signal(0, 1)]
    lti = [
        entries
        for entries in product((0, 1), repeat=4)
        if period(partial(fully_connected, matrix=signal(*entries).view(2, 2)), basis) == 1
    ]

    assert lti == [(0, 0, 0, 0), (0, 1, 1, 0), (1, 0, 0, 1), (1, 1, 1, 1)]


@settles(
    "nni-2023-ex1-t3d-criterion",
    verdict="refuted",
    certainty="refuted",
    correction="The test is A(Sx) = S(Ax), not A(Sx) = Ax: the output of a shift-equivariant "
    "operator (the TI of LTI) moves with the input. The example does fail it, for S(A e1) = (0, 1) "
    "and A e2 = (0, 0); but by A e1 != A e2 the identity matrix would fail as well.",
)
@settles(
    "nni-2023-ex1-t3-lti-definition",
    verdict="refuted",
    certainty="refuted",
    correction="LTI means linear and commuting with translations: the output moves with the input "
    "(equivariance). Giving the same answer wherever the pattern lies is invariance, a property of "
    "the whole classifier, and neither implies the other.",
)
def test_equivariant_is_not_invariant() -> None:
    """The identity is LTI and not invariant; the global maximum is invariant and not linear."""
    printed = claims()["nni-2023-ex1-t3d-criterion"].reported
    assert isinstance(printed, dict)
    identity, corner = torch.eye(2), torch.tensor(printed["A"]).float()
    e1, e2 = torch.eye(2)
    assert (corner @ e1).tolist() == printed["Ae1"] == [1, 0]
    assert (corner @ e2).tolist() == printed["Ae2"] == [0, 0]
    assert shift(corner @ e1, 1).tolist() == [0, 1]
    assert not torch.equal(identity @ e1, identity @ e2)
    assert diagnose(partial(fully_connected, matrix=identity.double()), (2,)).lti.holds

    maximum = partial(max_pool, size=4, stride=4)
    assert all(torch.equal(maximum(shift(x, 1)), maximum(x)) for x in grid(4))
    assert diagnose(maximum, (4,)).linear.holds is False


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_only_multiples_of_the_sum_are_linear_and_invariant(n: int) -> None:
    """AS = A makes all columns of A equal: a linear layer that ignores position only adds up."""
    A = sympy.Matrix(n, n, sympy.symbols(f"a:{n * n}"))
    (solution,) = sympy.linsolve(list(A * _shift_matrix(n) - A), list(A))

    invariant = sympy.Matrix(n, n, solution)
    assert all(invariant[:, column] == invariant[:, 0] for column in range(n))
    assert len(invariant.free_symbols) == n
