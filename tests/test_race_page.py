"""The page of the race: what is stored is shown, and stale or mixed results fail it."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import pytest

from experiments import speed
from tests.tiny_race import made_up


@pytest.fixture
def page(monkeypatch):
    pytest.importorskip("sphinx", reason="the docs extra is not installed")
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "docs"))
    return importlib.import_module("_ext.race")


@pytest.fixture
def stored(tmp_path):
    """Store made-up results of every recipe, better with more epochs."""
    kept = speed.Results(tmp_path)
    for name, entry in speed.RECIPES.items():
        for seed in range(2):
            settings = entry.settings
            accuracy = 0.8 + 0.001 * seed + 0.01 * (name == "whole")
            made = {"hardware": "made up", "threads": 1}
            provenance = {"training_seconds": settings.epochs, **made}
            result = made_up(accuracy, seed, settings=settings, provenance=provenance)
            kept.write(kept.path(name, settings, seed, "test", "cpu"), result)
    return tmp_path


def test_the_page_shows_what_is_stored(page, stored):
    runs = page.runs_of(stored)
    assert runs.keys() == speed.RECIPES.keys()
    ladder = {name: results for name, results in runs.items() if name in speed.LADDER}
    lost = page.race_pictures.losses(ladder)
    assert {each.label: pytest.approx(100 * each.mean) for each in lost} == {
        **{name.replace("-", " "): -1 for name in speed.LADDER if name != "whole"},
        "1 view instead of 6": 0,
        "2 views instead of 6": 0,
    }
    for drawn in (page.race_pictures.ladder(lost), page.race_pictures.curve(runs, 0.8026)):
        assert drawn.axes


def test_numbers_below_the_curve_do_not_run_into_each_other(page, stored):
    """Lengths of 3.25 and 3.5 epochs are 8 % apart."""
    runs = page.runs_of(stored)
    lengths = {name: runs[name] for name in ("whole", *speed.CURVE)}
    axes = page.race_pictures.curve(lengths, 0.8026).axes[0]
    assert [*axes.get_xticks()] == [1, 2, 2.25, 3.25, 4, 5.5]


def test_held_out_images_have_columns_of_their_own(page, stored):
    runs = page.runs_of(stored)
    assert "held out" not in page._lengths(runs, page.runs_of(stored, "validation")).astext()
    kept = speed.Results(stored)
    for seed, accuracy in enumerate((0.71, 0.72, 0.73)):
        held_out = made_up(accuracy, seed, split="validation", settings=speed.WHOLE)
        kept.write(kept.path("whole", speed.WHOLE, seed, "validation", "cpu"), held_out)
    page.runs_of.cache_clear()
    shown = page._lengths(page.runs_of(stored), page.runs_of(stored, "validation"))
    head, *rows = ([cell.astext() for cell in row] for row in shown.findall(page.nodes.row))
    assert head[-2:] == ["held out, 1 view", "held out, 6 views"]
    cells = {name: cells[-2:] for name, *cells in rows}
    # The half-width of three seeds 1 point apart: t(0.975, 2) = 4.3027 times 1 / sqrt(3).
    assert cells.pop("whole") == ["72.00 ± 2.48 % (3)"] * 2
    assert cells
    assert all(others == ["–", "–"] for others in cells.values())


def test_results_that_cannot_be_summarised_fail_the_page(page, stored):
    other = {"training_seconds": 1.0, "hardware": "an abacus", "threads": 1}
    kept = speed.Results(stored)
    result = made_up(0.8, 7, settings=speed.WHOLE, provenance=other)
    kept.write(kept.path("whole", speed.WHOLE, 7, "test", "cpu"), result)
    page.runs_of.cache_clear()
    with pytest.raises(page.ExtensionError, match="measured in different ways"):
        page.runs_of(stored)


def test_seconds_of_different_machines_are_not_compared_on_the_page(page, stored):
    runs = dict(page.runs_of(stored))
    name = "without-muon"
    other = {"training_seconds": 1.0, "hardware": "an abacus", "threads": 1}
    runs[name] = [replace(result, provenance=other) for result in runs[name]]
    ladder = {name: runs[name] for name in ("whole", "without-muon", "without-smoothing")}
    seconds = {each.label: each.seconds for each in page.race_pictures.losses(ladder)}
    assert seconds["without muon"] is None
    assert seconds["without smoothing"] is not None


def test_a_stale_result_fails_the_page(page, stored):
    stale = made_up(0.8, 7, settings=replace(speed.WHOLE, batch=7))
    kept = speed.Results(stored)
    kept.write(kept.path("whole", stale.settings, 7, "test", "cpu"), stale)
    page.runs_of.cache_clear()
    with pytest.raises(page.ExtensionError, match=f"{stale.settings.digest[:12]}.* is stale"):
        page.runs_of(stored)
