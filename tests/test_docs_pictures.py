"""Pictures of the site are the same each time they are drawn, with panels of one scale."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="the docs extra is not installed")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

from _ext import (
    convolution_pictures,
    geometry_pictures,
    operator_pictures,
    parameter_pictures,
    training_pictures,
)

from experiments.figures import THEMES, save


@pytest.mark.parametrize(
    "draw",
    [
        convolution_pictures.powers_of_the_shift,
        operator_pictures.relu_witness,
        parameter_pictures.recovered_network,
    ],
)
def test_a_picture_is_the_same_each_time_it_is_drawn(draw, tmp_path):
    once, again = tmp_path / "once", tmp_path / "again"
    save(draw(), once)
    save(draw(), again)
    for theme in THEMES:
        first = once.with_name(f"once-{theme}.svg").read_bytes()
        assert first == again.with_name(f"again-{theme}.svg").read_bytes()
    light, dark = (once.with_name(f"once-{theme}.svg").read_bytes() for theme in THEMES)
    assert light != dark


@pytest.mark.parametrize(
    "draw",
    [
        geometry_pictures.windows_and_remainder,
        geometry_pictures.equal_passes,
        training_pictures.mirrored_characters,
    ],
)
def test_panels_of_a_row_have_one_scale_and_their_titles_on_one_line(draw):
    figure = draw()
    figure.draw_without_rendering()
    assert len({round(axes._left_title.get_window_extent().y0) for axes in figure.axes}) == 1
    assert len({round(axes.transData.get_matrix()[0, 0], 6) for axes in figure.axes}) == 1


def test_no_marker_of_a_legend_looks_like_a_further_point():
    """Among points that no line joins, it would: they are named beside one of them."""
    figure = training_pictures.accuracy_jumps()
    points, _ = figure.axes
    assert {line.get_linestyle() for line in points.lines} == {"None"}
    assert points.get_legend() is None
    figure.draw_without_rendering()
    frame = points.get_window_extent()
    for name in points.texts:
        place = name.get_window_extent()
        assert frame.x0 < place.x0 < place.x1 < frame.x1
        for line in points.lines:
            spots = points.transData.transform(line.get_xydata())
            assert not any(place.contains(*spot) for spot in spots)
