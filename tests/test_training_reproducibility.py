"""The same recipe, seed and device give the same record, whatever was drawn before."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest
import torch

from experiments import datasets, device, sampling, training
from experiments.augmentation import Inputs
from experiments.recipe import Optimizer, Recipe
from experiments.training import train
from tests.toy_training import RECIPE, trained


def test_the_same_recipe_and_seed_give_the_same_record():
    torch.manual_seed(1)
    first = trained()
    torch.rand(7)  # the caller's random state must not matter
    assert trained() == first


def test_the_callers_autocast_leaves_the_precision_to_the_recipe():
    for precision in ("float32", "bfloat16"):
        recipe = dataclasses.replace(RECIPE, epochs=1, precision=precision)
        alone = trained(recipe)
        with torch.autocast("cpu", torch.float16):
            assert trained(recipe) == alone


def test_the_callers_random_state_and_threads_are_left_alone():
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    train(RECIPE, 0, study="test", threads=threads + 1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


@pytest.fixture
def gpus(monkeypatch):
    """Log what seeds the random state of GPUs, and fork none of it."""
    seeded, fork_rng = [], torch.random.fork_rng
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: seeded.append(("all", seed)))
    monkeypatch.setattr(torch.cuda, "manual_seed", lambda seed: seeded.append(("current", seed)))

    def fork(devices):
        seeded.append(("forked", *devices))
        return fork_rng(devices=[])

    monkeypatch.setattr(torch.random, "fork_rng", fork)
    return seeded


def test_a_run_on_the_cpu_leaves_the_random_state_of_gpus_alone(gpus):
    trained(
        dataclasses.replace(RECIPE, network="conv4k3 relu drop0.5 fc10", filters=None, epochs=1)
    )
    assert set(gpus) == {("forked",)}


def test_only_the_gpu_whose_random_state_is_forked_is_seeded(gpus):
    with device.seeded(7, "cuda"):
        assert gpus == [("forked", "cuda"), ("current", 7)]


def test_another_seed_gives_another_record():
    assert trained(seed=1).curves != trained(seed=0).curves


def test_another_seed_starts_from_other_weights():
    data = datasets.load("digits")
    first, again, other = (training.initialised(RECIPE, s, Inputs(), data) for s in (0, 0, 1))
    for name, weights in first.state_dict().items():
        assert torch.equal(weights, again.state_dict()[name])
        assert not torch.equal(weights, other.state_dict()[name])


def test_fewer_epochs_are_a_prefix_bit_for_bit():
    """What lets the 20-epoch figures be read from 30-epoch runs."""
    long = trained(dataclasses.replace(RECIPE, epochs=3)).curves
    short = trained(dataclasses.replace(RECIPE, epochs=2)).curves
    for name in ("train_loss", "train_accuracy", "test_loss", "test_accuracy"):
        assert getattr(long, name)[:2] == getattr(short, name)


def test_runs_of_one_seed_share_the_order_and_the_initial_weights():
    data = datasets.load("digits")
    slow = dataclasses.replace(RECIPE, optimizer=Optimizer("sgd", 0.1))
    first, second = (training.initialised(recipe, 3, Inputs(), data) for recipe in (RECIPE, slow))
    assert all(
        torch.equal(p, q) for p, q in zip(first.parameters(), second.parameters(), strict=True)
    )
    assert sampling.stream_seed(3, "order") != training.stream_seed(3, "init")
    assert sampling.stream_seed(3, "order") != training.stream_seed(4, "order")


def test_only_deterministic_convolutions_are_used():
    cudnn = torch.backends.cudnn

    def flags():
        return cudnn.enabled, cudnn.deterministic, cudnn.benchmark

    before = flags()
    assert before == (True, False, False)
    try:
        cudnn.enabled, cudnn.benchmark = False, True
        with device.reproducible(None):
            assert flags() == (True, True, False)
        assert flags() == (False, False, True)
    finally:
        cudnn.enabled, cudnn.deterministic, cudnn.benchmark = before


def test_dropout_and_crops_are_drawn_by_the_seed():
    recipe = dataclasses.replace(
        RECIPE, network="conv4k3 relu drop0.5 fc10", filters=None, augmentation="pad1 flip"
    )
    torch.manual_seed(1)
    first = trained(recipe)
    torch.rand(3)
    assert trained(recipe) == first
    assert trained(dataclasses.replace(recipe, augmentation="pad1")).curves != first.curves
    wide = dataclasses.replace(recipe, network="conv4k3 relu drop0.4 fc10")
    assert trained(wide).curves != first.curves


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU")
def test_cuda_repeats_itself_bit_for_bit():
    assert trained(device="cuda") == trained(device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU")
def test_cuda_follows_the_cpu_within_float32():
    cuda, cpu = trained(device="cuda"), trained()
    assert cuda.curves.train_loss[0] == pytest.approx(cpu.curves.train_loss[0], rel=1e-3)


def _is_flushed() -> bool:
    return (torch.tensor(1e-39) * 1).item() == 0


@pytest.mark.parametrize("before", [False, True])
def test_numbers_below_the_normal_range_are_zeros_in_a_run_and_as_they_were_after_it(before):
    if not torch.set_flush_denormal(before):
        pytest.skip("this processor cannot do without them")
    try:
        with contextlib.suppress(KeyError), device.reproducible(1):
            assert _is_flushed()
            raise KeyError
        assert _is_flushed() is before
    finally:
        torch.set_flush_denormal(False)


def test_a_run_without_numbers_below_the_normal_range_ends_at_the_same_bits(monkeypatch):
    """On few images units die, and Adam's averages for their weights sink to such numbers."""
    few = Recipe(
        **{"name": "few", "network": "conv4k3 relu fc32 relu fc10", "dataset": "digits"},
        **{"optimizer": Optimizer("adam", 0.01), "epochs": 1, "steps": 1200},
        **{"examples": 20, "batch": 20},
    )
    optimizers, networks = [], []
    make_optimizer = training.make_optimizer

    def watched(*args):
        optimizers.append(make_optimizer(*args))
        return optimizers[-1]

    monkeypatch.setattr(training, "make_optimizer", watched)
    run = {"study": "test", "threads": 1, "on_trained": lambda network, _: networks.append(network)}
    first = train(few, 0, **run)
    monkeypatch.setattr(device, "_without_subnormals", contextlib.nullcontext)
    assert train(few, 0, **run) == first

    flushed, plain = (
        sum(_subnormal(of["exp_avg"]) for of in each.state.values()) for each in optimizers
    )
    assert flushed == 0 < plain
    assert all(map(torch.equal, *(network.parameters() for network in networks)))


def _subnormal(values):
    """Count by the bits, for a processor that takes them for zeros compares them as such."""
    size = values.view(torch.int32) & 0x7FFFFFFF
    return int(((size > 0) & (size < 0x00800000)).sum())
