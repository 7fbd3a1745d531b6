"""Update rules of a fleet: each member moves as PyTorch's optimiser of its own would move it."""

from __future__ import annotations

import pytest
import torch

from experiments import training
from experiments.fleet.update import UpdateRule
from experiments.recipe import Optimizer

SETTINGS = {
    "sgd": [Optimizer("sgd", 0.1), Optimizer("sgd", 0.3), Optimizer("sgd", 0.01)],
    "momentum": [
        Optimizer("sgd", 0.1),
        Optimizer("sgd", 0.1, momentum=0.9),
        Optimizer("sgd", 0.2, momentum=0.5),
    ],
    "weight decay": [
        Optimizer("sgd", 0.1, weight_decay=0.5),
        Optimizer("sgd", 0.1),
        Optimizer("sgd", 0.1, momentum=0.9, weight_decay=0.1),
    ],
    "adam": [
        Optimizer("adam", 0.1),
        Optimizer("adam", 0.01, weight_decay=0.5),
        Optimizer("adam", 0.1, weight_decay=0.01),
    ],
    "schedules": [
        Optimizer("sgd", 0.1, schedule="step-1-0.1"),
        Optimizer("sgd", 0.1, momentum=0.9, schedule="cosine"),
        Optimizer("sgd", 0.1),
    ],
}
STEPS = 6


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_every_member_moves_by_its_own_settings(settings):
    torch.manual_seed(0)
    shapes = [(4, 3, 2, 2), (4,), (2, 5)]
    parameters = [torch.randn(3, *shape, dtype=torch.float64) for shape in shapes]
    gradients = [
        [torch.randn(3, *shape, dtype=torch.float64) for shape in shapes] for _ in range(STEPS)
    ]
    expected = [_alone(index, each, parameters, gradients) for index, each in enumerate(settings)]
    rule = UpdateRule(parameters, settings)
    for step in range(STEPS):
        rule.begin(step + 1, STEPS)
        rule.step(gradients[step])
    for index, own in enumerate(expected):
        for parameter, right in zip(parameters, own, strict=True):
            # some ten roundings a step, of numbers below 10; Adam divides by roots of numbers
            # whose square lost half of that again
            bound = STEPS * 10 * 10 * torch.finfo(torch.float64).eps
            assert (parameter[index] - right).abs().max() < bound


def _alone(index, settings, parameters, gradients):
    network = torch.nn.ParameterList([each[index].clone() for each in parameters])
    optimizer = training.make_optimizer(settings, network)
    for step, gradient in enumerate(gradients):
        for group in optimizer.param_groups:
            group["lr"] = settings.lr_at(step + 1, STEPS)
        for parameter, each in zip(network, gradient, strict=True):
            parameter.grad = each[index].clone()
        optimizer.step()
    return [parameter.detach() for parameter in network]
