"""Figures, each in a light and a dark form, from records, findings and portraits."""

from experiments.figures.gallery import write_figures
from experiments.figures.keys import key_below
from experiments.figures.plots import (
    MOST_LABELS,
    draw_curves,
    draw_final_accuracies,
    draw_measured_against_reported,
)
from experiments.figures.theme import NARROW, THEMES, WIDE, Palette, save, style

__all__ = [
    "MOST_LABELS",
    "NARROW",
    "THEMES",
    "WIDE",
    "Palette",
    "draw_curves",
    "draw_final_accuracies",
    "draw_measured_against_reported",
    "key_below",
    "save",
    "style",
    "write_figures",
]
