"""Sweeps: resume, executors that agree, and what survives a kill."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from experiments.recipe import Optimizer, Recipe
from experiments.records import RecordError, Store, SweepError
from experiments.study import Study
from experiments.sweep import make_executor, missing, plan, sweep

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads the process table of Linux")

RECIPES = tuple(
    Recipe(f"{name}.adam", name, "digits", Optimizer("adam", 0.003), epochs=1, filters=2)
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
    with pytest.raises(RecordError, match="cannot write"):
        sweep(runs, make_executor("serial"))
    assert all(run.record_path.is_file() for run in runs[1:])
    assert not any((tmp_path / ".running").iterdir())


def test_a_store_that_cannot_be_written_costs_no_training(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RecordError, match="cannot write"):
        sweep(_runs(tmp_path / "file"), make_executor("serial"))


def test_a_run_that_another_sweep_has_finished_is_not_repeated(tmp_path):
    run = _runs(tmp_path)[0]
    run.record_path.parent.mkdir()
    run.record_path.write_text("theirs")
    assert run.execute() == run.record_path
    assert run.record_path.read_text() == "theirs"


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


@pytest.fixture
def slow_sweep(tmp_path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start a sweep of a short and an endless run; return once the short one has its record."""
    started: list[subprocess.Popen[str]] = []

    def start(executor: str) -> subprocess.Popen[str]:
        script = tmp_path / "slow.py"
        script.write_text(_SLOW)
        process = subprocess.Popen(
            [sys.executable, str(script), str(tmp_path / "store"), executor],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        deadline = time.monotonic() + 240
        while not (list(tmp_path.glob("store/digits/*.json")) and _endless_has_begun(tmp_path)):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline, "the sweep did not start"
            time.sleep(0.1)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()


def _endless_has_begun(tmp_path: Path) -> bool:
    for path in tmp_path.glob("store/.running/*"):
        with contextlib.suppress(FileNotFoundError):  # a run that ends takes its heartbeat along
            if path.read_text() > "1":
                return True
    return False


def _workers(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _wait_until_gone(workers: list[int]) -> None:
    deadline = time.monotonic() + 60
    while any(map(_is_running, workers)):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.1)


def _epochs_recorded(tmp_path: Path) -> list[int]:
    return [record.recipe.epochs for record in Store(tmp_path / "store").records("digits")]


def test_a_killed_sweep_loses_only_the_run_in_progress(tmp_path, slow_sweep):
    process = slow_sweep("serial")
    process.kill()
    process.wait()
    assert _epochs_recorded(tmp_path) == [1]


@linux
def test_workers_of_a_killed_parent_exit(tmp_path, slow_sweep):
    process = slow_sweep("processes")
    workers = _workers(process.pid)
    assert workers
    process.kill()
    process.wait()
    _wait_until_gone(workers)
    assert _epochs_recorded(tmp_path) == [1]


@linux
def test_a_killed_worker_ends_the_sweep_with_advice(tmp_path, slow_sweep):
    process = slow_sweep("processes")
    for worker in _workers(process.pid):
        os.kill(worker, signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert f"{SweepError.__name__}: a worker process was killed" in errors
    assert "run the same command again to resume" in errors
    assert _epochs_recorded(tmp_path) == [1]


@linux
@pytest.mark.parametrize("whole_group", [True, False], ids=["Ctrl-C", "kill -INT"])
def test_an_interrupt_ends_workers_at_once(tmp_path, slow_sweep, whole_group):
    process = slow_sweep("processes")
    workers = _workers(process.pid)
    if whole_group:
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert errors.count("Traceback") <= 1  # the script's own KeyboardInterrupt; no worker's
    _wait_until_gone(workers)
    assert _epochs_recorded(tmp_path) == [1]


@pytest.mark.parametrize(
    ("name", "workers", "message"),
    [("threads", None, "'threads' is unknown; known: serial"), ("processes", 0, "at least 1")],
)
def test_an_impossible_executor_is_refused(name, workers, message):
    with pytest.raises(ValueError, match=message):
        make_executor(name, workers)
