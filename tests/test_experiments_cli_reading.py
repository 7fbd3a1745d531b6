"""The commands that read records: status, report, show, compare, figures and export."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import sys
import time
from types import SimpleNamespace

import pytest
from rich.console import Console

from experiments import __main__ as cli
from experiments import checkpoint_notes, heartbeat
from experiments.catalog import study
from experiments.checkpoint_notes import CheckpointNote, RunIdentity
from experiments.commands.progress import RateColumn, progress
from experiments.records import ENGINE_VERSION, Store
from experiments.variants import variant
from theory.processor import model, processor

NNI, DIGITS = study("nni-2023-ex1"), study("digits")
GAP = NNI.recipe("conv-gap", "adam")


@pytest.fixture
def store(tmp_path, make_record):
    """Return a store with two seeds of some recipes, and a variant of one of them."""
    (tmp_path / "nni-2023-ex1").mkdir(parents=True)
    runs = [(role, "adam", seed) for role in ("conv-gap", "conv-fc") for seed in (0, 1)]
    for role, completion, seed in [*runs, ("conv-gap", "sgd", 0)]:
        accuracy = (0.4 if role == "conv-gap" else 0.6) + 0.03 * seed
        record = make_record(
            NNI.recipe(role, completion), seed, study=NNI.name, test_accuracy=accuracy,
            provenance={"wall_seconds": 3600.0, "training_seconds": 3600.0},
        )  # fmt: skip
        Store(tmp_path).write(record)
    for seed in (0, 1):
        short = variant(GAP, precision="bfloat16", epochs_scale=0.1)
        Store(tmp_path / "variants").write(make_record(short, seed, study=NNI.name))
    return tmp_path


def test_status_says_what_is_done_in_progress_and_missing(convlaws, store):
    file = heartbeat.path(Store(store), "key")
    with heartbeat.beating(file, study=NNI.name, recipe=GAP.name, seed=2, device="cpu") as tell:
        tell(15)
        arguments = ("status", NNI.name, "--seeds", 4, "--store", store)
        code, out, _ = convlaws(*arguments)
        _, as_json, _ = convlaws(*arguments, "--json")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 100
    (row,) = [line.split() for line in out.splitlines() if line.startswith("conv-gap.adam")]
    assert " ".join(row) == "conv-gap.adam 2 seed 2: 15 of 30 epochs 1 1 h 00 min 1 h 30 min"
    (row,) = [line.split() for line in out.splitlines() if line.startswith("conv-gap.sgd ")]
    assert " ".join(row) == "conv-gap.sgd 1 3 1 h 00 min 3 h 00 min"
    (row,) = [line.split() for line in out.splitlines() if line.startswith("conv-fc.sgd ")]
    assert " ".join(row) == "conv-fc.sgd 0 4 ~1 h 00 min 4 h 00 min"
    # conv-gap: 1.5 and 3 and (momentum) 4; conv-fc: 2 and twice 4; five roles have no run.
    assert "5 runs done, 1 in progress, 78 missing; 18 h 30 min of runs are left; unknown" in out
    (entry,) = json.loads(as_json)
    assert entry["remaining_seconds"] == 18.5 * 3600
    assert len(entry["unknown"]) == 5 * 3
    recipe = next(each for each in entry["recipes"] if each["recipe"] == GAP.name)
    assert (recipe["done"], recipe["missing"], recipe["remaining_seconds"]) == ([0, 1], [3], 5400)
    assert [(run["seed"], run["epoch"]) for run in recipe["running"]] == [(2, 15)]


def test_status_says_what_was_stopped_and_how_it_goes_on(convlaws, store):
    other = NNI.recipe("conv-fc", "adam")
    for recipe, seed, epoch, threads in ((GAP, 2, 6, 1), (other, 3, 24, 2), (other, 4, 1, 4)):
        run = RunIdentity(NNI.name, recipe.digest, seed, "cpu", ENGINE_VERSION)
        file = store / ".checkpoints" / f"{seed}.pt"
        note = CheckpointNote(run, epoch, 60.0, threads, "abacus", "1911", "2.0")
        checkpoint_notes.write(file, note)
        file.touch()
    code, out, _ = convlaws("status", NNI.name, "--seeds", 4, "--store", store)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 100
    rows = {name: " ".join(rest) for name, *rest in map(str.split, filter(None, out.splitlines()))}
    # The rest of the words is in the cell's next line.
    assert rows[GAP.name] == "2 seed 2: stopped after 6 of 30 2 1 h 00 min 1 h 48 min"
    assert rows[other.name] == "2 seed 3: stopped after 24 of 2 1 h 00 min 1 h 12 min"
    assert {"epochs", "30"} <= rows.keys()
    said = " ".join(out.split())
    assert "79 missing, 2 of them stopped halfway" in said
    assert "goes on from there on 1 thread of abacus with PyTorch 2.0; in another way" in said
    assert "goes on from there on 2 threads of abacus with PyTorch 2.0; in another way" in said
    assert "4 threads" not in said
    _, out, _ = convlaws("status", NNI.name, "--seeds", 4, "--store", store, "--json")
    (entry,) = json.loads(out)
    recipe = next(each for each in entry["recipes"] if each["recipe"] == GAP.name)
    assert recipe["missing"] == [2, 3]
    assert recipe["stopped"] == [
        {"seed": 2, "epoch": 6, "threads": 1, "hardware": "abacus", "torch": "2.0"}
    ]
    assert recipe["remaining_seconds"] == pytest.approx(1.8 * 3600, rel=1e-12)


def test_runs_side_by_side_are_done_sooner(convlaws, store, monkeypatch):
    first, second, third = (heartbeat.path(Store(store), key) for key in "abc")
    with heartbeat.beating(first, study=NNI.name, recipe=GAP.name, seed=2, device="cpu"):
        monkeypatch.setattr(os, "getpid", lambda: 1)  # another process
        with (
            heartbeat.beating(second, study=NNI.name, recipe=GAP.name, seed=3, device="cpu"),
            heartbeat.beating(third, study=NNI.name, recipe=GAP.name, seed=4, device="cpu"),
        ):
            _, out, _ = convlaws("status", NNI.name, "--seeds", 4, "--store", store)
    # Three runs are in progress; two of them are a fleet's, in one process.
    assert "20 h 00 min of runs are left, 10 h 00 min with 2 at once" in " ".join(out.split())


def test_status_says_whose_times_are_of_another_processor(convlaws, tmp_path, make_record):
    here = {"hardware": processor(), "processor_model": model()}
    first, *others = DIGITS.recipes
    for recipe, made in ((first, {}), *((each, here) for each in others)):
        Store(tmp_path).write(make_record(recipe, 0, study="digits", provenance=made))
    note = "the times of 1 recipe are those of other processors than this one"
    arguments = ("status", "digits", "--store", tmp_path)
    assert note in " ".join(convlaws(*arguments)[1].split())
    (entry,) = json.loads(convlaws(*arguments, "--json")[1])
    assert [each["elsewhere"] for each in entry["recipes"]] == [True, False, False, False]
    assert "other processors" not in convlaws(*arguments, "--seeds", 1)[1]


def test_a_finished_study_has_nothing_left(convlaws, tmp_path, make_record):
    for recipe in DIGITS.recipes:
        Store(tmp_path).write(make_record(recipe, 0, study="digits"))
    _, out, _ = convlaws("status", "digits", "--seeds", 1, "--store", tmp_path)
    assert out.splitlines()[-2] == "4 runs done, 0 in progress, 0 missing"


def test_compare_pairs_seeds(convlaws, store):
    names = ("nni-2023-ex1.conv-fc.adam", "nni-2023-ex1.conv-gap.adam")
    code, out, _ = convlaws("compare", *names, "--store", store)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 100
    assert "A: conv-fc.adam\nB: conv-gap.adam" in out
    (row,) = [line for line in out.splitlines() if line.startswith("test accuracy")]
    assert row.split()[4:] == ["61.5", "%", "41.5", "%", "+20.0", "±", "0.0", "pp", "A"]
    assert "paired seeds: 0, 1" in out
    _, out, _ = convlaws("compare", *names, "--store", store, "--json")
    found = json.loads(out)
    assert (found["first"], found["seeds"], found["diverged"]) == ("conv-fc.adam", [0, 1], [])
    entry = found["differences"][0]
    assert (entry["first"], entry["second"]) == pytest.approx((0.615, 0.415), rel=1e-9)
    assert entry["difference"] == pytest.approx(0.2, rel=1e-9)
    half = 12.706205 * 1e-4 / 12**0.5  # both pairs agree, to an image of 10,000
    assert entry["interval"] == pytest.approx([0.2 - half, 0.2 + half], rel=1e-8)
    assert entry["larger"] == "first"


def test_compare_with_a_variant(convlaws, store):
    name = "nni-2023-ex1.conv-gap.adam"
    code, out, _ = convlaws("compare", name, f"{name}@bfloat16@epochs-3", "--store", store)
    assert code == 0
    assert "B: conv-gap.adam@bfloat16@epochs-3" in out


def test_compare_says_in_which_settings_recipes_differ(convlaws, store):
    names = "nni-2023-ex1.conv-fc.adam", "nni-2023-ex1.conv-gap.sgd"
    _, out, _ = convlaws("compare", *names, "--store", store)
    shown = [" ".join(line.split()) for line in out.splitlines()]
    head = shown.index("setting A B")
    assert shown[head + 1 : head + 4] == [
        "network conv-fc conv-gap", "optimizer.name adam sgd", "",
    ]  # fmt: skip
    assert "epochs" not in out.replace("last epoch", "")
    _, out, _ = convlaws("compare", *names, "--store", store, "--json")
    assert json.loads(out)["settings"] == [
        {"setting": "network", "first": "conv-fc", "second": "conv-gap"},
        {"setting": "optimizer.name", "first": "adam", "second": "sgd"},
    ]
    assert json.loads(out)["warnings"] == []


def test_compare_warns_where_last_epochs_are_not_of_one_age(convlaws, store):
    name = "nni-2023-ex1.conv-gap.adam"
    arguments = ("compare", name, f"{name}@bfloat16@epochs-3", "--store", store)
    _, out, _ = convlaws(*arguments)
    warning = "A is trained for 30 epochs, B for 3 epochs: their last epochs and final weights are"
    assert warning in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 100
    _, out, _ = convlaws(*arguments, "--json")
    (told,) = json.loads(out)["warnings"]
    assert told.startswith(warning)
    assert {"setting": "epochs", "first": 30, "second": 3} in json.loads(out)["settings"]


def test_compare_warns_where_epochs_are_of_other_lengths(convlaws, store, make_record):
    names = [f"one-conv.{steps}" for steps in (1000, 20000)]
    for name in names:
        recipe = study("mnist-2017").recipe(*name.split("."))
        Store(store).write(make_record(recipe, 0, study="mnist-2017"))
    _, out, _ = convlaws("compare", *names, "--store", store, "--json")
    (told,) = json.loads(out)["warnings"]
    lengths = "A is trained for 20 epochs of 50 steps, B for 20 epochs of 1,000 steps: "
    assert told.startswith(lengths)


def test_compare_says_what_diverged(convlaws, store, make_record):
    record = make_record(NNI.recipe("linear-6", "adam"), 0, study=NNI.name, diverged_after=2)
    Store(store).write(record)
    _, out, _ = convlaws("compare", "linear-6.adam", "filters-3-lr-0.01.adam", "--store", store)
    assert out == ""
    Store(store).write(make_record(NNI.recipe("linear-6", "sgd"), 0, study=NNI.name))
    _, out, _ = convlaws("compare", "linear-6.adam", "linear-6.sgd", "--store", store)
    assert "left out, for a loss diverged: seeds 0; the rest is no fair sample" in out
    assert "paired seeds: none" in out


def test_compare_wants_two_recipes(refused, store):
    told = "A and B are one recipe, conv-fc.adam; name another"
    assert told in refused("compare", *["nni-2023-ex1.conv-fc.adam"] * 2, "--store", store)


def test_compare_without_records_names_the_command(refused, store):
    error = refused("compare", "linear-6.adam", "linear-20.adam", "--store", store)
    assert (
        "no records of linear-6.adam; run: python -m experiments run nni-2023-ex1 linear-6.adam "
        f"--seeds 3 --store {store}"
    ) in error


def test_show_without_records_names_the_command(convlaws, store):
    code, out, _ = convlaws("show", NNI.name, "linear-6.adam", "--store", store)
    assert code == 0
    _, machine_readable, _ = convlaws("show", NNI.name, "linear-6", "--store", store, "--json")
    shown = [(each["recipe"]["name"], each["records"]) for each in json.loads(machine_readable)]
    assert shown == [(f"linear-6.{completion}", []) for completion in NNI.completions]
    assert "run: python -m experiments run nni-2023-ex1 linear-6.adam --seeds 3" in " ".join(
        out.split()
    )


def test_show_without_any_variant_names_the_command(convlaws, store):
    shutil.rmtree(store / "variants")
    code, out, _ = convlaws("show", NNI.name, "conv-gap.adam@bfloat16", "--store", store)
    assert code == 0
    told = " ".join(out.split())
    assert "run: python -m experiments run nni-2023-ex1 conv-gap.adam@bfloat16 --seeds 3" in told


def test_show_names_every_setting_of_the_optimiser(convlaws, store):
    (store / "tp1-cnn").mkdir()
    _, out, _ = convlaws("show", "tp1-cnn", "scheduled.sgd", "--store", store)
    assert "sgd, learning rate 0.1, schedule exponential-0.95" in out


def test_show_finds_variants(convlaws, store):
    _, out, _ = convlaws("show", NNI.name, "conv-gap.adam@bfloat16@epochs-3", "--store", store)
    assert "conv-gap.adam@bfloat16@epochs-3" in out
    assert "seed 1: key" in out


def test_figures_are_written_and_named(convlaws, store, tmp_path):
    folder = tmp_path / "figures"
    code, out, _ = convlaws("figures", "nni-2023-ex1", "--out", folder, "--store", store)
    assert code == 0
    assert sorted(out.split()) == sorted(map(str, folder.rglob("*.svg")))
    assert (folder / "nni-2023-ex1" / "accuracies-dark.svg").is_file()
    _, out, err = convlaws("figures", "digits", "--out", folder, "--store", store)
    assert (out, err) == ("", "digits: no records, no figure\n")


def test_export_writes_every_record_of_every_report(convlaws, store, tmp_path):
    pytest.importorskip("tensorboard")
    folder = tmp_path / "events"
    code, _, err = convlaws("export", "--tensorboard", folder, "--store", store)
    assert code == 0
    assert f"5 records written to {folder}" in err
    assert len(list(folder.glob("nni-2023-ex1/*/events.out.tfevents.*"))) == 5


def test_a_thousand_records_are_reported_within_five_seconds(
    tmp_path, make_record, monkeypatch, capsys
):
    """Counted in CPU time of this process, so that a busy machine makes no difference."""
    (tmp_path / NNI.name).mkdir()
    for recipe in NNI.recipes:
        for seed in range(1000 // len(NNI.recipes) + 1):
            record = make_record(recipe, seed, study=NNI.name)
            path = Store(tmp_path).path(NNI.name, recipe, seed, "cpu", record.key)
            path.write_text(record.to_json())
    assert len(list(tmp_path.glob("*/*.json"))) >= 1000
    monkeypatch.setattr(sys, "argv", ["experiments", "report", "--store", str(tmp_path)])
    started = time.process_time()
    with pytest.raises(SystemExit):
        cli.main()
    assert time.process_time() - started < 4  # a second is left for the imports
    assert all(claim in capsys.readouterr().out for claim in NNI.claims[:1])


class _Run:
    """What the display of progress asks of a run."""

    def __init__(self, folder, epochs):
        self.recipe = type("Recipe", (), {"epochs": epochs})
        self.record_path = folder / f"{epochs}.json"
        self.done = 0
        self.asked = 0

    def epochs_done(self):
        self.asked += 1
        return self.done


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_shows_runs_and_epochs_on_a_terminal_alone(tmp_path, monkeypatch, terminal):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=120, color_system=None)
    runs = [_Run(tmp_path, 10), _Run(tmp_path, 30)]
    monkeypatch.setattr("experiments.commands.progress._POLL_SECONDS", 0.01)
    with progress(runs, console):
        for epoch in range(1, 11):
            runs[0].done, runs[1].done = epoch, epoch // 2
            time.sleep(0.03)
        runs[0].record_path.touch()
    if not terminal:
        assert text.getvalue().strip() == ""
        assert runs[0].asked == 0
        return
    lines = text.getvalue().splitlines()
    finished, epochs = ([x for x in lines if f"{name} " in x][-1] for name in ("runs", "epochs"))
    assert re.search(r"runs +\S+ +1/2 ", finished)
    assert re.search(r"epochs +\S+ +15/40 \d+\.\d/(s|min|h) \d:\d\d:\d\d left \d:\d\d:\d\d", epochs)


@pytest.mark.parametrize(
    ("speed", "shown"),
    [(12.34, "12.3/s"), (0.5, "30.0/min"), (0.01, "36.0/h"), (1e-4, "0.4/h"), (None, "")],
)
def test_a_rate_is_told_in_the_unit_that_suits_it(speed, shown):
    task = SimpleNamespace(finished_speed=None, speed=speed)
    assert str(RateColumn().render(task)) == shown


@pytest.mark.parametrize(
    "arguments", [("export", NNI.name, "--tensorboard", ""), ("figures", NNI.name, "--out", "")]
)
def test_an_empty_name_is_no_folder_to_write_to(convlaws, tmp_path, monkeypatch, arguments) -> None:
    """Red where a variable that is not set fills the present folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "store" / NNI.name).mkdir(parents=True)
    code, _, err = convlaws(*arguments, "--store", tmp_path / "store")
    assert code == 2
    assert "no folder is named" in err
