"""Status: what is done, in progress and missing, and a remaining time that follows the records."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time

import pytest

from experiments import heartbeat
from experiments import status as status_module
from experiments.catalog import study
from experiments.checkpoint_notes import CheckpointNote, RunIdentity
from experiments.errors import InputError
from experiments.heartbeat import Heartbeat
from experiments.records import ENGINE_VERSION, Store
from experiments.status import status
from experiments.variants import variant

STUDY = study("nni-2023-ex1")
CHEAP, SLOW, SHORT = (
    STUDY.recipe(role, "adam") for role in ("conv-gap", "filters-20-lr-0.001", "linear-6")
)


def beat(recipe, seed, epoch, study="nni-2023-ex1", device="cpu"):
    return Heartbeat(study, recipe.name, seed, device, "host", 1, epoch)


def stop(recipe, seed, epoch, study="nni-2023-ex1", device="cpu", engine=ENGINE_VERSION, **fields):
    run = RunIdentity(study, recipe.digest, seed, device, engine)
    where = {"hardware": "slide rule", "model": "1911"} | fields
    return CheckpointNote(run, epoch, **{"wall_seconds": 9.0, "threads": 1, "torch": "2.0"} | where)


@pytest.fixture
def run(make_record):
    def make(recipe, seed, seconds, **fields):
        took = {"wall_seconds": seconds, "training_seconds": 0.9 * seconds}
        return make_record(recipe, seed, study=STUDY.name, provenance=took, **fields)

    return make


def of(found, recipe):
    (entry,) = [each for each in found.recipes if each.recipe == recipe]
    return entry


@pytest.mark.parametrize(
    ("seeds", "device", "message"),
    [
        ([0], "tpu", "device 'tpu' is unknown; known: cpu, cuda"),
        ([-1], "cpu", "a seed must be at least 0, got -1"),
        ("01", "cpu", "a seed must be an integer, got '0'"),
    ],
)
def test_no_run_is_asked_for_that_there_cannot_be(seeds, device, message):
    """Red where a device that is none has nothing left to run."""
    with pytest.raises(InputError, match=message):
        status(STUDY, [], [], seeds, device)


def test_a_seed_that_is_asked_for_twice_is_missing_once():
    assert of(status(STUDY, [], [], [7, 7]), CHEAP).missing == (7,)


def test_every_seed_is_done_in_progress_or_missing(run):
    records = [run(CHEAP, 0, 60.0), run(CHEAP, 5, 60.0)]
    found = status(STUDY, records, [beat(CHEAP, 2, 3)], range(4))
    entry = of(found, CHEAP)
    assert entry.done == (0, 5)
    assert [(each.seed, each.epoch) for each in entry.running] == [(2, 3)]
    assert entry.missing == (1, 3)
    assert [each.recipe for each in found.recipes] == list(STUDY.recipes)
    assert found.at_once == 1


def test_the_runs_of_a_fleet_are_one_at_a_time_as_they_share_its_time(run):
    fleet = [beat(CHEAP, seed, 3) for seed in range(1, 5)]
    alone = dataclasses.replace(beat(SLOW, 0, 3), pid=2)
    found = status(STUDY, [run(CHEAP, 0, 60.0)], [*fleet, alone], range(5))
    assert found.in_progress == 5
    assert found.at_once == 2
    elsewhere = dataclasses.replace(alone, seed=1, host="another")  # of the same number there
    found = status(STUDY, [], [*fleet, alone, elsewhere], range(5))
    assert found.at_once == 3


def test_a_renamed_recipe_keeps_its_records(run):
    renamed = dataclasses.replace(CHEAP, name="an-old-name.adam")
    assert of(status(STUDY, [run(renamed, 0, 60.0)], [], range(2)), CHEAP).done == (0,)


def test_what_is_of_no_account_is_passed_over(run):
    records = [
        run(CHEAP, 0, 60.0, device="cuda"),
        run(variant(CHEAP, epochs_scale=0.1), 1, 60.0),
    ]
    heartbeats = [
        beat(CHEAP, 0, 1, study="digits"),
        beat(CHEAP, 1, 1, device="cuda"),
        beat(variant(CHEAP, precision="bfloat16"), 2, 1),
    ]
    entry = of(status(STUDY, records, heartbeats, range(3)), CHEAP)
    assert (entry.done, entry.running, entry.missing) == ((), (), (0, 1, 2))
    assert of(status(STUDY, records, heartbeats, range(3), "cuda"), CHEAP).done == (0,)


def test_a_run_whose_record_is_there_is_no_longer_in_progress(run):
    entry = of(status(STUDY, [run(CHEAP, 0, 60.0)], [beat(CHEAP, 0, 29)], [0]), CHEAP)
    assert (entry.done, entry.running) == ((0,), ())


def test_each_recipe_is_judged_by_its_own_runs(run):
    records = [run(CHEAP, 0, 50.0), run(CHEAP, 1, 70.0), run(SLOW, 0, 6000.0)]
    found = status(STUDY, records, [], range(3))
    assert (of(found, CHEAP).run_seconds, of(found, CHEAP).basis) == (60.0, "recipe")
    assert of(found, CHEAP).remaining_seconds == 60.0
    assert of(found, SLOW).remaining_seconds == 2 * 6000.0


def test_a_recipe_without_records_is_judged_by_its_role(run):
    """Completions weigh alike, however many runs each has."""
    sgd, momentum = (STUDY.recipe("conv-gap", name) for name in ("sgd", "sgd-momentum"))
    records = [run(sgd, 0, 30.0), run(sgd, 1, 30.0), run(momentum, 0, 90.0), run(SLOW, 0, 6e3)]
    entry = of(status(STUDY, records, [], [0]), CHEAP)
    assert (entry.run_seconds, entry.basis) == (60.0, "role")


@pytest.fixture
def made(make_record, monkeypatch):
    """Make records on a processor whose name and model are given; this one is an abacus of 1911."""
    monkeypatch.setattr(status_module, "processor", lambda: "abacus")
    monkeypatch.setattr(status_module, "model", lambda: "1911")

    def make(recipe, seed, seconds, hardware="abacus", model=None, **fields):
        where = {"hardware": hardware} | ({"processor_model": model} if model else {})
        took = {"wall_seconds": seconds, "training_seconds": 0.9 * seconds}
        return make_record(recipe, seed, study=STUDY.name, provenance=took | where, **fields)

    return make


def test_a_run_takes_as_long_as_on_the_processor_most_like_this_one(made):
    """Processors of one name may be of several models, which old records do not tell."""
    records = [
        *(made(CHEAP, 0, 10.0, "slide rule", "1911"), made(CHEAP, 1, 30.0, "slide rule")),
        *(made(CHEAP, 2, 50.0), made(CHEAP, 3, 70.0, model="1912")),
        *(made(CHEAP, 4, 90.0, model="1911"), made(CHEAP, 5, 92.0, model="1911")),
    ]
    for count, seconds, elsewhere in ((6, 91.0, False), (4, 60.0, True), (2, 20.0, True)):
        entry = of(status(STUDY, records[:count], [], range(7)), CHEAP)
        assert (entry.run_seconds, entry.basis, entry.elsewhere) == (seconds, "recipe", elsewhere)


def test_so_does_a_run_of_a_role(made):
    sgd, momentum = (STUDY.recipe("conv-gap", name) for name in ("sgd", "sgd-momentum"))
    records = [made(sgd, 0, 90.0, "slide rule"), made(momentum, 0, 30.0, "slide rule")]
    entry = of(status(STUDY, records, [], [0]), CHEAP)
    assert (entry.run_seconds, entry.basis, entry.elsewhere) == (60.0, "role", True)
    entry = of(status(STUDY, [*records, made(sgd, 1, 7.0, model="1911")], [], [0]), CHEAP)
    assert (entry.run_seconds, entry.basis, entry.elsewhere) == (7.0, "role", False)


def test_without_records_a_run_goes_on_at_the_pace_of_the_checkpoints_made_here(made):
    """Red if those of other processors, which nothing goes on from here, have a say."""
    sgd = STUDY.recipe("conv-gap", "sgd")
    here = {"hardware": "abacus", "model": "1911"}
    checkpoints = [
        *(
            stop(CHEAP, 0, 10, wall_seconds=20.0, **here),
            stop(CHEAP, 1, 5, wall_seconds=20, **here),
        ),
        *(stop(CHEAP, 2, 5, hardware="abacus", model="1912"), stop(CHEAP, 3, 5)),
    ]
    role = [made(sgd, 0, 7.0, model="1911")]
    entry = of(status(STUDY, role, [], range(4), checkpoints=checkpoints), CHEAP)
    assert (entry.run_seconds, entry.basis, entry.elsewhere) == (30 * 3.0, "checkpoint", False)
    entry = of(status(STUDY, role, [], range(4), checkpoints=checkpoints[2:]), CHEAP)
    assert (entry.run_seconds, entry.basis) == (7.0, "role")
    own = [*role, made(CHEAP, 4, 8.0, "slide rule")]
    entry = of(status(STUDY, own, [], range(5), checkpoints=checkpoints), CHEAP)
    assert (entry.run_seconds, entry.basis) == (8.0, "recipe")


def test_only_times_that_are_left_are_said_to_be_from_elsewhere(made):
    records = [made(CHEAP, 0, 10.0, "slide rule"), made(SLOW, 0, 10.0, model="1911")]
    left = {STUDY.recipe("conv-gap", name).name for name in ("sgd", "sgd-momentum")}
    assert set(status(STUDY, records, [], [0]).elsewhere) == left
    assert set(status(STUDY, records, [], [0, 1]).elsewhere) == {CHEAP.name, *left}


def test_cards_are_not_told_apart(made):
    records = [made(CHEAP, 0, 10.0, "card", device="cuda"), made(CHEAP, 1, 30.0, device="cuda")]
    entry = of(status(STUDY, records, [], range(3), "cuda"), CHEAP)
    assert (entry.run_seconds, entry.elsewhere) == (20.0, False)


def test_a_role_is_held_to_step_for_step_and_evaluation_for_evaluation(make_record):
    """Completions of mnist-2017 differ in iterations, not in how often a run evaluates."""
    mnist = study("mnist-2017")
    short, long = (mnist.recipe("one-conv", name) for name in ("1000", "20000"))
    took = {"wall_seconds": 7.0, "training_seconds": 4.0}
    record = make_record(short, 0, study=mnist.name, provenance=took)
    entry = of(status(mnist, [record], [], [0]), long)
    assert (entry.run_seconds, entry.basis) == (pytest.approx(20 * 4.0 + 3.0, rel=1e-12), "role")


def test_a_role_that_was_never_run_has_no_estimate_and_is_named(run):
    found = status(STUDY, [run(each, 0, 1.0) for each in STUDY.recipes if each != SHORT], [], [0])
    others = [STUDY.recipe("linear-6", name) for name in ("sgd", "sgd-momentum")]
    assert found.unknown == ()
    records = [run(each, 0, 1.0) for each in STUDY.recipes if each not in (SHORT, *others)]
    found = status(STUDY, records, [], [0])
    assert set(found.unknown) == {each.name for each in (SHORT, *others)}
    assert of(found, SHORT).remaining_seconds is None
    assert found.remaining_seconds == 0


def test_a_run_in_progress_counts_by_the_epochs_to_come(run):
    found = status(STUDY, [run(CHEAP, 0, 60.0)], [beat(CHEAP, 1, 20)], range(2))
    # 10 of 30 epochs are left.
    assert of(found, CHEAP).remaining_seconds == pytest.approx(20.0, rel=1e-12)


def test_a_run_that_was_stopped_is_missing_and_counts_by_the_epochs_to_come(run):
    checkpoints = [stop(CHEAP, 1, 20), stop(SLOW, 0, 6)]
    found = status(
        STUDY, [run(CHEAP, 0, 60.0)], [beat(CHEAP, 3, 15)], range(4), checkpoints=checkpoints
    )
    entry = of(found, CHEAP)
    assert (entry.missing, entry.stopped) == ((1, 2), (checkpoints[0],))
    # Of 30 epochs 10, 30 and, of the run in progress, 15 are left.
    assert entry.remaining_seconds == pytest.approx(20 + 60 + 30, rel=1e-12)
    assert of(found, SLOW).stopped == (checkpoints[1],)


def test_a_checkpoint_of_a_run_in_progress_or_done_or_of_another_is_passed_over(run):
    checkpoints = [
        *(stop(CHEAP, 0, 3), stop(CHEAP, 1, 3)),  # done, and in progress
        *(stop(CHEAP, 2, 3, study="digits"), stop(CHEAP, 2, 3, device="cuda")),
        *(stop(CHEAP, 2, 3, engine=ENGINE_VERSION - 1), stop(SHORT, 2, 3)),
        *(stop(variant(CHEAP, epochs_scale=0.1), 2, 3), stop(CHEAP, 7, 3)),  # nobody asks for 7
    ]
    found = status(
        STUDY, [run(CHEAP, 0, 60.0)], [beat(CHEAP, 1, 3)], range(3), checkpoints=checkpoints
    )
    assert (of(found, CHEAP).missing, of(found, CHEAP).stopped) == ((2,), ())


def test_a_renamed_recipe_goes_on_from_its_checkpoint():
    renamed = dataclasses.replace(CHEAP, name="an-old-name.adam")
    found = status(STUDY, [], [], range(3), checkpoints=[stop(renamed, 2, 5)])
    assert of(found, CHEAP).stopped[0].epoch == 5


def test_runs_that_stop_early_are_expected_to(run):
    """The wall time is that of the runs, not of the epochs that they might have had."""
    sgd = STUDY.recipe("conv-gap", "sgd")
    found = status(STUDY, [run(sgd, 0, 12.0, diverged_after=2)], [], range(2))
    assert of(found, sgd).remaining_seconds == 12.0
    assert of(found, CHEAP).run_seconds == 12.0


def test_what_is_run_on_request_is_missing_only_once_it_was_begun(run):
    asking = dataclasses.replace(STUDY, on_request={CHEAP.name: "a larger machine"})
    assert of(status(asking, [], [], range(3)), CHEAP).missing == ()
    assert of(status(asking, [run(CHEAP, 1, 60.0)], [], range(3)), CHEAP).missing == (0, 2)
    assert of(status(asking, [], [beat(CHEAP, 0, 1)], range(3)), CHEAP).missing == (1, 2)
    found = status(asking, [], [], range(3), checkpoints=[stop(CHEAP, 1, 1)])
    assert of(found, CHEAP).missing == (0, 1, 2)
    assert of(status(asking, [], [], range(3)), SLOW).missing == (0, 1, 2)


def test_a_heartbeat_lasts_as_long_as_the_run(tmp_path):
    store = Store(tmp_path)
    file = heartbeat.path(store, "key")
    with heartbeat.beating(file, study="s", recipe="r", seed=3, device="cpu") as tell:
        assert [each.epoch for each in heartbeat.alive(store)] == [0]
        tell(4)
        (seen,) = heartbeat.alive(store)
        assert (seen.recipe, seen.seed, seen.epoch, seen.pid) == ("r", 3, 4, os.getpid())
    assert heartbeat.alive(store) == []
    assert heartbeat.read(file) is None
    assert list(file.parent.iterdir()) == []


def test_a_run_whose_process_is_gone_is_not_in_progress(tmp_path):
    """Ctrl-C and SIGKILL end workers at once, and leave their files behind, still young."""
    store = Store(tmp_path)
    script = (
        "import os, sys; from pathlib import Path; from experiments import heartbeat\n"
        "with heartbeat.beating(Path(sys.argv[1]), study='s', recipe='r', seed=3, device='cpu'):\n"
        "    os._exit(0)"
    )
    file = heartbeat.path(store, "key")
    subprocess.run([sys.executable, "-c", script, str(file)], check=True)
    assert file.is_file()
    assert heartbeat.alive(store) == []


def test_a_heartbeat_whose_writer_was_killed_halfway_is_not_listed_twice(tmp_path):
    store = Store(tmp_path)
    file = heartbeat.path(store, "key")
    with heartbeat.beating(file, study="s", recipe="r", seed=0, device="cpu"):
        file.with_name(f".{file.name}.1").write_bytes(file.read_bytes())
        assert len(heartbeat.alive(store)) == 1


def test_a_heartbeat_that_grows_old_is_of_a_killed_run(tmp_path):
    store = Store(tmp_path)
    file = heartbeat.path(store, "key")
    with heartbeat.beating(file, study="s", recipe="r", seed=0, device="cpu"):
        for age, count in ((10, 1), (50, 1), (70, 0)):
            os.utime(file, (time.time() - age,) * 2)
            assert len(heartbeat.alive(store)) == count
            assert (heartbeat.read(file) is None) == (count == 0)


def test_a_long_epoch_does_not_make_a_heartbeat_old(tmp_path, monkeypatch):
    monkeypatch.setattr(heartbeat, "_BEAT_SECONDS", 0.01)
    file = heartbeat.path(Store(tmp_path), "key")
    with heartbeat.beating(file, study="s", recipe="r", seed=0, device="cpu"):
        os.utime(file, (0, 0))
        deadline = time.monotonic() + 60
        while not heartbeat.alive(Store(tmp_path)):
            assert time.monotonic() < deadline, "nobody touched it"
            time.sleep(0.01)


@pytest.mark.parametrize("content", ["", "7", "{", "[]", '{"epoch": 1}', '{"surprise": 1}'])
def test_what_is_no_heartbeat_is_passed_over(tmp_path, content):
    file = heartbeat.path(Store(tmp_path), "key")
    file.parent.mkdir()
    file.write_text(content)
    assert heartbeat.read(file) is None
    assert heartbeat.alive(Store(tmp_path)) == []


def test_a_store_that_cannot_be_written_costs_the_heartbeat_alone(tmp_path):
    (tmp_path / ".running").write_text("a file where the folder belongs")
    file = heartbeat.path(Store(tmp_path), "key")
    with heartbeat.beating(file, study="s", recipe="r", seed=0, device="cpu") as tell:
        tell(1)
    assert heartbeat.alive(Store(tmp_path)) == []
