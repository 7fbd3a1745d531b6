"""The profile of a step on trial: every operator counts once, for the kind of work that it does."""

from __future__ import annotations

import importlib
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch.autograd import DeviceType

kernels = importlib.import_module("benches.kernels")
bench_step = importlib.import_module("benches.bench_step")


@pytest.mark.parametrize(
    ("operator", "kind"),
    [
        ("aten::mkldnn_convolution", "convolutions"),
        ("aten::convolution_backward", "convolutions"),
        ("aten::cudnn_convolution", "convolutions"),
        ("aten::addmm", "matrix products"),
        ("aten::mm", "matrix products"),
        ("aten::baddbmm", "matrix products"),
        ("aten::max_pool2d_with_indices_backward", "pooling"),
        ("aten::native_batch_norm_backward", "normalisation"),
        ("aten::clamp_min", "activations"),
        ("aten::threshold_backward", "activations"),
        ("aten::bernoulli_", "activations"),
        ("aten::_fused_sgd_", "optimiser"),
        ("Optimizer.step#Adam.step", "optimiser"),
        ("aten::copy_", "copies"),
        ("aten::fill_", "copies"),
        ("aten::index", "copies"),
        ("aten::_log_softmax", "other operators"),
        ("aten::add_", "other operators"),
        ("aten::convert_type", "copies"),
    ],
)
def test_an_operator_is_known_by_its_name(operator, kind):
    assert kernels.kind_of(operator) == kind


def test_shares_are_of_the_whole_and_what_is_left_is_no_operator():
    found = kernels.shares({"aten::mm": 1.0, "aten::addmm": 2.0, "aten::relu": 3.0}, 10.0)
    assert found["matrix products"] == pytest.approx(0.3)
    assert found["activations"] == pytest.approx(0.3)
    assert found[kernels.REST] == pytest.approx(0.4)
    assert tuple(found) == kernels.KINDS
    assert sum(found.values()) == pytest.approx(1)


def test_clocks_that_differ_a_little_still_give_shares_of_one():
    found = kernels.shares({"aten::mm": 1.005}, 1.0)
    assert found["matrix products"] == pytest.approx(1)
    assert found[kernels.REST] == 0


def test_times_that_overlap_are_refused():
    with pytest.raises(ValueError, match=r"operators took 1\.5000 s of 1\.0000 s"):
        kernels.shares({"aten::mm": 1.5}, 1.0)


def test_an_operator_does_not_count_what_it_calls():
    """Red where the times of an operator and of those inside it are added up."""
    a, weight = torch.rand(8, 3, 32, 32), torch.rand(4, 3, 3, 3, requires_grad=True)
    wall, found = kernels.profiled(lambda: torch.conv2d(a, weight).sum().backward(), "cpu")
    assert wall > 0
    assert sum(found.values()) == pytest.approx(1)
    assert found["convolutions"] > 0
    assert found["pooling"] == 0


def test_a_kernel_counts_once_as_the_work_of_the_operator_that_launched_it():
    """Red where the times of operators and those of their kernels are added up."""

    def event(key, device_type):
        return SimpleNamespace(key=key, device_type=device_type, self_device_time_total=2e6)

    launched = event("aten::cudnn_convolution", DeviceType.CPU)
    kernel = event("sm90_xmma_fprop_implicit_gemm", DeviceType.CUDA)
    assert kernels._seconds([launched, kernel], "cuda") == {"aten::cudnn_convolution": 2.0}


def test_the_profile_says_how_much_it_slowed_the_steps(monkeypatch):
    monkeypatch.setattr(bench_step, "profiled", lambda *_: (1e9, {"no operator": 1.0}))
    found = bench_step._profile.__wrapped__("3-filters", bench_step.FLOAT32, "cpu", "smoke")
    assert found.seconds == [1e9]
    assert 0 < found.plain_seconds[0] < 1e9


def test_a_step_of_the_race_is_profiled_without_what_comes_before_the_first(monkeypatch):
    ends = []
    train = bench_step.speed.train

    def trained(settings, images, classes, streams, on_step):
        def counted(step, last):
            ends.append((step, last))
            on_step(step, last)

        return train(settings, images, classes, streams, counted)

    monkeypatch.setattr(bench_step.speed, "train", trained)
    tiny = replace(bench_step.HALF_SIZE, batch=16, widths=(4, 4, 4, 4), precision="float32")
    found = bench_step._race_profile(tiny, "cpu", 2, 3)
    assert set(ends) == {(1, 3), (2, 3), (3, 3)}
    assert len(found.seconds) == len(found.plain_seconds) == len(found.shares) == 3
    assert all(sum(shares.values()) == pytest.approx(1) for shares in found.shares)
    assert all(shares["convolutions"] > 0 for shares in found.shares)


def test_what_python_does_is_no_operator():
    def call():
        torch.ones(4) @ torch.ones(4)
        time.sleep(0.2)

    wall, found = kernels.profiled(call, "cpu")
    assert wall >= 0.2
    assert found[kernels.REST] * wall >= 0.19


def test_the_shares_are_those_of_the_median_round():
    profile = bench_step.Profile([3.0, 1.0, 2.0], [1.0] * 3, [{"a": 3}, {"a": 1}, {"a": 2}], None)
    assert bench_step._middle(profile) == {"a": 2}


@pytest.mark.parametrize(("network", "way"), [bench_step.CASES[0], bench_step.CASES[-1]])
def test_every_network_that_sees_an_image_counts_it(network, way):
    members = bench_step.MEMBERS if way == bench_step.FLEET else 1
    batch = bench_step.NETWORKS[network].batch
    assert bench_step._images(network, way, "smoke") == members * batch
