"""Muon, the optimiser of the race: singular values near one, and the rule written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from experiments.speed import muon
from tests.tiny_race import UNIT


def polynomial(s, steps):
    a, b, c = muon.POLYNOMIAL
    for _ in range(steps):
        s = a * s + b * s**3 + c * s**5
    return s


SHAPES = [(4, 9), (9, 4), (6, 6)]


@pytest.mark.parametrize("shapes", [*([shape] for shape in SHAPES), SHAPES])
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_singular_vectors_stay_and_singular_values_follow_the_polynomial(shapes, steps):
    """To ``16 · steps · (m + n) · u`` times what the factors amplify, alone and in a stack.

    A step is four products of matrices of m rows at most, whose entries err by (m + n) u times
    their norms; a factor has norm at most |a| + |b| + |c| on the unit ball.
    """
    generator = torch.Generator().manual_seed(3)
    matrices = [torch.randn(shape, dtype=torch.float64, generator=generator) for shape in shapes]
    found = muon.orthogonalised(matrices, steps)
    for matrix, turned in zip(matrices, found, strict=True):
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
        expected = left @ torch.diag(polynomial(values / values.norm(), steps)) @ right
        growth = sum(map(abs, muon.POLYNOMIAL)) ** (2 * steps)
        bound = 16 * max(steps, 1) * sum(matrix.shape) * UNIT * growth
        assert bound < 1e-6
        assert (turned - expected).abs().max() <= bound


def test_three_steps_leave_singular_values_near_one():
    """Every singular value of at least 0.02 of the norm ends between 0.68 and 1.21."""
    s = np.linspace(0.02, 1, 1_000_001)
    reached = polynomial(s, muon.STEPS)
    # Between grid points p changes by at most its slope, 3.45 a step, times their distance.
    slack = 3.45**muon.STEPS * (s[1] - s[0])
    assert 0.68 + slack < reached.min()
    assert reached.max() < 1.21 - slack
    matrix = torch.randn(64, 576, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(muon.orthogonalised([matrix])[0])
    assert values.min() > 0.68
    assert values.max() < 1.21


def test_a_zero_gradient_moves_nothing():
    other = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    still, moved = muon.orthogonalised([torch.zeros(3, 5), other])
    assert torch.equal(still, torch.zeros(3, 5))
    assert moved.norm() > 1


def test_muon_follows_its_rule_written_out():
    """Two steps against the rule, in float64; a bank keeps its norm, and turns by what lr says."""
    bank = torch.nn.Parameter(
        torch.randn(4, 2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    )
    gradients = torch.randn(2, 4, 2, 3, 3, dtype=torch.float64, generator=torch.Generator())
    optimiser = muon.Muon([bank], lr=0.1, momentum=0.6)
    expected = bank.detach().clone()
    assert expected.norm().item() == pytest.approx(2, rel=4 * UNIT)
    velocity = torch.zeros_like(expected)
    for gradient in gradients:
        bank.grad = gradient.clone()
        optimiser.step()
        velocity = 0.6 * velocity + gradient
        (turned,) = muon.orthogonalised([(gradient + 0.6 * velocity).flatten(1)])
        expected -= 0.1 * turned.view_as(expected)
        expected *= 2 / expected.norm()
        # The same operations in another order: some 20 roundings of numbers up to 2.
        assert (bank - expected).abs().max() <= 40 * UNIT
