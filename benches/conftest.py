"""What every bench shares: how much to run, how to measure, and which facts go with each number.

``--smoke`` runs each bench once at its smallest size, ``--full`` the whole grid. The results are
written as JSON to ``.benchmarks/``, or to where ``--benchmark-json`` says.
"""

from __future__ import annotations

import math
import os
import platform
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pytest
import scipy
import torch

from benches import scaling
from benches.peers import NotInstalled
from benches.probe import Probe
from benches.probe import probe as _probe
from benches.rounds import kept
from benches.turns import finished
from experiments.device import float32_products, reproducible
from theory.processor import model, multiplies_bfloat16, processor

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from pytest_benchmark.fixture import BenchmarkFixture

FULL_SECONDS = 3.0
"""Of a full run for each bench on two cores, roughly, where its module does not say otherwise."""

_STATISTICS = (
    *("min", "q1", "median", "q3", "max", "mean", "stddev", "iqr"),
    *("outliers", "ops", "rounds", "iterations"),
)


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
        threads: int | None = None,
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
        threads
            Those that compute, in all processes together; by itself, those of PyTorch here.
        flops
            Floating-point operations of one call, a multiply-add being two; ``None`` where they
            are not defined, and then neither is GFLOP/s.
        peak_memory_bytes
            What one call adds to the memory in use at its peak, as `probe` finds it: that of this
            process, without those of a DataLoader's workers; of a layout, the sum over its
            processes; None where unknown.
        facts
            Further entries of ``extra_info``.
        """


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


@dataclass
class _Run:
    """What is known of this run: when it started (s), the load then, and how many are left."""

    session: pytest.Session
    started: float
    load: float | None = None
    left: int = 0
    partial: bool = False

    @property
    def whole(self) -> bool:
        """Whether every bench was tried, with every peer, and none failed."""
        return not self.partial and self.left == 0 and self.session.testsfailed == 0


_RUN = pytest.StashKey[_Run]()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Let a run without a single measurement end in peace: each bench has said why."""
    session.config.stash[_RUN] = _Run(session, time.monotonic(), _load())
    warnings.filterwarnings("ignore", "Not saving anything, no benchmarks have been run")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note how many benches there are to try, and whether some were not asked for."""
    run = session.config.stash[_RUN]
    run.left = len(session.items)
    here = {path.name for path in Path(__file__).parent.glob("bench_*.py")}
    chosen = any("::" in argument for argument in session.config.args)
    run.partial |= chosen or not here <= {item.path.name for item in session.items}


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Note that a part of the benches was left out, as by ``-k``."""
    for item in items:  # none, where pytest looked for some to leave out
        item.config.stash[_RUN].partial = True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Count the benches that were tried."""
    result = yield
    item.config.stash[_RUN].left -= 1
    return result


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Note that a peer was left out, for it is not installed."""
    if call.excinfo is not None and call.excinfo.errisinstance(NotInstalled):
        item.config.stash[_RUN].partial = True


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> str | None:
    """Say before a full run how long it takes."""
    if config.getoption("scale") != "full":
        return None
    benches = [item for item in items if isinstance(item, pytest.Function) and not _skips(item)]
    seconds = sum(getattr(bench.module, "FULL_SECONDS", FULL_SECONDS) for bench in benches)
    minutes = math.ceil(seconds / 60)
    return f"full grid: {len(benches)} benches, about {minutes} minutes on two cores"


def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    """Keep what a time depends on; leave out names, builds and the processor's list of flags."""
    kept = {key: machine_info[key] for key in ("machine", "python_version", "system")}
    kept["processor"] = processor()
    kept["model"] = model()
    kept["cpus"] = machine_info["cpu"].get("count")
    kept["bfloat16"] = multiplies_bfloat16()
    if (load := config.stash[_RUN].load) is not None:
        kept["load"] = load
    machine_info.clear()
    machine_info.update(kept)


def pytest_benchmark_update_commit_info(commit_info: dict[str, Any]) -> None:
    """Keep which source was measured; leave out who wrote it, when and where."""
    kept = {key: commit_info[key] for key in ("id", "dirty")}
    commit_info.clear()
    commit_info.update(kept)


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Keep what figures and comparisons need; add how times grow with the size.

    And how much was asked for, whether all of that was run, and the seconds it took.
    """
    for bench in output_json["benchmarks"]:
        stats = bench["stats"]
        bench["stats"] = {name: stats[name] for name in _STATISTICS} | {"data": kept(stats["data"])}
        del bench["options"], bench["param"]
    output_json["scale"] = config.getoption("scale")
    output_json["whole"] = config.stash[_RUN].whole
    output_json["seconds"] = round(time.monotonic() - config.stash[_RUN].started, 1)
    output_json["scaling"] = scaling.fits(output_json["benchmarks"])


@pytest.fixture(autouse=True)
def _as_in_experiments() -> Iterator[None]:
    """Compute as runs do whose records are kept: float32 without TF32, and deterministically."""
    with reproducible(None):
        yield


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
    return multiplies_bfloat16()


@pytest.fixture(scope="session")
def probe() -> Callable[..., Probe]:
    """Return a function that makes one call and tells what it took."""
    return _probe


@pytest.fixture
def measure(benchmark: BenchmarkFixture) -> Measure:
    """Return the function that times a call and writes down the facts that go with the time.

    Among these ``bytes`` are those that a call cannot do without: of all that it is given and
    returns, or of the images and labels that it trains on.
    """

    def run(
        call: Callable[[], Any],
        *,
        group: str,
        rounds: int,
        iterations: int = 1,
        device: str = "cpu",
        threads: int | None = None,
        flops: int | None = None,
        peak_memory_bytes: int | None,
        **facts: Any,
    ) -> None:
        benchmark.group = group
        benchmark.pedantic(finished(call, device), rounds=rounds, iterations=iterations)
        if facts.get("library", "theory") != "theory":  # ours is what the commit says
            facts["library_version"] = _version(facts["library"])
        benchmark.extra_info.update(
            **facts,
            device=device,
            hardware=torch.cuda.get_device_name() if device == "cuda" else processor(),
            threads=threads or torch.get_num_threads(),
            float32_products=float32_products(device),
            python=platform.python_version(),
            torch=torch.__version__,
            numpy=np.__version__,
            scipy=scipy.__version__,
            peak_memory_bytes=peak_memory_bytes,
            flops=flops,
        )
        if benchmark.stats is not None:  # None where pytest-benchmark is told not to measure
            seconds = benchmark.stats["median"]
            benchmark.extra_info["gflops"] = None if flops is None else flops / seconds / 1e9
            if "images" in facts:
                benchmark.extra_info["images_per_second"] = facts["images"] / seconds

    return run


def _load() -> float | None:
    """Return how many programs wanted a core in the last minute; None where no system tells."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None


def _version(library: str) -> str:
    return metadata.version("torch" if library == "PyTorch" else library)


def _skips(bench: pytest.Function) -> bool:
    """Whether a bench needs a GPU that is not there."""
    callspec = getattr(bench, "callspec", None)
    on_gpu = callspec is not None and callspec.params.get("device") == "cuda"
    return on_gpu and not torch.cuda.is_available()
