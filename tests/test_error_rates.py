"""How often verdicts are wrong where the truth is known: the rates that docs/evidence.md names.

Several looks and several completions go beyond what an interval promises, as does a number of
another network that lies near. Each rate is that of the verdicts themselves, on simulated values.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from experiments.quantities import at_epoch, difference, loss_rise
from experiments.statements import Reported, Within

REPLICATIONS = 4000
IMAGES = 10_000
ACCURACY = at_epoch("test_accuracy", "wide", 1)
LOSS = at_epoch("test_loss", "wide", 1)
LARGER = Within("toy-larger", difference(LOSS, LOSS), above=0)


def slack(rate: float) -> float:
    """Return four standard errors of a simulated rate."""
    return 4 * math.sqrt(rate * (1 - rate) / REPLICATIONS)


def share(happens) -> float:
    generator = np.random.default_rng(20230402)
    return sum(happens(generator) for _ in range(REPLICATIONS)) / REPLICATIONS


def verdict(statement, values) -> str:
    grid = statement.quantity.grid_of(IMAGES)
    return statement.judge([float(value) for value in values], IMAGES, grid).verdict


@pytest.mark.parametrize(("last", "rate"), [(3, 0.025), (10, 0.08)])
def test_a_difference_of_zero_is_called_larger_more_often_by_more_looks(last, rate) -> None:
    def happens(generator) -> bool:
        values = generator.standard_normal(last)
        looks = (verdict(LARGER, values[:seeds]) for seeds in range(3, last + 1))
        return "reproduced" in looks

    assert share(happens) == pytest.approx(rate, abs=slack(rate))


def test_one_of_three_completions_calls_it_larger_more_often_than_one() -> None:
    def happens(generator) -> bool:
        return any(
            verdict(LARGER, values) == "reproduced" for values in generator.standard_normal((3, 4))
        )

    assert share(happens) == pytest.approx(0.07, abs=slack(0.07))


@pytest.mark.parametrize(("last", "rate"), [(3, 0.05), (10, 0.13)])
def test_a_true_loss_is_refuted_more_often_by_more_looks(last, rate) -> None:
    def happens(generator) -> bool:
        reported, *values = 10 + generator.standard_normal(last + 1)
        statement = Reported("toy-loss", LOSS, float(reported), half_unit=0, resolution=1)
        looks = (verdict(statement, values[:seeds]) for seeds in range(3, last + 1))
        return "not_reproduced" in looks

    assert share(happens) == pytest.approx(rate, abs=slack(rate))


@pytest.mark.parametrize(("seeds", "rate"), [(3, 0.66), (5, 0.45)])
def test_a_number_of_a_network_two_points_better_is_often_reproduced(seeds, rate) -> None:
    def happens(generator) -> bool:
        values = 0.7 + 0.005 * generator.standard_normal(seeds)
        other = 0.72 + 0.005 * generator.standard_normal()
        return verdict(Reported("toy-acc", ACCURACY, float(other)), values) == "reproduced"

    assert share(happens) == pytest.approx(rate, abs=slack(rate))


def test_a_level_test_loss_is_called_rising_more_often_than_one_in_forty() -> None:
    rise = loss_rise("wide", 20)

    def happens(generator) -> bool:
        curves = 1 + 0.05 * generator.standard_normal((5, 20))
        runs = {
            seed: SimpleNamespace(curves=SimpleNamespace(test_loss=list(curve)))
            for seed, curve in enumerate(curves)
        }
        values = rise.values({"wide": runs}).values()
        return verdict(Within("toy-rise", rise, above=0), values) == "reproduced"

    assert share(happens) == pytest.approx(0.05, abs=slack(0.05))
