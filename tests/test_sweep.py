"""Sweeps: resume, executors that agree, and what survives a kill."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from experiments import executors, heartbeat, memory
from experiments import runs as runs_module
from experiments import sweep as sweep_module
from experiments.errors import InputError, SweepError
from experiments.executors import available_cores, make_executor, what_was_lost
from experiments.recipe import Optimizer, Recipe
from experiments.records import RecordError, Store
from experiments.runs import Batch, missing
from experiments.study import Study
from experiments.sweep import batches, plan, sweep
from experiments.variants import variant

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
        sweep(_runs(tmp_path), make_executor("serial"))
    assert failed.value.__notes__ == ["in conv-fc.adam, seed 0, and 3 more runs failed"]


def test_of_a_fleet_those_without_a_record_have_failed(tmp_path):
    runs = _runs(tmp_path)[::2]
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
        sweep(_runs(tmp_path / "file"), make_executor("serial"))


def test_a_disk_that_fills_up_costs_no_further_training(tmp_path, monkeypatch):
    """An empty file can still be made there; red where the check only makes one."""
    runs = _runs(tmp_path)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("experiments.records.os.fsync", full)
    monkeypatch.setattr(runs_module, "train", lambda *args, **kwargs: pytest.fail("trained"))
    with pytest.raises(RecordError, match="No space left on device; free space"):
        Batch(tuple(runs[:1])).execute()


def test_a_run_that_another_sweep_has_finished_is_not_repeated(tmp_path):
    run, other = _runs(tmp_path)[::2]
    run.record_path.parent.mkdir()
    run.record_path.write_text("theirs")
    Batch((run,)).execute()
    Batch((run, other)).execute()
    assert run.record_path.read_text() == "theirs"
    assert run.store.read(other.record_path).seed == other.seed


def _trains_elsewhere(run, host, pid):
    """Let a process of some machine train a run, as far as the store tells."""
    beat = heartbeat.Heartbeat("test", run.recipe.name, run.seed, "cpu", host, pid)
    heartbeat._write(run.heartbeat_path, beat)


def _in_order(monkeypatch):
    """Return the runs that are trained from now on, as they come."""
    trained, train = [], runs_module.train

    def recorded(recipe, seed, **options):
        trained.append((recipe.name, seed))
        return train(recipe, seed, **options)

    monkeypatch.setattr(runs_module, "train", recorded)
    return trained


def test_a_run_that_another_sweep_trains_comes_last(tmp_path, monkeypatch):
    """By then it may be done; if not, for its process was killed or is slow, it is trained here."""
    first, second, third, fourth = _runs(tmp_path)
    _trains_elsewhere(first, "another-machine", 1)
    _trains_elsewhere(third, socket.gethostname(), os.getppid())
    trained = _in_order(monkeypatch)
    sweep([first, second, third, fourth], make_executor("serial"))
    assert trained == [(run.recipe.name, run.seed) for run in (second, fourth, first, third)]
    assert missing(_runs(tmp_path)) == []


def test_a_run_that_another_sweep_has_finished_meanwhile_is_not_trained(tmp_path, monkeypatch):
    first, second = _runs(tmp_path, (0,))
    _trains_elsewhere(first, "another-machine", 1)
    trained = _in_order(monkeypatch)
    ends = first.record_path

    class Finishing(type(make_executor("serial"))):
        def submit(self, function, *arguments, **options):
            future = super().submit(function, *arguments, **options)
            ends.parent.mkdir(exist_ok=True)
            ends.write_text("theirs")
            return future

    sweep([first, second], Finishing())
    assert trained == [(second.recipe.name, 0)]
    assert ends.read_text() == "theirs"


def test_a_process_of_this_machine_that_is_gone_trains_nothing(tmp_path, monkeypatch):
    first, second = _runs(tmp_path, (0,))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    _trains_elsewhere(first, socket.gethostname(), gone.pid)
    trained = _in_order(monkeypatch)
    sweep([first, second], make_executor("serial"))
    assert trained == [(first.recipe.name, 0), (second.recipe.name, 0)]


def test_the_heartbeat_of_another_process_outlives_ones_own(tmp_path):
    run = _runs(tmp_path)[0]
    with run.beating():
        _trains_elsewhere(run, "another-machine", 1)
    assert run.heartbeat_path.exists()


def test_a_recipe_that_was_renamed_is_not_run_again(tmp_path):
    sweep(_runs(tmp_path, (0,)), make_executor("serial"))
    renamed = tuple(dataclasses.replace(r, name=f"new-{r.name}") for r in RECIPES)
    study = dataclasses.replace(STUDY, recipes=renamed)
    runs = plan(study, (0, 1), Store(tmp_path), threads=1)
    assert [run.seed for run in missing(runs)] == [1, 1]


def test_progress_is_read_from_the_store(tmp_path):
    run = _runs(tmp_path)[0]
    assert run.epochs_done() == 0
    with heartbeat.beating(
        run.heartbeat_path, study="test", recipe=run.recipe.name, seed=0, device="cpu"
    ) as tell:
        tell(7)
        assert run.epochs_done() == 7
    Batch((run,)).execute()
    assert run.epochs_done() == run.recipe.epochs
    assert not run.heartbeat_path.exists()


def test_a_run_tells_of_every_epoch(tmp_path, monkeypatch):
    told = []

    def train(recipe, seed, *, on_epoch, **_):
        on_epoch(1)
        told.extend(heartbeat.alive(Store(tmp_path)))
        raise RuntimeError

    monkeypatch.setattr(runs_module, "train", train)
    with pytest.raises(RuntimeError):
        Batch((_runs(tmp_path)[1],)).execute()
    (beat,) = told
    assert (beat.study, beat.recipe, beat.seed, beat.device, beat.epoch, beat.pid) == (
        "test", "conv-gap.adam", 0, "cpu", 1, os.getpid(),
    )  # fmt: skip
    assert heartbeat.alive(Store(tmp_path)) == []


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
        sweep(_runs(tmp_path), pool)
    assert most == [1, 1, 1, 1]


def test_a_worker_with_other_data_writes_nothing(tmp_path):
    run = dataclasses.replace(_runs(tmp_path)[0], key="0" * 64)
    with pytest.raises(SweepError, match=r"conv-fc\.adam on other data"):
        Batch((run,)).execute()
    assert not list(tmp_path.rglob("*.json"))


FASTER = dataclasses.replace(
    RECIPES[0], name="conv-fc-fast.adam", optimizer=Optimizer("adam", 0.01)
)
THREE = dataclasses.replace(STUDY, recipes=(*RECIPES, FASTER))


def _fleets(root):
    """Return the runs of two recipes that can be trained together, and of one that cannot."""
    return plan(THREE, (0, 1), Store(root), threads=1)


def _names(batch):
    return [(run.recipe.name.removesuffix(".adam"), run.seed) for run in batch.runs]


def test_runs_of_one_architecture_go_together(tmp_path):
    runs = _fleets(tmp_path)
    assert [_names(batch) for batch in batches(runs, fleet=3)] == [
        [("conv-fc", 0), ("conv-fc-fast", 0), ("conv-fc", 1)],
        [("conv-gap", 0), ("conv-gap", 1)],
        [("conv-fc-fast", 1)],
    ]
    alone = [[run] for run in runs]
    assert [list(batch.runs) for batch in batches(runs)] == alone
    assert [list(batch.runs) for batch in batches(runs, fleet=1)] == alone


def test_on_cuda_a_measurement_says_how_many_go_together(tmp_path, monkeypatch):
    asked = []

    def fastest(recipe, device, data_root, *, most):
        asked.append((recipe.name, device, most))
        return 2

    monkeypatch.setattr(sweep_module, "fastest_size", fastest)
    runs = [dataclasses.replace(run, device="cuda") for run in _fleets(tmp_path)]
    assert [len(batch.runs) for batch in batches(runs)] == [2, 2, 2]
    assert asked == [("conv-fc.adam", "cuda", 4), ("conv-gap.adam", "cuda", 2)]


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize(
    ("most", "sizes"), [(1, [1] * 5), (2, [2, 2, 1]), (3, [3, 2]), (4, [3, 2]), (5, [5])]
)
def test_on_cuda_fleets_are_of_like_sizes(tmp_path, monkeypatch, most, sizes, asked):
    """Red where one run is left over, for which a GPU takes as long as for a fleet."""
    monkeypatch.setattr(sweep_module, "fastest_size", lambda *_, **__: most)
    runs = [dataclasses.replace(run, device="cuda") for run in _runs(tmp_path, range(5))[::2]]
    assert [len(batch.runs) for batch in batches(runs, most if asked else None)] == sizes


@pytest.mark.parametrize(("device", "engine"), [("cpu", "train"), ("cuda", "train_fleet")])
def test_a_run_is_trained_by_itself_as_it_is_in_a_sweep(tmp_path, monkeypatch, device, engine):
    """Red where a portrait is of another run than the record: dropout is another draw there."""
    used = []
    for name in ("train", "train_fleet"):
        monkeypatch.setattr(
            runs_module, name, lambda *_, name=name, **options: used.append((name, options)) or [0]
        )
    run = dataclasses.replace(_runs(tmp_path)[0], device=device)
    run.train(print, max)
    runs_module._trained([run], print)
    (alone, told), (swept, _) = used
    assert alone == swept == engine
    assert (told["device"], told["on_epoch"], told["on_trained"]) == (device, print, max)


def test_every_member_of_a_fleet_gets_its_record(tmp_path):
    runs = _fleets(tmp_path)
    sweep(runs, make_executor("serial"), fleet=8)
    assert missing(runs) == []
    records = {(r.recipe.name, r.seed): r for r in Store(tmp_path).records("test")}
    assert len(records) == 6
    assert {record.provenance["fleet"] for record in records.values()} == {2, 4}
    solo = _fleets(tmp_path / "solo")
    sweep(solo, make_executor("serial"))
    for run in solo:
        alone = run.store.read(run.record_path)
        assert records[run.recipe.name, run.seed].key == alone.key == run.key
        assert "fleet" not in alone.provenance


def test_of_a_fleet_only_what_is_missing_is_run_again(tmp_path, monkeypatch):
    runs = _fleets(tmp_path)
    sweep(runs, make_executor("serial"), fleet=8)
    for run in (runs[0], runs[5]):
        run.record_path.unlink()
    kept = {run: run.record_path.stat().st_mtime_ns for run in runs if run.record_path.is_file()}
    trained, train_fleet = [], runs_module.train_fleet

    def spy(members, **options):
        trained.append([(member.recipe.name, member.seed) for member in members])
        return train_fleet(members, **options)

    monkeypatch.setattr(runs_module, "train_fleet", spy)
    sweep(missing(_fleets(tmp_path)), make_executor("serial"), fleet=8)
    assert trained == [[("conv-fc.adam", 0), ("conv-fc-fast.adam", 1)]]
    assert missing(runs) == []
    assert all(run.record_path.stat().st_mtime_ns == written for run, written in kept.items())


def test_all_members_of_a_fleet_tell_of_their_progress(tmp_path, monkeypatch):
    runs, told = _runs(tmp_path)[::2], []

    def train_fleet(members, *, on_epoch, **_):
        on_epoch(1)
        told.extend((run.epochs_done(), run.heartbeat_path.exists()) for run in runs)
        raise RuntimeError

    monkeypatch.setattr(runs_module, "train_fleet", train_fleet)
    with pytest.raises(RuntimeError):
        Batch(tuple(runs)).execute()
    assert told == [(1, True), (1, True)]
    assert not any(run.heartbeat_path.exists() for run in runs)


def _larger_fleets_fail(monkeypatch, error, size=2):
    """Let fleets of more members than a size fail after their third epoch; log sizes and epochs."""
    log, train_fleet = [], runs_module.train_fleet

    def fake(members, *, on_epoch, **options):
        log.append(len(members))
        if len(members) <= size:
            return train_fleet(members, on_epoch=on_epoch, **options)
        on_epoch(3)
        raise error

    monkeypatch.setattr(runs_module, "train_fleet", fake)
    return log


def test_a_fleet_that_memory_does_not_hold_is_trained_in_halves(tmp_path, monkeypatch):
    sizes = _larger_fleets_fail(monkeypatch, torch.OutOfMemoryError())
    runs = _runs(tmp_path, range(7))[::2]
    sweep(runs, make_executor("serial"), fleet=7)
    assert sizes == [7, 3, 2, 4, 2, 2]  # of the three one is trained by itself
    assert missing(runs) == []
    fleets = [run.store.read(run.record_path).provenance.get("fleet") for run in runs]
    assert fleets == [None, 2, 2, 2, 2, 2, 2]


def test_what_waits_for_the_other_half_has_no_epoch_behind_it(tmp_path, monkeypatch):
    runs, told = _runs(tmp_path, range(4))[::2], []

    def train_fleet(members, *, on_epoch, **_):
        on_epoch(3)
        if len(members) == 4:
            raise torch.OutOfMemoryError
        told.append([run.epochs_done() for run in runs])
        raise RuntimeError

    monkeypatch.setattr(runs_module, "train_fleet", train_fleet)
    with pytest.raises(RuntimeError):
        Batch(tuple(runs)).execute()
    assert told == [[3, 3, 0, 0]]


def test_what_did_not_fit_is_given_back_before_less_is_tried(tmp_path, monkeypatch):
    """Red where the error, which refers to all that was trained, is still there."""
    runs, held, alive = _runs(tmp_path, range(4))[::2], [], []

    class Trained:
        pass

    def train_fleet(members, **_):
        trained = Trained()
        held.append(weakref.ref(trained))
        raise torch.OutOfMemoryError

    monkeypatch.setattr(runs_module, "train_fleet", train_fleet)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: alive.append(held[-1]() is not None))
    monkeypatch.setattr(runs_module, "train", lambda *_, **__: train_fleet(()))
    with pytest.raises(torch.OutOfMemoryError):
        Batch(tuple(runs)).execute()
    assert alive == [False, False]
    assert len(held) == 3


def test_half_a_fleet_keeps_its_records_whatever_becomes_of_the_other(tmp_path, monkeypatch):
    runs, calls, train_fleet = _runs(tmp_path, range(4))[::2], [], runs_module.train_fleet

    def fails_after_the_first_half(members, **options):
        calls.append(members)
        if len(calls) == 2:
            return train_fleet(members, **options)
        raise torch.OutOfMemoryError if len(calls) == 1 else ValueError("another reason")

    monkeypatch.setattr(runs_module, "train_fleet", fails_after_the_first_half)
    with pytest.raises(ValueError, match="another reason"):
        Batch(tuple(runs)).execute()
    assert missing(runs) == runs[2:]


def test_a_fleet_that_fails_for_another_reason_is_not_tried_again(tmp_path, monkeypatch):
    sizes = _larger_fleets_fail(monkeypatch, RuntimeError("an operation is not known"))
    with pytest.raises(RuntimeError, match="not known"):
        Batch(tuple(_runs(tmp_path, range(4))[::2])).execute()
    assert sizes == [4]


def _in_a_capture():
    try:
        raise torch.OutOfMemoryError
    except torch.OutOfMemoryError:
        raise RuntimeError("operation failed due to a previous error during capture")  # noqa: B904


def _in_a_library():
    raise RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")


def _on_the_cpu():
    torch.empty(2**58, dtype=torch.uint8)


def _otherwise():
    raise RuntimeError("CUDNN_STATUS_BAD_PARAM")


@pytest.mark.parametrize(
    ("fail", "expected"),
    [(_in_a_capture, True), (_in_a_library, True), (_on_the_cpu, True), (_otherwise, False)],
)
def test_too_little_memory_has_many_names(fail, expected):
    with pytest.raises(RuntimeError) as caught:
        fail()
    assert memory.too_small(caught.value) == expected


def test_a_record_that_cannot_be_written_costs_the_fleet_no_other(tmp_path):
    runs = _runs(tmp_path)[::2]
    runs[0].record_path.mkdir(parents=True)
    with pytest.raises(RecordError, match="cannot write"):
        sweep(runs, make_executor("serial"), fleet=2)
    assert runs[1].record_path.is_file()


def test_folders_are_made_absolute_for_workers_that_start_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONVLAWS_DATA", "data")
    run = plan(STUDY, [0], Store(Path("store")))[0]
    assert run.record_path.is_relative_to(tmp_path / "store" / "test")
    assert run.data_root == tmp_path / "data"


def test_what_is_not_the_studys_recipe_lies_apart_and_is_missing_from_it(tmp_path):
    short = [variant(recipe, epochs_scale=2) for recipe in RECIPES]
    runs = _runs(tmp_path, seeds=[0], recipes=[*RECIPES[:1], *short])
    sweep(runs[1:], make_executor("serial"))
    assert missing(runs) == runs[:1]
    assert list(Store(tmp_path).records("test")) == []
    apart = list(Store(tmp_path / "variants").records("test"))
    assert [(record.recipe, len(record.curves.test_loss)) for record in apart] == [
        (recipe, 2) for recipe in short
    ]


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


def test_ended_workers_are_not_taken_for_a_crash(monkeypatch):
    """Red where workers end before their manager knows why: it fails futures that are cancelled."""
    unhandled = []
    monkeypatch.setattr(threading, "excepthook", unhandled.append)

    def interrupted():
        with make_executor("processes", 2) as pool:
            pool.submit(abs, -2).result()  # a worker is there
            for future in [pool.submit(time.sleep, 60) for _ in range(20)]:
                future.cancel()
            raise KeyboardInterrupt

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            interrupted()
    assert unhandled == []


@linux
@pytest.mark.parametrize("blocked", [True, False])
def test_workers_leave_the_process_as_it_was(blocked):
    with make_executor("processes", 1) as pool:
        how = signal.SIG_BLOCK if blocked else signal.SIG_UNBLOCK
        before = signal.pthread_sigmask(how, [signal.SIGINT])
        try:
            assert pool.submit(abs, -2).result() == 2
            assert (signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])) == blocked
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_a_failure_ends_no_other_process():
    other = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
    other.start()
    try:
        pool = make_executor("processes", 1)
        with contextlib.suppress(ZeroDivisionError), pool:
            pool.submit(abs, -2).result()
            raise ZeroDivisionError
        other.join(timeout=1)
        assert other.is_alive()
    finally:
        other.kill()
        other.join()


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("50000 100000\n", 1),
        ("9900000 100000\n", 8),
        ("max 100000\n", 8),
        ("", 8),
        (None, 8),
    ],
)
def test_a_container_has_as_many_cores_as_its_time_is_worth(tmp_path, monkeypatch, quota, cores):
    file = tmp_path / "cpu.max"
    if quota is not None:
        file.write_text(quota)
    monkeypatch.setattr(executors, "_QUOTA", file)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert available_cores() == cores


@linux
def test_a_process_that_is_bound_to_one_core_has_one(monkeypatch, tmp_path):
    monkeypatch.setattr(executors, "_QUOTA", tmp_path / "none")
    allowed = os.sched_getaffinity(0)
    assert available_cores() == len(allowed)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert available_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("threads",), "'threads' is unknown; known: serial, processes, dask"),
        (("processes", 0), "at least 1, got 0"),
        (("serial", 2), "--workers needs --executor processes"),
        (("dask", 2, "tcp://host:1"), "--workers needs --executor processes"),
        (("dask",), "need each other"),
        (("processes", 2, "tcp://host:1"), "need each other"),
    ],
    ids=str,
)
def test_an_impossible_executor_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_executor(*arguments)


def test_a_lost_cluster_ends_the_sweep_with_advice(tmp_path):
    class Lost(Executor):
        def submit(self, fn, /, *args, **kwargs):
            future = Future()
            future.cancel()
            future.set_running_or_notify_cancel()
            return future

    with pytest.raises(SweepError, match=r"scheduler was lost; .* again to resume"):
        sweep(_runs(tmp_path), Lost())


def test_only_the_loss_of_a_worker_is_called_one():
    assert what_was_lost(ValueError("wrong data")) is None
    assert what_was_lost(RecordError("full disk")) is None
