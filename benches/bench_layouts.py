"""Layouts: how are the cores shared out best among runs that wait.

One run on all cores, a run on each core, or a fleet on each: every layout is measured by the code
that ``python -m experiments run --executor auto`` measures it with (`experiments.layout`), in
processes of its own that train at once. The tutorial's loop (`benches.tutorial`), which trains one
network on all cores, takes turns with the layouts, in float32 and in bfloat16. Small networks leave
all cores but one idle, whatever the number of threads.

The time does not depend on the pixels, which are random. That members of a fleet train as they
would alone is checked by `benches.bench_fleet` and by the tests; that a run is the same in any
process, by the tests; that the tutorial's loop does what the engine does, by `bench_training`.

What this does not tell: how much memory the processes hold together, or what evaluation takes.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

import pytest

from benches.ladder import LADDER, epoch_of
from benches.turns import Replay, take_turns
from benches.tutorial import TutorialLoop
from benches.workload import (
    BATCHES,
    NETWORKS,
    flops_per_image,
    training_bytes,
    training_images,
)
from experiments.datasets import Dataset
from experiments.executors import available_cores
from experiments.fleet import architecture
from experiments.layout import ROUNDS, Layout, timing_rounds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benches.conftest import Measure
    from experiments.layout import MeasureRounds
    from experiments.recipe import Precision, Recipe

    Rates = Callable[[str, tuple[str, ...]], dict[str, list[float]]]

TURNS = {"smoke": 1, "default": 3, "full": 8}
"""In each a layout is warmed up, and then timed in `ROUNDS` rounds."""

ROUND_SECONDS = {"smoke": 0.001, "default": 0.04, "full": 0.2}
"""Of a layout; one step at least."""

FULL_SECONDS = 12.0

CORES = available_cores()


class Way(NamedTuple):
    """A layout, the precision of its runs, and how many seeds the members of a fleet have."""

    layout: Layout
    precision: Precision = "float32"
    seeds: int = 1


TUTORIAL = "tutorial loop"
TOGETHER = "one run on all cores"
APART = "a run on each core"
FLEETS = "a fleet of 8 on each core"
RATES = "a fleet of 16 rates on each core"
WAYS = {
    TUTORIAL: Way(Layout(1, CORES)),
    TOGETHER: Way(Layout(1, CORES)),
    APART: Way(Layout(CORES, 1)),
    f"{TOGETHER}, bfloat16": Way(Layout(1, CORES), "bfloat16"),
    f"{APART}, bfloat16": Way(Layout(CORES, 1), "bfloat16"),
    FLEETS: Way(Layout(CORES, 1, 8), seeds=8),
    RATES: Way(Layout(CORES, 1, 16)),
}

CASES = [
    *((network, name) for network in NETWORKS for name in WAYS if name not in (FLEETS, RATES)),
    *(("3-filters", FLEETS), ("20-filters", FLEETS), ("3-filters", RATES)),
]
"""A step of a fleet of the larger networks takes seconds, and saves none of them."""

CLOCK = Replay()


@pytest.fixture(scope="module")
def rates(scale: str) -> Iterator[Rates]:
    """Return what measures all layouts of a network; its processes stay for the next network."""
    with timing_rounds(CORES, _data, ROUND_SECONDS[scale]) as measured:
        yield cache(partial(_rates, measured, scale))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize(("network", "name"), CASES)
def test_layout(
    network: str, name: str, scale: str, bfloat16_hardware: bool, rates: Rates, measure: Measure
) -> None:
    emulated = scale == "default" and not bfloat16_hardware
    names = tuple(
        other
        for each, other in CASES
        if each == network and not (emulated and WAYS[other].precision == "bfloat16")
    )
    if name not in names:
        pytest.skip("this processor only emulates bfloat16, which is slow: run it with --full")
    layout, precision, seeds = WAYS[name]
    images = layout.workers * layout.fleet * NETWORKS[network].batch
    seconds = [images / rate for rate in rates(network, names)[name]]
    measure(
        CLOCK.replayed(seconds),
        group=f"layouts, {network}, cpu",
        rounds=len(seconds),
        threads=layout.workers * layout.threads,
        flops=flops_per_image(network) * images,
        peak_memory_bytes=None,
        bytes=images * training_bytes(NETWORKS[network]),
        network=network,
        layout=name,
        precision=precision,
        workers=layout.workers,
        threads_each=layout.threads,
        members=layout.fleet,
        seeds=seeds,
        images=images,
        batch=NETWORKS[network].batch,
        source="random bytes",
    )


def _rates(
    measured: MeasureRounds, scale: str, network: str, names: tuple[str, ...]
) -> dict[str, list[float]]:
    """Return the images a second of each round of each layout; layouts take turns."""
    recipe = architecture(NETWORKS[network])
    found: dict[str, list[float]] = {name: [] for name in names}
    loop, images = _tutorial(network)

    def turn(name: str) -> None:
        layout, precision, seeds = WAYS[name]
        found[name] += measured(replace(recipe, precision=precision), layout, seeds)

    def tutorial_turn() -> None:
        for _ in range(ROUNDS):
            with loop.under_way():
                started = time.perf_counter()
                loop()
                found[TUTORIAL].append(images / (time.perf_counter() - started))

    with loop.under_way():
        loop()  # starts the DataLoader's workers, and fills caches
    calls = {name: partial(turn, name) for name in names if name != TUTORIAL}
    take_turns(calls | {TUTORIAL: tutorial_turn}, rounds=TURNS[scale], device="cpu")
    return found


def _tutorial(network: str) -> tuple[TutorialLoop, int]:
    """Return the tutorial's loop over some images, half of those of the ladder, and how many."""
    recipe = NETWORKS[network]
    count = BATCHES[network] // 2 * recipe.batch
    images, labels, _ = training_images(recipe, count, real=False)
    loop = epoch_of(LADDER[TUTORIAL], recipe, images, labels, "cpu")
    assert isinstance(loop, TutorialLoop)
    return loop, count


def _data(recipe: Recipe) -> Dataset:
    images, labels, source = training_images(recipe, 1, real=False)
    return Dataset(source, images, labels, images[:1], labels[:1], 10, "")
