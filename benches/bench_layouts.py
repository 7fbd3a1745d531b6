"""Layouts: how are the cores shared out best among runs that wait.

One run on all cores, a run on each core, or a fleet on each: every layout is measured as
``python -m experiments run --executor auto`` measures it (`experiments.layout`), in processes of
its own that train at once, and in turns with the other layouts. Small networks leave all cores but
one idle, whatever the number of threads.

The time does not depend on the pixels, which are random. That members of a fleet train as they
would alone is checked by `benches.bench_fleet` and by the tests; that a run is the same in any
process, by the tests.

What this does not tell: how much memory the processes hold together, or what evaluation takes.
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

import pytest

from benches.turns import Replay, take_turns
from benches.workload import NETWORKS, flops_per_image, training_bytes, training_images
from experiments.datasets import Dataset
from experiments.executors import available_cores
from experiments.fleet import architecture
from experiments.layout import Layout, timing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benches.conftest import Measure
    from experiments.layout import Measure as MeasureLayout
    from experiments.recipe import Recipe

    Rates = Callable[[str], dict[str, list[float]]]

ROUNDS = {"smoke": 1, "default": 3, "full": 8}
"""The rate of a layout in each is the best of three that `experiments.layout` measures."""

FULL_SECONDS = 12.0

MEMBERS = 8
CORES = available_cores()
TOGETHER = "one run on all cores"
APART = "a run on each core"
FLEETS = f"a fleet of {MEMBERS} on each core"
LAYOUTS = {
    TOGETHER: Layout(1, CORES),
    APART: Layout(CORES, 1),
    FLEETS: Layout(CORES, 1, MEMBERS),
}

CASES = [
    *((network, name) for network in NETWORKS for name in (TOGETHER, APART)),
    *((network, FLEETS) for network in ("3-filters", "20-filters")),
]
"""A step of a fleet of the larger networks takes seconds, and saves none of them."""

CLOCK = Replay()


@pytest.fixture(scope="module")
def rates(scale: str) -> Iterator[Rates]:
    """Return what measures all layouts of a network; its processes stay for the next network."""
    with timing(CORES, _data) as measured:
        yield cache(partial(_rates, measured, scale))


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize(("network", "name"), CASES)
def test_layout(network: str, name: str, rates: Rates, measure: Measure) -> None:
    layout = LAYOUTS[name]
    images = layout.workers * layout.fleet * NETWORKS[network].batch
    seconds = [images / rate for rate in rates(network)[name]]
    measure(
        CLOCK.replayed(seconds),
        group=f"layouts, {network}, cpu",
        rounds=len(seconds),
        flops=flops_per_image(network) * images,
        peak_memory_bytes=None,
        bytes=images * training_bytes(NETWORKS[network]),
        network=network,
        layout=name,
        workers=layout.workers,
        threads_each=layout.threads,
        members=layout.fleet,
        images=images,
        batch=NETWORKS[network].batch,
        source="random bytes",
    )


def _rates(measured: MeasureLayout, scale: str, network: str) -> dict[str, list[float]]:
    """Return the images a second of each round of each layout, a round being one turn of each."""
    recipe = architecture(NETWORKS[network])
    found: dict[str, list[float]] = {name: [] for each, name in CASES if each == network}

    def turn(name: str) -> None:
        found[name].append(measured(recipe, LAYOUTS[name]))

    calls = {name: partial(turn, name) for name in found}
    take_turns(calls, rounds=ROUNDS[scale], device="cpu")
    return found


def _data(recipe: Recipe) -> Dataset:
    images, labels, source = training_images(recipe, 1, real=False)
    return Dataset(source, images, labels, images, labels, 10, "")
