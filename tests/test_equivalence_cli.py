"""``python -m experiments precision`` says what is licensed, or how to find out."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.precision_pairs import RECIPE, stored


@pytest.fixture
def store(tmp_path, runs_in):
    """Store pairs of two recipes; return the folder."""
    return stored(tmp_path / "results", runs_in)


def test_the_command_says_what_is_licensed(convlaws, store):
    code, out, _ = convlaws("precision", "digits", "--store", store)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 100
    rows = [" ".join(line.split()) for line in out.splitlines()]
    assert any(row.startswith("digits 5 +0.20 ± 0.12 pp ×1.25 yes the interval") for row in rows)
    assert any(row.startswith("digits 3 +0.10 ± 0.99 pp ×1.00 undecided 3 pairs;") for row in rows)
    assert f"may be trained in bfloat16: digits.{RECIPE.name}" in rows
    assert any(row.startswith("all others run in float32") for row in rows)


def test_the_command_prints_json(convlaws, store):
    _, out, _ = convlaws("precision", "digits", "--store", store, "--json")
    first, second = json.loads(out)
    assert (first["report"], first["recipe"]) == ("digits", RECIPE.name)
    assert (first["seeds"], first["diverged"]) == ([0, 1, 2, 3, 4], [])
    assert first["difference"] == pytest.approx(0.002, rel=1e-9)
    assert first["interval"] == pytest.approx([0.00076, 0.00324], abs=1e-5)
    assert (first["licensed"], first["speed"]) == (True, 1.25)
    assert (second["licensed"], second["reason"]) == (None, "3 pairs; 5 are needed")


@pytest.mark.parametrize("folder", ["results", "results/digits"])
def test_without_runs_in_bfloat16_the_command_says_how_to_make_them(convlaws, tmp_path, folder):
    (tmp_path / folder).mkdir(parents=True)
    store = tmp_path / "results"
    code, out, _ = convlaws("precision", "--store", store)
    assert code == 0
    command = "python -m experiments run REPORT RECIPE --seeds 5"
    assert f"{command} --store {store}\n{command} --precision bfloat16 --store {store}\n" in out
    assert "may be trained in bfloat16: none\nall others run in float32" in out
    _, out, _ = convlaws("precision", "--store", store, "--json")
    assert json.loads(out) == []


def test_the_command_refuses_what_is_not_there(refused, tmp_path):
    assert "store" in refused("precision", "--store", tmp_path / "nothing")
    assert "did you mean digits?" in refused("precision", "digit", "--store", tmp_path)


def test_the_command_does_not_wait_for_pytorch():
    code = "import sys, experiments.__main__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
