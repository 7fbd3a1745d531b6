"""Fleets that memory does not hold are trained in halves."""

from __future__ import annotations

import weakref

import pytest
import torch

from experiments import memory
from experiments import runs as runs_module
from experiments.executors import make_executor
from experiments.runs import Batch, missing
from experiments.sweep import sweep
from tests.toy_sweep import planned


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
    runs = planned(tmp_path, range(7))[::2]
    sweep(runs, make_executor("serial"), fleet=7)
    assert sizes == [7, 3, 2, 4, 2, 2]  # of the three one is trained by itself
    assert missing(runs) == []
    fleets = [run.store.read(run.record_path).provenance.get("fleet") for run in runs]
    assert fleets == [None, 2, 2, 2, 2, 2, 2]


def test_what_waits_for_the_other_half_has_no_epoch_behind_it(tmp_path, monkeypatch):
    runs, told = planned(tmp_path, range(4))[::2], []

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
    runs, held, alive = planned(tmp_path, range(4))[::2], [], []

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
    runs, calls, train_fleet = planned(tmp_path, range(4))[::2], [], runs_module.train_fleet

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
        Batch(tuple(planned(tmp_path, range(4))[::2])).execute()
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
