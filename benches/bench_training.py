"""Training: how fast do the reports' networks train, and which choice buys how much.

A slice of an epoch is timed: first with the loop of PyTorch's CIFAR-10 tutorial, which fetches item
by item through a DataLoader, then with `experiments.training.train_epoch`, one choice added at a
time (`benches.ladder`). Every rung starts from the same weights, and has to reach the same loss on
the same batches. The rungs of a network are timed in turns.

The slice is one from the middle of an epoch. The DataLoader's workers are up before the clock
starts, and the first batch is there: an epoch pays for both once, and so would each slice. While it
runs they fetch as many batches as are trained on, of which the last are for the steps after it.

What this does not tell: how much memory the DataLoader's workers take. The peak is that of the
process that trains.

The time does not depend on the pixels: without ``CONVLAWS_DATA`` they are random.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from benches.ladder import LADDER, TUTORIAL, Rung, epoch_of
from benches.pace import FEWEST_ROUNDS
from benches.probe import probe
from benches.rounding import tolerance
from benches.turns import Replay, Timed, take_turns
from benches.tutorial import TutorialLoop, loader_workers
from benches.workload import (
    BATCHES,
    NETWORKS,
    engine_network,
    flops_per_image,
    training_images,
)

if TYPE_CHECKING:
    from jaxtyping import Int64, UInt8

    from benches.conftest import Measure
    from experiments.recipe import Recipe

ROUNDS = {"smoke": 1, "default": FEWEST_ROUNDS, "full": FEWEST_ROUNDS}

LENGTH = {"default": 1, "full": 8}
"""Rounds take so many times `BATCHES`; in a smoke run, two small ones."""

FULL_SECONDS = 20.0
"""For each bench of a full run, on two cores."""

CHECKED_BATCH = 16
CHECKED_RATE = 1.0
"""The check sees one batch of so many images twice, with this learning rate of SGD: a wrong first
step shows in the loss of the second. Adam keeps its own, for its first step changes every weight by
the rate."""

CLOCK = Replay()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("rung", LADDER)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("device", ["cpu", "cuda"], indirect=True)
def test_training(
    network: str, rung: str, device: str, scale: str, bfloat16_hardware: bool, measure: Measure
) -> None:
    rungs = [name for name in LADDER if _worth_it(LADDER[name], device, scale, bfloat16_hardware)]
    if rung not in rungs:
        pytest.skip("this processor only emulates bfloat16, which is slow: run it with --full")
    assert (fault := _fault(network, rung, device)) is None, fault
    recipe, images, labels, source = _slice(network, scale)
    ladder = _ladder(network, tuple(rungs), device, scale)
    measure(
        CLOCK.replayed(ladder[rung].seconds),
        group=f"training, {network}, {device}",
        rounds=len(ladder[rung].seconds),
        device=device,
        flops=flops_per_image(network) * len(images),
        peak_memory_bytes=ladder[rung].peak_memory_bytes,
        bytes=images.nbytes + labels.nbytes,
        network=network,
        parameters=sum(weight.numel() for weight in engine_network(network).parameters()),
        rung=rung,
        images=len(images),
        batch=recipe.batch,
        loader_workers=0 if LADDER[rung].resident else loader_workers(),
        source=source,
    )


@cache
def _ladder(network: str, rungs: tuple[str, ...], device: str, scale: str) -> dict[str, Timed]:
    """Time the rungs that compute the right thing, in turns."""
    recipe, images, labels, _ = _slice(network, scale)
    epochs = {
        rung: epoch_of(LADDER[rung], recipe, images, labels, device)
        for rung in rungs
        if _fault(network, rung, device) is None
    }
    # the first call starts the DataLoader's workers, and fills caches
    warm = {rung: probe(epoch, device) for rung, epoch in epochs.items()}
    around = {
        rung: epoch.under_way for rung, epoch in epochs.items() if isinstance(epoch, TutorialLoop)
    }
    seconds = take_turns(epochs, rounds=ROUNDS[scale], device=device, around=around)
    return {rung: Timed(seconds[rung], warm[rung].peak_memory_bytes) for rung in epochs}


def _worth_it(rung: Rung, device: str, scale: str, bfloat16_hardware: bool) -> bool:
    return not rung.bfloat16 or device == "cuda" or scale != "default" or bfloat16_hardware


@cache
def _slice(
    network: str, scale: str
) -> tuple[Recipe, UInt8[Tensor, "n c h w"], Int64[Tensor, " n"], str]:
    """Return recipe, images and labels, and where they come from."""
    recipe = NETWORKS[network]
    if scale == "smoke":
        recipe = replace(recipe, batch=CHECKED_BATCH)
        return recipe, *training_images(recipe, 2 * CHECKED_BATCH, real=False)
    batches = LENGTH[scale] * BATCHES[network]
    return recipe, *training_images(recipe, batches * recipe.batch)


@cache
def _fault(network: str, rung: str, device: str) -> str | None:
    """Compare the mean loss of a few steps with that of the tutorial's loop."""
    expected = _mean_loss(network, TUTORIAL, device)
    loss = _mean_loss(network, LADDER[rung], device)
    # autocast rounds factors to bfloat16
    factors = torch.finfo(torch.bfloat16).eps / 2 if LADDER[rung].bfloat16 else 0.0
    allowed = tolerance(network, factors) * expected
    if abs(loss - expected) <= allowed:
        return None
    return (
        f"{rung!r} reaches a mean loss of {loss:.7f} on {network}, the tutorial's loop "
        f"{expected:.7f}: rounding explains a difference of {allowed:.1g}"
    )


@cache
def _mean_loss(network: str, rung: Rung, device: str) -> float:
    recipe = NETWORKS[network]
    recipe = replace(recipe, batch=CHECKED_BATCH)
    images, labels, _ = training_images(recipe, CHECKED_BATCH, real=False)
    images, labels = images.repeat(2, 1, 1, 1), labels.repeat(2)
    if recipe.optimizer.name == "sgd":
        recipe = replace(recipe, optimizer=replace(recipe.optimizer, lr=CHECKED_RATE))
    with torch.random.fork_rng(devices=["cuda"] if device == "cuda" else []):
        torch.manual_seed(0)  # of dropout
        return epoch_of(rung, recipe, images, labels, device, shuffle=False)()
