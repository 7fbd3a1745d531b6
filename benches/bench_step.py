"""A step: where does its time go.

The last rungs of the training ladder, a fleet, and the race to an accuracy, under PyTorch's
profiler: which share of a step do convolutions take, matrix products, pooling, the optimiser, and
what no operator takes. The profiler itself takes time: how many times as long a step takes under it
as without stands beside the shares.

What this does not tell: what a kernel waits for, arithmetic or memory; nor, on a GPU, what a fleet
spends its time on, for no operator launches the kernels of a captured graph.
"""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import pytest

from benches.kernels import Profiler, profiled
from benches.ladder import LADDER, epoch_of
from benches.pace import FEWEST_ROUNDS
from benches.probe import probe
from benches.race import FULL_SIZE, HALF_SIZE, flops_of_step, race_images
from benches.turns import Replay, finished, take_turns
from benches.workload import (
    BATCHES,
    NETWORKS,
    flops_per_image,
    members_of_rates,
    training_bytes,
    training_images,
)
from experiments import speed
from experiments.datasets import Dataset
from experiments.fleet.step import WARM_UP_STEPS
from experiments.fleet.training import FleetRun

if TYPE_CHECKING:
    from collections.abc import Callable

    from benches.conftest import Measure

FLOAT32, BFLOAT16 = "+ fused optimiser", "+ bfloat16"
MEMBERS = 8
FLEET = f"a fleet of {MEMBERS} rates"
"""Beside the engine's last rungs of the ladder, which train one network."""

CASES = [
    *((network, way) for network in NETWORKS for way in (FLOAT32, BFLOAT16)),
    ("3-filters", FLEET),
]
"""The fleet is of the network whose step is mostly overhead."""

LENGTH = {"default": 0.5, "full": 4}
"""Rounds take so many times `BATCHES` steps; in a smoke run, one."""

ROUNDS = {"smoke": 1, "default": FEWEST_ROUNDS, "full": 20}

RACE = {"full-size images": FULL_SIZE, "half-size images": HALF_SIZE}
RACE_STEPS = {"smoke": 1, "default": 1, "full": 8}
"""The race's steps, after a first one that follows the making of its stem."""

CLOCK = Replay()


@dataclass(frozen=True)
class Profile:
    """What rounds took under the profiler and without, their shares, memory of the first call."""

    seconds: list[float]
    plain_seconds: list[float]
    shares: list[dict[str, float]]
    peak_memory_bytes: int | None


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize(("network", "way"), CASES)
@pytest.mark.parametrize("device", ["cpu", "cuda"], indirect=True)
def test_step(
    network: str, way: str, device: str, scale: str, bfloat16_hardware: bool, measure: Measure
) -> None:
    if way == BFLOAT16 and device == "cpu" and scale == "default" and not bfloat16_hardware:
        pytest.skip("this processor only emulates bfloat16, which is slow: run it with --full")
    if way == FLEET and device == "cuda":
        pytest.skip("no operator launches the kernels of a captured graph")
    found = _profile(network, way, device, scale)
    images = _images(network, way, scale)
    _report(
        measure,
        found,
        device,
        network=network,
        way=way,
        images=images,
        batch=NETWORKS[network].batch,
        flops=flops_per_image(network) * images,
        bytes=images * training_bytes(NETWORKS[network]),
    )


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("way", RACE)
@pytest.mark.parametrize("device", ["cpu", "cuda"], indirect=True)
def test_race_step(way: str, device: str, scale: str, measure: Measure) -> None:
    settings, steps = RACE[way], RACE_STEPS[scale]
    found = _race_profile(settings, device, steps, ROUNDS[scale])
    images = steps * settings.batch
    _report(
        measure,
        found,
        device,
        network="race",
        way=way,
        images=images,
        batch=settings.batch,
        flops=steps * flops_of_step(settings),
        bytes=sum(each.nbytes for each in race_images(images, "cpu")),
    )


