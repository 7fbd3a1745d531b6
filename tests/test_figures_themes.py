"""The light and the dark theme: their colours, which every vision tells apart."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from experiments import figures
from tests.reported_study import STUDY


def test_two_themes_are_written_and_the_same_bytes_each_time(make_record, tmp_path) -> None:
    runs = {"linear": [make_record(STUDY.recipes[0], 0)]}
    for name in ("first", "second"):
        figures.save(figures.draw_curves(runs), tmp_path / name)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(files) == 4
    for theme in ("light", "dark"):
        assert files[f"first-{theme}.svg"] == files[f"second-{theme}.svg"]
    assert b"dc:date" not in files["first-light.svg"]


def test_themes_differ_in_their_colours_alone(tmp_path) -> None:
    with figures.style() as palette:
        figure = Figure(layout="constrained")
        axes = figure.subplots()
        axes.text(0, 0.5, "text", backgroundcolor=palette.paper)
        for color in palette.colors:
            axes.plot([0, 1], color=color, alpha=0.5)
        axes.grid()
    light, dark = (path.read_text("utf-8") for path in figures.save(figure, tmp_path / "all"))
    color = re.compile("#[0-9a-f]{6}")
    assert color.sub("", light) == color.sub("", dark)
    first, second = figures.THEMES.values()
    instead = dict(zip(first, second, strict=True))
    assert set(color.findall(light)) == {*first}
    assert [instead[each] for each in color.findall(light)] == color.findall(dark)


def test_a_colour_that_no_theme_exchanges_is_refused(tmp_path) -> None:
    with figures.style():
        figure = Figure()
        figure.subplots().plot([0, 1], color="#ff0000")
    with pytest.raises(ValueError, match="all is drawn in #ff0000, which the palette has not"):
        figures.save(figure, tmp_path / "all")
    assert not list(tmp_path.iterdir())


def luminance(color: str) -> float:
    """Return the relative luminance of an sRGB colour (WCAG 2.1)."""
    return float(linear_rgb(color) @ [0.2126, 0.7152, 0.0722])


def linear_rgb(color: str) -> np.ndarray:
    """Return how much light there is of red, green and blue."""
    channels = np.array(to_rgb(color))
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("theme", figures.THEMES)
def test_every_colour_stands_out_from_its_page(theme) -> None:
    palette = figures.THEMES[theme]
    page = luminance(palette.paper)
    for color in (palette.ink, *palette.colors):
        dark, light = sorted((page, luminance(color)))
        # WCAG 2.1, 1.4.11: a contrast of 3 to 1 for what a graphic needs to be understood.
        assert (light + 0.05) / (dark + 0.05) >= 3, color


WHITE = np.array([0.9505, 1.0, 1.0890])
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
# What a dichromat sees of linear sRGB: Viénot, Brettel and Mollon, "Digital video colourmaps for
# checking the legibility of displays by dichromats", Color Research and Application 24, 1999.
VISIONS = {
    "all cones": np.eye(3),
    "protanope": np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]),
    "deuteranope": np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]),
}
# Without black, and in their own shades, which are made for larger areas on a white page.
OKABE_ITO = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")


def nearest(colors, vision: np.ndarray) -> float:
    """Return the smallest distance of two colours in CIELAB (1976), as somebody sees them."""
    seen = []
    for color in colors:
        ratio = XYZ @ np.clip(vision @ linear_rgb(color), 0, 1) / WHITE
        x, y, z = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * 841 / 108 + 4 / 29)
        seen.append(np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)]))
    return min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2))


@pytest.mark.parametrize("theme", figures.THEMES)
def test_colours_are_as_far_apart_for_every_vision_as_those_that_they_follow(theme) -> None:
    followed = min(nearest(OKABE_ITO, vision) for vision in VISIONS.values())
    for name, vision in VISIONS.items():
        assert nearest(figures.THEMES[theme].colors, vision) >= followed, name
