"""Chapter 7, descent: what learning rate and batch size do, where it can be worked out.

Near a minimum a loss is a parabola in each of its main directions, and there a step of gradient
descent multiplies the distance by ``1 - rate * curvature`` and adds ``rate`` times the noise of the
gradient. Rates, schedules and batches act through these two terms.

What passing does not prove: the parabola, the two valleys and the linear fit are models, not the
loss of a network. They decide what *can* happen and what a mechanism needs; how much of it shows in
a network on images is for measurements.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, product
from typing import TYPE_CHECKING

import numpy as np
import pytest
import sympy
import torch
import z3

from theory.ledger import settles
from theory.solver import holds_always
from theory.training_facts import expected_squares, least_squares_map

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor


def _descend(
    loss: Callable[[Tensor, int], Tensor], start: Tensor, rates: Sequence[float]
) -> list[Tensor]:
    """Return the weights before and after each step of torch's SGD on a loss of weights and step.

    The weights may hold many runs side by side; the loss is then a sum over them.
    """
    w = start.clone().requires_grad_()
    optimizer = torch.optim.SGD([w], lr=rates[0])
    path = [w.detach().clone()]
    for step, rate in enumerate(rates):
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        loss(w, step).backward()
        optimizer.step()
        path.append(w.detach().clone())
    return path


@settles(
    "tp1-cnn-q16-learning-rate",
    verdict="holds_if",
    certainty="proved",
    condition="The loss is a parabola, on which plain gradient descent diverges above the rate "
    "2 / (largest curvature), and the number of steps is limited: at every rate below that bound "
    "enough steps reach the same minimum, so a small rate underfits only when training stops "
    "early. Of several valleys a small rate may reach one less deep, however many steps it takes.",
)
def test_descent_diverges_above_two_over_the_curvature_and_creeps_at_small_rates() -> None:
    """A step multiplies the distance to the minimum by 1 - r, where r is rate times curvature.

    After t steps at least 1 - tr of it is left (induction over t), so fewer than 1/(2r) steps leave
    half. And for 0 < r < 2 the factor is below 1, so any fraction is reached in the end.
    """
    r, t, left = z3.Reals("r t left")
    factor = z3.Abs(1 - r)
    assert holds_always(z3.Implies(r > 0, (factor > 1) == (r > 2)))
    assert holds_always(z3.Implies(z3.And(r > 0, r < 2), factor < 1))
    small = z3.And(r >= 0, r <= 1, t >= 0)
    step = z3.Implies(left >= 1 - t * r, (1 - r) * left >= 1 - (t + 1) * r)
    assert holds_always(z3.Implies(small, step))


@settles("tp1-cnn-q16-learning-rate", verdict="holds_if", certainty="exhausted")
@pytest.mark.parametrize(
    ("rate", "ends"),
    [(3 / 4, "diverged"), (1 / 2, "circling"), (1 / 4, "converged"), (1 / 64, "underfitted")],
)
def test_torch_diverges_in_the_sharpest_direction_alone(rate: float, ends: str) -> None:
    """Curvatures 4 and 1, so that the bound is 1/2; twelve steps, compared exactly."""
    curvature = torch.tensor([4.0, 1.0], dtype=torch.float64)
    start = torch.ones(2, dtype=torch.float64)
    path = _descend(lambda w, _: (curvature * w.square()).sum() / 2, start, [rate] * 12)
    sharp, flat = path[-1].tolist()

    assert path[2].tolist() == [(1 - rate * 4) ** 2, (1 - rate) ** 2]
    assert {
        "diverged": abs(sharp) > 4000 and abs(flat) < 1e-6,
        "circling": abs(sharp) == 1 and abs(flat) == 2.0**-12,
        "converged": sharp == 0 and flat < 0.04,
        "underfitted": sharp < 0.5 and flat > 0.8,
    }[ends]


@settles("tp1-cnn-q27-lr-explanation", verdict="holds_if", certainty="exhausted")
def test_batches_that_agree_at_the_minimum_need_no_smaller_rate() -> None:
    """Curvatures 1/2 and 3/2 with one minimum: over all 256 orders the large rate ends closest."""
    curvatures = torch.tensor(list(product((0.5, 1.5), repeat=8)), dtype=torch.float64)

    def end(rates: Sequence[float]) -> float:
        start = torch.full((256,), 4.0, dtype=torch.float64)
        path = _descend(lambda w, t: (curvatures[:, t] * w.square() / 2).sum(), start, rates)
        return path[-1].square().mean().item()

    assert end([1 / 2] * 8) < end([1 / 2] * 4 + [1 / 8] * 4) < end([1 / 8] * 8)


@settles("tp1-cnn-q27-lr-explanation", verdict="holds_if", certainty="exhausted")
def test_a_large_rate_moves_fast_and_a_smaller_one_settles_closer() -> None:
    """The mean square falls by (1 - r)^2 a step, down to the floor rate * noise / (2 - rate).

    Eight steps of torch from distance 4, under all 256 sequences of noise of either sign: what is
    averaged is exactly the recursion. The schedule ends closer than its first rate if at the switch
    the noise outweighs what is left; with less noise, or none, it is worse. It ends closer than the
    smaller rate alone, too, unless the noise outweighs the distance from the first step on.
    """
    large, smaller = Fraction(1, 2), Fraction(1, 8)
    noise = torch.tensor(list(product((1, -1), repeat=8)), dtype=torch.float64)

    def end(rates: Sequence[Fraction], loudness: Fraction) -> Fraction:
        path = _descend(
            lambda w, step: (w.square() / 2 + float(loudness) * noise[:, step] * w).sum(),
            torch.full((256,), 4.0, dtype=torch.float64),
            [float(rate) for rate in rates],
        )
        squares = [Fraction(w) ** 2 for w in path[-1].tolist()]
        expected = expected_squares(rates, loudness**2, Fraction(4), Fraction(1))
        assert Fraction(sum(squares), 256) == expected[-1]
        return expected[-1]

    for loudness, closer in zip(
        map(Fraction, ("8", "1", "1/4", "0")), (True, True, False, False), strict=True
    ):
        left = expected_squares([large] * 4, loudness**2, Fraction(4), Fraction(1))[-1]
        outweighs = (large + smaller) * (left + loudness**2) > 2 * left
        falling = end([large] * 4 + [smaller] * 4, loudness)
        assert outweighs is (falling < end([large] * 8, loudness)) is closer
        assert (falling < end([smaller] * 8, loudness)) is (loudness < 4)


@settles(
    "tp1-cnn-q27-lr-explanation",
    verdict="holds_if",
    certainty="proved",
    condition="The loss is a parabola and it is time for the smaller rate: along a direction of "
    "curvature 1, a step at rate r instead of R leaves less, in the mean square, exactly if "
    "(R + r) (S + n) > 2 S, with S left so far and noise of variance n. So it is near the minimum, "
    "where the noise of mini-batches that disagree there is all that is left; or where the two "
    "rates together exceed 2 / curvature, noise or none. Elsewhere the smaller rate only slows. "
    "'Exploration' is read as covering distance fast.",
)
def test_a_smaller_rate_ends_closer_exactly_if_noise_or_overstepping_outweighs_the_rest() -> None:
    """For all rates, distances and noises; noise of mean 0 adds its square to that of the distance.

    Without noise, then, closer exactly if R + r > 2: where the step at R lands further beyond the
    minimum than that at r falls short of it. Of torch's eight steps at 7/4 a tenth of the distance
    is left, and with four at 3/4 hardly any; but 3/2, which oversteps as well, is better kept than
    lowered to 1/4. No curvature but 1 has to be asked for: scaling w brings any to it.
    """
    large, smaller, square, noise = z3.Reals("large smaller square noise")
    possible = z3.And(smaller >= 0, large > smaller, square >= 0, noise >= 0)

    def left(rate: z3.ArithRef) -> z3.ArithRef:
        return (1 - rate) * (1 - rate) * square + rate * rate * noise

    law = (large + smaller) * (square + noise) > 2 * square
    assert holds_always(z3.Implies(possible, (left(smaller) < left(large)) == law))
    at_minimum = z3.And(possible, square == 0, noise > 0)
    assert holds_always(z3.Implies(at_minimum, law))
    beyond = z3.And(possible, square > 0, large + smaller > 2)
    assert holds_always(z3.Implies(beyond, law))
    only_slows = z3.And(possible, square > 0, noise == 0, large + smaller < 2)
    assert holds_always(z3.Implies(only_slows, left(smaller) > left(large)))

    def end(rates: Sequence[float]) -> float:
        start = torch.ones(1, dtype=torch.float64)
        return abs(_descend(lambda w, _: w.square().sum() / 2, start, rates)[-1].item())

    assert end([7 / 4] * 8) == (3 / 4) ** 8 > end([7 / 4] * 4 + [3 / 4] * 4) == (3 / 4) ** 4 / 4**4
    assert end([3 / 2] * 8) == 2.0**-8 < end([3 / 2] * 4 + [1 / 4] * 4) == 2.0**-4 * (3 / 4) ** 4


@settles("tp1-cnn-q27-lr-explanation", verdict="holds_if", certainty="proved")
def test_the_floor_of_a_constant_rate_rises_with_the_rate() -> None:
    """The fixed point of the recursion, its derivative by the rate, and torch's rates on the way.

    A parabola of curvature 1 is no restriction: scaling w brings any curvature to it.
    """
    rate, noise = sympy.symbols("rate noise", positive=True)
    square = sympy.Symbol("square")
    (floor,) = sympy.solve((1 - rate) ** 2 * square + rate**2 * noise - square, square)
    assert sympy.cancel(floor - rate * noise / (2 - rate)) == 0
    assert sympy.cancel(sympy.diff(floor, rate) - 2 * noise / (2 - rate) ** 2) == 0

    for fraction in (Fraction(1, 2), Fraction(1, 8)):
        squares = expected_squares([fraction] * 200, Fraction(1), Fraction(4), Fraction(1))
        assert abs(squares[-1] - fraction / (2 - fraction)) < Fraction(1, 10**12)

    w = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.5)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=4, gamma=0.25)
    rates = []
    for _ in range(8):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == [0.5] * 4 + [0.125] * 4


# Batches


@settles(
    "tp1-cnn-q16-batch-size",
    verdict="undecided",
    condition="That smaller batches are noisier and need more iterations, is true on a noisy "
    "parabola. That full batches stay in a valley which mini-batches may leave, is true of two "
    "valleys. 'Helps generalisation' is true if the valley left for is the one that fits new data, "
    "false if it is not, and false for a linear fit with more weights than examples, where all "
    "batch sizes end in the same weights; for a network on images only training runs can tell.",
)
def test_the_noise_of_a_batch_falls_as_one_over_its_size() -> None:
    """Over all batches of B of N gradients: variance S^2 (1/B - 1/N), S^2 being that of one.

    Then the steps to a given mean loss never grow with the batch, and stop falling with it: the
    factor (1 - r)^2 has no batch in it.
    """
    gradients = [Fraction(g) for g in (3, -1, 4, 1, -5, 9)]
    n, mean = len(gradients), Fraction(sum(gradients), len(gradients))
    spread = sum((g - mean) ** 2 for g in gradients) / (n - 1)
    for size in range(1, n + 1):
        means = [Fraction(sum(batch), size) for batch in combinations(gradients, size)]
        variance = sum((m - mean) ** 2 for m in means) / len(means)
        assert variance == spread * (Fraction(1, size) - Fraction(1, n))

    def steps(batch: int) -> int:
        rates = [Fraction(1, 4)] * 60
        squares = expected_squares(rates, Fraction(4, batch), Fraction(8), Fraction(1))
        return next(step for step, square in enumerate(squares) if square < 1)

    needed = [steps(batch) for batch in (1, 2, 4, 8, 16, 1024)]
    assert needed == sorted(needed, reverse=True)
    assert needed[0] > needed[-1] == steps(10**6)


def _two_valleys(w: Tensor) -> Tensor:
    """Return a loss with a shallow valley at -1, a ridge at 0 and a deeper valley at 2."""
    return torch.minimum((w + 1).square() / 2, (w - 2).square() / 2 - 3 / 2)


@settles("tp1-cnn-q16-learning-rate", verdict="holds_if", certainty="sampled")
@pytest.mark.parametrize(("rate", "valley"), [(1 / 4, -1), (7 / 4, 2)])
def test_of_two_valleys_the_rate_may_decide_which_is_reached(rate: float, valley: int) -> None:
    """From -3, where both rates are below 2 / curvature; the smaller ends in the shallow valley.

    The larger oversteps that one in its first step. Each step leaves 3/4 of the distance, 200 less
    than a roundoff; a step rounds by less than 2 roundoffs, of which at most 4 times as many pile
    up.
    """
    start = torch.tensor([-3.0], dtype=torch.float64)
    end = _descend(lambda w, _: _two_valleys(w).sum(), start, [rate] * 200)[-1]
    assert abs(end.item() - valley) < 8 * torch.finfo(torch.float64).eps
    assert _two_valleys(torch.tensor(2.0)) < _two_valleys(torch.tensor(-1.0))


@settles("tp1-cnn-q16-batch-size", verdict="undecided")
def test_mini_batches_may_leave_a_valley_that_the_full_batch_stays_in() -> None:
    """Two examples, whose losses are tilted by +4w and -4w; all 64 orders of six single examples.

    Then both go on with full batches, each to the bottom of its valley. Whether having left helps
    on new data is a matter of the new data: of which valley they favour.
    """
    tilts = torch.tensor(list(product((4, -4), repeat=6)), dtype=torch.float64)
    start = torch.full((64,), -0.5, dtype=torch.float64)
    full = _descend(lambda w, _: _two_valleys(w).sum(), start, [0.5] * 6)[-1]
    single = _descend(
        lambda w, step: (_two_valleys(w) + tilts[:, step] * w).sum(), start, [0.5] * 6
    )[-1]

    assert set(full.tolist()) == {-1 + 0.5 * 2.0**-6}
    settled = _descend(lambda w, _: _two_valleys(w).sum(), single, [1.0])[-1]
    assert set(settled.tolist()) == {-1, 2}
    for favoured, better in ((_two_valleys, True), (lambda w: _two_valleys(1 - w), False)):
        assert bool(favoured(settled).mean() < favoured(full).mean()) is better


@settles("tp1-cnn-q16-batch-size", verdict="undecided")
@pytest.mark.parametrize("batch", [1, 2, 4])
def test_in_an_underdetermined_linear_fit_all_batch_sizes_end_alike(batch: int) -> None:
    """Each step adds a combination of the examples, and only one such combination fits them all.

    That one is the solution of smallest norm. With orthogonal examples, as here, the distance falls
    by 1 - 1/(2 batch) a pass, to less than a roundoff after 300. A step rounds by less than 32
    roundoffs of what is reached, of which at most 1 + 7/8 + (7/8)^2 + ... = 8 pile up.
    """
    a = sympy.Matrix(sympy.symbols("a:3"))
    X = sympy.Matrix([[1, 2, 0, 1, 3], [0, 1, 1, -1, 2], [2, 0, 1, 1, 0]])
    assert sympy.simplify(least_squares_map(X) * (X * (X.T * a)) - X.T * a) == sympy.zeros(5, 1)

    signs = np.array([[1, 1], [1, -1]])
    rows = np.kron(np.kron(signs, signs), signs)[:4] / np.sqrt(8)
    examples, targets = torch.from_numpy(rows), torch.tensor([1.0, -2, 3, 5], dtype=torch.float64)

    def loss(w: Tensor, step: int) -> Tensor:
        chosen = torch.arange(step * batch, (step + 1) * batch) % 4
        return (examples[chosen] @ w - targets[chosen]).square().mean() / 2

    start = torch.zeros(8, dtype=torch.float64)
    end = _descend(loss, start, [0.5] * (300 * 4 // batch))[-1]
    smallest = torch.linalg.pinv(examples) @ targets
    rounding = 8 * 32 * torch.finfo(torch.float64).eps * smallest.norm()
    assert (end - smallest).norm() < rounding
