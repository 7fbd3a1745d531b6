"""Where and with what a run was made: the part of a record that may differ from run to run."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.device import float32_products
from theory.processor import model, processor

_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
_CHECKOUT = Path(__file__).resolve().parent.parent


def provenance(device: str, wall_seconds: float, training_seconds: float) -> dict[str, Any]:
    """Return times, peak memory, hardware, versions and commit of the run that just ended.

    ``peak_memory_bytes`` is the device's for ``"cuda"``, and the whole process's so far otherwise.
    ``float32_products`` is what :func:`experiments.device.float32_products` tells now.
    """
    return {
        "wall_seconds": round(wall_seconds, 3),
        "training_seconds": round(training_seconds, 3),
        "peak_memory_bytes": (
            torch.cuda.max_memory_allocated()
            if device == "cuda"
            else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT
        ),
        "threads": torch.get_num_threads(),
        "float32_products": float32_products(device),
        "hardware": hardware(device),
        "processor_model": model(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "commit": _COMMIT,
    }


def hardware(device: str) -> str:
    """Return the name of what a device computes on."""
    return torch.cuda.get_device_name() if device == "cuda" else processor()


def _commit() -> str | None:
    """Return the commit that is run, with ``-dirty`` behind it where files differ from it."""
    if _git("rev-parse", "--show-toplevel") != str(_CHECKOUT):
        return None  # installed elsewhere, perhaps inside somebody else's repository
    return _git("describe", "--always", "--abbrev=40", "--dirty", "--exclude", "*")


def _git(*arguments: str) -> str | None:
    try:
        result = subprocess.run(
            ["git", *arguments], cwd=_CHECKOUT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()


_COMMIT = _commit()  # of what is loaded now: while a run lasts, files may change
