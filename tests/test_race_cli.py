"""``python -m experiments race``: what a user sees, for good and for bad input."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from experiments import datasets, speed
from experiments.speed import training
from tests.tiny_race import DATA, TINY


@pytest.fixture
def toy(monkeypatch):
    """Let the command race on a few images with small recipes."""
    monkeypatch.setattr(datasets, "load", lambda name, root: DATA)
    entries = {"whole": speed.Entry(TINY, "every idea")}
    monkeypatch.setattr("experiments.speed.ladder.RECIPES", entries)


@pytest.mark.usefixtures("toy")
def test_a_race_runs_what_is_missing_and_judges(convlaws, tmp_path, monkeypatch):
    arguments = ("race", "--target", 60, "--store", tmp_path, "--threads", 1)
    code, out, err = convlaws(*arguments, "--seeds", 1)
    assert code == 0
    assert err == ""  # no progress where there is no terminal
    assert "one seed has no interval: add --seeds 5" in out
    first = next((tmp_path / speed.FOLDER).iterdir())
    written = first.read_bytes()
    code, out, _ = convlaws(*arguments, "--seeds", 3, "--json")
    assert code == 0
    assert first.read_bytes() == written  # kept, its seconds too
    data = json.loads(out)
    assert data["reached"] is True
    assert [result["seed"] for result in data["results"]] == [0, 1, 2]
    assert {result["split"] for result in data["results"]} == {"test"}
    monkeypatch.setattr(training, "train", None)  # nothing is left to train
    code, out, _ = convlaws(*arguments, "--seeds", 3)
    assert code == 0
    assert "above 60 %" in out


@pytest.mark.usefixtures("toy")
def test_results_of_other_threads_or_data_are_not_taken_for_what_was_asked(
    convlaws, refused, tmp_path, monkeypatch
):
    asked = ("race", "--seeds", 1, "--store", tmp_path)
    assert convlaws(*asked, "--threads", 1)[0] == 0
    assert convlaws(*asked)[0] == 0  # how many does not matter
    complaint = refused(*asked, "--threads", 2)
    assert "holds results with 1 thread, and seconds depend on them" in complaint
    assert "to race with 2 threads, name another --store" in complaint
    monkeypatch.setattr(datasets, "load", lambda name, root: replace(DATA, fingerprint="other"))
    for more in (("--data-root", tmp_path), ("--seeds", 2)):
        assert "another version of CIFAR-10" in refused(*asked, *more)
    assert convlaws(*asked)[0] == 0  # nothing is loaded, and nothing compared


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("other", ["threads", "machine"])
def test_no_seed_is_trained_whose_seconds_cannot_be_compared(
    convlaws, refused, tmp_path, monkeypatch, other
):
    asked = ("race", "--store", tmp_path)
    assert convlaws(*asked, "--seeds", 1, "--threads", 1)[0] == 0
    if other == "threads":
        monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
        more = ()
    else:
        monkeypatch.setattr("experiments.provenance.processor", lambda: "an abacus")
        more = ("--threads", 1)
    monkeypatch.setattr(training, "train", None)
    complaint = refused(*asked, "--seeds", 2, *more)
    way = "3 threads of" if other == "threads" else "1 thread of an abacus"
    assert f"to race with {way}" in complaint
    assert convlaws(*asked, "--seeds", 1)[0] == 0  # what is there can be shown anywhere


@pytest.mark.usefixtures("toy")
def test_a_store_that_cannot_be_written_is_refused_before_the_race(refused, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(training, "train", None)
    assert "cannot write" in refused("race", "--seeds", 1, "--store", tmp_path / "file" / "store")


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    ("precision", "hardware", "warned"),
    [("bfloat16", False, True), ("bfloat16", True, False), ("float32", False, False)],
)
def test_a_race_in_emulated_bfloat16_says_that_it_is_slow(
    convlaws, tmp_path, monkeypatch, precision, hardware, warned
):
    settings = replace(TINY, epochs=0.25, precision=precision)
    entries = {"whole": speed.Entry(settings, "every idea")}
    monkeypatch.setattr("experiments.speed.ladder.RECIPES", entries)
    monkeypatch.setattr("theory.processor.multiplies_bfloat16", lambda: hardware)
    asked = ("race", "--seeds", 1, "--store", tmp_path, "--threads", 1)
    code, _, err = convlaws(*asked)
    assert code == 0
    assert ("only emulates bfloat16" in err) is warned
    assert convlaws(*asked)[2] == ""  # nothing is trained, and nothing is slow


@pytest.mark.usefixtures("toy")
def test_a_validation_race_lies_apart(convlaws, tmp_path):
    arguments = ("race", "--seeds", 1, "--store", tmp_path, "--threads", 1, "--json")
    results = [
        json.loads(convlaws(*arguments, *more)[1])["results"] for more in ((), ("--validation",))
    ]
    assert [result["split"] for each in results for result in each] == ["test", "validation"]
    assert len(list((tmp_path / speed.FOLDER).iterdir())) == 2


@pytest.mark.usefixtures("toy")
def test_an_interval_in_json_is_the_list_of_its_ends(convlaws, tmp_path):
    arguments = ("race", "--seeds", 2, "--store", tmp_path, "--threads", 1, "--json")
    summary = json.loads(convlaws(*arguments)[1])["summary"]
    low, high = summary["interval"]
    assert low <= summary["mean"] <= high


def test_the_recipes_are_listed(convlaws):
    code, out, _ = convlaws("race", "--list")
    assert code == 0
    assert all(name in out for name in speed.RECIPES)
    _, out, _ = convlaws("race", "--list", "--json")
    assert json.loads(out).keys() == speed.RECIPES.keys()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("fast",), "race recipe 'fast' is unknown; known: whole, without-whitening"),
        (("--views", 3), "3 views are not offered; choose 1, 2 or 6"),
        (("--target", 0.8026, "--views", 5), "5 views are not offered"),
        (("--target", 120), "between 0 and 100 percent, got 120"),
        (("--data-root", "nowhere"), "nowhere does not exist"),
    ],
)
def test_bad_input_is_refused_in_a_line(refused, tmp_path, arguments, complaint):
    assert complaint in refused("race", *arguments, "--store", tmp_path)
