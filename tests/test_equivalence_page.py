"""The page on precision shows the study, or says that it was not run."""

from __future__ import annotations

import importlib
import json
import re

import pytest

from experiments.figures import THEMES
from experiments.recipe import Optimizer, Recipe
from experiments.records import record_key
from tests.precision_pairs import OTHER, RECIPE, SMALL, stored
from tests.site_pages import text

PAGE = "# Page\n\n```{precision-differences}\n```\n\n```{precision-licences}\n```\n\n" + (
    "```{precision-commands}\n```\n"
)


@pytest.fixture
def store(tmp_path, runs_in):
    """Store pairs of two recipes; return the folder."""
    return stored(tmp_path / "results", runs_in)


@pytest.fixture
def page(build_page):
    """Build a site of one page that shows the study; return its HTML, or raise."""
    return lambda store: build_page(PAGE, "_ext.precision", store=store)


def test_the_page_shows_the_study(page, store):
    html = page(store)
    assert html.count("<img") == 2 * len(THEMES)  # drawn for wide and for narrow screens
    alt = re.search(r'alt="([^"]*)"', html)[1]
    assert f"digits, {RECIPE.name}: +0.20 ± 0.12 pp, licensed." in alt
    assert f"digits, {OTHER.name}: +0.10 ± 0.99 pp, 3 pairs; 5 are needed." in alt
    said = text(html)
    assert "×1.25" in said
    assert "16 runs" in said
    assert "a processor" in said
    assert f"May be trained in bfloat16: digits.{RECIPE.name}. All others run in float32." in said
    command = f"python -m experiments run digits {RECIPE.name} {OTHER.name} --seeds 5"
    assert f"$ {command} --store {store}\n$ {command} --precision bfloat16" in said
    assert f"$ python -m experiments precision --store {store}" in said


@pytest.mark.parametrize("there", [True, False])
def test_without_records_the_page_says_that_nothing_was_run(page, tmp_path, there):
    store = tmp_path / "empty"
    if there:
        store.mkdir()
    html = page(store)
    assert "<img" not in html
    assert "not run yet The study has not been run" in text(html)
    assert "all of them run in float32" in text(html)
    assert "python -m experiments run REPORT RECIPE --seeds 5 --precision bfloat16" in text(html)


def test_the_picture_has_the_band_and_a_row_for_each_recipe(page, store):
    pictures = importlib.import_module("_ext.precision_pictures")
    found = importlib.import_module("_ext.runs").equivalences_of(store)
    (axes,) = pictures.differences(found).axes
    assert len(axes.get_yticks()) == len(found) == 2
    (band,) = axes.patches
    assert (band.get_x(), band.get_width()) == pytest.approx((-0.5, 1.0))
    means = {line.get_marker(): line.get_xdata()[0] for line in axes.lines}
    assert means["o"] == pytest.approx(0.2)  # licensed
    assert means["s"] == pytest.approx(0.1)
    points = [line.get_xdata() for line in axes.lines if line.get_marker() == "."]
    assert points[0] == pytest.approx([100 * each for each in SMALL])


def test_a_stale_variant_fails_the_page(page, store, runs_in):
    (record,) = runs_in("bfloat16", [0.5], recipe=OTHER)
    old = json.loads(record.to_json())
    old["recipe"]["batch"] += 1
    recipe = Recipe(**old["recipe"] | {"optimizer": Optimizer(**old["recipe"]["optimizer"])})
    old["key"] = record_key(recipe, 0, record.dataset_fingerprint, "cpu")
    (store / "variants" / "digits" / "old.json").write_text(json.dumps(old))
    with pytest.raises(Exception, match=r"seed 0 \(\w+\): its recipe is not in the catalogue"):
        page(store)
