"""Chapter 7: what can be said of a training run without running it. First: counts and noise.

An accuracy is a count over a number of examples, so printed digits give that number away, and with
it the split and the batch. How far two accuracies must lie apart to mean anything is a matter of
that number too.

What passing does not prove: nothing here is trained on the reports' images. Where a verdict depends
on curves that a report shows, their figures are taken as printed. Noise is that of examples drawn
independently; seeds and the choice of hyper-parameters add more. Whole counts fit the printed
accuracies, which does not prove that they were computed in that way.
"""

from __future__ import annotations

import math
from itertools import product

import pytest
import sympy
import torch
import z3
from scipy import stats
from torch import nn

from theory.ledger import claims, settles
from theory.solver import holds_always, maximum
from theory.training_facts import accuracy_deviation, steps_per_epoch, totals_behind


def _printed(part: str, *names: str) -> list[float]:
    reports = [claims()[f"assignment-3-{name}"].reported for name in names]
    return [float(report[part]) for report in reports if isinstance(report, dict)]


# What printed accuracies give away


def test_eleven_printed_accuracies_are_counts_of_three_numbers_of_examples() -> None:
    """Only 44992 training examples fit; of the held-out sets, only multiples of 5000 and 10000.

    All numbers up to the 50000 training images that there are have been tried.
    """
    trained = ("2b-accuracies", "3b-net1", "3b-net2")
    tested = (*trained, "3e-best", "4a-accuracy")

    assert totals_behind(_printed("train", *trained), 50_000).tolist() == [44_992]
    held_out = [5_000, 10_000, 20_000, 25_000, 35_000, 40_000, 50_000]
    assert totals_behind(_printed("val", *trained), 50_000).tolist() == held_out
    tests = [10_000, 20_000, 40_000, 50_000]
    assert totals_behind(_printed("test", *tested), 50_000).tolist() == tests
    counts = [round(44_992 * accuracy) for accuracy in _printed("train", *trained)]
    assert counts == [39_543, 37_474, 37_955]


