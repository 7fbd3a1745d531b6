"""Optimisers follow their rule written out, and the learning rate its schedule."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from experiments import training
from experiments.recipe import Optimizer
from tests.toy_training import RECIPE, trained


@pytest.mark.parametrize(
    "optimizer",
    [Optimizer("sgd", 0.05), Optimizer("sgd", 0.05, momentum=0.9), Optimizer("adam", 0.01)],
    ids=["sgd", "momentum", "adam"],
)
def test_steps_follow_the_update_rule_written_out(optimizer):
    """Three steps in float64 against the textbook rule (Kingma and Ba 2015 for Adam)."""
    torch.manual_seed(0)
    network = nn.Linear(3, 2).double()
    x, target = torch.randn(8, 3, dtype=torch.float64), torch.randint(0, 2, (8,))
    weight = network.weight.detach().clone().requires_grad_()
    bias = network.bias.detach().clone()
    stepper = training.make_optimizer(optimizer, network)
    network.bias.requires_grad_(False)
    velocity = second = torch.zeros_like(weight)
    for step in range(1, 4):
        stepper.zero_grad()
        F.cross_entropy(network(x), target).backward()
        stepper.step()
        (gradient,) = torch.autograd.grad(F.cross_entropy(x @ weight.T + bias, target), weight)
        with torch.no_grad():
            if optimizer.name == "adam":
                velocity = 0.9 * velocity + 0.1 * gradient
                second = 0.999 * second + 0.001 * gradient**2
                corrected = velocity / (1 - 0.9**step)
                scale = (second / (1 - 0.999**step)).sqrt() + 1e-8
                weight -= optimizer.lr * corrected / scale
            else:
                velocity = optimizer.momentum * velocity + gradient
                weight -= optimizer.lr * velocity
    # Three steps of about ten roundings each on numbers of order one; Adam divides by gradients'
    # roots, which loses no more than their condition, 10 at these sizes.
    assert (network.weight - weight).abs().max() < 3 * 10 * 10 * torch.finfo(torch.float64).eps


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", [0.1, 0.1, 0.1, 0.1]),
        ("exponential-0.5", [0.1, 0.05, 0.025, 0.0125]),
        ("step-2-0.1", [0.1, 0.1, 0.01, 0.01]),
        ("cosine", [0.1, 0.05 * (1 + 0.5**0.5), 0.05, 0.05 * (1 - 0.5**0.5)]),
    ],
)
def test_the_learning_rate_follows_its_schedule(monkeypatch, schedule, rates):
    seen, train_epoch = [], training.train_epoch

    def spy(network, optimizer, *rest):
        seen.append(optimizer.param_groups[0]["lr"])
        return train_epoch(network, optimizer, *rest)

    monkeypatch.setattr(training, "train_epoch", spy)
    settings = Optimizer("sgd", 0.1, schedule=schedule)
    trained(dataclasses.replace(RECIPE, optimizer=settings, epochs=4, examples=32))
    assert seen == pytest.approx(rates)


def test_weight_decay_pulls_the_weights_to_zero():
    network = nn.Linear(3, 2)
    before = network.weight.detach().clone()
    stepper = training.make_optimizer(Optimizer("sgd", 0.5, weight_decay=0.25), network)
    (0 * network(torch.zeros(1, 3))).sum().backward()
    stepper.step()
    assert torch.equal(network.weight, before - 0.5 * 0.25 * before)
