"""The command line of the experiments, as a user types it."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments import catalog, datasets, executors, sweep
from experiments.catalog import studies
from experiments.image_files import DATA_VARIABLE
from experiments.records import Store

_ROOT = Path(__file__).parent.parent


def test_help_teaches_every_command(convlaws):
    code, out, _ = convlaws("--help")
    assert code == 0
    commands = "list run status plan report show compare race portrait figures export"
    for command in commands.split():
        assert f" {command} " in out


def test_help_fills_its_lines(convlaws, monkeypatch):
    """Red where the lines of a docstring are kept, which are longer than a terminal's."""
    monkeypatch.setenv("COLUMNS", "80")
    for command in ("run", "status", "plan", "cost", "portrait"):
        _, out, _ = convlaws(command, "--help")
        prose = [line.strip() for line in out.partition("╭")[0].splitlines()]
        for line, after in itertools.pairwise(prose):
            word = after.partition(" ")[0]
            assert not (line and after) or len(line) + 1 + len(word) > 77, line


def test_brackets_in_a_path_are_printed(convlaws, tmp_path):
    """Red where they are taken for the markup of styles, and left out."""
    store = tmp_path / "results [old]"
    _, _, err = convlaws(
        *("run", "digits", "linear", "--seeds", 1, "--epochs-scale", 0.05, "--store", store)
    )
    assert f"0 of 1 runs are in {store}; 1 is missing" in err
    _, out, _ = convlaws("precision", "digits", "--store", store)
    assert out.count(f"--store '{store}'") == 2


def test_only_what_a_user_can_mend_loses_its_traceback(convlaws, monkeypatch):
    """Red where the command line takes NumPy's complaint about a shape for a wrong argument."""

    def broken() -> None:
        raise ValueError("shapes (2,) and (3,) not aligned")

    monkeypatch.setattr("experiments.catalog.studies", broken)
    with pytest.raises(ValueError, match="not aligned"):
        convlaws("list")


def test_list_names_every_recipe(convlaws):
    code, out, _ = convlaws("list")
    assert code == 0
    assert all(role in out for study in studies() for role in study.roles)
    assert max(map(len, out.splitlines())) <= 100
    _, out, _ = convlaws("list", "--json")
    listed = {report["report"]: report["recipes"] for report in json.loads(out)}
    assert {name: len(recipes) for name, recipes in listed.items()} == {
        study.name: len(study.recipes) for study in studies()
    }


def test_list_shows_the_range_of_what_completions_choose(convlaws):
    _, out, _ = convlaws("list")
    rows = {line.split()[0]: " ".join(line.split()) for line in out.splitlines() if line}
    assert rows["stages-1"].endswith("cifar10 0.001–0.01 8 64")
    assert rows["one-conv"].endswith("mnist 0.0001 20 × 50–1000 steps 50")
    assert rows["linear-20"].endswith("cifar10 0.001 20 32")


def test_run_does_what_is_missing_and_says_so(convlaws, tmp_path):
    arguments = ("run", "digits", "conv-fc", "--seeds", 2, "--threads", 1, "--store", tmp_path)
    code, out, err = convlaws(*arguments, "--json")
    assert code == 0
    assert f"0 of 2 runs are in {tmp_path}; 2 are missing" in err
    assert err.splitlines()[-1] == "digits: 2 runs done"
    assert json.loads(out) == {
        "report": "digits", "store": str(tmp_path), "runs": 2, "ran": 2,
    }  # fmt: skip
    code, _, err = convlaws(*arguments)
    assert code == 0
    assert err.splitlines()[-1].endswith("nothing is missing")
    code, out, _ = convlaws("show", "digits", "conv-fc", "--store", tmp_path, "--json")
    (found,) = json.loads(out)
    recipe = catalog.study("digits").recipe("conv-fc", "adam")
    assert (found["report"], found["digest"]) == ("digits", recipe.digest)
    assert found["recipe"] == json.loads(json.dumps(recipe.to_dict()))
    shown = found["records"]
    assert [record["seed"] for record in shown] == [0, 1]
    code, out, _ = convlaws("show", "digits", "conv-fc.adam", "--store", tmp_path)
    assert code == 0
    assert f"{shown[0]['curves']['test_accuracy'][-1]:.1%}".rstrip("%") in out
    code, out, _ = convlaws("report", "digits", "--store", tmp_path, "--json")
    rows = {row["claim"]: row for row in json.loads(out)}
    assert rows["digits-fc-beats-gap"]["verdict"] == "not_run"


