"""Records and their store: identity, round trip, atomic writes, damage."""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import os
import signal

import numpy as np
import pytest

from experiments import provenance, records
from experiments.interruption import sigterm_interrupts
from experiments.recipe import Optimizer, Recipe
from experiments.records import Curves, Record, RecordError, Store, record_key

NAN = float("nan")
RECIPE = Recipe("small.adam", "conv-fc", "digits", Optimizer("adam", 0.003), epochs=2, filters=2)
MADE = {
    "wall_seconds": 1.5, "training_seconds": 1.0, "threads": 1, "hardware": "a processor",
    "python": "3.11", "torch": "2.9", "numpy": "2.0",
}  # fmt: skip


def make_record(**changes) -> Record:
    values = {
        "key": record_key(RECIPE, 0, "data", "cpu"),
        "study": "test",
        "recipe": RECIPE,
        "seed": 0,
        "device": "cpu",
        "dataset_fingerprint": "data",
        "engine": records.ENGINE_VERSION,
        "parameters": 12,
        "train_size": 100,
        "test_size": 50,
        "curves": Curves([1.0, 0.5], [0.1, 0.6], [1.1, 0.7], [0.2, 0.5]),
        "final_train_loss": 0.4,
        "final_train_accuracy": 0.62,
        "diverged": False,
        "provenance": MADE,
    }
    return Record(**(values | changes))


def test_a_record_survives_the_store(tmp_path):
    store, record = Store(tmp_path), make_record()
    path = store.write(record)
    assert store.read(path) == record
    assert list(store.records("test")) == [record]
    assert path == store.path("test", RECIPE, 0, "cpu", record.key)
    assert oct(path.stat().st_mode & 0o777) == "0o644"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_waits_until_a_record_is_written(tmp_path, monkeypatch, number):
    store, record = Store(tmp_path), make_record()
    monkeypatch.setattr(os, "fsync", lambda _: signal.raise_signal(number))
    with sigterm_interrupts(), pytest.raises(KeyboardInterrupt):
        store.write(record)
    assert list(store.records("test")) == [record]
    assert len(list(tmp_path.rglob("*"))) == 2  # the folder of the study, and the record


def test_numbers_that_are_equal_make_one_recipe():
    assert Optimizer("sgd", 1) == Optimizer("sgd", 1.0)
    whole, point = (dataclasses.replace(RECIPE, optimizer=Optimizer("sgd", lr)) for lr in (1, 1.0))
    assert whole.digest == point.digest


def test_the_weights_kept_are_those_of_the_first_lowest_validation_loss():
    none = Curves([1.0] * 4, [0.5] * 4, [1.0] * 4, [0.5] * 4)
    assert none.kept is None
    held_out = dataclasses.replace(none, validation_loss=[3.0, 1.0, 2.0, 1.0])
    assert held_out.kept == 1


def test_sizes_of_an_epoch():
    recipe = dataclasses.replace(RECIPE, batch=32, validation=36)
    assert recipe.train_size(100) == 64
    assert (recipe.steps_an_epoch(64), recipe.steps_an_epoch(65)) == (2, 3)
    assert recipe.images_an_epoch(65) == 65
    counted = dataclasses.replace(recipe, steps=5, examples=50)
    assert (counted.train_size(100), counted.steps_an_epoch(50)) == (50, 5)
    assert counted.images_an_epoch(50) == 5 * 32


def test_every_field_of_a_record_is_stored(tmp_path):
    record = make_record()
    stored = json.loads(Store(tmp_path).write(record).read_text())
    assert stored == dataclasses.asdict(record)


CHANGES = (
    {"filters": 3},
    {"network": "conv-gap"},
    {"optimizer": Optimizer("adam", 0.001)},
    {"optimizer": Optimizer("sgd", 0.003)},
    {"optimizer": Optimizer("sgd", 0.001)},
    {"optimizer": Optimizer("sgd", 0.001, momentum=0.9)},
    {"optimizer": Optimizer("sgd", 0.001, weight_decay=0.1)},
    {"optimizer": Optimizer("sgd", 0.001, schedule="cosine")},
    {"epochs": 3},
    {"batch": 64},
    {"precision": "bfloat16"},
    {"dataset": "mnist"},
    {"steps": 5},
    {"examples": 5},
    {"validation": 5},
    {"validation": 5, "patience": 2},
    {"augmentation": "flip"},
    {"scaling": "unit"},
    {"initialisation": "kaiming-uniform"},
    {"resize": 16},
)


