"""Sweeps beside each other: runs tell of their epochs, and what another sweep trains comes last."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from experiments import heartbeat
from experiments import runs as runs_module
from experiments.executors import make_executor
from experiments.records import Store
from experiments.runs import Batch, missing
from experiments.sweep import sweep
from tests.toy_sweep import planned


def test_a_run_that_another_sweep_has_finished_is_not_repeated(tmp_path):
    run, other = planned(tmp_path)[::2]
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
    first, second, third, fourth = planned(tmp_path)
    _trains_elsewhere(first, "another-machine", 1)
    _trains_elsewhere(third, socket.gethostname(), os.getppid())
    trained = _in_order(monkeypatch)
    sweep([first, second, third, fourth], make_executor("serial"))
    assert trained == [(run.recipe.name, run.seed) for run in (second, fourth, first, third)]
    assert missing(planned(tmp_path)) == []


def test_a_run_that_another_sweep_has_finished_meanwhile_is_not_trained(tmp_path, monkeypatch):
    first, second = planned(tmp_path, (0,))
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
    first, second = planned(tmp_path, (0,))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    _trains_elsewhere(first, socket.gethostname(), gone.pid)
    trained = _in_order(monkeypatch)
    sweep([first, second], make_executor("serial"))
    assert trained == [(first.recipe.name, 0), (second.recipe.name, 0)]


def test_the_heartbeat_of_another_process_outlives_ones_own(tmp_path):
    run = planned(tmp_path)[0]
    with run.beating():
        _trains_elsewhere(run, "another-machine", 1)
    assert run.heartbeat_path.exists()


def test_progress_is_read_from_the_store(tmp_path):
    run = planned(tmp_path)[0]
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
        Batch((planned(tmp_path)[1],)).execute()
    (beat,) = told
    assert (beat.study, beat.recipe, beat.seed, beat.device, beat.epoch, beat.pid) == (
        "test", "conv-gap.adam", 0, "cpu", 1, os.getpid(),
    )  # fmt: skip
    assert heartbeat.alive(Store(tmp_path)) == []
