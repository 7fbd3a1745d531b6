"""The benches on trial: they leave complete facts behind, and refuse to time a wrong answer."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]

FACTS = {
    *("device", "hardware", "threads", "float32_products", "python", "torch", "numpy", "scipy"),
    *("bytes", "peak_memory_bytes", "flops", "gflops"),
}
OF_CONVOLUTION = {"method", "library", "algorithm", "precision", "samples", "taps"}
OF_TRAINING = {
    *("network", "parameters", "rung", "images", "images_per_second"),
    *("batch", "loader_workers", "source"),
}
OF_GEMM = {"library", "precision", "size"}
OF_FLEET = {
    *("network", "library", "crew", "members", "images", "images_per_second", "batch", "source"),
}
OF_COMPILING = {
    *("network", "library", "way", "setup_seconds", "images", "images_per_second"),
    *("batch", "source"),
}
OF_SPECTRUM = {"method", "library", "precision", "channels", "cells"}
OF_STEP = {
    *("network", "way", "shares", "slowdown", "images", "images_per_second", "batch", "source"),
}
OF_LAYOUTS = {
    *("network", "layout", "precision", "workers", "threads_each", "members", "seeds"),
    *("images", "images_per_second", "batch", "source"),
}
OF_CHOICES = {"chosen", "chosen_as_shipped", "costs"}
QUESTIONS = {
    "audit": {"method", "library", "depth", "cells", "macs"},
    "compile": OF_COMPILING,
    "convolution": OF_CONVOLUTION,
    "diagnose": {"method", "library", "depth", "filters", "cells"},
    "filter gradient": OF_CONVOLUTION,
    "fleet": OF_FLEET,
    "gemm": OF_GEMM,
    "layer": {"network", "precision", "order", "batch"},
    "layer gradient": {"method", "library", "algorithm", "precision", "layer"},
    "layouts": OF_LAYOUTS,
    "modes": OF_CONVOLUTION | {"operation", "mode"},
    "norm": OF_SPECTRUM | {"relative_excess"},
    "spectrum": OF_SPECTRUM,
    "step": OF_STEP,
    "time to accuracy": {"recipe", "images", "images_per_second", "batch", "source"},
    "training": OF_TRAINING,
}

NETWORKS = {
    "3-filters": 3_172,
    "20-filters": 46_590,
    "assignment-3": 390_410,
    "batch-norm": 391_006,
    "tp1-cnn": 1_191_170,
    "mnist-2017": 3_274_634,
}
"""With their numbers of parameters."""

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
numpy.convolve = lambda x, h, mode="full": full(x, h, mode if x.dtype.kind == "i" else "same")
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

MEDIUM_PRODUCTS = """
import torch

torch.set_float32_matmul_precision("medium")
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


