"""A study: mistakes in it are named, and it says what its claims say."""

from __future__ import annotations

import dataclasses
import math

import pytest

from experiments.catalog import study
from experiments.errors import InputError
from experiments.quantities import (
    at_epoch,
    at_lowest_validation_loss,
    at_the_end,
    best_train_accuracy,
    difference,
    parameters,
    seconds_an_epoch,
)
from experiments.statements import Exactly, Reported, Within
from experiments.study import Study
from experiments.verdicts import judge
from tests.toy_study import ACCURACY, SEVENTY, judged, recipe, toy_study
from theory.ledger.claims import claims

_LOSS = at_the_end("test_loss", "wide")


def test_a_claim_says_what_the_report_or_the_study_says(make_record) -> None:
    (claim,) = judge(dataclasses.replace(toy_study(SEVENTY), own={"toy-acc": "Ours."}), [])
    assert claim.sentence == "Ours."
    assert judged(SEVENTY, []).sentence == ""
    (first, *_) = judge(study("nni-2023-ex1"), [])
    assert first.sentence == claims()[first.claim].statement
    renamed = dataclasses.replace(study("nni-2023-ex1"), own={first.claim: "Ours."})
    assert renamed.sentence(first.claim) == first.sentence  # what a report says, it says


@pytest.mark.parametrize(
    "quantity", [seconds_an_epoch("wide"), at_the_end("test_accuracy", "wide")]
)
def test_a_recipe_without_epochs_has_no_last_one(quantity) -> None:
    untrained = dataclasses.replace(recipe("wide", "slow"), epochs=0)
    with pytest.raises(ValueError, match=r"reads epoch 1, but recipe 'wide\.slow' ends after 0"):
        Study(
            "toy",
            "Two networks",
            (untrained,),
            (Within("toy-x", quantity, above=0),),
            {"slow": "s"},
        )


def test_a_number_that_is_no_accuracy_says_how_finely_it_is_printed() -> None:
    gain = Reported("toy-gain", difference(ACCURACY, ACCURACY), 0.12)
    assert (gain.half_unit, gain.resolution) == (0.005, 0.05)
    loss = at_epoch("test_loss", "wide", 4)
    with pytest.raises(ValueError, match="'toy-loss': give the half_unit of a number in nats"):
        Reported("toy-loss", loss, 0.67)
    with pytest.raises(ValueError, match="give the resolution"):
        Reported("toy-loss", loss, 0.67, half_unit=0.005)


