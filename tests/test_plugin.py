"""``pytest theory --operator``: the battery on a user's operator, in and out of the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from theory import plugin

ROOT = Path(__file__).parents[1]

LAYERS = """
import torch


class Shift(torch.nn.Module):
    def __init__(self, by=1):
        super().__init__()
        self.by = by

    def forward(self, x):
        return x.roll(self.by, -1)


def rectify(x):
    return x.relu()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a user's project, which is no checkout of this one."""
    (tmp_path / "layers_of_mine.py").write_text(LAYERS, encoding="utf-8")
    (tmp_path / "test_of_mine.py").write_text("def test_mine(): assert False\n", encoding="utf-8")
    return tmp_path


class _Config:
    """As much of pytest's configuration as the plugin asks before it makes the operator."""

    def __init__(self, options: dict[str, str]) -> None:
        self._options = {name[2:].replace("-", "_"): value for name, value in options.items()}
        self.stash = pytest.Stash()

    def getoption(self, name: str, default: str | None = None) -> str | None:
        return self._options.get(name, default)


def _pytest(
    *arguments: str, cwd: Path = ROOT, path: tuple[Path, ...] = ()
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))}
    environment.pop("PYTEST_ADDOPTS", None)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_the_battery_takes_the_place_of_the_trials(project: Path) -> None:
    arguments = ("--operator", "layers_of_mine:Shift", "--shape", "1,6")
    done = _pytest("theory", *arguments, "--operator-kwargs", '{"by": 2}', path=(project,))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed, 3 skipped" in done.stdout
    assert "layers_of_mine:Shift gives no dense()" in done.stdout
    assert "Shift: (1, 6) -> (1, 6), circular boundary" in done.stdout
    assert "[[[0.0, 0.0, 1.0, 0.0, 0.0, 0.0]]]" in done.stdout
    assert "verdicts on the claims" not in done.stdout


def test_what_fails_shows_its_witness(project: Path) -> None:
    arguments = ("--operator", "layers_of_mine:rectify", "--shape", "8")
    done = _pytest("theory", *arguments, path=(project,))
    assert done.returncode == 1
    assert "3 failed, 2 passed, 3 skipped" in done.stdout
    assert "FAILED layers_of_mine:rectify::linear" in done.stdout
    assert "rectify on inputs of" in done.stdout
    assert 'left, right = sides(op, "additive", x, y' in done.stdout
    assert "Traceback" not in done.stdout


def test_from_an_installed_package(project: Path) -> None:
    """Outside of the checkout, with no configuration of this project in sight."""
    site = project / "site"
    shutil.copytree(
        ROOT / "theory", site / "theory", ignore=shutil.ignore_patterns("__pycache__", "test_*")
    )
    arguments = (
        "--operator",
        "layers_of_mine:Shift",
        "--shape",
        "1,6",
        "--boundary",
        "interior",
        "--dtype",
        "float32",
    )
    options = ("-p", "theory.plugin", "-W", "error")
    done = _pytest(*options, "--pyargs", "theory", *arguments, cwd=project, path=(site, project))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"rootdir: {project}" in done.stdout
    assert "5 passed, 3 skipped" in done.stdout
    assert "interior boundary, float32" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--operator", "torch.nn:Relu", "--shape", "8"], "did you mean ReLU"),
        (["--operator", "torch.nn:ReLU"], "give --shape"),
        (["--operator", "torch.nn:ReLU", "--shape", "eight"], "--shape 'eight' is not integers"),
        (
            ["--operator", "torch.nn:ReLU", "--shape", "8", "--operator-kwargs", "{a"],
            "--operator-kwargs '{a' is not JSON",
        ),
        (
            ["--operator", "torch.nn:Conv1d", "--shape", "1,8"],
            "give --operator-kwargs",
        ),
        (
            ["--operator", "torch.nn:ReLU", "--shape", "8", "--boundary", "open"],
            "--boundary 'open': give circular or interior",
        ),
        (
            ["--operator", "torch.nn:ReLU", "--shape", "8", "--dtype", "half"],
            "--dtype 'half': give float64 or float32",
        ),
        (["--shape", "8"], "--shape is for --operator"),
        (
            ["--operator", "torch.nn:ReLU", "--shape", "8", "--verdicts", "v.json"],
            "--verdicts is for the trials",
        ),
        (["--operator", "torch.linalg:inv", "--shape", "8"], "inv takes no input of shape (8,)"),
    ],
)
def test_bad_input_is_a_usage_error(arguments: list[str], message: str) -> None:
    config = _Config(dict(zip(arguments[::2], arguments[1::2], strict=True)))
    with pytest.raises(pytest.UsageError) as error:
        plugin.pytest_configure(config)  # type: ignore[arg-type]
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_usage_error_is_one_line_for_the_user() -> None:
    done = _pytest("theory", "--operator", "torch.nn:Relu", "--shape", "8")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert done.stdout == ""
    assert done.stderr.split("\n") == [
        "ERROR: torch.nn has no 'Relu': did you mean ReLU or RReLU or ReLU6?",
        "",
        "",
    ]
