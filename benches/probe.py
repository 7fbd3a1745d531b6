"""One call, measured once: its result, its seconds, and the memory that it takes."""

from __future__ import annotations

import contextlib
import ctypes
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benches.turns import finished

_PROC = Path("/proc")


@dataclass(frozen=True)
class Probe:
    """What a call returned, its seconds, and what it added to the memory in use at its peak.

    The bytes are those of the device, or of this process; ``None`` where the system does not tell.
    """

    result: Any
    seconds: float
    peak_memory_bytes: int | None


def probe(call: Callable[[], Any], device: str = "cpu") -> Probe:
    """Make one call and tell what it took."""
    before = _restart_peak(device)
    started = time.perf_counter()
    result = finished(call, device)()
    seconds = time.perf_counter() - started
    return Probe(result, seconds, None if before is None else max(0, _peak(device) - before))


def _restart_peak(device: str) -> int | None:
    """Forget the peak so far; return the bytes in use, or None where the system does not tell."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    if sys.platform != "linux":
        return None
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # what glibc keeps for later would hide what a call takes
    try:
        (_PROC / "self/clear_refs").write_text("5")  # 5: the peak; see proc_pid_clear_refs(5)
    except OSError:
        return None
    return _status("VmRSS")


def _peak(device: str) -> int:
    return torch.cuda.max_memory_allocated() if device == "cuda" else _status("VmHWM")


def _status(field: str) -> int:
    """Bytes of one field of this process's status."""
    status = (_PROC / "self/status").read_text()
    found = re.search(rf"^{field}:\s*(\d+) kB$", status, flags=re.MULTILINE)
    assert found, f"{field} is missing from {_PROC}/self/status"
    return 1024 * int(found[1])
