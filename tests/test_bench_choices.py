"""What a choice costs, and a method where sizes are sparse, is held against the fastest."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="the docs extra is not installed")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

import bench_choices
import bench_ratios

from tests.stored_benches import CONVOLUTION, convolution


def test_a_choice_is_held_against_the_fastest_of_its_precision():
    peers = [
        convolution("slow", "direct", 4.0),
        convolution("fast", "fft", 2.0),
        convolution("rough", "fft", 1.0, precision="float32"),
        convolution("chooser", "auto", 3.0),
        convolution("elsewhere", "fft", 0.5, samples=512),
    ]
    assert bench_choices.choices(peers) == {"chooser": {(256, 16): 1.5}}
    alone = [convolution("chooser", "auto", 1.0), convolution("slow", "fft", 2.0)]
    assert bench_choices.choices(alone) == {"chooser": {(256, 16): 1.0}}


def test_choices_are_drawn_cell_by_cell():
    figure = bench_choices.draw_choices(CONVOLUTION)
    (axes,) = figure.axes
    assert axes.get_title("left") == "c"
    assert [cell.get_text() for cell in axes.texts] == ["1.50"] * 4
    shades = [cell.get_alpha() for cell in axes.patches]
    assert shades == pytest.approx([math.log(1.5) / math.log(8)] * 4)


def test_sparse_sizes_are_cells_beside_the_fastest():
    benches = [
        *(convolution(name, "fft", s, 256, 16) for name, s in (("a", 2e-6), ("b", 5e-6))),
        *(convolution(name, "fft", s, 1024, 3) for name, s in (("a", 0.3), ("c", 1e-3))),
    ]
    assert bench_ratios.sizes_of(benches) == [(3, 1024), (16, 256)]
    (axes,) = bench_ratios.draw_ratios(benches).axes
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    assert names == ["a", "b", "c", "the fastest took"]
    cells = {(text.get_position(), text.get_text()) for text in axes.texts}
    assert cells >= {((0, 0), "300"), ((0, 2), "1.0"), ((1, 0), "1.0"), ((1, 1), "2.5")}
    assert cells >= {((0, 3), "1.00\nms"), ((1, 3), "2.00\nµs")}
    depths = {patch.get_xy(): patch.get_alpha() for patch in axes.patches}
    assert depths[-0.5, -0.5] == 1
    assert depths[-0.5, 1.5] == 0
    assert len(bench_ratios.draw_ratios(benches, 2.3).axes) == 2  # a column each
