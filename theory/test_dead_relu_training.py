"""Chapter 3, training a dead filter: what moves it where its gradient is zero.

On examples with negative responses alone both gradients vanish, and a training step is 0 if its
rule makes it from the current gradient alone. Weight decay, the memory of momentum and Adam, and
earlier layers that still learn do not: each can move the filter, and bring it back to life.

What passing does not prove: that filters die, or revive, in networks that people train. The loss
sees the filter through its responses only; torch's optimisers are tried as they are installed, in
double precision.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch
import z3

from theory.exhaustion import signal
from theory.ledger import settles
from theory.solver import holds_always
from theory.test_dead_relu import convolved, parameter

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def train(
    optimiser: torch.optim.Optimizer, f: Tensor, b: Tensor, images: list[list[float]]
) -> list[tuple[list[float], list[float]]]:
    """Take a step for each image, towards outputs of 1; return f and b at the start and after each.

    The loss is half the squared distance of ReLU(f * I + b) from 1.
    """
    history = [(f.tolist(), b.tolist())]
    for image in images:
        optimiser.zero_grad()
        y = torch.relu(convolved(f, signal(*image)) + b)
        (0.5 * (y - 1).square().sum()).backward()
        optimiser.step()
        history.append((f.tolist(), b.tolist()))
    return history


@settles(
    "mnist-2017-t2-gd-nothing",
    verdict="holds_if",
    certainty="proved",
    condition="Only the current gradient moves them: no weight decay, no momentum or Adam average "
    "left from other examples; and no earlier layer changes what the filter sees until it answers. "
    "The point is then stationary, which need not be an optimum.",
)
def test_without_a_gradient_only_decay_and_history_move_a_weight() -> None:
    """One step of SGD or Adam with gradient 0: a weight stays exactly if neither contributes.

    If it stays, so does every response to the same input, and with it the gradient of 0: by
    induction nothing ever happens.
    """
    w, velocity, rate, momentum, decay = z3.Reals("w velocity rate momentum decay")
    pull = momentum * velocity + decay * w
    stays = w - rate * pull == w
    assert holds_always(z3.Implies(rate > 0, stays == (pull == 0)))
    plain = z3.And(momentum * velocity == 0, decay == 0)
    assert holds_always(z3.Implies(plain, stays))

    mean, scale = z3.Reals("mean scale")  # Adam divides by a positive root of the mean square
    held = w - rate * (momentum * mean) / scale == w
    assert holds_always(z3.Implies(z3.And(rate > 0, scale > 0, momentum > 0), held == (mean == 0)))


@settles("mnist-2017-t2-gd-nothing", verdict="holds_if", certainty="sampled")
@pytest.mark.parametrize(
    "rule",
    [
        partial(torch.optim.SGD, lr=0.5),
        partial(torch.optim.SGD, lr=0.5, momentum=0.9, nesterov=True),
        partial(torch.optim.Adam, lr=0.5),
        partial(torch.optim.RMSprop, lr=0.5),
        partial(torch.optim.Adagrad, lr=0.5),
    ],
    ids=["SGD", "Nesterov", "Adam", "RMSprop", "Adagrad"],
)
def test_a_dead_filter_stays_where_it_is_and_that_is_no_optimum(
    rule: Callable[..., torch.optim.Optimizer],
) -> None:
    """From a fresh optimiser, bit for bit; while the same examples train a filter that responds.

    The dead filter loses 1/2 on each of the four outputs; bias 1 and no filter would lose nothing.
    """
    images = [[2.0, 1.0, -1.0], [3.0, 0.0, -5.0]]
    f, b = parameter(1, -1), parameter(0)
    assert all((convolved(f, signal(*image)) + b < 0).all() for image in images)
    history = train(rule([f, b]), f, b, images * 3)
    assert all(point == history[0] for point in history)

    alive, bias = parameter(-1, 1), parameter(0)
    moving = train(rule([alive, bias]), alive, bias, images * 3)
    assert moving[1] != moving[0]

    def loss(f: Tensor, b: Tensor) -> float:
        outputs = torch.cat([torch.relu(convolved(f, signal(*image)) + b) for image in images])
        return 0.5 * (outputs - 1).square().sum().item()

    assert loss(f, b) == 2
    assert loss(signal(0, 0), signal(1)) == 0


@settles("mnist-2017-t2-gd-nothing", verdict="holds_if", certainty="sampled")
@pytest.mark.parametrize("history", ["none", "momentum", "Adam"])
def test_history_goes_on_moving_a_filter_that_has_died(history: str) -> None:
    """The first example has the response 2 and takes f from 2 to 1/2; the others have -f.

    Without history f stays there. A momentum of 1/2 repeats half of the first step, -3/4, and the
    filter answers again. Adam, whose first step is its rate, has the averages m = (1 - β) g and
    v = (1 - γ) g²; without a new gradient both shrink, and its second step is β / (1 + β) over the
    root of γ / (1 + γ) times the first.
    """
    rules: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "none": partial(torch.optim.SGD, lr=1.5),
        "momentum": partial(torch.optim.SGD, lr=1.5, momentum=0.5),
        "Adam": partial(torch.optim.Adam, lr=1.5, betas=(0.9, 0.999), eps=0),
    }
    f, b = parameter(2), signal(0)
    points = [point for (point,), _ in train(rules[history]([f]), f, b, [[1.0], [-1.0]])]
    ratio = (0.9 / 1.9) / (0.999 / 1.999) ** 0.5
    expected = {"none": 0.5, "momentum": 0.5 - 0.75, "Adam": 0.5 - 1.5 * ratio}[history]
    # Adam's two steps take fewer than 40 roundings, of numbers below 2; the others none at all.
    tolerance = 40 * 2 * torch.finfo(torch.float64).eps / 2 if history == "Adam" else 0
    assert abs(points[1] - 0.5) <= tolerance
    assert abs(points[2] - expected) <= tolerance
    revived = points[2] * -1 > 0
    assert revived is (history != "none")


@settles("mnist-2017-t2-gd-nothing", verdict="holds_if", certainty="proved")
def test_weight_decay_of_a_dead_filter_revives_it_exactly_if_a_positive_bias_is_spared() -> None:
    """Decay multiplies what it acts on by some c between 0 and 1, which falls towards 0.

    A response is s + b, with s = (f * I)(x). Decayed alike, all responses keep their sign. If only
    the filter decays, c s + b stays negative for every c if b <= 0, and for b > 0 it does not.
    """
    c, s, b = z3.Reals("c s b")
    dead = z3.And(s + b < 0, c > 0, c <= 1)
    assert holds_always(z3.Implies(dead, c * s + c * b < 0))
    assert holds_always(z3.Implies(z3.And(dead, b <= 0), c * s + b < 0))
    assert holds_always(z3.Implies(z3.And(dead, b > 0), (c * s + b > 0) == (c < b / -s)))

    def decay(bias: float, *, spared: bool) -> list[float]:
        """Train with half of the weights decaying in each step; return the responses to (1)."""
        f, b = parameter(-4), parameter(bias)
        groups: list[dict[str, Any]] = [
            {"params": [f]},
            {"params": [b], "weight_decay": 0 if spared else 1},
        ]
        optimiser = torch.optim.SGD(groups, lr=0.5, weight_decay=1)
        return [f[0] + b[0] for f, b in train(optimiser, f, b, [[1.0]] * 4)]

    assert decay(1, spared=False) == [-3, -1.5, -0.75, -0.375, -0.1875]
    assert decay(-1, spared=True) == [-5, -3, -2, -1.5, -1.25]
    # At 0, in step 3, the slope is 0 by convention; from 1/2 on the loss trains it towards 1.
    responses = decay(1, spared=True)
    assert responses[:4] == [-3, -1, 0, 0.5]
    assert responses[4] > 0.75


@settles("mnist-2017-t2-gd-nothing", verdict="holds_if", certainty="sampled")
def test_an_earlier_layer_that_learns_from_others_may_revive_the_filter() -> None:
    """An earlier weight u feeds the dead filter -1, and also another, live path to the loss.

    Plain gradient descent lowers u by 1/2 a step: while it is positive the filter is dead and
    stays; once it is negative, the filter answers, and moves.
    """
    u, f = parameter(1), parameter(-1)
    optimiser = torch.optim.SGD([u, f], lr=0.5)
    points = []
    for _ in range(4):
        optimiser.zero_grad()
        (u + torch.relu(f * u)).sum().backward()
        optimiser.step()
        points.append((u.item(), f.item()))
    assert points[:3] == [(0.5, -1), (0, -1), (-0.5, -1)]
    assert points[3][1] == -1 + 0.5 * 0.5