def _report(measure: Measure, found: Profile, device: str, *, network: str, **facts: Any) -> None:
    measure(
        CLOCK.replayed(found.seconds),
        group=f"step, {network}, {device}",
        rounds=len(found.seconds),
        device=device,
        peak_memory_bytes=found.peak_memory_bytes,
        network=network,
        shares=_middle(found),
        slowdown=statistics.median(found.seconds) / statistics.median(found.plain_seconds),
        source="random bytes",
        **facts,
    )


@cache
def _profile(network: str, way: str, device: str, scale: str) -> Profile:
    """Take some steps in each round, and some under the profiler, in turns."""
    call = _fleet(network, device, scale) if way == FLEET else _solo(network, way, device, scale)
    warm = probe(call, device)
    if device == "cuda":
        for _ in range(math.ceil(WARM_UP_STEPS / _steps(network, scale))):
            call()
    calls = {"plain": call, "profiled": lambda: rounds.append(profiled(call, device))}
    rounds: list[tuple[float, dict[str, float]]] = []
    plain = take_turns(calls, rounds=ROUNDS[scale], device=device)["plain"]
    seconds, found = zip(*rounds, strict=True)
    return Profile(list(seconds), plain, list(found), warm.peak_memory_bytes)


def _race_profile(settings: speed.Settings, device: str, steps: int, rounds: int) -> Profile:
    """Take some steps of the race in each round, and some under the profiler, in turns."""
    plain: list[float] = []
    profiles: list[tuple[float, dict[str, float]]] = []

    def turn(under: Callable[[], Profiler | _Stopwatch], keep: Callable[[Any], None]) -> None:
        clock = under()

        def on_step(step: int, last: int) -> None:
            if step == 1:
                clock.start()
            if step == last:
                keep(clock.stop())

        images = race_images((steps + 1) * settings.batch, device)
        speed.train(replace(settings, epochs=1), images, 10, "bench", on_step)

    calls = {
        "plain": partial(turn, partial(_Stopwatch, device), plain.append),
        "profiled": partial(turn, partial(Profiler, device), profiles.append),
    }
    warm = probe(calls["plain"], device)
    plain.clear()
    take_turns(calls, rounds=rounds, device=device)
    seconds, shares = zip(*profiles, strict=True)
    return Profile(list(seconds), plain, list(shares), warm.peak_memory_bytes)


class _Stopwatch:
    """Seconds from a start to a stop, as those of `Profiler`."""

    def __init__(self, device: str) -> None:
        self._now = finished(time.perf_counter, device)
        self._started = 0.0

    def start(self) -> None:
        self._started = self._now()

    def stop(self) -> float:
        return self._now() - self._started


def _middle(found: Profile) -> dict[str, float]:
    """Return the shares of the round whose time is the median."""
    order = sorted(range(len(found.seconds)), key=found.seconds.__getitem__)
    return found.shares[order[len(order) // 2]]


def _images(network: str, way: str, scale: str) -> int:
    """Return how many images a round trains on, each counted for every network that sees it."""
    members = MEMBERS if way == FLEET else 1
    return members * _steps(network, scale) * NETWORKS[network].batch


def _steps(network: str, scale: str) -> int:
    return 1 if scale == "smoke" else int(LENGTH[scale] * BATCHES[network])


def _solo(network: str, way: str, device: str, scale: str) -> Callable[[], Any]:
    recipe = NETWORKS[network]
    images, labels, _ = training_images(recipe, _images(network, way, scale), real=False)
    return epoch_of(LADDER[way], recipe, images, labels, device)


def _fleet(network: str, device: str, scale: str) -> Callable[[], Any]:
    recipe = NETWORKS[network]
    count = _steps(network, scale) * recipe.batch
    images, labels, source = training_images(recipe, count, real=False)
    data = Dataset(source, images, labels, images[:1], labels[:1], 10, "")
    crew = FleetRun(members_of_rates(recipe, MEMBERS), data, device)
    return partial(crew.train_on, crew.draw().to(device))
