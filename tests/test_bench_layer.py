"""The bench of convolution layers on trial: it counts what it runs, and refuses a wrong result."""

from __future__ import annotations

import importlib

import pytest
import torch
from torch import nn

bench_layer = importlib.import_module("benches.bench_layer")
workload = importlib.import_module("benches.workload")


@pytest.mark.parametrize("way", bench_layer.WAYS)
def test_a_right_convolution_has_no_fault(way):
    assert bench_layer._fault.__wrapped__("3-filters", way, "cpu") is None


@pytest.mark.parametrize("way", bench_layer.WAYS)
def test_a_wrong_convolution_is_refused(monkeypatch, way):
    right = bench_layer.conv2d

    def narrow(images, weight, padding):
        wrong = images.dtype == bench_layer.WAYS[way][0]
        return right(images, weight.flip(3) if wrong else weight, padding=padding)

    monkeypatch.setattr(bench_layer, "conv2d", narrow)
    fault = bench_layer._fault.__wrapped__("3-filters", way, "cpu")
    assert fault.startswith(f"{way} is off by")


def test_what_is_no_number_is_refused(monkeypatch):
    right = bench_layer.conv2d

    def none(images, weight, padding):
        found = right(images, weight, padding=padding)
        return found * torch.nan if images.dtype == torch.float32 else found

    monkeypatch.setattr(bench_layer, "conv2d", none)
    assert bench_layer._fault.__wrapped__("3-filters", "float32, contiguous", "cpu") is not None


@pytest.mark.parametrize(
    ("error", "device", "right"), [(0.4, "cuda", True), (0.6, "cuda", False), (0.4, "cpu", False)]
)
def test_on_a_gpu_the_nearest_integer_has_to_be_right(monkeypatch, error, device, right):
    """Red where a transform of cuDNN, which rounds what a sum does not, counts as a fault."""
    explained, conv2d = bench_layer._explained, bench_layer.conv2d

    def transformed(images, weight, padding):
        found = conv2d(images, weight, padding=padding)
        return found + error if images.dtype == torch.float32 else found

    monkeypatch.setattr(bench_layer, "_explained", lambda *sums: explained(*sums[:2], device))
    monkeypatch.setattr(bench_layer, "conv2d", transformed)
    fault = bench_layer._fault.__wrapped__("3-filters", "float32, contiguous", "cpu")
    assert (fault is None) is right


def test_operations_are_counted_as_those_of_a_step_are():
    linear = [m for m in workload.engine_network("3-filters").modules() if isinstance(m, nn.Linear)]
    products = 3 * 2 * sum(layer.weight.numel() for layer in linear)
    assert bench_layer._flops("3-filters", 1) + products == workload.flops_per_image("3-filters")
