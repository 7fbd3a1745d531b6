"""Sweeps: what is missing is run, in order, once, and failures are told and stop no other run."""

from __future__ import annotations

import dataclasses
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from experiments import runs as runs_module
from experiments.errors import InputError, SweepError
from experiments.executors import make_executor
from experiments.records import RecordError, Store
from experiments.runs import Batch, missing
from experiments.sweep import plan, sweep
from experiments.variants import variant
from tests.toy_sweep import RECIPES, STUDY, planned


def test_a_sweep_fills_the_store_and_then_nothing_is_missing(tmp_path):
    runs = planned(tmp_path)
    assert len(missing(runs)) == 4
    sweep(runs, make_executor("serial"))
    assert missing(planned(tmp_path)) == []
    records = list(Store(tmp_path).records("test"))
    assert sorted((record.recipe.name, record.seed) for record in records) == [
        (recipe.name, seed) for recipe in RECIPES for seed in (0, 1)
    ]


def test_only_what_is_missing_is_run_again(tmp_path):
    runs = planned(tmp_path)
    sweep(runs, make_executor("serial"))
    runs[2].record_path.unlink()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("test/*.json")}
    (again,) = missing(planned(tmp_path))
    assert again == runs[2]
    sweep([again], make_executor("serial"))
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    assert len(list(tmp_path.glob("test/*.json"))) == 4


