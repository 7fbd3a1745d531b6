"""Layouts: how many processes train at once, on how many threads each, in fleets of how many."""

from experiments.layout.cache import Kept, layouts_file
from experiments.layout.choice import Layout, Measure, carry_out, choose
from experiments.layout.rates import timing

__all__ = ["Kept", "Layout", "Measure", "carry_out", "choose", "layouts_file", "timing"]
