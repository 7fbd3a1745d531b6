"""Examples in docstrings on trial: each is run, and gives what it says."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _modules_with_examples() -> list[str]:
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for room in ("theory", "experiments", "benches")
        for path in sorted((ROOT / room).rglob("*.py"))
        if ">>>" in path.read_text(encoding="utf-8") and not path.stem.startswith("test_")
    ]


@pytest.mark.parametrize("name", _modules_with_examples())
def test_examples_give_what_they_say(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0
    assert found.failed == 0


def test_examples_are_found():
    assert {"theory.gram_iteration", "benches.turns"} <= {*_modules_with_examples()}