def test_what_needs_more_than_time_is_run_only_when_named(convlaws, tmp_path, monkeypatch):
    digits = catalog.study("digits")
    *others, last = (recipe.name for recipe in digits.recipes)
    asking = dataclasses.replace(digits, on_request=dict.fromkeys(others, "a larger machine"))
    monkeypatch.setattr(catalog, "study", lambda name: asking)
    arguments = ("--seeds", 1, "--threads", 1, "--store", tmp_path)
    _, _, err = convlaws("run", "digits", *arguments)
    assert "0 of 1 runs are in" in err
    for name in others:
        assert f"{name} is left out, for it needs a larger machine; name it to run it" in err
    assert {path.name.split(".seed")[0] for path in tmp_path.rglob("*.json")} == {last}
    _, _, err = convlaws("run", "digits", others[0], *arguments)
    assert "1 is missing" in err
    assert "left out" not in err


def test_status_says_what_waits_to_be_named(convlaws, tmp_path):
    _, out, _ = convlaws("status", "assignment-3", "--store", tmp_path)
    assert "resnet-18-pretrained.sgd is run only when it is named, for it needs a GPU" in out
    assert max(map(len, out.splitlines())) <= 100
    _, out, _ = convlaws("status", "assignment-3", "--store", tmp_path, "--json")
    (found,) = json.loads(out)
    assert list(found["on_request"]) == ["resnet-18-pretrained.sgd"]


def test_a_fleet_can_be_asked_for(convlaws, tmp_path):
    arguments = ("run", "digits", "conv-fc", "--epochs-scale", 0.1, "--seeds", 3)
    code, _, err = convlaws(*arguments, "--fleet", 2, "--threads", 1, "--store", tmp_path)
    assert code == 0
    assert "3 are missing" in err
    records = list(Store(tmp_path / "variants").records("digits"))
    assert [record.provenance.get("fleet") for record in records] == [2, 2, None]
    code, _, err = convlaws(*arguments, "--store", tmp_path)
    assert "nothing is missing" in err
    assert convlaws(*arguments, "--fleet", 0, "--store", tmp_path)[0] == 2


def test_a_report_can_be_rehearsed_on_other_data(convlaws, tmp_path):
    arguments = ("run", "nni-2023-ex1", "conv-fc.adam", "--dataset", "digits", "--seeds", 1)
    code, _, err = convlaws(*arguments, "--epochs-scale", 0.03, "--store", tmp_path)
    assert code == 0
    assert "conv-fc.adam@digits@epochs-1; their records lie in" in err
    assert err.splitlines()[-1] == "nni-2023-ex1: 1 run done"
    (look,) = re.findall("python -m experiments (show .*)", err)
    code, out, _ = convlaws(*shlex.split(look))
    assert code == 0
    assert "seed 0" in out
    (record,) = Store(tmp_path / "variants").records("nni-2023-ex1")
    assert (record.recipe.dataset, record.recipe.epochs) == ("digits", 1)


def test_worker_processes_share_the_cores(convlaws, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(executors, "available_cores", lambda: 8)
    monkeypatch.setattr(sweep, "plan", lambda *_, threads, **__: asked.append(threads) or [])
    arguments = ("run", "digits", "--executor", "processes", "--store", tmp_path)
    for more in ((), ("--workers", 4), ("--workers", 3), ("--workers", 9)):
        assert convlaws(*arguments, *more)[0] == 0
    assert asked == [1, 2, 2, 1]


def test_a_gpu_has_one_worker_process_unless_more_are_asked_for(convlaws, tmp_path, monkeypatch):
    asked, made = [], executors.make_executor

    def make(name, workers, scheduler):
        asked.append(workers)
        return made(name, workers, scheduler)

    monkeypatch.setattr(executors, "make_executor", make)
    monkeypatch.setattr(sweep, "plan", lambda *_, **__: [])
    arguments = ("run", "digits", "--executor", "processes", "--device", "cuda")
    for more in ((), ("--workers", 3)):
        assert convlaws(*arguments, *more, "--store", tmp_path)[0] == 0
    assert asked == [1, 3]


def test_worker_processes_can_be_asked_for(tmp_path):
    """As a command of its own: what workers get must not live in ``__main__``."""
    command = (
        f"-m experiments run digits conv-gap --seeds 1 --executor processes --store {tmp_path}"
    )
    done = subprocess.run(
        [sys.executable, *command.split(), "--workers", "1"],
        cwd=_ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("digits/*.json"))) == 1