def test_seeds_go_first_so_that_early_records_cover_every_recipe(tmp_path):
    assert [(run.seed, run.recipe) for run in planned(tmp_path)] == [
        (seed, recipe) for seed in (0, 1) for recipe in RECIPES
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": [-1]}, "a seed must be at least 0, got -1"),
        ({"seeds": [0.0]}, r"a seed must be an integer, got 0\.0"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"device": "tpu", "here": False}, "device 'tpu' is unknown; known: cpu, cuda"),
    ],
)
def test_no_run_is_planned_that_cannot_be_carried_out(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        plan(STUDY, **{"seeds": [0], "store": Store(tmp_path)} | options)


def test_a_seed_that_is_named_twice_is_run_once(tmp_path):
    """Red where a fleet trains one run as two of its members."""
    assert planned(tmp_path, seeds=[1, 1, 0]) == planned(tmp_path, seeds=[1, 0])


@pytest.mark.parametrize(("fleet", "message"), [(0, "at least 1"), (-1, "at le"), (1.5, "integer")])
def test_a_fleet_of_no_size_is_refused(tmp_path, fleet, message):
    """Red where a sweep in fleets of -1 ends well and has run nothing."""
    with pytest.raises(InputError, match=f"the size of fleets must be .*{message}"):
        sweep(planned(tmp_path), make_executor("serial"), fleet)


def test_worker_processes_write_the_records_of_a_serial_sweep(tmp_path):
    sweep(planned(tmp_path / "serial"), make_executor("serial"))
    with make_executor("processes", 2) as pool:
        sweep(planned(tmp_path / "processes"), pool)
    serial, processes = (
        list(Store(tmp_path / name).records("test")) for name in ("serial", "processes")
    )
    assert serial == processes


def test_one_failing_run_does_not_stop_the_others(tmp_path):
    runs = planned(tmp_path)
    blocked = runs[0].record_path
    blocked.mkdir(parents=True)  # a folder where the record belongs
    with pytest.raises(RecordError, match="cannot write") as refused:
        sweep(runs, make_executor("serial"))
    assert refused.value.__notes__ == ["in conv-fc.adam, seed 0"]
    assert all(run.record_path.is_file() for run in runs[1:])
    assert not any((tmp_path / ".running").iterdir())


def test_a_failure_says_whose_it_is_and_how_many_more_there_are(tmp_path, monkeypatch):
    def train(*_, **__):
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(runs_module, "train", train)
    with pytest.raises(RuntimeError, match="CUDA out of memory") as failed:
        sweep(planned(tmp_path), make_executor("serial"))
    assert failed.value.__notes__ == ["in conv-fc.adam, seed 0, and 3 more runs failed"]


def test_of_a_fleet_those_without_a_record_have_failed(tmp_path):
    runs = planned(tmp_path)[::2]
    runs[1].record_path.mkdir(parents=True)
    with pytest.raises(RecordError, match="cannot write") as refused:
        sweep(runs, make_executor("serial"), fleet=2)
    assert refused.value.__notes__ == ["in conv-fc.adam, seed 1"]


def test_the_command_says_in_one_line_which_run_failed(convlaws, tmp_path, monkeypatch):
    def train(*_, **__):
        raise InputError("no such layer")

    monkeypatch.setattr(runs_module, "train", train)
    code, _, err = convlaws("run", "digits", "conv-fc.adam", "--seeds", 2, "--store", tmp_path)
    assert code == 2
    assert err.endswith("\nerror: no such layer (in conv-fc.adam, seed 0, and 1 more run failed)\n")


def test_a_store_that_cannot_be_written_costs_no_training(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RecordError, match="is not a folder"):
        sweep(planned(tmp_path / "file"), make_executor("serial"))


def test_a_disk_that_fills_up_costs_no_further_training(tmp_path, monkeypatch):
    """An empty file can still be made there; red where the check only makes one."""
    runs = planned(tmp_path)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("experiments.records.store.os.fsync", full)
    monkeypatch.setattr(runs_module, "train", lambda *args, **kwargs: pytest.fail("trained"))
    with pytest.raises(RecordError, match="No space left on device; free space"):
        Batch(tuple(runs[:1])).execute()


def test_a_recipe_that_was_renamed_is_not_run_again(tmp_path):
    sweep(planned(tmp_path, (0,)), make_executor("serial"))
    renamed = tuple(dataclasses.replace(r, name=f"new-{r.name}") for r in RECIPES)
    study = dataclasses.replace(STUDY, recipes=renamed)
    runs = plan(study, (0, 1), Store(tmp_path), threads=1)
    assert [run.seed for run in missing(runs)] == [1, 1]


def test_a_process_trains_one_network_at_a_time(tmp_path, monkeypatch):
    """Dask's workers may have several threads, and PyTorch's random state is the process's."""
    active, most = [], []

    def train(*_, **__):
        active.append(1)
        time.sleep(0.02)
        most.append(len(active))
        active.pop()
        raise RuntimeError

    monkeypatch.setattr(runs_module, "train", train)
    with ThreadPoolExecutor(4) as pool, pytest.raises(RuntimeError):
        sweep(planned(tmp_path), pool)
    assert most == [1, 1, 1, 1]


def test_a_worker_with_other_data_writes_nothing(tmp_path):
    run = dataclasses.replace(planned(tmp_path)[0], key="0" * 64)
    with pytest.raises(SweepError, match=r"conv-fc\.adam on other data"):
        Batch((run,)).execute()
    assert not list(tmp_path.rglob("*.json"))


def test_folders_are_made_absolute_for_workers_that_start_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONVLAWS_DATA", "data")
    run = plan(STUDY, [0], Store(Path("store")))[0]
    assert run.record_path.is_relative_to(tmp_path / "store" / "test")
    assert run.data_root == tmp_path / "data"


def test_what_is_not_the_studys_recipe_lies_apart_and_is_missing_from_it(tmp_path):
    short = [variant(recipe, epochs_scale=2) for recipe in RECIPES]
    runs = planned(tmp_path, seeds=[0], recipes=[*RECIPES[:1], *short])
    sweep(runs[1:], make_executor("serial"))
    assert missing(runs) == runs[:1]
    assert list(Store(tmp_path).records("test")) == []
    apart = list(Store(tmp_path / "variants").records("test"))
    assert [(record.recipe, len(record.curves.test_loss)) for record in apart] == [
        (recipe, 2) for recipe in short
    ]


def test_a_lost_cluster_ends_the_sweep_with_advice(tmp_path):
    class Lost(Executor):
        def submit(self, fn, /, *args, **kwargs):
            future = Future()
            future.cancel()
            future.set_running_or_notify_cancel()
            return future

    with pytest.raises(SweepError, match=r"scheduler was lost; .* again to resume"):
        sweep(planned(tmp_path), Lost())
