"""Checkpoints: an interrupted run goes on to the same bits, and nothing else depends on one."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal

import pytest
import torch

from experiments import checkpoint
from experiments.checkpoint import Checkpoint
from experiments.checkpoint_notes import CheckpointNote, RunIdentity, read_all
from experiments.errors import InputError
from experiments.provenance import hardware
from experiments.recipe import Optimizer, Recipe
from experiments.records import ENGINE_VERSION, RecordError, Store
from experiments.runs import Batch, Run
from experiments.study import Study
from experiments.sweep import plan
from experiments.training import train
from theory.processor import model

PLAIN = Recipe("plain", "conv2k3 relu fc10", "digits", Optimizer("sgd", 0.05), epochs=4, batch=64)
RECIPES = {
    "plain": PLAIN,
    "momentum": dataclasses.replace(PLAIN, optimizer=Optimizer("sgd", 0.05, momentum=0.9)),
    "adam": dataclasses.replace(PLAIN, optimizer=Optimizer("adam", 0.01)),
    "schedule": dataclasses.replace(PLAIN, optimizer=Optimizer("sgd", 0.1, schedule="step-2-0.1")),
    "dropout": dataclasses.replace(PLAIN, network="conv2k3 relu drop0.5 fc10"),
    "batch normalisation": dataclasses.replace(PLAIN, network="conv2k3 bn relu fc10"),
    "augmentation": dataclasses.replace(PLAIN, augmentation="pad4 flip"),
    "steps across passes": dataclasses.replace(PLAIN, steps=7),
    "early stopping": dataclasses.replace(
        # so fast that the validation loss soon rises, and weights of an earlier epoch are kept
        PLAIN,
        optimizer=Optimizer("adam", 0.3),
        validation=100,
        patience=3,
        epochs=8,
    ),
}


class Interruption(BaseException):
    """Stands for Ctrl-C, a killed process, a power cut."""


@pytest.fixture(autouse=True)
def _after_every_epoch(monkeypatch):
    """Keep a checkpoint after every epoch, however short."""
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0.0)


def _train(recipe, kept=None, stop=None, threads=1, seed=0):
    """Train, and return the record and the epochs that were told; stop after one of them."""
    told = []

    def tell(epoch):
        told.append(epoch)
        if epoch == stop:
            raise Interruption

    return train(recipe, seed, study="test", threads=threads, on_epoch=tell, checkpoint=kept), told


@pytest.mark.parametrize("name", RECIPES)
def test_a_run_that_is_interrupted_twice_measures_the_same(name, tmp_path):
    kept = Checkpoint(tmp_path / "kept.pt", "key")
    whole, epochs = _train(RECIPES[name])
    for stop in (1, 3):
        with pytest.raises(Interruption):
            _train(RECIPES[name], kept, stop)
    resumed, told = _train(RECIPES[name], kept)
    assert resumed == whole
    assert told == [3, *epochs[3:]]
    assert resumed.provenance["resumed_after_epochs"] == [1, 3]
    assert "resumed_after_epochs" not in whole.provenance


def test_an_interrupt_waits_until_a_checkpoint_is_written(tmp_path, monkeypatch):
    kept = Checkpoint(tmp_path / "kept.pt", "key")
    monkeypatch.setattr(os, "fsync", lambda _: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        _train(PLAIN, kept)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.pt"]
    monkeypatch.undo()
    assert _train(PLAIN, kept)[0].provenance["resumed_after_epochs"] == [1]


def test_times_are_those_of_all_parts(tmp_path, monkeypatch):
    kept = Checkpoint(tmp_path / "kept.pt", "key")
    with pytest.raises(Interruption):
        _train(PLAIN, kept, stop=2)
    content = torch.load(kept.file, weights_only=True)
    content["state"] |= {"training_seconds": 1000.0, "wall_seconds": 2000.0}
    torch.save(content, kept.file)
    made = _train(PLAIN, kept)[0].provenance
    assert 1000 < made["training_seconds"] < 2000 < made["wall_seconds"]


def test_a_short_run_keeps_none(tmp_path, monkeypatch):
    monkeypatch.undo()
    _train(PLAIN, Checkpoint(tmp_path / "kept.pt", "key"))
    assert not [*tmp_path.iterdir()]


def _other_threads(kept, monkeypatch):
    return _train(PLAIN, kept, threads=2)


def _other_key(kept, monkeypatch):
    return _train(PLAIN, Checkpoint(kept.file, "another"))


def _other_machine(kept, monkeypatch):
    monkeypatch.setattr(checkpoint, "processor", lambda: "an abacus")
    return _train(PLAIN, kept)


def _other_version(kept, monkeypatch):
    monkeypatch.setattr(torch, "__version__", "0.1")
    return _train(PLAIN, kept)


def _other_shapes(kept, monkeypatch):
    return _train(dataclasses.replace(PLAIN, network="conv3k3 relu fc10"), kept)


def _cut_short(kept, monkeypatch):
    kept.file.write_bytes(kept.file.read_bytes()[:1000])
    return _train(PLAIN, kept)


def _something_else(kept, monkeypatch):
    torch.save([1, 2], kept.file)
    return _train(PLAIN, kept)


@pytest.mark.parametrize(
    "go_on",
    [
        _other_threads,
        _other_key,
        _other_machine,
        _other_version,
        _other_shapes,
        _cut_short,
        _something_else,
    ],
)
def test_a_checkpoint_of_another_way_counts_for_nothing(go_on, tmp_path, monkeypatch):
    kept = Checkpoint(tmp_path / "kept.pt", "key")
    with pytest.raises(Interruption):
        _train(PLAIN, kept, stop=2)
    record, told = go_on(kept, monkeypatch)
    assert told == [1, 2, 3, 4]
    assert "resumed_after_epochs" not in record.provenance


def test_a_run_on_another_device_is_refused_a_checkpoint(tmp_path):
    """It would give other bits: a device has a random state of its own, which is not kept."""
    kept = Checkpoint(tmp_path / "kept.pt", "key")
    with pytest.raises(InputError, match="only a run on the CPU keeps a checkpoint: leave it out"):
        train(PLAIN, 0, study="test", device="cuda", checkpoint=kept)


def test_a_run_goes_on_where_none_can_be_written(tmp_path):
    (tmp_path / "file").touch()
    record, told = _train(PLAIN, Checkpoint(tmp_path / "file" / "kept.pt", "key"))
    assert told == [1, 2, 3, 4]
    assert record == _train(PLAIN)[0]


@pytest.fixture
def run(tmp_path):
    recipe = dataclasses.replace(PLAIN, name="plain.sgd")
    study = Study("test", "A test", (recipe,), statements=(), completions={"sgd": "SGD"})
    (planned,) = plan(study, [0], Store(tmp_path), threads=1)
    return planned


@pytest.fixture
def interrupted(run, monkeypatch):
    """Interrupt a run of a sweep after two of its epochs."""

    @contextlib.contextmanager
    def beating(self):
        def tell(epoch):
            if epoch == 2:
                raise Interruption

        yield tell

    with monkeypatch.context() as patched:
        patched.setattr(Run, "beating", beating)
        with pytest.raises(Interruption):
            Batch((run,)).execute()
    assert run.checkpoint.file.is_file()
    assert not run.record_path.is_file()
    return run


def test_a_sweep_goes_on_in_the_middle_of_a_run(interrupted):
    Batch((interrupted,)).execute()
    record = interrupted.store.read(interrupted.record_path)
    assert record.provenance["resumed_after_epochs"] == [2]
    assert record == interrupted.train(lambda epoch: None)
    assert not interrupted.checkpoint.file.exists()


def test_a_note_says_how_far_a_run_is_until_its_record_is_there(interrupted):
    digest = interrupted.recipe.digest
    (note,) = read_all(interrupted.store)
    assert note == CheckpointNote(
        RunIdentity("test", digest, seed=0, device="cpu", engine=ENGINE_VERSION),
        epoch=2,
        wall_seconds=note.wall_seconds,
        threads=1,
        hardware=hardware("cpu"),
        model=model(),
        torch=torch.__version__,
    )
    assert 0 < note.wall_seconds < 600
    Batch((interrupted,)).execute()
    assert read_all(interrupted.store) == []
    assert list(interrupted.checkpoint.file.parent.iterdir()) == []


@pytest.mark.parametrize("content", [None, "", "7", "{", "[]", '{"epoch": 1}', '{"run": {}}'])
def test_a_checkpoint_without_a_note_is_passed_over_and_taken_up(interrupted, content):
    (note,) = interrupted.checkpoint.file.parent.glob("*.json")
    if content is None:
        note.unlink()
    else:
        note.write_text(content)
    assert read_all(interrupted.store) == []
    Batch((interrupted,)).execute()
    record = interrupted.store.read(interrupted.record_path)
    assert record.provenance["resumed_after_epochs"] == [2]


def test_a_note_without_its_checkpoint_is_passed_over(interrupted):
    interrupted.checkpoint.file.unlink()
    assert read_all(interrupted.store) == []


def test_what_is_trained_beside_a_sweep_takes_no_checkpoint(interrupted):
    told = []
    interrupted.train(told.append)
    assert told == [1, 2, 3, 4]
    assert interrupted.checkpoint.file.is_file()


def test_a_record_that_cannot_be_written_costs_no_second_training(interrupted, monkeypatch):
    def full(self, record):
        raise RecordError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "write", full)
        with pytest.raises(RecordError):
            Batch((interrupted,)).execute()
    assert interrupted.checkpoint.file.is_file()
    Batch((interrupted,)).execute()
    record = interrupted.store.read(interrupted.record_path)
    assert record.provenance["resumed_after_epochs"] == [2, 3]
