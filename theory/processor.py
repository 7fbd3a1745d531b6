"""The processor: its name, and whether it multiplies bfloat16 by itself."""

from __future__ import annotations

import platform
import re
from functools import cache
from pathlib import Path

_BFLOAT16 = {"amx_bf16", "avx512_bf16", "bf16"}
"""What Linux calls the units of Intel, of AMD and Intel, and of Arm."""


def processor() -> str:
    """Return the name of the processor."""
    names = _described("model name")
    return names[0] if names else platform.processor() or platform.machine()


def model() -> str:
    """Return the numbers by which makers tell apart processors that may share a name."""
    kinds = ("cpu family", "model", "stepping", "CPU part", "CPU variant")
    return "-".join(numbers[0] for kind in kinds if (numbers := _described(kind)))


def multiplies_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself; others emulate it, which is slow."""
    described = _described("flags") + _described("Features")
    return any(_BFLOAT16 & set(flags.split()) for flags in described)


def _described(what: str) -> list[str]:
    """Return what Linux says of each core; nothing elsewhere."""
    return re.findall(rf"^{what}\s*: *(.*?)\s*$", _cpuinfo(), flags=re.MULTILINE)


@cache
def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""
