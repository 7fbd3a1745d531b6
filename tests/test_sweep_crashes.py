"""SIGKILL in the middle of a sweep: every record is whole and once, and the resumed store the same.

Each sweep is the command that a user types. A worker is stopped while it trains, and then killed.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import CancelledError, Future
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from experiments import executors, heartbeat
from experiments.catalog import study
from experiments.executors import make_executor, what_was_lost
from experiments.records import Store
from experiments.runs import missing
from experiments.sweep import plan, sweep
from experiments.variants import variant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from experiments.records import Record

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals as Linux has them")

_ROOT = Path(__file__).parent.parent
_SCALE, _SEEDS, _ROLES = 0.2, 3, ("conv-fc", "conv-gap")
_DIGITS = study("digits")
_COMMAND = (
    f"-m experiments run digits {' '.join(_ROLES)} --epochs-scale {_SCALE} --seeds {_SEEDS} "
    "--threads 1 --store"  # rounding depends on the number of threads
)


def _runs(store: Path):
    recipes = [variant(_DIGITS.recipe(role, "adam"), epochs_scale=_SCALE) for role in _ROLES]
    return plan(_DIGITS, range(_SEEDS), Store(store), recipes=recipes, threads=1)


def _records(store: Path) -> list[Record]:
    """Return every record, once it is sure that nothing else lies there."""
    apart = store / "variants"
    assert {path.suffix for path in (apart / "digits").iterdir()} <= {".json"}
    return list(Store(apart).records("digits"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> list[Record]:
    """Return the records of a sweep that nothing happened to."""
    store = tmp_path_factory.mktemp("undisturbed")
    sweep(_runs(store), make_executor("serial"))
    records = _records(store)
    assert len(records) == _SEEDS * len(_ROLES)
    return records


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a Python process; whatever of it is left in the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def launch(*arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            cwd=_ROOT,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield launch
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _until(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.02)


def _stop_one_that_trains(store: Path, process: subprocess.Popen[str], *, records: int = 1) -> int:
    """Stop a process in the middle of a run, after so many records, and return its id."""
    stopped: list[int] = []

    def stop() -> bool:
        if len(list((store / "variants" / "digits").glob("*.json"))) >= records:
            for beat in heartbeat.alive(Store(store / "variants")):
                os.kill(beat.pid, signal.SIGSTOP)
                if beat in heartbeat.alive(Store(store / "variants")):  # it still trains
                    stopped.append(beat.pid)
                    return True
                os.kill(beat.pid, signal.SIGCONT)
        return False

    _until(stop, process)
    return stopped[0]


def _resume(store: Path) -> None:
    kept = {path: path.stat().st_mtime_ns for path in store.rglob("*.json")}
    lost = missing(_runs(store))
    assert len(lost) + len(kept) == _SEEDS * len(_ROLES)
    assert lost
    sweep(lost, make_executor("serial"))
    assert all(path.stat().st_mtime_ns == written for path, written in kept.items())


def test_a_killed_worker_process(tmp_path, start, undisturbed):
    options = ["--executor", "processes", "--workers", 2]
    process = start(*_COMMAND.split(), tmp_path, *options)
    os.kill(_stop_one_that_trains(tmp_path, process), signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "error: a worker process was killed" in errors
    assert "Traceback" not in errors
    _resume(tmp_path)
    assert _records(tmp_path) == undisturbed


def test_a_killed_fleet_loses_only_itself(tmp_path, start, undisturbed):
    """The three seeds of one network are there, those of the other are not, and are made up for."""
    options = ["--executor", "processes", "--workers", 1, "--fleet", _SEEDS]
    process = start(*_COMMAND.split(), tmp_path, *options)
    os.kill(_stop_one_that_trains(tmp_path, process, records=_SEEDS), signal.SIGKILL)
    process.communicate(timeout=120)
    assert process.returncode == 2
    found = _records(tmp_path)
    assert [record.seed for record in found] == list(range(_SEEDS))
    assert {record.provenance["fleet"] for record in found} == {_SEEDS}
    _resume(tmp_path)
    assert [record.key for record in _records(tmp_path)] == [record.key for record in undisturbed]


def test_a_killed_parent(tmp_path, start, undisturbed):
    options = ["--executor", "processes", "--workers", 1]
    process = start(*_COMMAND.split(), tmp_path, *options)
    worker = _stop_one_that_trains(tmp_path, process)
    process.kill()
    process.wait()
    os.kill(worker, signal.SIGCONT)  # whereupon it sees that its parent is gone
    _until_gone(worker)
    _resume(tmp_path)
    assert _records(tmp_path) == undisturbed


def _until_gone(pid: int) -> None:
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and _state(pid) != "Z":
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.01)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


@pytest.fixture
def scheduler(tmp_path, start) -> str:
    """Start a real Dask scheduler on this machine, and return its address."""
    file = tmp_path / "scheduler.json"
    options = ["--host", "127.0.0.1", "--port", 0, "--no-dashboard", "--scheduler-file", file]
    process = start("-m", "distributed.cli.dask_scheduler", *options)
    _until(lambda: file.exists() and file.read_text().endswith("}"), process)
    return json.loads(file.read_text())["address"]


def test_a_killed_dask_worker(tmp_path, start, scheduler, undisturbed, monkeypatch):
    """The other worker repeats what the killed one had begun, and the sweep goes on."""
    monkeypatch.setattr(executors, "_SECONDS_TO_WAIT_FOR_WORKERS", 0.1)
    with pytest.raises(ValueError, match=f"has no worker; start one: dask worker {scheduler}"):
        make_executor("dask", scheduler=scheduler)
    for name in "ab":
        options = ["--nthreads", 1, "--no-nanny", "--no-dashboard", "--local-directory"]
        start("-m", "distributed.cli.dask_worker", scheduler, *options, tmp_path / name)
    store = tmp_path / "store"
    options = ["--executor", "dask", "--scheduler", scheduler]
    process = start(*_COMMAND.split(), store, *options)
    os.kill(_stop_one_that_trains(store, process), signal.SIGKILL)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert missing(_runs(store)) == []
    assert _records(store) == undisturbed
    assert not list((store / "variants" / ".running").iterdir())


def test_no_scheduler_is_one_sentence():
    dask = pytest.importorskip("dask")
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "0.2s"}),
        pytest.raises(ValueError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1;"),
    ):
        make_executor("dask", scheduler="tcp://127.0.0.1:1")


def test_what_waits_for_a_lost_scheduler_is_told(monkeypatch):
    """The client closes itself, and leaves futures whose results it was fetching as they are."""

    class Client:
        status = "closed"

        def __init__(self, address):
            self.submit = lambda *_, **__: Future()

        def wait_for_workers(self, count, timeout):
            pass

        def get_executor(self, pure):
            return self

    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(Client=Client))
    monkeypatch.setattr(executors, "_POLL_SECONDS", 0.01)
    with make_executor("dask", scheduler="tcp://127.0.0.1:8786") as pool:
        future = pool.submit(print)
        with pytest.raises(CancelledError):
            future.result(timeout=60)


def test_a_run_that_keeps_killing_its_workers_is_a_loss():
    distributed = pytest.importorskip("distributed")
    killed = distributed.KilledWorker("a run", None, 3)
    assert what_was_lost(killed).startswith("a worker process was killed")


def test_without_distributed_the_advice_is_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ValueError, match=re.escape("pip install -e '.[cluster]'")):
        make_executor("dask", scheduler="tcp://127.0.0.1:8786")
