"""``python -m experiments run --executor auto``: what a user sees, for good and for bad input."""

from __future__ import annotations

import json

import pytest

from experiments import executors, sweep
from experiments import layout as layouts
from experiments.layout import rates

pytestmark = pytest.mark.usefixtures("rates_file")  # and not the user's


def test_the_digits_are_trained_by_themselves(convlaws, tmp_path, rates_file, monkeypatch):
    monkeypatch.setattr(executors, "available_cores", lambda: 2)
    monkeypatch.setattr(rates, "_ROUND_SECONDS", 0.02)
    arguments = ("run", "digits", "--executor", "auto", "--seeds", 2, "--epochs-scale", 0.1)
    code, out, err = convlaws(*arguments, "--store", tmp_path)
    assert code == 0
    assert out == ""
    lines = err.splitlines()
    assert "8 are missing" in lines[1]
    assert lines[-1] == "digits: 8 runs done"
    chosen = lines[2:-1]
    assert [line.split(".adam")[0] for line in chosen] == [
        "two-conv",
        "linear",
        "conv-fc",
        "conv-gap",
    ]
    assert all("images/s)" in line and "one run on all cores" in line for line in chosen)
    assert len(list(tmp_path.glob("variants/digits/*.json"))) == 8
    assert {len(rates) for rates in json.loads(rates_file.read_text()).values()} == {4}

    monkeypatch.setattr(layouts, "choose", pytest.fail)
    code, _, err = convlaws(*arguments, "--store", tmp_path)
    assert code == 0
    assert err.splitlines()[1].endswith("nothing is missing")
    assert len(err.splitlines()) == 2


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--workers", 2), "leave --workers out"),
        (("--threads", 1), "leave --threads out"),
        (("--fleet", 2, "--workers", 2), "leave --workers and --fleet out"),
        (("--fleet", 1, "--device", "cuda"), "leave --fleet out"),
    ],
    ids=str,
)
def test_what_is_to_be_chosen_cannot_be_given(refused, tmp_path, options, named):
    error = refused("run", "digits", "--executor", "auto", *options, "--store", tmp_path)
    assert f"{named}, or name an executor" in error


def test_a_scheduler_is_not_for_it(refused, tmp_path):
    options = ("--executor", "auto", "--scheduler", "tcp://host:1")
    assert "--executor dask need each other" in refused(
        "run", "digits", *options, "--store", tmp_path
    )


def test_on_cuda_runs_are_serial_and_fleets_measured_as_ever(convlaws, tmp_path, monkeypatch):
    swept = []
    monkeypatch.setattr(sweep, "plan", lambda *_, **__: [])
    monkeypatch.setattr(sweep, "sweep", lambda runs, pool, fleet: swept.append((type(pool), fleet)))
    monkeypatch.setattr(layouts, "carry_out", pytest.fail)
    arguments = ("run", "digits", "--executor", "auto", "--device", "cuda", "--store", tmp_path)
    assert convlaws(*arguments)[0] == 0
    assert swept == [(executors._SerialExecutor, None)]
