"""Time to accuracy: the seconds of a step of the race, beside those of the catalogue's engine.

Steps of the race's recipe are timed on images of full and of half the size and with SGD in Muon's
place, beside steps of `experiments.training.train_epoch` on the network whose accuracy the race is
after. The networks differ, so there is no common answer to compare; what is checked instead is that
each learns a batch that it sees again and again.

The recipes take turns. The time does not depend on the pixels: they are random.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import torch

from benches.ladder import LADDER, epoch_of
from benches.probe import probe
from benches.race import FULL_SIZE, HALF_SIZE, counted, flops_of_step, race_images
from benches.turns import Replay, Timed, finished, take_turns
from experiments import catalog, speed

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Int64, UInt8
    from torch import Tensor

    from benches.conftest import Measure

RACE = {
    "race": FULL_SIZE,
    "race, half size": HALF_SIZE,
    "race, SGD for Muon": replace(speed.recipe("without-muon"), small=0.0),
}
ENGINE = replace(catalog.study("assignment-3").recipe("task-2", "sgd"), batch=speed.WHOLE.batch)
ENGINE_NAME = "engine, assignment-3"
NAMES = (*RACE, ENGINE_NAME)

CHECKED = 20
"""Times that a batch is seen before it must have been learned."""

FALL = 0.01
"""Share of its first loss that the engine has to lose; rounding explains a 100,000th."""

STEPS = {"smoke": 2, "default": 3, "full": 40}
ROUNDS = {"smoke": 1, "default": 3, "full": 5}
"""Each round times so many steps of each recipe."""

FULL_SECONDS = 20.0
"""For each bench of a full run, on two cores."""

CLOCK = Replay()


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("device", ["cpu", "cuda"], indirect=True)
def test_time_to_accuracy(name: str, device: str, scale: str, measure: Measure) -> None:
    assert _learns(name, device), f"{name!r} does not learn a batch that it sees again and again"
    timed = _timed(device, scale)[name]
    measure(
        CLOCK.replayed(timed.seconds),
        group=f"time to accuracy, {device}",
        rounds=len(timed.seconds),
        device=device,
        flops=_flops(name),
        peak_memory_bytes=timed.peak_memory_bytes,
        recipe=name,
        images=speed.WHOLE.batch,
        batch=speed.WHOLE.batch,
        source="random bytes",
        bytes=sum(each.nbytes for each in race_images(speed.WHOLE.batch, "cpu")),
    )


@cache
def _timed(device: str, scale: str) -> dict[str, Timed]:
    """Return the seconds of every step that was timed; recipes take turns, a few steps each."""
    images, labels = race_images((STEPS[scale] + 1) * speed.WHOLE.batch, device)
    seconds: dict[str, list[float]] = {name: [] for name in NAMES}
    engine = _engine(images[: speed.WHOLE.batch], labels[: speed.WHOLE.batch], device)

    def race(name: str) -> None:
        seconds[name] += _steps(RACE[name], images, labels, device)

    def engine_steps() -> None:
        for _ in range(STEPS[scale]):
            started = time.perf_counter()
            engine()
            seconds[ENGINE_NAME].append(time.perf_counter() - started)

    calls = {name: partial(race, name) for name in RACE} | {ENGINE_NAME: engine_steps}
    warm = {name: probe(call, device) for name, call in calls.items()}  # fills caches
    for known in seconds.values():
        known.clear()
    take_turns(calls, rounds=ROUNDS[scale], device=device)
    return {name: Timed(seconds[name], warm[name].peak_memory_bytes) for name in NAMES}


def _steps(
    settings: speed.Settings,
    images: UInt8[Tensor, "n c h w"],
    labels: Int64[Tensor, " n"],
    device: str,
) -> list[float]:
    """Return the seconds of all steps of one epoch but the first, which follows the stem."""
    ends: list[float] = []

    def on_step(step: int, steps: int) -> None:
        del step, steps
        if device == "cuda":
            torch.cuda.synchronize()
        ends.append(time.perf_counter())

    speed.train(replace(settings, epochs=1), (images, labels), 10, "bench", on_step)
    return [after - before for before, after in pairwise(ends)]


def _engine(
    images: UInt8[Tensor, "n c h w"], labels: Int64[Tensor, " n"], device: str
) -> Callable[[], float]:
    """Return the call that takes one step of the engine."""
    rung = LADDER["+ fused optimiser"]
    return finished(epoch_of(rung, ENGINE, images.cpu(), labels.cpu(), device), device)


@cache
def _learns(name: str, device: str) -> bool:
    """Whether a recipe of the race, or the engine, fits images that it sees again and again."""
    images, labels = race_images(64, device)
    if name == ENGINE_NAME:
        epoch = _engine(images, labels, device)
        first, *_, last = (epoch() for _ in range(1 + CHECKED))
        return first - last > FALL * first
    settings = replace(RACE[name], batch=64, epochs=CHECKED)
    network, mean = speed.train(settings, (images, labels), 10, "bench")
    if settings.small:
        images = speed.halved(images.float()).byte()  # judged at the size that was seen
    return speed.accuracies(network, images, labels, mean)[1] > 0.3  # by chance 0.1 ± 0.04


@cache
def _flops(name: str) -> int:
    if name != ENGINE_NAME:
        return flops_of_step(RACE[name])
    return counted(_engine(*race_images(speed.WHOLE.batch, "cpu"), "cpu"))
