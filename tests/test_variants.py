"""Variants: a name that says what differs, a key of their own, and no part in any verdict."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest

from experiments import lookup
from experiments.catalog import study
from experiments.errors import InputError
from experiments.recipe import DatasetName
from experiments.records import Store, by_seed
from experiments.variants import home, named, variant
from experiments.verdicts import judge

STUDY = study("digits")
RECIPE = STUDY.recipe("conv-fc", "adam")


def test_a_variant_on_other_data_is_named_by_it():
    found = variant(RECIPE, dataset="mnist", precision="bfloat16")
    assert found.dataset == "mnist"
    assert found.name == "conv-fc.adam@mnist@bfloat16"
    assert named(RECIPE, "bfloat16@mnist") == found
    assert variant(RECIPE, dataset="digits") == RECIPE


def test_every_data_set_can_be_named():
    for name in get_args(DatasetName):
        assert variant(RECIPE, dataset=name).dataset == name
    with pytest.raises(ValueError, match="data set 'imagenet' is unknown; known: cifar10, mnist"):
        variant(RECIPE, dataset="imagenet")


@pytest.mark.parametrize(
    ("changes", "name", "epochs", "precision"),
    [
        ({"precision": "bfloat16"}, "conv-fc.adam@bfloat16", 20, "bfloat16"),
        ({"epochs_scale": 0.1}, "conv-fc.adam@epochs-2", 2, "float32"),
        ({"epochs_scale": 0.001}, "conv-fc.adam@epochs-1", 1, "float32"),
        ({"epochs_scale": 1.5}, "conv-fc.adam@epochs-30", 30, "float32"),
        ({"epochs_scale": 0.13}, "conv-fc.adam@epochs-3", 3, "float32"),
        (
            {"precision": "bfloat16", "epochs_scale": 0.5},
            "conv-fc.adam@bfloat16@epochs-10",
            10,
            "bfloat16",
        ),
    ],
    ids=str,
)
def test_a_variant_differs_in_what_its_name_says(changes, name, epochs, precision):
    found = variant(RECIPE, **changes)
    assert found == dataclasses.replace(RECIPE, name=name, epochs=epochs, precision=precision)
    assert found.digest != RECIPE.digest
    assert named(RECIPE, name.partition("@")[2]) == found


@pytest.mark.parametrize("changes", [{}, {"precision": "float32"}, {"epochs_scale": 1.01}], ids=str)
def test_what_changes_nothing_is_the_recipe_itself(changes):
    assert variant(RECIPE, **changes) == RECIPE


def test_a_recipe_that_measures_the_initial_network_has_no_epochs_to_scale():
    initial = dataclasses.replace(RECIPE, epochs=0)
    assert variant(initial, epochs_scale=3) == initial


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf"), 1e308])
def test_an_impossible_scale_is_refused(scale):
    with pytest.raises(ValueError, match="epochs are scaled by a positive number up to 1,000, got"):
        variant(RECIPE, epochs_scale=scale)


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="'float8' is unknown"):
        variant(RECIPE, precision="float8")


@pytest.mark.parametrize(
    "marks",
    [
        *("float8", "epochs-", "epochs-x", "epochs-2.5", "", "bfloat16@fast"),
        *("epochs-\u0662", "epochs-" + "9" * 5000),
    ],
)
def test_an_unknown_mark_is_refused(marks):
    with pytest.raises(ValueError, match=r"conv-fc\.adam has no variant '.*'; known: .*epochs-<n>"):
        named(RECIPE, marks)


def test_no_name_makes_a_recipe_longer_than_a_scale_may():
    longest = 1000 * RECIPE.epochs
    assert named(RECIPE, f"epochs-{longest}").epochs == longest
    with pytest.raises(InputError, match=f"has no variant 'epochs-{longest + 1}'; .* {longest:,}"):
        named(RECIPE, f"epochs-{longest + 1}")


@pytest.mark.parametrize("scale", ["2", None, True])
def test_a_scale_that_is_no_number_is_refused(scale):
    with pytest.raises(InputError, match="the factor of the epochs must be a number, got"):
        variant(RECIPE, epochs_scale=scale)


@pytest.mark.parametrize(
    ("marks", "setting"),
    [
        ("bfloat16@float32", "precision"),
        ("epochs-2@epochs-3", "epochs"),
        ("mnist@cifar10", "dataset"),
    ],
)
def test_two_marks_for_one_setting_are_refused(marks, setting):
    with pytest.raises(ValueError, match=f"conv-fc.adam@{marks} names its {setting} twice"):
        named(RECIPE, marks)


def test_a_recipe_that_measures_the_initial_network_has_no_variant_with_epochs():
    initial = dataclasses.replace(RECIPE, epochs=0)
    with pytest.raises(ValueError, match=r"no variant 'epochs-5'; known: .*float32, bfloat16$"):
        named(initial, "epochs-5")


@pytest.mark.parametrize("marks", ["float32", f"epochs-{RECIPE.epochs}", "float32@epochs-20"])
def test_marks_that_change_nothing_mean_the_recipe_itself(marks):
    assert named(RECIPE, marks) == RECIPE


def test_a_variant_has_one_name_in_whatever_order_its_marks_are_typed():
    typed = named(RECIPE, "epochs-2@bfloat16")
    assert typed == named(RECIPE, "bfloat16@epochs-2")
    assert typed == variant(RECIPE, precision="bfloat16", epochs_scale=0.1)


def test_a_variant_may_measure_the_initial_network_alone():
    assert named(RECIPE, "epochs-0").epochs == 0


def test_records_of_variants_lie_apart(tmp_path):
    store = Store(tmp_path)
    assert home(STUDY, RECIPE, store) == store
    assert home(STUDY, variant(RECIPE, epochs_scale=0.1), store) == Store(tmp_path / "variants")
    changed = dataclasses.replace(RECIPE, batch=RECIPE.batch + 1)  # whatever it is called
    assert home(STUDY, changed, store) == Store(tmp_path / "variants")


def test_no_verdict_is_drawn_from_a_variant_wherever_its_record_lies(make_record):
    """A statement of epoch 20 is not run, however many shorter runs there are."""
    records = [
        make_record(variant(recipe, epochs_scale=scale), seed, study="digits")
        for recipe in STUDY.recipes
        for scale in (0.1, 1.5)
        for seed in range(3)
    ]
    assert not any(by_seed(records, STUDY.recipes).values())
    assert {claim.verdict for claim in judge(STUDY, records)} == {"not_run"}


def test_names_lead_to_recipes_and_variants():
    assert lookup.recipes(STUDY, []) == list(STUDY.recipes)
    asking = dataclasses.replace(STUDY, on_request={RECIPE.name: "a larger machine"})
    assert set(STUDY.recipes) - set(lookup.recipes(asking, [])) == {RECIPE}
    assert lookup.recipes(asking, [RECIPE.name]) == [RECIPE]
    assert lookup.recipes(STUDY, ["conv-fc", "conv-fc.adam"]) == [RECIPE]
    assert lookup.recipes(STUDY, ["conv-fc@bfloat16"]) == [variant(RECIPE, precision="bfloat16")]
    assert lookup.recipe("digits.conv-fc.adam") == (STUDY, RECIPE)
    assert lookup.recipe("digits.two-conv.adam@epochs-2")[1].epochs == 2


def test_a_name_that_two_reports_use_wants_the_report():
    with pytest.raises(ValueError, match=r"name one of .*digits\.conv-fc\.adam"):
        lookup.recipe("conv-fc.adam")


def test_a_role_means_its_recipe_where_it_has_one_only():
    assert lookup.recipe("digits.conv-fc") == (STUDY, RECIPE)
    assert lookup.recipe("task-2")[1].name == "task-2.sgd"
    assert lookup.recipe("task-2@epochs-2")[1].epochs == 2
    with pytest.raises(
        ValueError, match=r"'digit-sum' means several .*2017\.digit-sum\.1000, .*\.20000"
    ):
        lookup.recipe("digit-sum")


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(
        ValueError, match=r"no report has a recipe or role 'two-conf\.adam'; did you mean"
    ):
        lookup.recipe("two-conf.adam")
    with pytest.raises(ValueError, match=r"no recipe or role 'zzz'; see: python -m experiments"):
        lookup.recipes(STUDY, ["zzz"])


def test_records_are_found_by_what_was_run_not_by_its_name(make_record, tmp_path):
    short = variant(RECIPE, epochs_scale=0.1)
    stored = [
        (tmp_path, dataclasses.replace(RECIPE, name="renamed.adam"), 1),
        (tmp_path, RECIPE, 0),
        (tmp_path, STUDY.recipes[0], 0),
        (tmp_path / "variants", short, 0),
    ]
    for root, recipe, seed in stored:
        Store(root).write(make_record(recipe, seed, study="digits"))
    assert [r.seed for r in lookup.records(STUDY, RECIPE, Store(tmp_path))] == [0, 1]
    assert [r.recipe for r in lookup.records(STUDY, short, Store(tmp_path))] == [short]


def test_records_of_different_data_are_not_mixed(make_record, tmp_path):
    for seed, fingerprint in enumerate("ab"):
        record = make_record(RECIPE, seed, study="digits", dataset_fingerprint=fingerprint)
        Store(tmp_path).write(record)
    with pytest.raises(ValueError, match="different versions of data set 'digits'"):
        lookup.records(STUDY, RECIPE, Store(tmp_path))
