"""Ladders, curves and shares of benches draw what was measured, and all of it can be read."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="the docs extra is not installed")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

import bench_figures
from _ext import benches as bench_page
from bench_shares import draw_shares

from experiments.figures import NARROW, WIDE
from tests.stored_benches import CONVOLUTION, RUNGS, bench, convolution, training
from tests.timed_benches import SHARES, step

SPECTRUM = {"channels": 4, "library": "NumPy"}


def test_ladders_have_a_panel_for_each_network_and_a_bar_for_each_rung():
    benches = [*training("a"), *training("b", RUNGS[:2])]
    figure = bench_figures.draw_ladder(benches, bench_page.LADDERS["training"])
    first, second = figure.axes
    assert [bar.get_width() for bar in first.containers[1]] == pytest.approx([1, 2, 3])
    assert [label.get_text() for label in first.get_yticklabels()] == RUNGS
    assert [note.get_text() for note in first.texts] == [
        "×1.00  (1,000/s)",
        "×2.00  (2,000/s)",
        "×3.00  (3,000/s)",
    ]
    assert [note.get_text() for note in second.texts][2:] == ["–"]
    assert [axes.get_title("left") for axes in figure.axes] == ["a", "b"]


def test_no_row_of_a_ladder_is_empty():
    lacking = [training("b")[0], training("b")[2]]
    panels = [*training("a"), *lacking, *training("c", RUNGS[:2]), *training("d", RUNGS[:2])]
    figure = bench_figures.draw_ladder(panels, bench_page.LADDERS["training"])
    whole, beside, below, _ = figure.axes
    notes = {note.get_text(): note.xy[1] for note in beside.texts}
    assert notes == {"×1.00  (1,000/s)": RUNGS[0], "×3.00  (3,000/s)": RUNGS[2], "–": RUNGS[1]}
    assert [bar.get_y() + 0.325 for bar in beside.containers[1]] == pytest.approx([0, 2])
    assert [label.get_text() for label in whole.get_yticklabels()] == RUNGS
    assert [label.get_text() for label in below.get_yticklabels()] == RUNGS[:2]


def test_a_ladder_starts_with_its_base_and_needs_it():
    ladder = bench_page.LADDERS["training"]
    rows = ladder.rows(training("a")[::-1])
    assert [row["extra_info"]["rung"] for row in rows] == [RUNGS[0], *RUNGS[:0:-1]]
    with pytest.raises(ValueError, match="lack 'tutorial loop', which others are held against"):
        ladder.rows(training("a")[1:])


def test_curves_have_a_panel_for_each_value_and_a_line_for_each_method():
    figure = bench_figures.draw_curves(CONVOLUTION, *bench_page.CURVES["convolution"])
    assert [axes.get_title("left") for axes in figure.axes] == ["16 taps", "64 taps"]
    for axes in figure.axes:
        assert [list(line.get_xdata()) for line in axes.lines] == [[256, 1024]] * 3
        assert list(axes.lines[0].get_ydata()) == [512, 2048]
        assert len({line.get_linestyle() for line in axes.lines}) == 3
    (key,) = figure.legends
    assert [label.get_text() for label in key.get_texts()] == ["SciPy", "direct", "fft", "auto"]


def test_a_panel_needs_a_second_size():
    lonely = [convolution(method, "fft", 1.0, 256, 128) for method in ("a", "b")]
    (curves,) = bench_page.CURVES["convolution"]
    figure = bench_figures.draw_curves(CONVOLUTION + lonely, curves)
    assert [axes.get_title("left") for axes in figure.axes] == ["16 taps", "64 taps"]


def test_a_tick_stands_at_every_size_where_sizes_are_few():
    sizes = (192, 432, 2**20)
    benches = [convolution("a", "fft", 1.0, samples, 16) for samples in sizes]
    (axes,) = bench_figures.draw_curves(benches, *bench_page.CURVES["convolution"]).axes
    assert list(axes.get_xticks()) == list(sizes)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["192", "432", "$2^{20}$"]


def test_no_two_lines_look_alike_where_each_has_a_style_of_its_own():
    methods = [f"method {index}" for index in range(8)]
    benches = [
        bench("spectrum, x", 1.0, method=method, cells=cells, **SPECTRUM)
        for method in methods
        for cells in (16, 64)
    ]
    figure = bench_figures.draw_curves(benches, *bench_page.CURVES["spectrum"])
    keys = figure.legends[0].get_lines()
    assert [key.get_label() for key in keys] == methods
    assert len({(key.get_marker(), str(key._unscaled_dash_pattern)) for key in keys}) == 8


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_key_takes_nothing_of_the_room_of_the_lines(width):
    """However many names it has: it stays within the figure, which grows by it."""
    heights = []
    for count in (2, 8):
        benches = [
            bench(
                "spectrum, x", 1.0, method=f"a method of a long name, {index}", **SPECTRUM, cells=n
            )
            for index in range(count)
            for n in (16, 64)
        ]
        figure = bench_figures.draw_curves(benches, *bench_page.CURVES["spectrum"], width)
        figure.draw_without_rendering()
        heights.append(figure.axes[0].get_window_extent().height)
        key = figure.legends[0].get_window_extent()
        assert key.x0 >= 0
        assert key.x1 <= figure.bbox.width == width * figure.dpi
    assert heights[1] == pytest.approx(heights[0], rel=0.05)


def test_panels_stand_below_each_other_where_a_figure_is_narrow():
    ladder = bench_page.LADDERS["training"]
    benches = [*training("a"), *training("b")]
    for width, columns in ((WIDE, 2), (NARROW, 1)):
        figure = bench_figures.draw_ladder(benches, ladder, width)
        assert figure.axes[0].get_gridspec().ncols == columns


def test_the_bars_of_a_step_add_up_to_the_whole():
    figure = draw_shares([step(), step(network="other")])
    (axes,) = figure.axes
    ends = {}
    for bar in axes.patches:
        row = round(bar.get_y() + bar.get_height() / 2)
        ends[row] = max(ends.get(row, 0), bar.get_x() + bar.get_width())
    assert ends == pytest.approx({0: 1.0, 1: 1.0})
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(SHARES)