def test_each_setting_changes_the_key():
    every = [RECIPE, *(dataclasses.replace(RECIPE, **change) for change in CHANGES)]
    assert len({record_key(recipe, 0, "d", "cpu") for recipe in every}) == len(every)


def test_no_setting_is_left_out_above():
    recipe = {field.name for field in dataclasses.fields(Recipe)} - {"name"}
    assert set().union(*CHANGES) == recipe
    optimizers = [change["optimizer"] for change in CHANGES if "optimizer" in change]
    for setting in dataclasses.fields(Optimizer):
        assert len({getattr(each, setting.name) for each in optimizers}) > 1, setting.name


def test_seed_data_device_and_engine_change_the_key_and_the_name_does_not():
    others = [
        record_key(RECIPE, *rest)
        for rest in (
            (0, "d", "cpu"),
            (1, "d", "cpu"),
            (0, "e", "cpu"),
            (0, "d", "cuda"),
            (0, "d", "cpu", records.ENGINE_VERSION + 1),
        )
    ]
    assert len(set(others)) == len(others)
    renamed = dataclasses.replace(RECIPE, name="other.adam")
    assert record_key(renamed, 0, "d", "cpu") == others[0]


def test_a_setting_added_later_leaves_old_digests_alone():
    """A field at its default is not part of the digest."""

    @dataclasses.dataclass(frozen=True)
    class Later(Recipe):
        dropout: float = 0.0

    fields = {field.name: getattr(RECIPE, field.name) for field in dataclasses.fields(RECIPE)}
    assert Later(**fields).digest == RECIPE.digest
    assert Later(**fields, dropout=0.5).digest != RECIPE.digest


@pytest.mark.parametrize(
    "change",
    [
        {"key": "0" * 64},
        {"seed": 1},
        {"seed": "0"},
        {"parameters": "12"},
        {"curves": 3},
        {"curves": {"train_loss": [1.0]}},
        {"curves": dataclasses.asdict(Curves([1.0], [1.0], [1.0], [1.0]))},
        {"curves": dataclasses.asdict(Curves([1.0, 2.0], [1.0], [1.0, 2.0], [1.0, 1.0]))},
        {"surprise": 1},
    ],
    ids=str,
)
def test_an_edited_record_is_refused(tmp_path, change):
    path = Store(tmp_path).write(make_record())
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(RecordError, match="not a complete record"):
        Store(tmp_path).read(path)


@pytest.mark.parametrize("value", [NAN, math.inf, -0.5, 1, "2", None, True])
@pytest.mark.parametrize("curve", ["train_loss", "test_accuracy"])
def test_a_curve_holds_what_can_be_measured(tmp_path, curve, value):
    curves = {**dataclasses.asdict(make_record().curves), curve: [0.5, value]}
    path = Store(tmp_path).write(make_record())
    path.write_text(json.dumps(json.loads(path.read_text()) | {"curves": curves}))
    with pytest.raises(RecordError, match=rf"a value of {curve} is .*(finite|none can be)"):
        Store(tmp_path).read(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"final_train_loss": "abc"}, "final_train_loss is 'abc', expected a finite number"),
        ({"final_train_accuracy": 1.5}, r"final_train_accuracy is 1\.5, which none can be"),
        ({"best_train_accuracy": -0.1}, r"best_train_accuracy is -0\.1, which none can be"),
        (
            {"curves": Curves([1.0, 2.0], [0.5, 1.5], [1.0, 1.0], [0.5, 0.5])},
            r"a value of train_accuracy is 1\.5, which none can be",
        ),
        ({"diverged": "no"}, "diverged is 'no', expected true or false"),
        ({"test_size": 0}, "test_size is 0, expected at least 1"),
        ({"parameters": True}, "parameters is True, expected an integer"),
        ({"seed": -1}, "seed is -1, expected at least 0"),
        (
            {"provenance": MADE | {"wall_seconds": -5000.0}},
            r"wall_seconds in the provenance is -5000\.0, expected at least 0",
        ),
        (
            {"final_train_loss": None},
            "final_train_loss is missing, though the loss did not diverge",
        ),
        (
            {"final_train_accuracy": None},
            "final_train_accuracy is missing, though the loss did not",
        ),
        ({"provenance": MADE | {"wall_seconds": True}}, "is True, expected a number"),
        ({"provenance": MADE | {"threads": 0}}, "threads in the provenance is 0, expected at le"),
        ({"device": "../../cpu"}, r"device '../../cpu' is unknown; known: cpu, cuda"),
        ({"study": "../.."}, "a study's name is made of letters, digits and"),
    ],
)
def test_no_run_has_measured_such_a_record(tmp_path, change, message):
    """Red where it is read, and the table that is made of it fails or lies."""
    _refused(tmp_path, make_record(**change), message)


