"""The benches on trial: they leave complete facts behind, and refuse to time a wrong answer."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]

FACTS = {
    *("device", "hardware", "threads", "python", "torch", "numpy", "scipy"),
    *("bytes", "peak_memory_bytes", "gflops"),
}
OF_CONVOLUTION = {"method", "library", "algorithm", "precision", "samples", "taps"}
OF_TRAINING = {"rung", "images", "images_per_second", "batch", "loader_workers", "source"}

LADDER = [
    "tutorial loop",
    "resident bytes",
    "+ channels last",
    "+ pool before ReLU",
    "+ fused optimiser",
    "+ bfloat16",
]
ALWAYS_INSTALLED = {"theory", "NumPy", "SciPy", "PyTorch"}

WRONG_ANSWERS = """
import numpy
from experiments import augmentation
from scipy import signal
from torch.nn import functional

full, blocks, layer = numpy.convolve, signal.oaconvolve, functional.conv1d
numpy.convolve = lambda x, h: full(x, h, "full" if x.dtype.kind == "i" else "same")
signal.oaconvolve = lambda x, h: blocks(x, h) * (1 + 1e-9)
functional.conv1d = lambda x, h, padding: layer(x, h.flip(2), padding=padding)
augmentation.Inputs._scaled = lambda inputs, images: images.float() / 128 - 1
"""

FORGOTTEN_STEP = """
from experiments import training

epoch = training.train_epoch

def forgetful(network, optimizer, *rest):
    step, calls = optimizer.step, []
    optimizer.step = lambda: calls.append(0) if not calls else step()
    return epoch(network, optimizer, *rest)

training.train_epoch = forgetful
"""

MISSING_PEER = """
import importlib.util

find = importlib.util.find_spec

def find_spec(name, *rest):
    return None if name == "fft_conv_pytorch" else find(name, *rest)

importlib.util.find_spec = find_spec
"""

SLOW_PEER = """
import time
from scipy import signal

fast, clock, late = signal.fftconvolve, time.perf_counter, []

def slow(x, h):
    late.append(10)
    return fast(x, h)

def perf_counter():
    return clock() + sum(late)

signal.fftconvolve = slow
time.perf_counter = perf_counter
"""


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


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the JSON of a smoke run."""
    root = tmp_path_factory.mktemp("benches")
    run = run_benches(root=root)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    return root / ".benchmarks" / "smoke.json"


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the module of the documentation that draws the results."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    return importlib.import_module("bench_figures")


