"""What every bench shares: how much to run, how to measure, and which facts go with each number.

``--smoke`` runs each bench once at its smallest size, ``--full`` the whole grid. The results are
written as JSON to ``.benchmarks/``, or to where ``--benchmark-json`` says.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import platform
import re
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pytest
import scipy
import torch

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

FULL_GRID_SECONDS_PER_BENCH = 3.0
"""Roughly, averaged over the whole grid on two cores."""

_STATISTICS = (
    *("min", "q1", "median", "q3", "max", "mean", "stddev", "iqr"),
    *("outliers", "ops", "rounds", "iterations"),
)
_PROC = Path("/proc")


class Measure(Protocol):
    """Time a call and write down the facts that go with the time."""

    def __call__(
        self,
        call: Callable[[], Any],
        *,
        group: str,
        rounds: int,
        iterations: int = 1,
        device: str = "cpu",
        flops: int | None = None,
        peak_memory_bytes: int | None,
        **facts: Any,
    ) -> None:
        """Measure ``rounds`` times ``iterations`` calls.

        Parameters
        ----------
        call
            What to time.
        group
            Peers that answer the same question on the same input have the same group.
        rounds, iterations
            A round is so many calls in a row.
        device
            ``"cpu"`` or ``"cuda"``; CUDA is waited for after each call.
        flops
            Floating-point operations of one call, a multiply-add being two; ``None`` where they
            are not defined, and then neither is GFLOP/s.
        peak_memory_bytes
            What one call adds to the memory in use at its peak, as `probe` finds it.
        facts
            Further entries of ``extra_info``.
        """


@dataclass(frozen=True)
class Probe:
    """One call: what it returned, its seconds, and what it added to the memory in use at its peak.

    The bytes are those of the device, or of this process; ``None`` where the system does not tell.
    """

    result: Any
    seconds: float
    peak_memory_bytes: int | None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer ``--full`` and ``--smoke``."""
    group = parser.getgroup("benches")
    for scale, meaning in (
        ("full", "run the whole grid; says beforehand how long it takes"),
        ("smoke", "run each bench once, at its smallest size; the times mean nothing"),
    ):
        group.addoption(
            f"--{scale}",
            dest="scale",
            action="store_const",
            const=scale,
            default="default",
            help=meaning,
        )


def pytest_configure(config: pytest.Config) -> None:
    """Leave JSON behind, asked or not, and make room for it before anything is measured."""
    if config.option.benchmark_json is None:
        name = f"{config.getoption('scale')}.json"
        config.option.benchmark_json = config.rootpath / ".benchmarks" / name
    config.option.benchmark_json.parent.mkdir(parents=True, exist_ok=True)
    # a bench that was skipped or failed has said why
    config.addinivalue_line("filterwarnings", "ignore:Benchmark fixture was not used at all")


def pytest_sessionstart() -> None:
    """Let a run without a single measurement end in peace: each bench has said why."""
    warnings.filterwarnings("ignore", "Not saving anything, no benchmarks have been run")


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> str | None:
    """Say before a full run how long it takes."""
    if config.getoption("scale") != "full":
        return None
    minutes = math.ceil(len(items) * FULL_GRID_SECONDS_PER_BENCH / 60)
    return f"full grid: {len(items)} benches, about {minutes} minutes on two cores"


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Keep what a time depends on; leave out names, builds and the processor's list of flags."""
    kept = {key: machine_info[key] for key in ("machine", "python_version", "system")}
    kept["processor"] = processor()
    kept["cpus"] = machine_info["cpu"].get("count")
    machine_info.clear()
    machine_info.update(kept)


def pytest_benchmark_update_commit_info(commit_info: dict[str, Any]) -> None:
    """Keep which source was measured; leave out who wrote it, when and where."""
    kept = {key: commit_info[key] for key in ("id", "dirty")}
    commit_info.clear()
    commit_info.update(kept)


def pytest_benchmark_update_json(output_json: dict[str, Any]) -> None:
    """Keep what figures and `pytest-benchmark compare` show; leave out every single time."""
    for bench in output_json["benchmarks"]:
        bench["stats"] = {name: bench["stats"][name] for name in _STATISTICS}
        del bench["options"], bench["param"]


@pytest.fixture(scope="session")
def scale(request: pytest.FixtureRequest) -> str:
    """``"smoke"``, ``"default"`` or ``"full"``."""
    return request.config.getoption("scale")


@pytest.fixture
def device(request: pytest.FixtureRequest) -> str:
    """Return the device of this bench; skip where there is none."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("PyTorch finds no GPU")
    return request.param


@pytest.fixture(scope="session")
def bfloat16_hardware() -> bool:
    """Whether the processor multiplies bfloat16 itself (AMX, AVX512-BF16, Arm BF16)."""
    flags = re.findall(r"^(?:flags|Features)\s*:(.*)$", _cpuinfo(), flags=re.MULTILINE)
    return any({"amx_bf16", "avx512_bf16", "bf16"} & set(line.split()) for line in flags)


@pytest.fixture(scope="session")
def probe() -> Callable[..., Probe]:
    """Return a function that makes one call and tells what it took."""
    return _probe


@pytest.fixture
def measure(benchmark: BenchmarkFixture) -> Measure:
    """Return the function that times a call and writes down the facts that go with the time."""

    def run(
        call: Callable[[], Any],
        *,
        group: str,
        rounds: int,
        iterations: int = 1,
        device: str = "cpu",
        flops: int | None = None,
        peak_memory_bytes: int | None,
        **facts: Any,
    ) -> None:
        benchmark.group = group
        benchmark.pedantic(_finished(call, device), rounds=rounds, iterations=iterations)
        benchmark.extra_info.update(
            **facts,
            device=device,
            hardware=torch.cuda.get_device_name() if device == "cuda" else processor(),
            threads=torch.get_num_threads(),
            python=platform.python_version(),
            torch=torch.__version__,
            numpy=np.__version__,
            scipy=scipy.__version__,
            peak_memory_bytes=peak_memory_bytes,
        )
        if benchmark.stats is not None:  # None where pytest-benchmark is told not to measure
            seconds = benchmark.stats["median"]
            benchmark.extra_info["gflops"] = None if flops is None else flops / seconds / 1e9
            if "images" in facts:
                benchmark.extra_info["images_per_second"] = facts["images"] / seconds

    return run


def processor() -> str:
    """Return the processor's name."""
    named = re.search(r"^model name\s*:\s*(.*)$", _cpuinfo(), flags=re.MULTILINE)
    return named[1] if named else platform.processor() or platform.machine()


def _finished(call: Callable[[], Any], device: str) -> Callable[[], Any]:
    """Return the call, waiting for what it started on the device."""
    if device == "cpu":
        return call

    def waiting() -> Any:
        result = call()
        torch.cuda.synchronize()
        return result

    return waiting


def _probe(call: Callable[[], Any], device: str = "cpu") -> Probe:
    before = _restart_peak(device)
    started = time.perf_counter()
    result = _finished(call, device)()
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


@cache
def _cpuinfo() -> str:
    try:
        return (_PROC / "cpuinfo").read_text()
    except OSError:
        return ""