def _refused(root, record, message):
    """Check that a record is not written, and that it is not read where something else wrote it."""
    store, place = Store(root / "store"), root / "stray.json"
    with pytest.raises(RecordError, match=rf"is not written, for .*{message}"):
        store.write(record)
    assert not store.root.exists()
    place.write_text(record.to_json())
    with pytest.raises(RecordError, match=rf"not a complete record .*{message}.*delete it"):
        store.read(place)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": np.int64(0)},
        {"final_train_loss": np.float32(0.5)},
        {"final_train_loss": NAN},
        {"provenance": MADE | {"hardware": object()}},
        {"key": "0" * 64},
    ],
)
def test_what_could_not_be_read_again_is_not_written(tmp_path, change):
    """Red where it is written, and every later look at the store fails; or where JSON complains."""
    with pytest.raises(RecordError, match="is not written, for it could not be read again"):
        Store(tmp_path).write(make_record(**change))
    assert list(tmp_path.iterdir()) == []


def test_losses_may_exceed_what_accuracies_reach(tmp_path):
    curves = Curves([9.0, 2.0], [0.0, 1.0], [0.0, 3.0], [1.0, 0.5])
    record = make_record(curves=curves, final_train_loss=7.0)
    assert Store(tmp_path).read(Store(tmp_path).write(record)) == record


@pytest.mark.parametrize("what", MADE)
def test_a_record_that_does_not_say_how_it_was_made_is_refused(tmp_path, what):
    lacking = make_record(provenance={name: MADE[name] for name in MADE if name != what})
    _refused(tmp_path, lacking, f"the provenance lacks {what}")
    empty = make_record(provenance=MADE | {what: None})
    _refused(tmp_path, empty, f"{what} in the provenance is None, expected an? ")


def test_a_record_that_has_lost_its_validation_curves_is_refused(tmp_path):
    recipe = dataclasses.replace(RECIPE, validation=5)
    key = record_key(recipe, 0, "data", "cpu")
    record = make_record(recipe=recipe, key=key)
    _refused(tmp_path, record, r"the curves have \[0, 2\] epochs, expected 2")


@pytest.mark.parametrize("seconds", [math.inf, NAN])
def test_a_time_without_end_is_refused(tmp_path, seconds):
    """Red where it is read, and the whole report fails at an interval of such times."""
    path = Store(tmp_path).write(make_record())
    made = {"provenance": MADE | {"training_seconds": seconds}}
    path.write_text(json.dumps(json.loads(path.read_text()) | made))
    with pytest.raises(RecordError, match=r"training_seconds .* expected at least 0, and finite"):
        Store(tmp_path).read(path)


def test_a_record_that_has_lost_the_accuracy_of_the_weights_kept_is_refused(tmp_path):
    """Red where it is read, and its loss is said to have diverged."""
    recipe = dataclasses.replace(RECIPE, validation=5, patience=1)
    record = make_record(
        recipe=recipe,
        key=record_key(recipe, 0, "data", "cpu"),
        curves=Curves(*[[1.0, 1.0]] * 6),
        best_train_accuracy=0.5,
    )
    assert Store(tmp_path / "whole").write(record).is_file()
    lacking = dataclasses.replace(record, best_train_accuracy=None)
    _refused(tmp_path, lacking, "best_train_accuracy is missing, though the loss did not diverge")


def test_a_diverged_record_may_be_short(tmp_path):
    record = make_record(diverged=True, curves=Curves([1.0], [0.1], [1.0], [0.2]))
    assert Store(tmp_path).read(Store(tmp_path).write(record)) == record


