"""Runs of two networks to lay out, and made-up rates, so that no choice depends on the machine."""

from __future__ import annotations

from dataclasses import replace

from experiments.layout import Kept, choose
from experiments.recipe import Optimizer, Recipe
from experiments.records import Store
from experiments.study import Study
from experiments.sweep import plan

LONG = 1000
"""Epochs that no start of a process weighs against."""

FC = Recipe("conv-fc.adam", "conv-fc", "digits", Optimizer("adam", 0.003), LONG, filters=2)
GAP = replace(FC, name="conv-gap.adam", network="conv-gap")
TABLE = {"1x2x1": 1e4, "1x2x2": 9e3, "2x1x1": 1.31e4, "2x1x2": 2e4, "2x1x4": 2.6e4}


def planned(root, *recipes, seeds=1):
    """Return the runs of recipes, all of them missing."""
    study = Study("test", "A test", recipes, statements=(), completions={"adam": "Adam"})
    return plan(study, range(seeds), Store(root / "store"))


class Bench:
    """Returns made-up rates, and remembers what it was asked for and what was said."""

    def __init__(self, rates):
        self._rates = rates
        self.asked: list[str] = []
        self.said: list[str] = []

    def measure(self, recipe, layout):
        """Return a rate, and remember that it was asked for."""
        self.asked.append(str(layout))
        rates = self._rates
        return rates(recipe, layout) if callable(rates) else rates[str(layout)]

    def choose(self, runs, cores=2):
        """Return the layouts of the runs, by name, in their order."""
        kept = Kept(cores, self.said.append)
        return [
            str(each) for each in choose(runs, cores, kept, self.measure, self.said.append).values()
        ]
