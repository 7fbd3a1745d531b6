"""Layouts: how are the cores shared out best among runs that wait.

One run on all cores, a run on each core, or a fleet on each: every layout is measured by the code
that ``python -m experiments run --executor auto`` measures it with (`experiments.layout`), in
processes of its own that train at once. The tutorial's loop (`benches.tutorial`), which trains one
network on all cores, takes turns with the layouts, in float32 and in bfloat16. Small networks leave
all cores but one idle, whatever the number of threads.

The time does not depend on the pixels, which are random. That members of a fleet train as they
would alone is checked by `benches.bench_fleet` and by the tests; that a run is the same in any
process, by the tests; that the tutorial's loop does what the engine does, by `bench_training`.

Neither layouts nor the loop have momentum here, nor weight decay: layouts are chosen for an
architecture, whatever the numbers of its optimiser.

The memory is what training adds to each process at its peak, summed over the processes of a layout.
What PyTorch itself takes in each is not in it, nor are the workers of the tutorial's DataLoader.

What this does not tell: what evaluation takes.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

import pytest

from benches.ladder import LADDER, epoch_of
from benches.probe import probe
from benches.turns import Replay, Timed, take_turns
from benches.tutorial import TutorialLoop
from benches.workers import ProbedWorkers
from benches.workload import (
    BATCHES,
    NETWORKS,
    flops_per_image,
    training_bytes,
    training_images,
)
from experiments.datasets import Dataset
from experiments.executors import available_cores, make_executor
from experiments.fleet import architecture
from experiments.layout import ROUNDS, Layout, timing_rounds
from experiments.recipe import Optimizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benches.conftest import Measure
    from experiments.layout import MeasureRounds
    from experiments.recipe import Precision, Recipe

    TimedLayouts = Callable[[str, tuple[str, ...]], dict[str, Timed]]

TURNS = {"smoke": 1, "default": 3, "full": 8}
"""In each a layout is warmed up, and then timed in `ROUNDS` rounds."""

ROUND_SECONDS = {"smoke": 0.001, "default": 0.03, "full": 0.2}
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
def timed(scale: str) -> Iterator[TimedLayouts]:
    """Return what times all layouts of a network; its processes stay for the next network."""
    with make_executor("processes", CORES) as pool:
        workers = ProbedWorkers(pool)
        measured = timing_rounds(workers, _data, ROUND_SECONDS[scale])
        # starts all processes, which import for their first step what all others find there
        measured(architecture(NETWORKS["3-filters"]), WAYS[APART].layout)
        workers.peak_memory_bytes()
        yield cache(partial(_timed, measured, workers, scale))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize(("network", "name"), CASES)
def test_layout(
    network: str,
    name: str,
    scale: str,
    bfloat16_hardware: bool,
    timed: TimedLayouts,
    measure: Measure,
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
    found = timed(network, names)[name]
    measure(
        CLOCK.replayed(found.seconds),
        group=f"layouts, {network}, cpu",
        rounds=len(found.seconds),
        threads=layout.workers * layout.threads,
        flops=flops_per_image(network) * images,
        peak_memory_bytes=found.peak_memory_bytes,
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


def _timed(
    measured: MeasureRounds,
    workers: ProbedWorkers,
    scale: str,
    network: str,
    names: tuple[str, ...],
) -> dict[str, Timed]:
    """Return what each layout takes for a step of all its runs, and its memory; they take turns."""
    recipe = architecture(NETWORKS[network])
    seconds: dict[str, list[float]] = {name: [] for name in names}
    peaks: dict[str, int | None] = {}
    loop, share = _tutorial(network)

    def turn(name: str) -> None:
        layout, precision, seeds = WAYS[name]
        images = layout.workers * layout.fleet * recipe.batch
        rates = measured(replace(recipe, precision=precision), layout, seeds)
        seconds[name] += [images / rate for rate in rates]
        peaks.setdefault(name, workers.peak_memory_bytes())

    def tutorial_turn() -> None:
        for _ in range(ROUNDS):
            with loop.under_way():
                started = time.perf_counter()
                loop()
                seconds[TUTORIAL].append(share * (time.perf_counter() - started))

    with loop.under_way():  # starts the DataLoader's workers, and fills caches
        peaks[TUTORIAL] = probe(loop).peak_memory_bytes
    calls = {name: partial(turn, name) for name in names if name != TUTORIAL}
    take_turns(calls | {TUTORIAL: tutorial_turn}, rounds=TURNS[scale], device="cpu")
    return {name: Timed(seconds[name], peaks[name]) for name in names}


def _tutorial(network: str) -> tuple[TutorialLoop, float]:
    """Return the tutorial's loop over half the images of the ladder, and a step's share of it."""
    recipe = NETWORKS[network]
    # without momentum, as layouts are measured: its update would be work of the loop alone
    recipe = replace(recipe, optimizer=Optimizer(recipe.optimizer.name, lr=recipe.optimizer.lr))
    batches = BATCHES[network] // 2
    images, labels, _ = training_images(recipe, batches * recipe.batch, real=False)
    loop = epoch_of(LADDER[TUTORIAL], recipe, images, labels, "cpu")
    assert isinstance(loop, TutorialLoop)
    return loop, 1 / batches


def _data(recipe: Recipe) -> Dataset:
    images, labels, source = training_images(recipe, 1, real=False)
    return Dataset(source, images, labels, images[:1], labels[:1], 10, "")
