"""Portraits on pages: beside the run they belong to, with the accuracy of the weights drawn."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.catalog import study
from experiments.portrait import Portrait, place
from experiments.portrait import save as save_portrait
from experiments.records import Curves, Store
from tests.site_pages import STUDY, record, text


def portray(store, run):
    """Keep a record, and a portrait beside it."""
    maps = np.zeros((2, 5, 4, 4), np.float16)
    shown = Portrait(np.ones((5, 3, 2, 2), np.float16), maps, maps)
    save_portrait(shown, place(Store(store).write(run)))


def test_a_portrait_is_shown_beside_the_run_it_belongs_to(build_page, tmp_path):
    recipe = STUDY.recipe("conv-gap", "adam")
    page = f"# Page\n\n```{{portrait}} {STUDY.name} {recipe.name}\n```\n"
    Store(tmp_path).write(record(recipe, 0))
    for seed in (1, 3):
        portray(tmp_path, record(recipe, seed))
    html = build_page(page, "_ext.measurements", "_ext.portraits")
    assert f"{recipe.name}, seed 1" in html  # the first that has one
    assert html.count('<img alt="Maps of 4x4 cells') == 4  # first and last, light and dark


def test_a_portrait_is_captioned_with_the_accuracy_of_the_weights_drawn(build_page, tmp_path):
    """Those that early stopping kept are neither the best on the test set nor the last."""
    recipe = study("assignment-3").recipe("task-2", "sgd")
    curves = Curves(
        train_loss=[1.0] * 3,
        train_accuracy=[0.5] * 3,
        test_loss=[1.0] * 3,
        test_accuracy=[0.62, 0.73, 0.71],
        validation_loss=[1.0, 1.5, 2.0],
        validation_accuracy=[0.5] * 3,
    )
    run = record(recipe, 0, study="assignment-3", curves=curves, best_train_accuracy=0.5)
    portray(tmp_path, run)
    page = f"# Page\n\n```{{portrait}} assignment-3 {recipe.name}\n```\n"
    html = text(build_page(page, "_ext.measurements", "_ext.portraits"))
    assert "test accuracy of the weights drawn is 62.0%" in html


@pytest.mark.parametrize(
    ("changes", "accuracy"),
    [
        ({}, "test accuracy of the weights drawn is 50.0%"),
        ({"curves": Curves([], [], [], []), "diverged": True}, "seed 0. Grey"),
    ],
    ids=["last", "diverged"],
)
def test_without_patience_a_portrait_draws_the_last_weights(
    build_page, tmp_path, changes, accuracy
):
    recipe = STUDY.recipe("conv-gap", "adam")
    portray(tmp_path, record(recipe, 0, **changes))
    page = f"# Page\n\n```{{portrait}} {STUDY.name} {recipe.name}\n```\n"
    assert accuracy in text(build_page(page, "_ext.measurements", "_ext.portraits"))


def test_without_a_portrait_the_page_says_how_to_make_one(build_page, tmp_path):
    page = f"# Page\n\n```{{portrait}} {STUDY.name} conv-gap.adam\n```\n"
    Store(tmp_path).write(record(STUDY.recipe("conv-gap", "adam"), 0))
    html = text(build_page(page, "_ext.measurements", "_ext.portraits"))
    assert f"python -m experiments portrait {STUDY.name} conv-gap.adam makes one" in html