def of(question: str, results: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the facts of each bench of a question."""
    return [
        bench["extra_info"]
        for bench in results["benchmarks"]
        if bench["group"].startswith(f"{question}, ")
    ]


def test_a_run_leaves_every_fact_of_every_bench(smoke):
    results = json.loads(smoke.read_text())
    convolution, training = of("convolution", results), of("training", results)
    assert len(convolution) + len(training) == len(results["benchmarks"])
    assert all(set(facts) == FACTS | OF_CONVOLUTION for facts in convolution)
    assert all(set(facts) == FACTS | OF_TRAINING for facts in training)
    always = [*FACTS - {"gflops", "peak_memory_bytes"}]
    assert all(facts[fact] for facts in convolution + training for fact in always)
    # defined for sums and for training, not for an FFT
    assert all(
        (facts["gflops"] is not None) == (facts["algorithm"] == "direct") for facts in convolution
    )
    assert all(facts["gflops"] > 0 for facts in training)


def test_peers_stand_side_by_side(smoke):
    results = json.loads(smoke.read_text())
    convolution, training = of("convolution", results), of("training", results)
    assert {facts["library"] for facts in convolution} >= ALWAYS_INSTALLED
    ours = {facts["algorithm"] for facts in convolution if facts["library"] == "theory"}
    assert ours == {"direct", "fft", "overlap-add"}
    assert [facts["rung"] for facts in training if facts["device"] == "cpu"] == LADDER
    for question in ("convolution", "training"):
        groups = {b["group"] for b in results["benchmarks"] if b["group"].startswith(question)}
        assert len(groups) == len({facts["device"] for facts in of(question, results)})


def test_results_hold_neither_single_times_nor_names_of_a_machine(smoke):
    text = smoke.read_text()
    results = json.loads(text)
    assert all("data" not in bench["stats"] for bench in results["benchmarks"])
    assert set(results["machine_info"]) == {
        "machine",
        "python_version",
        "system",
        "processor",
        "cpus",
    }
    assert set(results["commit_info"]) == {"id", "dirty"}
    assert os.uname().nodename not in {*results["machine_info"].values()}


def test_wrong_peers_are_named_and_not_timed(tmp_path):
    plugin = tmp_path / "planted.py"
    plugin.write_text(WRONG_ANSWERS)
    chosen = "oaconvolve or conv1d or numpy.convolve or (fused and not cuda)"
    run = run_benches("-k", chosen, root=tmp_path, plugin=plugin)
    assert run.returncode == 1
    assert "4 failed" in run.stdout
    assert "scipy oaconvolve is off by" in run.stdout
    assert "torch conv1d is off by" in run.stdout
    assert "numpy.convolve gives (256,) outputs, expected (271,)" in run.stdout
    assert "'+ fused optimiser' reaches a mean loss of" in run.stdout
    assert not (tmp_path / ".benchmarks" / "smoke.json").exists()


def test_a_forgotten_step_is_caught_and_what_cannot_run_says_so(tmp_path):
    plugin = tmp_path / "planted.py"
    plugin.write_text(FORGOTTEN_STEP + MISSING_PEER + SLOW_PEER)
    chosen = "fft_conv_pytorch or fftconvolve or (resident and not cuda)"
    run = run_benches("-k", chosen, root=tmp_path, plugin=plugin)
    assert run.returncode == 1
    assert "1 failed, 2 skipped" in run.stdout.replace(", 20 deselected", "")
    assert "'resident bytes' reaches a mean loss of" in run.stdout
    assert "fft_conv_pytorch is not installed: it comes with the extra 'peers'" in run.stdout
    assert "k = 16: one call takes about 160.0 s, more than 5 s" in run.stdout


def test_a_full_run_says_beforehand_how_long_it_takes(tmp_path):
    run = run_benches("--full", "--collect-only", "-qq", root=tmp_path)
    assert "about" in run.stdout
    assert "minutes" in run.stdout


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_figures_are_drawn_from_the_results(figures, smoke, theme):
    results = figures.load(smoke)
    convolution = figures.draw_convolution(results, theme)
    (panel,) = convolution.axes
    assert len(panel.lines) == len(of("convolution", results))
    (text,) = convolution.legends
    assert {label.get_text() for label in text.get_texts()} >= ALWAYS_INSTALLED

    training = figures.draw_training(results, theme)
    for axes in training.axes:
        assert [label.get_text() for label in axes.get_yticklabels()] == LADDER
        assert axes.texts[0].get_text().endswith("(×1)")
    assert "1 thread; Python" in figures.conditions(results)


def test_scaling_is_the_slope_on_logarithmic_axes(figures):
    def bench(samples: int, taps: int, seconds: float) -> dict[str, Any]:
        facts = {"method": "m", "samples": samples, "taps": taps}
        return {"group": "convolution, n", "extra_info": facts, "stats": {"median": seconds}}

    benches = [bench(2**p, 16, 1e-9 * 4.0**p) for p in range(12, 16)]
    benches += [bench(2**8, 16, 1.0)]  # too short to count
    benches += [bench(2**p, 32, 1.0) for p in (12, 13)]  # too few to fit
    assert figures.scaling({"benchmarks": benches}) == {("m", 16): pytest.approx(2)}


@pytest.mark.parametrize("draw", ["draw_convolution", "draw_training", "scaling"])
def test_results_without_the_bench_are_refused(figures, draw):
    themed = () if draw == "scaling" else ("light",)
    with pytest.raises(ValueError, match="hold no bench of"):
        getattr(figures, draw)({"benchmarks": []}, *themed)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"benchmarks": []}'])
def test_a_file_that_holds_no_results_is_refused(figures, tmp_path, text):
    path = tmp_path / "bench.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="does not hold the results of a bench run"):
        figures.load(path)
