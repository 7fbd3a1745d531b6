"""Records in other forms: TensorBoard's event files, and a study's figures."""

from __future__ import annotations

import dataclasses
import re
import sys

import pytest

from experiments.catalog import study
from experiments.export import export_tensorboard
from experiments.figures import gallery, write_figures
from experiments.quantities import at_epoch
from experiments.statements import Within

STUDY = study("nni-2023-ex1")


@pytest.fixture
def tensorboard():
    return pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def test_tensorboard_reads_every_curve_back(tmp_path, make_record, tensorboard):
    recipe = STUDY.recipe("linear-6", "adam")
    losses = [2.0 - 0.0625 * epoch for epoch in range(recipe.epochs)]  # exact in float32
    records = [
        make_record(recipe, 0, study=STUDY.name, train_loss=losses),
        make_record(recipe, 1, study=STUDY.name, test_accuracy=0.25, diverged_after=2),
    ]
    for _ in range(2):  # the second export replaces the first
        assert export_tensorboard(records, tmp_path) == 2
    folders = sorted((tmp_path / STUDY.name).iterdir())
    assert [folder.name for folder in folders] == [
        f"linear-6.adam.seed-{record.seed}.cpu.{record.key[:12]}" for record in records
    ]
    full, short = (tensorboard.EventAccumulator(str(folder)).Reload() for folder in folders)
    assert set(full.Tags()["scalars"]) == {
        "loss/train", "loss/test", "accuracy/train", "accuracy/test",
    }  # fmt: skip
    points = full.Scalars("loss/train")
    assert [(point.step, point.value) for point in points] == list(enumerate(losses, 1))
    assert [point.value for point in short.Scalars("accuracy/test")] == [0.25, 0.25]
    assert all(len(list(folder.iterdir())) == 1 for folder in folders)


def test_validation_is_not_exported_as_the_test(tmp_path, make_record, tensorboard):
    recipe = STUDY.recipe("linear-6", "adam")
    record = make_record(recipe, 0, study=STUDY.name, test_accuracy=0.25, diverged_after=1)
    held_out = {"validation_loss": [0.5], "validation_accuracy": [0.75]}
    record = dataclasses.replace(record, curves=dataclasses.replace(record.curves, **held_out))
    export_tensorboard([record], tmp_path)
    (folder,) = (tmp_path / STUDY.name).iterdir()
    points = tensorboard.EventAccumulator(str(folder)).Reload()
    found = {name: points.Scalars(name)[0].value for name in points.Tags()["scalars"]}
    assert (found["accuracy/test"], found["accuracy/validation"]) == (0.25, 0.75)


def test_a_folder_that_cannot_be_written_is_named(tmp_path, make_record, tensorboard):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"cannot write .*; name another folder"):
        export_tensorboard([make_record(STUDY.recipes[0], 0)], tmp_path / "file")


def test_without_tensorboard_the_advice_is_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match=re.escape("pip install -e '.[tensorboard]'")):
        export_tensorboard([], tmp_path)


def test_a_study_has_curves_accuracies_and_reported_numbers(tmp_path, make_record, monkeypatch):
    records = [
        make_record(recipe, seed, study=STUDY.name, test_accuracy=0.5 + 0.01 * seed)
        for recipe in STUDY.recipes
        if not recipe.name.endswith(".sgd")
        for seed in range(2)
    ]
    drawn = {}
    monkeypatch.setattr(gallery, "draw_curves", lambda runs: runs)
    monkeypatch.setattr(gallery, "draw_final_accuracies", lambda runs: runs)
    monkeypatch.setattr(gallery, "draw_measured_against_reported", lambda *given: given)

    def save(figure, path):
        drawn[path.name] = figure
        return [path]

    monkeypatch.setattr(gallery, "save", save)
    write_figures(STUDY, records, tmp_path / "new")
    assert list(drawn) == [
        "curves-sgd-momentum-1", "curves-sgd-momentum-2", "curves-adam-1", "curves-adam-2",
        "accuracies", "reported",
    ]  # fmt: skip
    shown = [role for part in (1, 2) for role in drawn[f"curves-adam-{part}"]]
    assert shown == list(STUDY.roles)
    assert drawn["curves-adam-2"]["conv-gap"] == records[-2:]
    assert drawn["accuracies"]["linear-6"]["sgd"] == []
    findings, completions = drawn["reported"]
    assert len(findings) == len(STUDY.statements) * 3
    assert completions == list(STUDY.completions)


def test_a_run_that_was_lost_on_the_way_has_a_curve(tmp_path, make_record, monkeypatch):
    recipe = STUDY.recipe("linear-6", "adam")
    records = [make_record(recipe, 0, study=STUDY.name, diverged_after=3)]
    drawn = []
    monkeypatch.setattr(gallery, "draw_curves", drawn.append)
    monkeypatch.setattr(gallery, "save", lambda figure, path: [])
    write_figures(STUDY, records, tmp_path)
    assert drawn == [{"linear-6": records}]


def test_the_files_are_svg_in_two_themes(tmp_path, make_record):
    bound = Within("digits-x", at_epoch("test_accuracy", "two-conv", 20), above=0)
    digits = dataclasses.replace(study("digits"), statements=(bound,))  # no number is reported
    records = [
        make_record(recipe, seed, study="digits") for recipe in digits.recipes for seed in (0, 1)
    ]
    paths = write_figures(digits, records, tmp_path)
    assert [path.name for path in paths] == [
        "curves-adam-1-light.svg", "curves-adam-1-dark.svg",
        "accuracies-light.svg", "accuracies-dark.svg",
    ]  # fmt: skip
    assert all("<svg" in path.read_text()[:1000] for path in paths)


def test_a_study_without_records_has_no_figure(tmp_path, make_record):
    assert write_figures(STUDY, [], tmp_path) == []
    lost = make_record(STUDY.recipes[0], 0, study=STUDY.name, diverged_after=0)
    assert write_figures(STUDY, [lost], tmp_path) == []


def test_a_folder_for_figures_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"cannot write figures to .*; name another folder"):
        write_figures(STUDY, [], tmp_path / "file")