@pytest.mark.parametrize("ended", [{"diverged": True}, {"patience": 1}], ids=str)
def test_where_a_run_may_end_early_its_curves_still_end_together(tmp_path, ended):
    patience = {name: value for name, value in ended.items() if name == "patience"}
    recipe = dataclasses.replace(RECIPE, epochs=3, validation=5, **patience)
    curves = Curves([1.0, 0.9], [0.1, 0.2], [1.0], [0.2], [1.0, 1.1], [0.2, 0.2])
    record = make_record(
        recipe=recipe, key=record_key(recipe, 0, "data", "cpu"), curves=curves,
        diverged="diverged" in ended,
    )  # fmt: skip
    _refused(tmp_path, record, r"the curves have \[1, 2\] epochs")


def test_no_run_outlasts_the_epochs_of_its_recipe(tmp_path):
    record = make_record(diverged=True, curves=Curves(*[[1.0] * 3] * 4))
    _refused(tmp_path, record, r"the curves have \[3\] epochs, expected 2")


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"recipe": {}}', "\udcff", "[" * 100_000],
    ids=lambda text: text[:9],
)
def test_a_damaged_record_is_named(tmp_path, content):
    path = tmp_path / "test" / "broken.json"
    path.parent.mkdir()
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(RecordError, match=r"broken.json cannot be read.*delete it and run again"):
        list(Store(tmp_path).records("test"))


def test_a_record_that_is_being_written_is_none_yet(tmp_path, monkeypatch):
    """What a kill at this moment would leave behind is no record."""
    store, seen, replace = Store(tmp_path), [], os.replace

    def watched(temporary, path):
        seen.append((len(os.listdir(path.parent)), list(store.records("test"))))
        replace(temporary, path)

    monkeypatch.setattr(os, "replace", watched)
    store.write(make_record())
    assert seen == [(1, [])]


def test_a_record_without_its_recipe_says_what_it_lacks():
    with pytest.raises(RecordError, match=r"not a complete record \(it lacks recipe and curves\)"):
        Record.from_json("{}")


def test_a_copy_of_a_record_is_no_second_run(tmp_path):
    """Red where `show` lists its seed twice, and `cost` counts its hours twice."""
    store = Store(tmp_path)
    path = store.write(make_record())
    path.with_name(f"copy of {path.name}").write_bytes(path.read_bytes())
    assert list(store.records("test")) == [make_record()]


def test_a_store_that_does_not_exist_says_what_to_do(tmp_path):
    with pytest.raises(RecordError, match=r"does not exist; name another with --store"):
        list(Store(tmp_path / "none").records("test"))


def test_a_store_that_cannot_be_written_is_found_out_beforehand(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RecordError, match="file is not a folder; name another with --store"):
        Store(tmp_path / "file").check_writable()
    Store(tmp_path / "new").check_writable()
    assert list((tmp_path / "new").iterdir()) == []


def test_there_must_be_room_for_a_record_beforehand(tmp_path, monkeypatch):
    sizes = []
    monkeypatch.setattr(os, "fsync", lambda file: sizes.append(os.fstat(file).st_size))
    Store(tmp_path).check_writable()
    assert sizes == [2**16]


def test_a_full_disk_leaves_no_trace(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecordError, match="No space left on device; free space or choose another"):
        Store(tmp_path).write(make_record())
    assert list((tmp_path / "test").iterdir()) == []


def test_a_crash_before_the_rename_leaves_the_old_record(tmp_path, monkeypatch):
    store = Store(tmp_path)
    path = store.write(make_record())

    def crash(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        store.write(make_record(parameters=13))
    assert store.read(path) == make_record()
    assert list((tmp_path / "test").iterdir()) == [path]


def test_the_commit_is_that_of_the_code_that_was_loaded(monkeypatch):
    before = provenance.provenance("cpu", 1.0, 1.0)["commit"]
    monkeypatch.setattr(provenance, "_git", lambda *arguments: "a later commit")
    assert provenance.provenance("cpu", 1.0, 1.0)["commit"] == before


def test_provenance_is_no_part_of_what_was_measured():
    assert make_record(provenance={"wall_seconds": 99}) == make_record()
    assert make_record(parameters=13) != make_record()