def test_the_printed_steps_leave_one_batch_size_and_split() -> None:
    """Batches of 64, the last dropped, of 45000 images: 703 steps an epoch, 5265 in 7.49 epochs.

    Tried are all batches, with and without the last, and all validation sets that fit; 7 epochs may
    be those completed or the one in progress. 5265 steps are 15 half-epochs of 351 whole steps.
    """
    splits = totals_behind(_printed("val", "2b-accuracies", "3b-net1", "3b-net2"), 49_999)
    fits = set()
    for held_out, drop_last in product(splits.tolist(), (True, False)):
        examples = 50_000 - held_out
        for batch in range(1, examples + 1):
            steps = steps_per_epoch(examples, batch, drop_last=drop_last)
            seen = steps * batch if drop_last else examples
            if seen == 44_992 and 6 < 5265 / steps < 8:
                fits.add((held_out, batch, drop_last))

    assert fits == {(5_000, 64, True)}
    assert 15 * (steps_per_epoch(45_000, 64, drop_last=True) // 2) == 5265
    images = torch.utils.data.TensorDataset(torch.zeros(45_000))
    loader = torch.utils.data.DataLoader(images, batch_size=64, drop_last=True)
    assert len(loader) == steps_per_epoch(45_000, 64, drop_last=True) == 703


# Noise


def test_the_variance_of_an_accuracy_is_that_of_a_coin_over_the_number_of_examples() -> None:
    """A count is a sum of independent coins, and each adds p(1 - p) to its variance.

    The sum over all outcomes is exact for up to 6 examples; SciPy says the same of 10000.
    """
    p = sympy.Symbol("p")
    for n in range(1, 7):
        chances = [sympy.binomial(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
        share = [sympy.Rational(k, n) for k in range(n + 1)]
        variance = sum(c * (s - p) ** 2 for c, s in zip(chances, share, strict=True))
        assert sympy.expand(variance - p * (1 - p) / n) == 0

    assert accuracy_deviation(0.734, 10_000) == pytest.approx(
        stats.binom(10_000, 0.734).std() / 10_000, rel=1e-12
    )
    # Two networks of a report, 75.33% and 76.14% on 10000 images, are not told apart:
    apart = 0.7614 - 0.7533
    assert apart < 1.96 * math.hypot(*(accuracy_deviation(a, 10_000) for a in (0.7533, 0.7614)))


# Reading curves


@settles(
    "mnist-2017-q2-jumpy-explanation",
    verdict="refuted",
    certainty="refuted",
    correction="Every score of a network is continuous, with ReLU or without, and reaches every "
    "value between any two that it takes; ReLU only cuts values off. Jumps need no such cause: on "
    "batches of any one size the report's 91.7% without ReLU stray 1.67 times as far as the 97.2% "
    "that it prints elsewhere. Whether training without ReLU jumps more than that, runs measure.",
)
def test_linear_layers_reach_all_intermediate_values_and_lower_accuracies_jump_more() -> None:
    """The smallest witness is one unit: over inputs from -1 to 0 ReLU takes one value, ax + b all.

    For any a and b and any value between two outputs there is an input between the two inputs; of
    ReLU as well, where the value itself is that input. The noise of a batch depends on the accuracy
    alone, once the size of the batch is fixed.
    """
    a, b, x0, x1, t = z3.Reals("a b x0 x1 t")
    between, inner = (1 - t) * (a * x0 + b) + t * (a * x1 + b), (1 - t) * x0 + t * x1
    assert holds_always(between == a * inner + b)
    value = z3.Real("value")
    passed = z3.And(maximum(x0, 0) < value, value <= maximum(x1, 0))
    reached = z3.And(x0 <= value, value <= x1, maximum(value, 0) == value)
    assert holds_always(z3.Implies(passed, reached))
    assert holds_always(z3.Implies(z3.And(x0 <= 0, x0 >= -1), maximum(x0, 0) == 0))

    steps = torch.arange(-8, 1, dtype=torch.float64)[:, None] / 8
    unit = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    nn.init.ones_(unit.weight)
    with torch.no_grad():
        assert torch.equal(unit(steps), steps)
        assert set(nn.ReLU()(unit(steps)).flatten().tolist()) == {0}

    for batch in (1, 32, 50, 100, 128):
        jumps = [accuracy_deviation(accuracy, batch) for accuracy in (0.9174, 0.972)]
        assert round(jumps[0] / jumps[1], 2) == 1.67


@settles(
    "nni-2023-ex1-q1a-over-and-underfit",
    verdict="holds_if",
    certainty="exhausted",
    condition="Underfitting is judged against the 82% that 20 filters reach on the same training "
    "images (a pair of 53% and 52% alone is also what a perfect model of noisy labels gives), and "
    "'learn the data better' is said of the training images: on the test images both have 52%.",
)
def test_a_gap_shows_overfitting_and_a_low_pair_alone_shows_nothing() -> None:
    """On 50000 and 10000 images 30 points are 56 deviations of their noise; 1 is not even two.

    The report does not print how many images there are; two sets of 17 would show 30 points.

    Of one image shown 100 times with 53 labels of one kind and 47 of the other, no function is
    right more often than 53 times: nothing underfits there.
    """

    def deviations(train: float, test: float, images: tuple[int, int] = (50_000, 10_000)) -> float:
        noise = math.hypot(*map(accuracy_deviation, (train, test), images))
        return (train - test) / noise

    assert int(deviations(0.82, 0.52)) == 56
    assert [n for n in range(1, 100) if deviations(0.82, 0.52, (n, n)) < 1.96] == [*range(1, 17)]
    assert deviations(0.53, 0.52) < 1.96
    labels = [1] * 53 + [0] * 47
    assert max(sum(answer == label for label in labels) for answer in (0, 1)) == 53


def _two_convolutions(filters: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, filters, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(filters, 3 * filters, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(75 * filters, 10),
    ).double()


@settles("nni-2023-ex1-q1a-over-and-underfit", verdict="holds_if", certainty="proved")
def test_twenty_filters_can_do_all_that_three_can() -> None:
    """Unused filters set to zero leave the same function, so the least training loss is no higher.

    By induction over them, whatever the images and the other weights: a further channel adds to
    each sum its value times a weight of 0. Run on integers, the outputs agree exactly.
    """
    total, value = z3.Reals("total value")
    assert holds_always(total + 0 * value == total)
    torch.manual_seed(0)
    small, large = _two_convolutions(3), _two_convolutions(20)
    with torch.no_grad():
        for weak, strong in zip(small.parameters(), large.parameters(), strict=True):
            weak.copy_(torch.randint(-2, 3, weak.shape))
            strong.zero_()
            strong[tuple(map(slice, weak.shape))] = weak
        images = torch.randint(-4, 5, (5, 3, 32, 32)).double()
        outputs = small(images)
        assert torch.equal(large(images), outputs)
        first, _, second, *_ = large.parameters()
        first[3:] = 1  # filters that nothing reads
        assert torch.equal(large(images), outputs)
        second[:9, 3:] = 1
        assert not torch.equal(large(images), outputs)
