"""Examples in the help of the command lines on trial: each parses, and runs where that is cheap."""

from __future__ import annotations

import importlib
import re
import shlex
import sys
from typing import TYPE_CHECKING

import pytest
import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

APPS = {
    package: typer.main.get_command(importlib.import_module(f"{package}.__main__").app)
    for package in ("theory", "experiments", "benches")
}

TRAINS = ("experiments run", "experiments race")
"""What takes minutes to days."""

READERS_PACKAGE = {
    "__init__.py": "",
    "layers.py": """
from torch import nn

class BlurPool(nn.AvgPool1d):
    def __init__(self):
        super().__init__(2)
""",
    "nets.py": """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, width=8):
        super().__init__(nn.Conv2d(3, width, 3), nn.Flatten(), nn.Linear(30 * 30 * width, 10))
""",
}
"""What a reader's own package might hold, where examples say ``mypackage``."""


def _helps() -> Iterator[str]:
    for app in APPS.values():
        yield app.help or ""
        for command in app.commands.values():
            yield f"{command.help}\n{command.epilog}"


COMMAND = re.compile(r"^[-\s`]*python -m ((?:theory|experiments|benches) [^`\n]+)", re.MULTILINE)

EXAMPLES = [example.strip() for text in _helps() for example in COMMAND.findall(text)]


def test_examples_are_found():
    commands = {example.split()[1] for example in EXAMPLES}
    assert commands >= {"diagnose", "audit", "claims", "run", "race"}


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_parses(example):
    package, command, *arguments = shlex.split(example)
    APPS[package].commands[command].make_context(command, arguments)


@pytest.fixture
def readers_package(tmp_path, monkeypatch):
    folder = tmp_path / "mypackage"
    folder.mkdir()
    for name, text in READERS_PACKAGE.items():
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "mypackage"]:
        del sys.modules[name]


@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.usefixtures("readers_package")
def test_an_example_runs(example, theory_command, convlaws):
    if example.startswith(TRAINS) and "--list" not in example:
        pytest.skip("it trains")
    if "--verdicts" in example:
        pytest.skip("the file of verdicts takes a run of all trials")
    package, *arguments = shlex.split(example)
    code, out, err = {"theory": theory_command, "experiments": convlaws}[package](*arguments)
    assert code == 0, err
    assert out
