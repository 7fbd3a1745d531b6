"""The training facts are right where a loop can check them; their trials catch planted faults."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import sympy
import torch

from theory import (
    test_dropout,
    test_learning_rate,
    test_regularisation,
    test_training_facts,
)
from theory.training_facts import (
    accuracy_deviation,
    dropout_penalty,
    expected_squares,
    least_squares_map,
    steps_per_epoch,
    totals_behind,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


@pytest.mark.parametrize("total", [97, 4_992, 10_000, 44_992])
def test_a_planted_total_is_found_alone_and_not_behind_other_digits(total: int) -> None:
    counts = [np.float32(round(total * accuracy)) for accuracy in (0.8789, 0.8329, 0.8436)]
    share = np.float32(1) / np.float32(total)
    printed = [float(count * share) for count in counts]
    assert totals_behind(printed, total).tolist() == [total]
    assert total not in totals_behind([*printed[:2], printed[2] + 1e-6], total)


@pytest.mark.parametrize("drop_last", [True, False])
def test_an_epoch_has_as_many_steps_as_torch_makes(drop_last: bool) -> None:
    for examples, batch in product(range(1, 12), range(1, 14)):
        data = torch.utils.data.TensorDataset(torch.zeros(examples))
        loader = torch.utils.data.DataLoader(data, batch_size=batch, drop_last=drop_last)
        assert steps_per_epoch(examples, batch, drop_last=drop_last) == len(loader)
        assert len(list(loader)) == len(loader)


def test_the_deviation_is_that_of_simulated_accuracies() -> None:
    simulated = np.random.default_rng(0).binomial(128, 0.3, 100_000) / 128
    assert accuracy_deviation(0.3, 128) == pytest.approx(simulated.std(), rel=0.01)


def test_expected_squares_of_no_steps_and_of_one() -> None:
    half, one = Fraction(1, 2), Fraction(1)
    assert expected_squares([], one, Fraction(3), one) == [9]
    assert expected_squares([half], Fraction(4), Fraction(3), Fraction(4)) == [9, 10]


def test_least_squares_meets_the_normal_equations() -> None:
    tall = sympy.Matrix([[1, 0], [1, 1], [1, 3]])
    fit = least_squares_map(tall)
    assert tall.T * (tall * fit) == tall.T
    assert least_squares_map(tall.T) == fit.T  # the smallest of many fits
    ridge = least_squares_map(tall, 2)
    assert (tall.T * tall + 2 * sympy.eye(2)) * ridge == tall.T


def _undivided(printed: list[float], limit: int) -> np.ndarray:
    """Divide the counts themselves, in place of multiplying by the rounded reciprocal."""
    totals = np.arange(1, limit + 1, dtype=np.float32)
    fits = [np.rint(a * totals) / totals == np.float32(a) for a in printed]
    return np.arange(1, limit + 1)[np.all(fits, axis=0)]


def _rounds_up(examples: int, batch: int, *, drop_last: bool) -> int:
    return -(-examples // batch)


def _noise_not_squared(
    rates: list[Fraction], noise: Fraction, start: Fraction, curvature: Fraction
) -> list[Fraction]:
    squares = [start**2]
    for rate in rates:
        squares.append((1 - rate * curvature) ** 2 * squares[-1] + rate * noise)
    return squares


FAULTS: list[tuple[ModuleType, str, Callable[..., object], str]] = [
    (test_training_facts, "totals_behind", _undivided, "test_eleven_printed"),
    (test_training_facts, "steps_per_epoch", _rounds_up, "test_the_printed_steps"),
    (
        test_training_facts,
        "accuracy_deviation",
        lambda a, n: a * (1 - a) / n,
        "test_the_variance",
    ),
    (
        test_training_facts,
        "accuracy_deviation",
        lambda a, n: (a * (1 - a) / (n - 1)) ** 0.5,
        "test_the_variance",
    ),
    (test_learning_rate, "expected_squares", _noise_not_squared, "test_a_large_rate"),
    (test_learning_rate, "expected_squares", _noise_not_squared, "test_the_floor"),
    (test_dropout, "dropout_penalty", lambda rate: rate, "test_a_rate_of_a_twentieth"),
    (
        test_dropout,
        "dropout_penalty",
        lambda rate: (1 - rate) / rate,
        "test_dropout_penalises",
    ),
    (
        test_regularisation,
        "least_squares_map",
        lambda X, penalty=0: least_squares_map(X),
        "test_a_penalty",
    ),
    (
        test_regularisation,
        "least_squares_map",
        lambda X, penalty=0: least_squares_map(X, penalty + 1),
        "test_the_gap_falls",
    ),
    (
        test_dropout,
        "least_squares_map",
        lambda X, penalty=0: least_squares_map(X),
        "test_a_small_rate",
    ),
    # Learning switched off:
    (test_learning_rate, "_descend", lambda loss, start, rates: [start] * 9, "test_a_large_rate"),
    (test_learning_rate, "_descend", lambda loss, start, rates: [start] * 9, "test_mini_batches"),
]


@pytest.mark.parametrize(
    ("chapter", "name", "fault", "trial"), FAULTS, ids=[f"{f[1]}-{f[3]}" for f in FAULTS]
)
def test_a_planted_fault_turns_its_trial_red(
    monkeypatch: pytest.MonkeyPatch,
    chapter: ModuleType,
    name: str,
    fault: Callable[..., object],
    trial: str,
) -> None:
    (run,) = (test for each, test in vars(chapter).items() if each.startswith(trial))
    run()
    monkeypatch.setattr(chapter, name, fault)
    with pytest.raises(AssertionError):
        run()


@pytest.mark.parametrize("batch", [1, 4])
def test_a_fit_that_does_not_learn_ends_elsewhere(
    monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(test_learning_rate, "_descend", lambda loss, start, rates: [start])
    with pytest.raises(AssertionError):
        test_learning_rate.test_in_an_underdetermined_linear_fit_all_batch_sizes_end_alike(batch)


@pytest.mark.parametrize("ends", ["diverged", "circling", "converged", "underfitted"])
def test_a_rate_that_is_not_used_ends_in_none_of_the_four_ways(
    monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    monkeypatch.setattr(test_learning_rate, "_descend", lambda loss, start, rates: [start] * 13)
    rates = {"diverged": 3 / 4, "circling": 1 / 2, "converged": 1 / 4, "underfitted": 1 / 64}
    trial = test_learning_rate.test_torch_diverges_in_the_sharpest_direction_alone
    with pytest.raises(AssertionError):
        trial(rates[ends], ends)


@pytest.mark.parametrize(
    ("law", "message"),
    [
        *(
            (partial(law, accuracy), f"an accuracy of {accuracy}: give one from 0")
            for accuracy in (1.5, -0.1, np.nan, np.inf)
            for law in (
                lambda accuracy: accuracy_deviation(accuracy, 10),
                lambda accuracy: totals_behind([0.5, accuracy], 10),
            )
        ),
        (lambda: accuracy_deviation(0.5, 0), "examples is 0, expected at least 1"),
        (lambda: totals_behind([0.5], 0), "limit is 0, expected at least 1"),
        (lambda: steps_per_epoch(0, 4, drop_last=False), "examples is 0, expected at least 1"),
        (lambda: steps_per_epoch(4, 0, drop_last=True), "batch is 0, expected at least 1"),
        (
            lambda: expected_squares([], Fraction(-1), Fraction(1), Fraction(1)),
            "noise is -1: give a variance, 0 or more",
        ),
        *(
            (partial(dropout_penalty, rate), f"rate is {rate}: give a probability from 0")
            for rate in (Fraction(1), Fraction(3, 2), Fraction(-1, 2))
        ),
        (lambda: least_squares_map(sympy.zeros(2, 2)), "2 rows and 2 columns is not of full rank"),
        (lambda: least_squares_map(sympy.ones(2, 3)), "2 rows and 3 columns is not of full rank"),
        (lambda: least_squares_map(sympy.eye(2), -1), "penalty is -1: give 0 or more"),
        (lambda: least_squares_map(sympy.Matrix([[sympy.nan]])), "entries that are not finite"),
        (lambda: least_squares_map(sympy.Matrix([[-sympy.oo]])), "entries that are not finite"),
    ],
)
def test_what_cannot_be_is_refused(law: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        law()


@pytest.mark.parametrize("number", [10.5, 4.0, True, "4", np.nan])
def test_what_is_no_integer_counts_nothing(number: Any) -> None:
    """Red if a part of an example or of a step is counted."""
    laws: list[tuple[str, Callable[[], object]]] = [
        ("limit", lambda: totals_behind([0.5], number)),
        ("examples", lambda: steps_per_epoch(number, 4, drop_last=False)),
        ("batch", lambda: steps_per_epoch(4, number, drop_last=False)),
        ("examples", lambda: accuracy_deviation(0.5, number)),
    ]
    for name, law in laws:
        with pytest.raises(TypeError, match=rf"^{name} is .*, expected an integer"):
            law()


def test_counts_of_numpy_do_not_wrap_around() -> None:
    """Red if -100 of eight bits without a sign are 156."""
    narrow: Any = np.uint8(100)
    assert steps_per_epoch(narrow, narrow - 97, drop_last=False) == 34


def test_a_table_of_numbers_is_a_matrix() -> None:
    rows: Any = [[1, 0], [0, 2]]
    assert least_squares_map(rows) == sympy.Matrix([[1, 0], [0, sympy.Rational(1, 2)]])
