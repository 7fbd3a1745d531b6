"""Runs of the benches at their smallest size, and the networks that they train."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

NETWORKS = {
    "3-filters": 3_172,
    "20-filters": 46_590,
    "assignment-3": 390_410,
    "batch-norm": 391_006,
    "tp1-cnn": 1_191_170,
    "mnist-2017": 3_274_634,
}
"""With their numbers of parameters."""


def run_benches(
    *options: str, root: Path, plugin: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the benches at their smallest size, on one thread; the results go to a folder of root."""
    command = [sys.executable, "-m", "pytest", "benches", "--benchmark-only", "--smoke"]
    command += [f"--rootdir={root}", "-p", "no:cacheprovider", *options]
    places = [str(ROOT)]
    if plugin:
        command += ["-p", plugin.stem]
        places += [str(plugin.parent)]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={
            **{key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")},
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(places),
        },
        capture_output=True,
        text=True,
        check=False,
    )


def of(question: str, results: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the facts of each bench of a question."""
    return [
        bench["extra_info"]
        for bench in results["benchmarks"]
        if bench["group"].startswith(f"{question}, ")
    ]
