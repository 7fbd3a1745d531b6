"""Chapter 7, the first step: what a network is before it, and what the step itself changes.

New weights know nothing of the labels, so a new network guesses; how its weights are drawn decides
how large its signals are, not how often it is right on average.

What passing does not prove: chance is an average over draws of the weights. How far the accuracy of
one draw strays from it on a whole data set depends on the data and is not bounded here.
"""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import sympy
import torch
from scipy import stats
from torch import nn
from torch.nn import functional

from theory.ledger import settles
from theory.training_facts import accuracy_deviation

if TYPE_CHECKING:
    from torch import Tensor


def _reported_network() -> nn.Sequential:
    """Return the network of tp1-cnn-q10-table, as torch initialises it."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 32), (32, 64), (64, 64)):
        layers += [nn.Conv2d(inputs, outputs, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(1024, 1000), nn.ReLU(), nn.Linear(1000, 10)
    )


def _one_batch() -> tuple[nn.Sequential, Tensor, Tensor]:
    torch.manual_seed(0)
    network, images = _reported_network(), torch.randn(64, 3, 32, 32)
    labels = torch.arange(64) ** 2 % 10  # far from balanced, which must not matter
    return network, images, labels


@settles(
    "tp1-cnn-q17-explanation",
    verdict="holds_if",
    certainty="proved",
    condition="'This value' means chance, and nothing has been learned yet: weights drawn alike "
    "for all 10 outputs are right on each example with probability 1/10. The 3 points beyond need "
    "no particular draw: on a batch of 128, weights that are right on a tenth of all images stray "
    "by 2.7 points. Only beyond some 400 examples would 13% say something about the draw.",
)
def test_new_weights_guess() -> None:
    """Of the ten cyclic exchanges of the outputs, exactly one is right about each example.

    Weights drawn alike for all outputs are as likely as exchanged ones, so each example is right
    with probability 1/10: whatever the images, the labels and the layers before.
    """
    for largest in range(10):
        assert sorted((largest + by) % 10 for by in range(10)) == list(range(10))

    network, images, labels = _one_batch()
    last = network[-1]
    assert isinstance(last, nn.Linear)
    right = []
    for _ in range(10):
        with torch.no_grad():
            right.append(int((network(images).argmax(1) == labels).sum()))
            last.weight.copy_(last.weight.roll(1, 0))
            last.bias.copy_(last.bias.roll(1, 0))

    assert sum(right) == len(labels)
    assert len(set(right)) > 1


@settles("tp1-cnn-q17-explanation", verdict="holds_if", certainty="exhausted")
def test_thirteen_percent_is_chance_on_a_batch() -> None:
    """Of 128 new images 17 or more, that is 13.3%, are right in every seventh batch.

    One deviation is 2.7 points.

    From 385 examples on, 3 points are more than 1.96 deviations. The draw of the weights can do as
    much on a whole data set: if all images of a class are answered alike, the accuracy is that of
    as many guesses as there are classes (here three, all 27 answers).
    """
    assert 1 / 8 < stats.binom(128, 0.1).sf(16) < 1 / 7
    assert round(accuracy_deviation(0.1, 128), 3) == 0.027
    explained = [n for n in range(1, 1000) if 1.96 * accuracy_deviation(0.1, n) > 0.03]
    assert explained == list(range(1, 385))

    answers = product(range(3), repeat=3)
    shares = [sympy.Rational(sum(a == c for c, a in enumerate(answer)), 3) for answer in answers]
    mean = sum(shares) / 27
    assert mean == sympy.Rational(1, 3)
    assert sum((share - mean) ** 2 for share in shares) / 27 == mean * (1 - mean) / 3


def test_a_guesser_loses_at_least_log_10() -> None:
    """Over the ten exchanges the mean loss is log 10 plus a divergence, which is never negative.

    With equal outputs it is exactly log 10. Cross-entropy rounds by less than 64 units of a loss
    below 8 in single precision.
    """
    c, t = sympy.Symbol("c", positive=True), sympy.Symbol("t", positive=True)
    q = 1 / c
    assert sympy.expand_log(-sympy.log(t) - (sympy.log(c) + sympy.log(q / t))) == 0
    gap = t - 1 - sympy.log(t)  # log t <= t - 1, so each divergence is at least 0
    assert sympy.solve(sympy.diff(gap, t), t) == [1]
    assert gap.subs(t, 1) == 0
    assert sympy.diff(gap, t, 2).is_positive

    network, images, labels = _one_batch()
    with torch.no_grad():
        logits = network(images)
    losses = [functional.cross_entropy(logits, (labels + by) % 10).item() for by in range(10)]
    rounding = 64 * np.finfo(np.float32).eps * 8
    assert 0 < np.mean(losses) - math.log(10) < 0.01
    even = functional.cross_entropy(0 * logits, labels).item()
    assert abs(even - math.log(10)) < rounding


@settles(
    "assignment-3-3c-init",
    verdict="holds_if",
    certainty="sampled",
    condition="It is about convolutions and fully connected layers in torch (batch norm starts at "
    "1 and 0), and 'Kaiming uniform' about its negative slope of sqrt(5), that is U(-b, b) with "
    "b = 1/sqrt(fan-in): Kaiming's bound for ReLU is sqrt(6) times as wide.",
)
def test_torch_starts_uniform_but_not_as_wide_as_kaiming_means_for_relu() -> None:
    """The default is exactly `kaiming_uniform_` with a = sqrt(5), whose bound is 1/sqrt(fan-in).

    Kaiming's rule keeps the mean square from layer to layer: fan-in * variance * 1/2 = 1. With a
    sixth of the variance each ReLU layer keeps a sixth of it, until biases take over.
    """
    for layer, twin in (
        (lambda: nn.Linear(48, 32), torch.empty(32, 48)),
        (lambda: nn.Conv2d(3, 32, 5), torch.empty(32, 3, 5, 5)),
    ):
        torch.manual_seed(0)
        drawn = layer().weight.detach()
        torch.manual_seed(0)
        nn.init.kaiming_uniform_(twin, a=math.sqrt(5))
        bound = 1 / math.sqrt(drawn[0].numel())
        assert torch.equal(drawn, twin)
        assert 0.98 * bound < drawn.abs().max() <= bound * (1 + 2**-20)
    assert nn.BatchNorm2d(3).weight.tolist() == [1, 1, 1]
    assert nn.BatchNorm2d(3).bias.tolist() == [0, 0, 0]

    fan_in = sympy.Symbol("n", positive=True)

    def variance(slope: sympy.Expr) -> sympy.Expr:
        bound = sympy.sqrt(6 / ((1 + slope**2) * fan_in))
        w = sympy.Symbol("w", real=True)
        return sympy.integrate(w**2 / (2 * bound), (w, -bound, bound))

    assert sympy.simplify(variance(sympy.Integer(0)) * fan_in / 2) == 1
    assert sympy.simplify(variance(sympy.sqrt(5)) * fan_in / 2) == sympy.Rational(1, 6)


# Training and evaluation


@settles(
    "tp1-cnn-q14-train-eval",
    verdict="holds_if",
    certainty="sampled",
    condition="'With' means 'and then': the loss itself comes from the forward pass, the same in "
    "both. For a network with batch norm or dropout, leaving out backpropagation is not enough: "
    "it must be switched to evaluation as well.",
)
def test_backpropagation_comes_after_the_loss_and_only_the_update_changes_the_model() -> None:
    """Same loss with and without a graph; without an update the parameters stay as they are."""

    def weights(model: nn.Module) -> list[Tensor]:
        return [parameter.detach().clone() for parameter in model.parameters()]

    def loss_of(model: nn.Module) -> Tensor:
        return functional.cross_entropy(model(images.flatten(1)), labels)

    _, images, labels = _one_batch()
    model = nn.Sequential(nn.Linear(3072, 16), nn.ReLU(), nn.Linear(16, 10))
    before = weights(model)
    with torch.no_grad():
        evaluated = loss_of(model)
    assert not evaluated.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())

    trained = loss_of(model)
    assert torch.equal(trained, evaluated)
    trained.backward()
    assert all(map(torch.equal, weights(model), before))
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    assert not any(map(torch.equal, weights(model), before))

    normed = nn.Sequential(nn.Linear(3072, 16), nn.BatchNorm1d(16), nn.Linear(16, 10))
    with torch.no_grad():
        first = loss_of(normed.eval())
        assert torch.equal(loss_of(normed), first)
        loss_of(normed.train())  # no backpropagation, and yet the running averages move
        assert not torch.equal(loss_of(normed.eval()), first)
