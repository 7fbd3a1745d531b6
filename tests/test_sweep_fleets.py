"""Fleets in a sweep: which runs go together, and what becomes of each member."""

from __future__ import annotations

import dataclasses

import pytest

from experiments import runs as runs_module
from experiments import sweep as sweep_module
from experiments.executors import make_executor
from experiments.recipe import Optimizer
from experiments.records import RecordError, Store
from experiments.runs import Batch, missing
from experiments.sweep import batches, plan, sweep
from tests.toy_sweep import RECIPES, STUDY, planned

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
    runs = [dataclasses.replace(run, device="cuda") for run in planned(tmp_path, range(5))[::2]]
    assert [len(batch.runs) for batch in batches(runs, most if asked else None)] == sizes


@pytest.mark.parametrize(("device", "engine"), [("cpu", "train"), ("cuda", "train_fleet")])
def test_a_run_is_trained_by_itself_as_it_is_in_a_sweep(tmp_path, monkeypatch, device, engine):
    """Red where a portrait is of another run than the record: dropout is another draw there."""
    used = []
    for name in ("train", "train_fleet"):
        monkeypatch.setattr(
            runs_module, name, lambda *_, name=name, **options: used.append((name, options)) or [0]
        )
    run = dataclasses.replace(planned(tmp_path)[0], device=device)
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
    runs, told = planned(tmp_path)[::2], []

    def train_fleet(members, *, on_epoch, **_):
        on_epoch(1)
        told.extend((run.epochs_done(), run.heartbeat_path.exists()) for run in runs)
        raise RuntimeError

    monkeypatch.setattr(runs_module, "train_fleet", train_fleet)
    with pytest.raises(RuntimeError):
        Batch(tuple(runs)).execute()
    assert told == [(1, True), (1, True)]
    assert not any(run.heartbeat_path.exists() for run in runs)


def test_a_record_that_cannot_be_written_costs_the_fleet_no_other(tmp_path):
    runs = planned(tmp_path)[::2]
    runs[0].record_path.mkdir(parents=True)
    with pytest.raises(RecordError, match="cannot write"):
        sweep(runs, make_executor("serial"), fleet=2)
    assert runs[1].record_path.is_file()