def of(question: str, results: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the facts of each bench of a question."""
    return [
        bench["extra_info"]
        for bench in results["benchmarks"]
        if bench["group"].startswith(f"{question}, ")
    ]


def test_a_run_leaves_every_fact_of_every_bench(smoke):
    results = json.loads(smoke.read_text())
    always = [*FACTS - {"flops", "gflops", "peak_memory_bytes"}]
    assert {bench["group"].partition(",")[0] for bench in results["benchmarks"]} == {*QUESTIONS}
    for question, known in QUESTIONS.items():
        benches = of(question, results)
        assert benches, question
        for facts in benches:
            chooses = facts.get("method", "").startswith("theory auto")
            of_peers = {"library_version"} if facts.get("library", "theory") != "theory" else set()
            assert set(facts) == FACTS | known | of_peers | (OF_CHOICES if chooses else set())
        assert all(facts[fact] for facts in benches for fact in always)
    if sys.platform == "linux":  # where the system tells
        assert not [
            bench["name"]
            for bench in results["benchmarks"]
            if bench["extra_info"]["peak_memory_bytes"] is None
        ]
    # defined for sums, products and training, not for an FFT or a choice
    assert all(
        (facts["gflops"] is not None) == (facts["algorithm"] == "direct")
        for facts in of("convolution", results)
    )
    assert all(facts["gflops"] > 0 for facts in of("training", results) + of("gemm", results))


def test_a_rate_is_what_was_done_over_the_median_time(smoke):
    for bench in json.loads(smoke.read_text())["benchmarks"]:
        facts, median = bench["extra_info"], bench["stats"]["median"]
        flops = facts["flops"]
        assert facts["gflops"] == (None if flops is None else flops / median / 1e9)
        if "images" in facts:
            assert facts["images_per_second"] == facts["images"] / median


def test_networks_that_train_at_once_count_an_image_each(smoke):
    results = json.loads(smoke.read_text())
    for facts in of("layouts", results):
        assert facts["images"] == facts["workers"] * facts["members"] * facts["batch"]
        assert facts["threads"] == facts["workers"] * facts["threads_each"]
    assert {
        facts["network"] for facts in of("layouts", results) if facts["layout"] == "tutorial loop"
    } == {*NETWORKS}
    steps = importlib.import_module("benches.bench_fleet").STEPS["smoke"]
    for facts in of("fleet", results):
        assert facts["images"] == facts["members"] * steps * facts["batch"]


def test_a_run_says_whether_it_was_one_of_all_benches(smoke, tmp_path):
    peers = ("fft_conv_pytorch", "torchinfo", "fvcore")
    everyone = all(importlib.util.find_spec(peer) for peer in peers)
    assert json.loads(smoke.read_text())["whole"] is everyone
    for part in (["-k", "gemm and float32"], ["--ignore-glob=*/bench_[!g]*.py"]):
        run = run_benches(*part, root=tmp_path)
        assert run.returncode == 0, run.stdout
        assert json.loads((tmp_path / ".benchmarks" / "smoke.json").read_text())["whole"] is False


@pytest.mark.parametrize(("library", "whole"), [("a_library_that_nobody_has", False), (None, True)])
def test_a_run_without_a_peer_is_not_whole(library, whole):
    conftest, peers = map(importlib.import_module, ("benches.conftest", "benches.peers"))
    item = SimpleNamespace(config=SimpleNamespace(stash=pytest.Stash()))
    item.config.stash[conftest._RUN] = conftest._Run(SimpleNamespace(testsfailed=0), 0.0)
    call = pytest.CallInfo.from_call(lambda: peers.skip_without(library), "call")
    conftest.pytest_runtest_makereport(item, call)
    assert item.config.stash[conftest._RUN].whole == whole


def test_a_run_that_leaves_out_stops_or_fails_is_not_whole():
    conftest = importlib.import_module("benches.conftest")
    item = SimpleNamespace(config=SimpleNamespace(stash=pytest.Stash()))

    def run(**facts):
        return conftest._Run(SimpleNamespace(testsfailed=0), 0.0, **facts)

    item.config.stash[conftest._RUN] = run()
    conftest.pytest_deselected([])
    assert item.config.stash[conftest._RUN].whole
    conftest.pytest_deselected([item])
    assert not item.config.stash[conftest._RUN].whole
    assert not run(left=1).whole
    failed = run()
    failed.session.testsfailed = 1
    assert not failed.whole


def test_peers_stand_side_by_side(smoke):
    results = json.loads(smoke.read_text())
    convolution, training = of("convolution", results), of("training", results)
    assert {facts["library"] for facts in convolution} >= ALWAYS_INSTALLED
    ours = {facts["algorithm"] for facts in convolution if facts["library"] == "theory"}
    assert ours >= {"direct", "fft", "overlap-add"}
    ladders = [facts for facts in training if facts["device"] == "cpu"]
    assert {facts["network"]: facts["parameters"] for facts in ladders} == NETWORKS
    for network in NETWORKS:
        assert [facts["rung"] for facts in ladders if facts["network"] == network] == LADDER
    groups = {bench["group"] for bench in results["benchmarks"]}
    assert len({group for group in groups if group.startswith("convolution")}) == 1
    assert {group for group in groups if group.endswith(", cpu") and "training" in group} == {
        f"training, {network}, cpu" for network in NETWORKS
    }


def test_results_hold_single_times_and_no_names_of_a_machine(smoke):
    text = smoke.read_text()
    results = json.loads(text)
    for bench in results["benchmarks"]:
        times = bench["stats"]["data"]
        assert len(times) == bench["stats"]["rounds"]
        assert all(time == float(f"{time:.4g}") > 0 for time in times)
    assert set(results["machine_info"]) == {
        "machine",
        "python_version",
        "system",
        "processor",
        "model",
        "cpus",
        "bfloat16",
        "load",
    }
    assert set(results["commit_info"]) == {"id", "dirty"}
    assert os.uname().nodename not in {*results["machine_info"].values()}


def test_rungs_take_turns_and_are_reported_on_a_clock_of_their_own():
    turns = importlib.import_module("benches.turns")
    order: list[str] = []
    calls = {name: functools.partial(order.append, name) for name in ("a", "b", "c")}
    seconds = turns.take_turns(calls, rounds=9, device="cpu")
    rounds = ["".join(order[first : first + 3]) for first in range(0, len(order), 3)]
    assert {"".join(sorted(each)) for each in rounds} == {"abc"}
    assert len(set(rounds)) > 3  # whoever comes after its like does so in some rounds only
    assert {name: len(times) for name, times in seconds.items()} == dict.fromkeys("abc", 9)

    clock = turns.Replay()
    call, measured = clock.replayed([0.25, 0.5]), []
    for _ in range(2):
        started = clock()
        call()
        measured.append(clock() - started)
    assert measured == [0.25, 0.5]
    with pytest.raises(StopIteration):  # no third round was measured
        call()


def test_what_surrounds_a_round_is_not_timed(monkeypatch):
    turns = importlib.import_module("benches.turns")
    now = [0.0]
    monkeypatch.setattr(turns.time, "perf_counter", lambda: now[0])

    def work(seconds):
        now[0] += seconds

    @contextlib.contextmanager
    def around():
        work(10)
        yield
        work(100)

    calls = {name: functools.partial(work, 1) for name in "ab"}
    seconds = turns.take_turns(calls, rounds=2, device="cpu", around={"b": around})
    assert seconds == {"a": [1, 1], "b": [1, 1]}
    assert now[0] == 2 * (1 + 111)


def test_a_round_of_the_tutorials_loop_lies_in_the_middle_of_an_epoch():
    """Its first batch has come when it begins, and others are on their way when it ends."""
    tutorial = importlib.import_module("benches.tutorial")
    taken = []

    class Loader:
        def __iter__(self):
            for index in range(5):
                taken.append(index)
                yield torch.ones(1, 2), torch.zeros(1, dtype=torch.int64)

    network = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    loop = tutorial.TutorialLoop(network, optimizer, Loader(), 3, "cpu")
    with loop.under_way():
        assert taken == [0]
        loop()
        assert taken == [0, 1, 2]
    assert taken == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("network", NETWORKS)
def test_the_tutorial_form_computes_the_same_in_its_own_order(network):
    ladder = importlib.import_module("benches.ladder")
    recipe = importlib.import_module("benches.workload").NETWORKS[network]
    shape = (1, 28, 28) if network == "mnist-2017" else (3, 32, 32)
    plain = ladder.network_of(ladder.TUTORIAL, recipe, shape, "cpu").eval()
    engine = ladder.network_of(ladder.LADDER["+ fused optimiser"], recipe, shape, "cpu").eval()
    kinds = [type(layer).__name__ for layer in plain]
    pools = [i for i, kind in enumerate(kinds) if kind == "MaxPool2d"]
    assert all(kinds[i - 1] == "ReLU" for i in pools)
    assert "Flatten" in kinds
    # In float64 the two differ in the order of their sums alone: of at most 3136 products, where
    # scores are of order 1 to 100.
    x = torch.rand(4, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(plain.double()(x), engine.double()(x), rtol=0, atol=1e-10)


def test_operations_are_those_of_products_forward_and_backward():
    """Counted by hand: 3 filters of 5x5 on 3x32x32, 9 on 3x14x14, then 225 inputs to 10 scores."""
    first, second, last = 28**2 * 3 * 75, 10**2 * 9 * 75, 225 * 10  # multiply-adds of one pass
    forward = first + second + last
    weights = first + second + last  # the gradient of a layer's weights is as much work
    inputs = second + last  # and so is that of its inputs, which the first layer does without
    workload = importlib.import_module("benches.workload")
    assert workload.flops_per_image("3-filters") == 2 * (forward + weights + inputs)


def test_the_tutorials_loader_has_the_workers_that_are_reported():
    tutorial = importlib.import_module("benches.tutorial")
    inputs = importlib.import_module("experiments.augmentation").Inputs()
    pixels, labels = torch.zeros(4, 3, 2, 2, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64)
    images = tutorial.TutorialImages(pixels, labels, inputs)
    loader = tutorial.tutorial_loader(images, 2, shuffle=True)
    assert loader.num_workers == tutorial.loader_workers()
    assert loader.persistent_workers
    assert len(loader) == 2 + tutorial.loader_workers()  # what they fetch while others are timed


def test_wrong_peers_are_named_and_not_timed(tmp_path):
    plugin = tmp_path / "planted.py"
    plugin.write_text(WRONG_ANSWERS)
    trained = "test_training and 3-filters and fused and not cuda"
    chosen = f"oaconvolve or conv1d or numpy.convolve or ({trained})"
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
    chosen = "fft_conv_pytorch or fftconvolve or (20-filters and resident and not cuda)"
    run = run_benches("-k", chosen, root=tmp_path, plugin=plugin)
    assert run.returncode == 1
    assert "1 failed, 2 skipped" in run.stdout
    assert "'resident bytes' reaches a mean loss of" in run.stdout
    assert "fft_conv_pytorch is not installed: it comes with the extra 'peers'" in run.stdout
    assert "k = 16: one call takes about 160.0 s, more than 5 s" in run.stdout


def test_float32_is_computed_as_it_is_in_runs_whatever_is_allowed(tmp_path):
    """Red where a bench rounds factors, or says that it does not and does."""
    plugin = tmp_path / "planted.py"
    plugin.write_text(MEDIUM_PRODUCTS)
    run = run_benches("-k", "test_gemm and PyTorch and cpu", root=tmp_path, plugin=plugin)
    assert run.returncode == 0, run.stdout
    results = json.loads((tmp_path / ".benchmarks" / "smoke.json").read_text())
    assert {facts["float32_products"] for facts in of("gemm", results)} == {"ieee"}


def test_a_full_run_says_beforehand_how_long_it_takes(tmp_path):
    run = run_benches("--full", "--collect-only", "-qq", root=tmp_path)
    assert "about" in run.stdout
    assert "minutes" in run.stdout
