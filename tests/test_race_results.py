"""Results of the race: stored, read again, and summarised over seeds."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from experiments import speed
from experiments.records import RecordError
from tests.tiny_race import TINY, made_up, run


def test_a_result_comes_back_as_it_was_written(tmp_path):
    results = speed.Results(tmp_path)
    result = run()
    path = results.path("tiny", TINY, 0, "test", "cpu")
    results.write(path, result)
    assert results.read(path) == result
    assert results.read(path).provenance == result.provenance
    assert results.all() == [result]
    assert results.all("validation") == []
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_result_without_an_engine_is_of_the_first(tmp_path, monkeypatch):
    results = speed.Results(tmp_path)
    path = results.path("tiny", TINY, 0, "test", "cpu")
    results.write(path, made_up(0.8))
    old = json.loads(path.read_text())
    del old["engine"]
    path.write_text(json.dumps(old))
    assert results.find(path) is None
    monkeypatch.setattr("experiments.speed.results.ENGINE_VERSION", 1)
    assert results.find(path) is not None


def test_a_result_of_another_engine_does_not_count(tmp_path):
    results = speed.Results(tmp_path)
    path = results.path("tiny", TINY, 0, "test", "cpu")
    assert results.find(path) is None
    results.write(path, made_up(0.8, engine=0))
    assert results.find(path) is None
    assert results.all() == []
    results.write(path, made_up(0.8))
    assert results.find(path) is not None


@pytest.mark.parametrize(
    "damage",
    [
        {"accuracy": {}},
        {"accuracy": {"1": 0.8, "2": 0.8, "6": 1.2}},
        {"processor_seconds": "x"},
        {"provenance": {"training_seconds": 1.0, "hardware": "made up"}},
        {"provenance": {"training_seconds": 1.0, "threads": 1}},
        {"provenance": {"training_seconds": "x", "threads": 1, "hardware": "made up"}},
    ],
    ids=str,
)
def test_a_result_that_lacks_something_is_named(tmp_path, damage):
    path = tmp_path / "result.json"
    speed.Results(tmp_path).write(path, made_up(0.8))
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    with pytest.raises(RecordError, match=r"result .*result\.json cannot be read"):
        speed.Results(tmp_path).read(path)


@pytest.mark.parametrize("damage", ["", "{}", "[]", '{"settings": {"epochs": -1}}'])
def test_a_damaged_result_is_named(tmp_path, damage):
    path = tmp_path / "result.json"
    path.write_text(damage)
    with pytest.raises(RecordError, match=r"result .*result\.json cannot be read"):
        speed.Results(tmp_path).read(path)


def test_the_target_is_reached_where_the_whole_interval_lies_above_it():
    results = [made_up(0.80 + 0.01 * seed, seed) for seed in range(2)]
    slow = {"training_seconds": 90.0, "hardware": "made up", "threads": 1}
    results.append(made_up(0.82, 2, provenance=slow, processor_seconds=170.0))
    found = speed.summary(results, views=1)
    half = 4.302653 * 0.01 / 3**0.5  # t-quantile of two degrees of freedom
    assert found.mean == pytest.approx(0.81)
    assert found.interval.low == pytest.approx(0.81 - half, abs=1e-7)
    assert (found.median_seconds, found.median_processor_seconds) == (2.0, 2.0)
    assert found.above(0.81 - 1.01 * half)
    assert not found.above(0.81 - 0.99 * half)
    assert not speed.summary(results[:1], views=1).above(0.5)  # one seed has no interval


def test_only_seeds_of_one_recipe_have_a_mean():
    for other in (
        made_up(0.8, 0),
        made_up(0.8, 1, settings=replace(TINY, epochs=4)),
        made_up(0.8, 1, split="validation"),
        made_up(0.8, 1, dataset_fingerprint="another"),
    ):
        with pytest.raises(ValueError, match="only different seeds of one recipe"):
            speed.summary([made_up(0.8, 0), other], views=1)
    eight = {"training_seconds": 1.0, "hardware": "made up", "threads": 8}
    with pytest.raises(ValueError, match=r"made up, 1 threads; made up, 8 threads\); name another"):
        speed.summary([made_up(0.8, 0), made_up(0.8, 1, provenance=eight)], views=1)
    with pytest.raises(ValueError, match="no results to summarise"):
        speed.summary([], views=1)


def test_every_recipe_of_the_ladder_differs_from_every_other():
    digests = [entry.settings.digest for entry in speed.RECIPES.values()]
    assert len(set(digests)) == len(digests)
