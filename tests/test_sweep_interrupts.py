"""What a kill or an interrupt of a sweep leaves: records, and no workers."""

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

from experiments import heartbeat
from experiments.records import Store
from tests.platforms import linux

_SLOW = """
import dataclasses, sys
from pathlib import Path
from experiments.catalog import study
from experiments.records import Store
from experiments.executors import make_executor
from experiments.study import Study
from experiments.sweep import plan, sweep

if __name__ == "__main__":
    recipe = study("digits").recipe("conv-fc", "adam")
    recipes = [dataclasses.replace(recipe, name=f"{e}.adam", epochs=e) for e in (1, 100_000)]
    both = Study("test", "A test", tuple(recipes), statements=(), completions={"adam": "Adam"})
    runs = plan(both, [0], Store(Path(sys.argv[1])), threads=1)
    with make_executor(sys.argv[2]) as pool:
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
        while not (list(tmp_path.glob("store/test/*.json")) and _endless_has_begun(tmp_path)):
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
    return any(beat.epoch > 1 for beat in heartbeat.alive(Store(tmp_path / "store")))


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
    return [record.recipe.epochs for record in Store(tmp_path / "store").records("test")]


def test_a_killed_sweep_loses_only_the_run_in_progress(tmp_path, slow_sweep):
    process = slow_sweep("serial")
    process.kill()
    process.wait()
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
