"""How far, and from when on, training accuracy runs ahead of test accuracy."""

from __future__ import annotations

import math

import pytest

from experiments.quantities import formatted, largest_lead, lead_begins
from experiments.recipe import Optimizer, Recipe

RECIPE = Recipe("net.sgd", "gap fc10", "cifar10", Optimizer("sgd", 0.01), epochs=4)


def _value(make_record, quantity, train, test) -> float:
    run = make_record(RECIPE, 0, train_accuracy=train, test_accuracy=test)
    return quantity.values({"net": {0: run}})[0]


def test_the_largest_lead_is_that_of_train_over_test(make_record) -> None:
    test = [0.5, 0.5, 0.5, 0.5]
    assert _value(make_record, largest_lead("net"), [0.0, 0.75, 0.625, 0.5], test) == 0.25
    assert _value(make_record, largest_lead("net"), [0.25, 0.375, 0.0, 0.0], test) == -0.125


@pytest.mark.parametrize(
    ("train", "share"),
    [
        ([0.75, 0.75, 0.75, 0.75], 0.25),  # from the first epoch on
        ([0.25, 0.75, 0.75, 0.75], 0.5),
        ([0.75, 0.25, 0.75, 0.75], 0.75),  # it must stay ahead
        ([0.25, 0.75, 0.25, 0.75], 1.0),
        ([0.75, 0.75, 0.75, 0.5], 1.25),  # it does not at the end
        ([0.625, 0.75, 0.75, 0.75], 0.5),  # as much as the lead is not more than it
    ],
)
def test_the_lead_begins_where_it_lasts(make_record, train, share) -> None:
    assert _value(make_record, lead_begins("net", 0.125, 4), train, 0.5) == share


def test_the_share_is_one_of_the_epochs_named(make_record) -> None:
    train = [0.25, 0.75, 0.25, 0.25]
    assert _value(make_record, lead_begins("net", 0.125, 2), train, 0.5) == 1.0


def test_a_lost_run_has_no_gap(make_record) -> None:
    runs = {"net": {0: make_record(RECIPE, 0, diverged_after=0)}}
    for quantity in (largest_lead("net"), lead_begins("net", 0.125, 4)):
        assert math.isnan(quantity.values(runs)[0])


def test_a_run_that_is_lost_later_has_led_before(make_record) -> None:
    run = make_record(RECIPE, 0, train_accuracy=0.75, test_accuracy=0.5, diverged_after=3)
    assert lead_begins("net", 0.125, 3).values({"net": {0: run}}) == {0: 1 / 3}
    assert math.isnan(lead_begins("net", 0.125, 4).values({"net": {0: run}})[0])


def test_units() -> None:
    assert largest_lead("net").unit == "points"
    begins = lead_begins("net", 0.02, 20)
    assert begins.grid == 0.05
    assert formatted(0.25, begins.unit) == "25 %"
    assert str(begins) == "share of the training until train leads test by +2.0 pp, net"
