"""The benches leave complete facts behind, and say whether all of them ran."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.bench_runs import NETWORKS, of, run_benches

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

LADDER = [
    "tutorial loop",
    "resident bytes",
    "+ channels last",
    "+ pool before ReLU",
    "+ fused optimiser",
    "+ bfloat16",
]
ALWAYS_INSTALLED = {"theory", "NumPy", "SciPy", "PyTorch"}


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the JSON of a smoke run: of one just made, where CONVLAWS_SMOKE names its file."""
    if "CONVLAWS_SMOKE" in os.environ:
        return Path(os.environ["CONVLAWS_SMOKE"])
    root = tmp_path_factory.mktemp("benches")
    run = run_benches(root=root)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    return root / ".benchmarks" / "smoke.json"


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


@pytest.mark.parametrize("scale", ["smoke", "default", "full"])
def test_nothing_is_timed_twice(scale):
    """Red where a size is asked for by two rules of a grid."""
    for name in ("audit", "convolution", "diagnose", "filter_gradient", "layer_gradient", "modes"):
        cases: list[tuple[object, ...]] = []
        asked = SimpleNamespace(
            config=SimpleNamespace(getoption=lambda _: scale),
            parametrize=lambda _, given, cases=cases: cases.extend(each.values for each in given),
        )
        importlib.import_module(f"benches.bench_{name}").pytest_generate_tests(asked)
        assert len(cases) == len({*cases}) > 0


def test_a_full_run_says_beforehand_how_long_it_takes(tmp_path):
    run = run_benches("--full", "--collect-only", "-qq", root=tmp_path)
    assert "about" in run.stdout
    assert "minutes" in run.stdout
