"""The bench of layouts on trial: times and memory are those of all networks that train at once."""

from __future__ import annotations

import contextlib
import importlib
from types import SimpleNamespace

from torch import nn

from experiments.fleet import architecture
from experiments.training import make_optimizer

bench_layouts = importlib.import_module("benches.bench_layouts")
probe_module = importlib.import_module("benches.probe")


def test_the_loop_updates_weights_as_layouts_do():
    """Red where the loop has momentum, and layouts, which are measured without, have not."""
    for network in bench_layouts.NETWORKS:
        loop, _ = bench_layouts._tutorial(network)
        recipe = architecture(bench_layouts.NETWORKS[network])
        (settings,) = make_optimizer(recipe.optimizer, nn.Linear(1, 1)).param_groups
        (found,) = loop._optimizer.param_groups
        numbers = ("momentum", "betas", "weight_decay")
        assert [found.get(name) for name in numbers] == [settings.get(name) for name in numbers]


class Workers:
    """Takes one byte more in every turn."""

    def __init__(self):
        self.turns = []

    def measured(self, recipe, layout, seeds):
        """Return three rates: 1, 2 and 4 steps of all networks a second."""
        self.turns.append((layout, recipe.precision, seeds))
        images = layout.workers * layout.fleet * recipe.batch
        return [1.0 * images, 2.0 * images, 4.0 * images]

    def peak_memory_bytes(self):
        """Return how many turns there were."""
        return len(self.turns)


def test_a_layout_takes_what_its_first_turn_takes_and_the_time_of_every_step(monkeypatch):
    called = []

    class Loop:
        under_way = staticmethod(contextlib.nullcontext)

        def __call__(self):
            called.append(1)

    now = iter(range(1000))
    monkeypatch.setattr(bench_layouts, "_tutorial", lambda network: (Loop(), 0.5))
    monkeypatch.setattr(bench_layouts, "probe", lambda call: probe_module.Probe(call(), 1.0, 1000))
    monkeypatch.setattr(
        bench_layouts, "time", SimpleNamespace(perf_counter=lambda: float(next(now)))
    )
    workers = Workers()
    names = (bench_layouts.TUTORIAL, bench_layouts.TOGETHER, bench_layouts.FLEETS)
    found = bench_layouts._timed(workers.measured, workers, "default", "3-filters", names)
    turns = bench_layouts.TURNS["default"]
    assert {name: timed.seconds for name, timed in found.items()} == {
        bench_layouts.TUTORIAL: [0.5] * turns * bench_layouts.ROUNDS,
        bench_layouts.TOGETHER: [1.0, 0.5, 0.25] * turns,
        bench_layouts.FLEETS: [1.0, 0.5, 0.25] * turns,
    }
    first = [layout for layout, *_ in workers.turns].index
    assert {name: timed.peak_memory_bytes for name, timed in found.items()} == {
        bench_layouts.TUTORIAL: 1000,
        **{name: 1 + first(bench_layouts.WAYS[name].layout) for name in names[1:]},
    }
    assert len(called) == 1 + turns * bench_layouts.ROUNDS