def test_a_recipe_is_found_by_role_and_completion() -> None:
    assert toy_study().recipe("narrow", "slow") == recipe("narrow", "slow")
    with pytest.raises(ValueError, match=r"no recipe 'deep\.slow'; known: wide\.slow, narrow"):
        toy_study().recipe("deep", "slow")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "../toy"}, "a study's name is made of letters, digits and"),
        ({"recipes": (recipe("wide", "slow"),) * 2}, r"two recipes are named 'wide\.slow'"),
        ({"completions": {"adam": ""}}, r"'wide\.slow' must be named <role>\.<completion>"),
        (
            {"recipes": (dataclasses.replace(recipe("wide", "slow"), name=".slow"),)},
            r"'\.slow' must be named <role>\.<completion>",
        ),
        ({"on_request": {"deep.slow": "time"}}, r"no recipe 'deep\.slow' to run on request"),
        ({"stated": {"toy-x": "slow"}}, "no claim 'toy-x' with a stated completion 'slow'"),
        (
            {"statements": (SEVENTY,), "stated": {"toy-acc": "adam"}},
            "no claim 'toy-acc' with a stated completion 'adam'",
        ),
        ({"completions": {"slow": "", "fast": ""}}, r"no recipe 'wide\.fast'"),
        ({"statements": (Exactly("other-claim", parameters("wide"), 1),)}, "must start with"),
        ({"statements": (Exactly("toys-x", parameters("wide"), 1),)}, "must start with 'toy-'"),
        ({"statements": (Exactly("toy-x", parameters("deep"), 1),)}, r"no recipe 'deep\.slow'"),
        (
            {"statements": (Exactly("toy-x", at_epoch("test_loss", "wide", 5), 1),)},
            "reads epoch 5, but recipe 'wide.slow' ends after 4",
        ),
        *(
            (
                {"statements": (Within("toy-x", quantity, above=0),)},
                "'toy-x' reads what was measured in validation, but recipe 'wide.slow' holds no",
            )
            for quantity in (
                at_the_end("validation_loss", "wide"),
                best_train_accuracy("wide"),
                difference(at_lowest_validation_loss("test_loss", "wide"), _LOSS),
            )
        ),
    ],
)
def test_mistakes_in_the_catalogue_are_named(changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(toy_study(), **changes)


def test_what_is_measured_in_validation_needs_images_held_out_and_no_patience() -> None:
    study = toy_study()
    recipes = tuple(dataclasses.replace(each, validation=10) for each in study.recipes)
    statement = Within("toy-x", at_the_end("validation_loss", "wide"), above=0)
    assert dataclasses.replace(study, recipes=recipes, statements=(statement,)).claims == ("toy-x",)


def test_what_is_read_must_be_measured_under_every_completion() -> None:
    statement = Within("toy-x", at_epoch("test_loss", "wide", 4), above=0)
    study = toy_study(statement, completions=("slow", "fast"))
    recipes = tuple(
        dataclasses.replace(each, epochs=3) if each.name == "wide.fast" else each
        for each in study.recipes
    )
    with pytest.raises(ValueError, match=r"reads epoch 4, but recipe 'wide\.fast' ends after 3"):
        dataclasses.replace(study, recipes=recipes)


@pytest.mark.parametrize(
    ("settings", "quantity", "message"),
    [
        (
            {"validation": 100},
            best_train_accuracy("wide"),
            "reads the weights that patience kept, but recipe 'wide.slow' has none",
        ),
        (
            {"validation": 100},
            difference(best_train_accuracy("wide"), at_the_end("train_accuracy", "wide")),
            "reads the weights that patience kept",
        ),
        (
            {"validation": 100, "patience": 2},
            at_epoch("test_loss", "wide", 2),
            "reads epoch 2, but patience may end recipe 'wide.slow' before",
        ),
    ],
)
def test_a_value_that_runs_may_lack_is_no_sign_of_divergence(settings, quantity, message) -> None:
    """Such a run would have none, and be told to have diverged; the catalogue is refused."""
    changed = dataclasses.replace(recipe("wide", "slow"), **settings)
    others = [each for each in toy_study().recipes if each.name != "wide.slow"]
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(
            toy_study(),
            recipes=(changed, *others),
            statements=(Within("toy-x", quantity, above=0),),
        )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Reported("toy-a", ACCURACY, 70), "an accuracy is a fraction of 1, got 70"),
        (lambda: Reported("toy-a", ACCURACY, 1.01), r"an accuracy is a fraction of 1, got 1\.01"),
        (lambda: Reported("toy-a", ACCURACY, -0.1), r"an accuracy is a fraction of 1, got -0\.1"),
        (lambda: Reported("toy-a", ACCURACY, math.nan), "value must be finite, got nan"),
        (lambda: Reported("toy-a", _LOSS, math.inf, 0.1, 0.1), "value must be finite, got inf"),
        (lambda: Reported("toy-a", ACCURACY, "70%"), "value must be a number, got '70%'"),
        (lambda: Reported("toy-a", ACCURACY, 0.7, -0.1), "half_unit must not be negative, got -0"),
        (
            lambda: Reported("toy-a", ACCURACY, 0.7, resolution=-1),
            "resolution must not be negative, got -1",
        ),
        (lambda: Exactly("toy-a", parameters("wide"), 1.5), r"value must be an integer, got 1\.5"),
    ],
)
def test_a_number_that_no_report_can_give_is_named(make, message) -> None:
    """Red where a claim of 70, for 70 %, is held against runs and cannot come out."""
    with pytest.raises(InputError, match=f"claim 'toy-a': {message}"):
        make()


def test_no_accuracy_and_all_of_it_are_accuracies_and_a_loss_may_be_more() -> None:
    for quantity, value in ((ACCURACY, 0), (ACCURACY, 1), (_LOSS, 2.5)):
        assert Reported("toy-a", quantity, value, 0.05, 0.5).reported == value
