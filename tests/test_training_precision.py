"""The precision of training: bfloat16 where a recipe says so, and float32 that is float32."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from experiments import datasets, device, training
from experiments.augmentation import Inputs
from tests.toy_training import RECIPE, trained


def test_bfloat16_rounds_the_forward_pass_and_no_more():
    """Scores of one forward pass are off by bfloat16's roundoff, the weights stay float32."""
    data = datasets.load("digits")
    network = training.initialised(RECIPE, 0, Inputs(), data)
    reduced = dataclasses.replace(RECIPE, precision="bfloat16")
    losses = [
        training.evaluate(network, data.test_images, data.test_labels, recipe)[0]
        for recipe in (RECIPE, reduced)
    ]
    assert losses[0] != losses[1]
    # Inputs, weights and results of two layers are each rounded to 2^-8; scores are of order one
    # and the loss is 1-Lipschitz in the largest of their errors, twice.
    assert abs(losses[0] - losses[1]) < 2 * 6 * 2**-8


def test_bfloat16_leaves_the_weights_in_float32(monkeypatch):
    """Red where weights are rounded, before the first step or after the last."""
    reduced = dataclasses.replace(RECIPE, precision="bfloat16")
    expected = training.initialised(RECIPE, 0, Inputs(), datasets.load("digits")).state_dict()
    train_epoch, starts, ends = training.train_epoch, [], []

    def weights(network):
        return {name: value.clone() for name, value in network.state_dict().items()}

    def spy(network, *rest):
        starts.append(weights(network))
        measured = train_epoch(network, *rest)
        ends.append(weights(network))
        return measured

    monkeypatch.setattr(training, "train_epoch", spy)
    handed_on = []
    trained(reduced, on_trained=lambda network, _: handed_on.append(network.state_dict()))
    for name, start in expected.items():
        assert torch.equal(starts[0][name], start)
        assert torch.equal(starts[1][name], ends[0][name])
        assert torch.equal(handed_on[0][name], ends[1][name])
        assert handed_on[0][name].dtype == torch.float32
        assert not torch.equal(ends[1][name], ends[1][name].bfloat16().float())


def test_training_and_evaluation_are_in_the_recipes_precision_and_losses_are_not():
    seen = []

    class Spy(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(1, 10)

        def forward(self, x):
            scores = self.layer(x.flatten(1))
            seen.append(scores.dtype)
            return scores

    network, labels = Spy(), torch.zeros(4, dtype=torch.int64)
    images = torch.zeros(4, 1, 1, 1, dtype=torch.uint8)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    for precision in ("float32", "bfloat16"):
        recipe = dataclasses.replace(RECIPE, precision=precision)
        training.train_epoch(network, optimizer, images, labels, torch.arange(4), recipe)
        training.evaluate(network, images, labels, recipe)
    assert seen == [torch.float32] * 2 + [torch.bfloat16] * 2
    assert device.full_precision(torch.zeros(1, dtype=torch.bfloat16)).dtype == torch.float32
    assert device.full_precision(torch.zeros(1, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize(
    "allow",
    [
        lambda: torch.set_float32_matmul_precision("medium"),
        lambda: setattr(torch.backends, "fp32_precision", "tf32"),
        lambda: setattr(torch.backends.cudnn.conv, "fp32_precision", "ieee"),
        lambda: setattr(torch.backends.mkldnn.conv, "fp32_precision", "bf16"),
        lambda: None,
    ],
    ids=["products", "all", "one and not the other", "the CPU's convolutions", "nothing"],
)
def test_float32_means_float32_whatever_the_caller_allows(allow, allowed):
    allow()
    before = allowed()
    with device.reproducible(None):
        assert allowed() == ["ieee"] * 6
    assert allowed() == before


@pytest.mark.parametrize(
    ("allow", "cpu", "cuda"),
    [
        (lambda: None, "ieee", "ieee/tf32"),  # as torch comes
        (lambda: torch.set_float32_matmul_precision("medium"), "bf16/ieee", "tf32"),
        (lambda: setattr(torch.backends, "fp32_precision", "tf32"), "tf32", "tf32"),
        (lambda: setattr(torch.backends.cudnn.conv, "fp32_precision", "ieee"), "ieee", "ieee"),
    ],
    ids=["nothing", "products", "all", "the GPU's convolutions"],
)
def test_what_becomes_of_float32_is_told(allow, cpu, cuda, allowed):
    allow()
    assert [device.float32_products(name) for name in ("cpu", "cuda")] == [cpu, cuda]
    with device.reproducible(None):
        assert [device.float32_products(name) for name in ("cpu", "cuda")] == ["ieee"] * 2


def test_a_record_says_what_became_of_float32(allowed):
    """Red where what the caller allows is asked, and not what the run did."""
    torch.set_float32_matmul_precision("medium")
    record = training.train(RECIPE, 0, study="test")
    assert record.provenance["float32_products"] == "ieee"