def test_report_fits_100_columns_and_its_twin_has_every_claim(convlaws, tmp_path):
    code, out, _ = convlaws("report", "nni-2023-ex1", "--store", tmp_path)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 100
    _, out, _ = convlaws("report", "nni-2023-ex1", "--store", tmp_path, "--json")
    rows = json.loads(out)
    assert {row["claim"] for row in rows} == set(studies()[0].claims)
    assert set(rows[0]) >= {
        "claim", "verdict", "measured", "interval", "reported", "completion", "records",
    }  # fmt: skip


def test_an_unknown_report_is_one_line(refused):
    assert "'nni-2023' is not in the catalogue; did you mean nni-2023-ex1?" in refused(
        "run", "nni-2023"
    )
    assert "known: nni-2023-ex1" in refused("report", "zzz")


def test_an_unknown_recipe_is_one_line(refused, tmp_path):
    error = refused("run", "digits", "conv-fd", "--store", tmp_path)
    assert "digits has no recipe or role 'conv-fd'; did you mean conv-fc?" in error


def test_a_missing_data_folder_is_one_line(refused, tmp_path):
    datasets._load.cache_clear()
    error = refused("run", "nni-2023-ex1", "--data-root", tmp_path / "none")
    assert f"data folder {tmp_path / 'none'} does not exist" in error


@pytest.mark.parametrize(
    ("size", "label", "message"),
    [
        (30_729_999, 0, "data_batch_1.bin holds 30,729,999 bytes, expected 30,730,000"),
        (30_730_000, 12, "data_batch_1.bin: record 0 has label 12, expected 0 to 9"),
    ],
    ids=["truncated", "label 12"],
)
def test_a_wrong_batch_file_is_one_line(refused, tmp_path, size, label, message):
    datasets._load.cache_clear()
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    (folder / "data_batch_1.bin").write_bytes(bytes([label]) + bytes(size - 1))
    for name in [f"data_batch_{i}.bin" for i in range(2, 6)] + ["test_batch.bin"]:
        (folder / name).write_bytes(bytes(30_730_000))
    assert message in refused("run", "nni-2023-ex1", "--data-root", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--workers", 2), "--workers needs --executor processes"),
        (("--executor", "dask", "--workers", 2), "--workers needs --executor processes"),
        (("--executor", "dask"), "--scheduler ADDRESS and --executor dask need each other"),
        (("--scheduler", "tcp://host:1"), "--scheduler ADDRESS and --executor dask need"),
        (
            ("--executor", "dask", "--scheduler", "tcp://host:1", "--device", "cuda"),
            "give --fleet N",
        ),
        (("--dataset", "faces"), "data set 'faces' is unknown; known: cifar10, mnist"),
        (("--epochs-scale", 0), "epochs are scaled by a positive number up to 1,000, got 0"),
        (("--epochs-scale", "nan"), "up to 1,000, got nan"),
        (("--epochs-scale", 1e300), "up to 1,000, got 1e+300"),
        (("--threads", 100_000), "cores to run on; give no more"),
    ],
)
def test_options_that_do_not_fit_are_refused(refused, tmp_path, arguments, message):
    assert message in refused("run", "digits", *arguments, "--store", tmp_path)


@pytest.mark.parametrize(
    "command", [("portrait", "digits", "conv-fc.adam"), ("race", "--seeds", 1)], ids=lambda c: c[0]
)
def test_more_threads_than_cores_are_refused_wherever_something_trains(refused, tmp_path, command):
    message = refused(*command, "--threads", 100_000, "--store", tmp_path)
    assert "cores to run on; give no more" in message


def test_a_missing_store_is_one_line(refused, tmp_path):
    assert "does not exist" in refused("report", "--store", tmp_path / "none")


