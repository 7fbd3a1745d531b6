"""Rates of layouts are kept, for the same machine and recipe alone."""

from __future__ import annotations

import json
from dataclasses import replace

import pooch
import pytest

from experiments.layout import Kept, cache, layouts_file
from experiments.layout.cache import PLACE
from tests.toy_layouts import FC, GAP, TABLE, Bench, planned

pytestmark = pytest.mark.usefixtures("rates_file")  # and not the user's


def test_what_was_measured_is_not_measured_again(tmp_path):
    runs = planned(tmp_path, FC, GAP, seeds=4)
    first, again = Bench(TABLE), Bench({})
    chosen = first.choose(runs)
    assert again.choose(runs) == chosen
    assert again.said == first.said
    assert set(Bench({}).choose(planned(tmp_path, FC, seeds=3))) == {"1x2x1"}


def test_more_missing_runs_than_were_measured_for_are_measured_anew(tmp_path):
    Bench({"1x1x1": 7e3} | TABLE).choose(planned(tmp_path, FC))
    bench = Bench(TABLE)
    assert set(bench.choose(planned(tmp_path, FC, seeds=8))) == {"2x1x4"}
    assert bench.asked == ["1x2x1", "1x2x2", "2x1x1", "2x1x2", "2x1x4"]
    assert Bench({}).choose(planned(tmp_path, FC)) == ["1x2x1"]


@pytest.mark.parametrize(
    "stale", ["torch", "engine", "processor", "model", "cores", "architecture"]
)
def test_rates_of_something_else_count_for_nothing(tmp_path, monkeypatch, stale):
    Bench(lambda *_: 1e4).choose(planned(tmp_path, FC))
    cores, recipe = 2, FC
    match stale:
        case "torch":
            monkeypatch.setattr(cache.torch, "__version__", "0.1")
        case "processor":
            monkeypatch.setattr(cache, "processor", lambda: "an abacus")
        case "model":
            monkeypatch.setattr(cache, "model", lambda: "of another year")
        case "engine":
            monkeypatch.setattr(cache, "ENGINE_VERSION", 0)
        case "cores":
            cores = 1
        case "architecture":
            recipe = replace(FC, batch=64)
    bench = Bench(lambda *_: 1e4)
    bench.choose(planned(tmp_path, recipe), cores)
    assert bench.asked == ["1x2x1", "1x1x1"][2 - cores :]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{", "it is not JSON"),
        (b"\xff", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[]", "it does not hold rates"),
        (b'{"a machine": {"a digest": 1.0}}', "it does not hold rates"),
        (b'{"a machine": {"a digest": {"1x2x1": "fast"}}}', "it holds 'fast', expected images"),
        (b'{"a machine": {"a digest": {"1x2x1": 0.0}}}', "it holds 0.0, expected images"),
        (b'{"a machine": {"a digest": {"1x2x1": NaN}}}', "it holds nan, expected images"),
    ],
    ids=lambda given: str(given)[:40],
)
def test_a_damaged_file_is_said_and_replaced(tmp_path, rates_file, content, why):
    rates_file.parent.mkdir()
    rates_file.write_bytes(content)
    runs, bench = planned(tmp_path, FC, seeds=2), Bench(TABLE)
    assert bench.choose(runs) == ["2x1x1"] * 2
    assert len(bench.said) == 2
    assert bench.said[0].startswith(f"{rates_file} cannot be used ({why}")
    assert bench.said[0].endswith("; layouts are measured anew")
    assert Bench({}).choose(runs) == ["2x1x1"] * 2


def test_a_file_that_cannot_be_written_is_said_once(tmp_path, rates_file, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "write_whole", full)
    bench = Bench(TABLE)
    assert bench.choose(planned(tmp_path, FC, GAP, seeds=2)) == ["2x1x2"] * 4
    assert len(bench.said) == 3
    assert bench.said[0] == (
        f"cannot keep layouts in {rates_file} (No space left on device); "
        "the next command will measure them again"
    )


def test_two_commands_keep_their_rates_in_one_file(tmp_path, rates_file):
    one, other = Kept(2, pytest.fail), Kept(2, pytest.fail)
    one.keep(FC, {"1x2x1": 1.0})
    other.keep(GAP, {"1x2x1": 2.0})
    (rates,) = json.loads(rates_file.read_text()).values()
    assert rates == {FC.digest: {"1x2x1": 1.0}, GAP.digest: {"1x2x1": 2.0}}


def test_rates_are_kept_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.delenv(PLACE)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / name)
    assert layouts_file() == tmp_path / "convlaws" / "layouts.json"
