"""The summary of a recipe's runs, and the command that makes them."""

from __future__ import annotations

import shlex

import pytest

from experiments.advice import how_to_run
from experiments.catalog import study
from experiments.lookup import recipes
from experiments.reporting import recipe_summary
from experiments.variants import named
from tests.reported_study import STUDY, rendered


def test_a_run_shows_its_last_test_accuracy_and_the_loss_of_its_final_weights(make_record) -> None:
    recipe = STUDY.recipe("linear-6", "adam")
    falling = [0.9 - 0.01 * epoch for epoch in range(recipe.epochs)]
    run = make_record(recipe, 0, train_loss=3.0, test_accuracy=falling, final_train_loss=1.234)
    text = rendered(recipe_summary(STUDY, recipe, [run]))
    assert f"{100 * falling[-1]:.1f} %" in text
    assert "90.0 %" not in text
    assert "1.234" in text
    assert "3.000" not in text


def test_a_run_without_epochs_shows_what_its_initial_weights_measure(make_record) -> None:
    tp1 = study("tp1-cnn")
    recipe = tp1.recipe("initial", "sgd")
    run = make_record(recipe, 0, final_train_accuracy=0.1234, final_train_loss=2.345)
    text = " ".join(rendered(recipe_summary(tp1, recipe, [run])).split())
    assert "0 cpu 0 2.345 12.3 %" in text


def test_settings_measurements_and_provenance(noisy_records) -> None:
    recipe = STUDY.recipe("filters-20-lr-0.01", "sgd-momentum")
    runs = [record for record in noisy_records if record.recipe == recipe]
    text = rendered(recipe_summary(STUDY, recipe, runs))
    assert "sgd, learning rate 0.01, momentum 0.9" in text
    assert recipe.digest[:12] in text
    lowest = min(runs[2].curves.test_loss)
    epoch = runs[2].curves.test_loss.index(lowest) + 1
    assert f"{lowest:.3f} at {epoch}" in text
    assert all(f"seed {run.seed}: key {run.key[:12]}" in text for run in runs)


def test_a_run_that_diverged_at_once(make_record) -> None:
    recipe = STUDY.recipes[0]
    run = make_record(recipe, 0, diverged_after=0)
    assert "0 (diverged)" in rendered(recipe_summary(STUDY, recipe, [run]))


def test_a_recipe_without_records_names_the_command_that_makes_them(tmp_path) -> None:
    text = rendered(recipe_summary(STUDY, STUDY.recipes[0], [], tmp_path), width=2000)
    command = f"run nni-2023-ex1 filters-20-lr-0.01.sgd --seeds 3 --store {tmp_path}"
    assert f"no records of this recipe; run: python -m experiments {command}" in text


@pytest.mark.parametrize("marks", ["", "@bfloat16", "@epochs-0", "@bfloat16@epochs-1000"])
def test_the_command_for_a_variant_makes_that_variant(marks) -> None:
    recipe = STUDY.recipe("linear-6", "adam")
    wanted = named(recipe, marks[1:]) if marks else recipe
    arguments = shlex.split(how_to_run(STUDY, recipe=wanted))
    assert arguments[:5] == ["python", "-m", "experiments", "run", "nni-2023-ex1"]
    assert recipes(STUDY, [arguments[5]]) == [wanted]
    assert arguments[6:] == ["--seeds", "3"]