@pytest.mark.parametrize(
    "command",
    [
        ("report",),
        ("status",),
        ("plan",),
        ("show", "digits", "conv-fc.adam"),
        ("show", "digits", "conv-fc.adam@epochs-1"),
        ("run", "digits"),
    ],
)
def test_a_store_that_is_a_file_is_said_to_be_none(refused, tmp_path, command):
    file = tmp_path / "file"
    file.touch()
    error = refused(*command, "--store", file)
    assert f"store {file} is not a folder; name another with --store" in error


def test_show_of_a_variant_in_no_store_names_that_store(refused, tmp_path):
    error = refused("show", "digits", "conv-fc.adam@epochs-1", "--store", tmp_path / "none")
    assert f"store {tmp_path / 'none'} does not exist" in error


def test_a_store_that_cannot_be_written_is_refused_before_all_else(refused, tmp_path):
    file = tmp_path / "file"
    file.touch()
    error = refused("run", "digits", "--epochs-scale", 0.1, "--store", file / "store")
    assert f"cannot write {file / 'store'}" in error


def test_no_address_of_a_scheduler_is_one_line(refused, tmp_path):
    pytest.importorskip("distributed", reason="the extra cluster is not installed")
    error = refused(
        "run", "digits", "--executor", "dask", "--scheduler", "nonsense", "--store", tmp_path
    )
    assert "'nonsense' is no address of a Dask scheduler" in error
    assert "missing port number" in error


def test_a_damaged_record_is_one_line(refused, tmp_path):
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "x.json").write_text("{")
    assert "x.json cannot be read" in refused("report", "--store", tmp_path)


def test_a_damaged_record_is_not_counted_as_done(refused, tmp_path):
    (run, *_) = sweep.plan(catalog.study("digits"), [0], Store(tmp_path))
    run.record_path.parent.mkdir()
    run.record_path.write_text("{")
    error = refused("run", "digits", "--seeds", 1, "--store", tmp_path)
    assert f"record {run.record_path} cannot be read: not a complete record" in error
    assert "delete it and run again to replace it" in error


def test_cuda_without_a_gpu_is_one_line(refused, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    error = refused("run", "digits", "--device", "cuda", "--store", tmp_path)
    assert "device 'cuda' was asked for, but PyTorch finds no GPU; use --device cpu" in error


@pytest.mark.parametrize(
    "arguments",
    [
        ("run",),
        ("run", "digits", "--seeds", "0"),
        ("fly",),
        ("run", "digits", "--x"),
        ("run", "digits", "--store", ""),  # what "$STORE" is where nobody has set it
        ("run", "digits", "--data-root", ""),
    ],
)
def test_a_wrong_call_is_explained(convlaws, arguments):
    code, _, err = convlaws(*arguments)
    assert code == 2
    assert "Traceback" not in err
    assert "Usage" in err


@pytest.mark.parametrize(
    ("sent", "executor", "group"),
    [
        (signal.SIGINT, "serial", False),
        (signal.SIGTERM, "processes", False),
        pytest.param(signal.SIGINT, "processes", True, id="Ctrl-C at a terminal"),
    ],
)
def test_ctrl_c_and_sigterm_keep_what_is_finished(tmp_path, sent, executor, group):
    """A later seed is interrupted; the first one's record stays and no traceback is shown."""
    command = [sys.executable, "-m", "experiments", "run", "digits", "two-conv", "--seeds", "50"]
    process = subprocess.Popen(
        [*command, "--threads", "1", "--store", str(tmp_path), "--executor", executor],
        cwd=_ROOT,
        env={key: value for key, value in os.environ.items() if key != DATA_VARIABLE},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 240
    while not list(tmp_path.glob("digits/*.json")) and time.monotonic() < deadline:
        time.sleep(0.1)
    (os.killpg if group else os.kill)(process.pid, sent)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + sent
    assert "interrupted; finished runs and checkpoints are kept" in errors
    assert "Traceback" not in errors
    assert "leaked" not in errors
    assert 1 <= len(list(tmp_path.glob("digits/*.json"))) < 50
    assert not list(tmp_path.rglob("*.partial"))


def test_the_reports_need_no_pytorch():
    """Importing it takes seconds; the tables must not."""
    code = "import sys, experiments.__main__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=_ROOT).returncode == 0
