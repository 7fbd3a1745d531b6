"""What is published has all that is installed, and nothing that is of no use without a checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Return the files of a source distribution."""
    pytest.importorskip("setuptools", minversion="77")  # as pyproject.toml demands
    source, made = (tmp_path_factory.mktemp(name) for name in ("source", "made"))
    for folder in ("theory", "experiments", "tests"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, source / folder, ignore=ignored)
    for file in ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    build = f"from setuptools import build_meta; build_meta.build_sdist({str(made)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    with tarfile.open(next(made.iterdir())) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


@pytest.mark.parametrize("package", ["theory", "experiments"])
def test_a_source_distribution_has_all_of_a_package(package: str, names: set[str]) -> None:
    """Red where the ledger, or the mark of a typed package, is left out."""
    files = {
        file.relative_to(ROOT).as_posix()
        for pattern in ("*.py", "*.toml", "py.typed")
        for file in (ROOT / package).rglob(pattern)
    }
    assert files
    assert files <= names


def test_a_source_distribution_has_no_tests_without_their_helpers(names: set[str]) -> None:
    """Red where setuptools adds `tests/test*.py`, and not what they import."""
    assert not any(name.startswith("tests") for name in names)
