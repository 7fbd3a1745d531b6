"""Sweeps: resume, executors that agree, and what survives a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.recipe import Optimizer, Recipe
from experiments.records import RecordError, Store, SweepError
from experiments.study import Study
from experiments.sweep import make_executor, missing, plan, sweep

RECIPES = tuple(
    Recipe(f"{name}.adam", name, 2, "digits", Optimizer("adam", 0.003), epochs=1)
    for name in ("conv-fc", "conv-gap")
)
STUDY = Study("test", "A test", RECIPES, statements=(), completions={"adam": "Adam"})


def _runs(root, seeds=(0, 1), **options):
    return plan(STUDY, seeds, Store(root), threads=1, **options)


def test_a_sweep_fills_the_store_and_then_nothing_is_missing(tmp_path):
    runs = _runs(tmp_path)
    assert len(missing(runs)) == 4
    sweep(runs, make_executor("serial"))
    assert missing(_runs(tmp_path)) == []
    records = list(Store(tmp_path).records("test"))
    assert sorted((record.recipe.name, record.seed) for record in records) == [
        (recipe.name, seed) for recipe in RECIPES for seed in (0, 1)
    ]


def test_only_what_is_missing_is_run_again(tmp_path):
    runs = _runs(tmp_path)
    sweep(runs, make_executor("serial"))
    runs[2].record_path.unlink()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("test/*.json")}
    (again,) = missing(_runs(tmp_path))
    assert again == runs[2]
    sweep([again], make_executor("serial"))
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    assert len(list(tmp_path.glob("test/*.json"))) == 4


def test_seeds_go_first_so_that_early_records_cover_every_recipe(tmp_path):
    assert [(run.seed, run.recipe) for run in _runs(tmp_path)] == [
        (seed, recipe) for seed in (0, 1) for recipe in RECIPES
    ]


def test_worker_processes_write_the_records_of_a_serial_sweep(tmp_path):
    sweep(_runs(tmp_path / "serial"), make_executor("serial"))
    with make_executor("processes", 2) as pool:
        sweep(_runs(tmp_path / "processes"), pool)
    serial, processes = (
        list(Store(tmp_path / name).records("test")) for name in ("serial", "processes")
    )
    assert serial == processes


def test_one_failing_run_does_not_stop_the_others(tmp_path):
    runs = _runs(tmp_path)
    blocked = runs[0].record_path
    blocked.mkdir(parents=True)  # a folder where the record belongs
    with pytest.raises(RecordError, match="cannot write record"):
        sweep(runs, make_executor("serial"))
    assert all(run.record_path.is_file() for run in runs[1:])
    assert not any((tmp_path / ".running").iterdir())


def test_progress_is_read_from_the_store(tmp_path):
    run = _runs(tmp_path)[0]
    assert run.epochs_done() == 0
    run._beat(1)
    assert run.epochs_done() == 1
    run.execute()
    assert run.epochs_done() == run.recipe.epochs
    assert not run.heartbeat_path.exists()


_SLOW = """
import dataclasses, sys
from pathlib import Path
from experiments.catalog import study
from experiments.records import Store
from experiments.sweep import make_executor, plan, sweep

if __name__ == "__main__":
    recipes = [dataclasses.replace(r, epochs=e) for r in study("digits").recipes[2:3]
               for e in (1, 100_000)]
    runs = plan(study("digits"), [0], Store(Path(sys.argv[1])), recipes=recipes, threads=1)
    with make_executor(sys.argv[2], 2) as pool:
        sweep(runs, pool)
"""


def _slow_sweep(tmp_path: Path, executor: str) -> subprocess.Popen:
    """Start a sweep of a short and an endless run; return once the short one has its record."""
    script = tmp_path / "slow.py"
    script.write_text(_SLOW)
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "store"), executor],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not _beats(tmp_path) or not list((tmp_path / "store").glob("digits/*.json")):
        if process.poll() is not None or time.monotonic() > deadline:
            os.killpg(process.pid, signal.SIGKILL)
            pytest.fail(f"the sweep did not start: {process.stderr.read()}")
        time.sleep(0.1)
    return process


def _beats(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "store" / ".running").glob("*") if path.read_text() > "0"]


def _children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


def test_a_killed_sweep_loses_only_the_run_in_progress(tmp_path):
    process = _slow_sweep(tmp_path, "serial")
    process.kill()
    process.communicate()
    (record,) = Store(tmp_path / "store").records("digits")
    assert record.recipe.epochs == 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads the process table of Linux")
def test_workers_of_a_killed_parent_exit(tmp_path):
    process = _slow_sweep(tmp_path, "processes")
    workers = _children(process.pid)
    assert workers
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.1)
    assert [record.recipe.epochs for record in Store(tmp_path / "store").records("digits")] == [1]


def test_a_killed_worker_ends_the_sweep_with_advice(tmp_path):
    process = _slow_sweep(tmp_path, "processes")
    for worker in _children(process.pid):
        os.kill(worker, signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert f"{SweepError.__name__}: a worker process was killed" in errors
    assert "run the same command again to resume" in errors
    assert [record.recipe.epochs for record in Store(tmp_path / "store").records("digits")] == [1]


@pytest.mark.parametrize(
    ("name", "workers", "message"),
    [("threads", None, "'threads' is unknown; known: serial"), ("processes", 0, "at least 1")],
)
def test_an_impossible_executor_is_refused(name, workers, message):
    with pytest.raises(ValueError, match=message):
        make_executor(name, workers)
