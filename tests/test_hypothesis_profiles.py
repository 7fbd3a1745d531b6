"""Examples come again in each run, unless a seed is asked for; and no machine is too slow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hypothesis import settings

from theory.hypothesis_profiles import VARIED

SUITE = """
from hypothesis import given, settings, strategies

@settings(max_examples=20)
@given(strategies.integers(0, 10**9))
def test_anything(number):
    with open("drawn", "a") as file:
        file.write(f"{number} ")
"""
CONFTEST = "from theory.hypothesis_profiles import load_profiles\n\nload_profiles()\n"


def drawn(folder: Path, *options: str) -> str:
    """Return what a suite draws."""
    (folder / "test_it.py").write_text(SUITE)
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "drawn").unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    path = {"PYTHONPATH": str(Path(__file__).parents[1]), "PATH": ""}
    subprocess.run(command, cwd=folder, env=path, check=True, capture_output=True)
    return (folder / "drawn").read_text()


def test_examples_are_the_same_each_time(tmp_path: Path) -> None:
    first = drawn(tmp_path)
    assert len(set(first.split())) > 10
    assert drawn(tmp_path, "--hypothesis-seed=1") == first
    assert not (tmp_path / ".hypothesis" / "examples").exists()


def test_a_seed_draws_others_where_that_is_asked_for(tmp_path: Path) -> None:
    varied = f"--hypothesis-profile={VARIED}"
    one, other = (drawn(tmp_path, varied, f"--hypothesis-seed={seed}") for seed in (1, 2))
    assert one != other
    assert drawn(tmp_path, varied, "--hypothesis-seed=1") == one


def test_this_suite_draws_so() -> None:
    """Red where a test may fail only because the machine has other work."""
    used = settings()
    assert (used.derandomize, used.deadline, used.database) == (True, None, None)
