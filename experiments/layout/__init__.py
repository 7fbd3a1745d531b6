"""Layouts: how many processes train at once, on how many threads each, in fleets of how many."""

from experiments.layout.cache import Kept, layouts_file
from experiments.layout.candidates import Layout, Measure
from experiments.layout.choice import carry_out, choose
from experiments.layout.rates import ROUNDS, MeasureRounds, timing, timing_rounds

__all__ = [
    "ROUNDS",
    "Kept",
    "Layout",
    "Measure",
    "MeasureRounds",
    "carry_out",
    "choose",
    "layouts_file",
    "timing",
    "timing_rounds",
]
