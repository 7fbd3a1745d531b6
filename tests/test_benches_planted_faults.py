"""Whatever is planted, benches time no wrong answer, and they say what they cannot run."""

from __future__ import annotations

import json

from tests.bench_runs import of, run_benches

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
