"""The look of every figure, in a light and a dark form.

A figure is drawn once, in the colours of the light theme; its dark form is the same file with the
colours of the dark theme in their place.

The same figure always gives the same SVG, byte for byte. The colours follow Okabe and Ito, "Color
universal design" (2008), which readers with any common colour vision can tell apart, made darker or
lighter where they would fade into the page; what matters is also told by line style or marker.
"""

from __future__ import annotations

import io
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.rcsetup import cycler

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Palette:
    """Colours of one theme.

    Parameters
    ----------
    ink
        Text and axes.
    faint
        Grids and empty cells.
    paper
        The page, and text on a coloured cell.
    colors
        What is told apart.
    """

    ink: str
    faint: str
    paper: str
    colors: tuple[str, ...]

    def __iter__(self) -> Iterator[str]:
        """Go through all colours, in the same order in every theme."""
        return iter((self.ink, self.faint, self.paper, *self.colors))


THEMES = {
    "light": Palette(
        "#222222", "#dcdcdc", "#ffffff", ("#0072b2", "#d55e00", "#00805e", "#b0588e", "#5c4a00")
    ),
    "dark": Palette(
        "#dddddd", "#45484d", "#131416", ("#56b4e9", "#e69f00", "#19b888", "#dd9ac0", "#f0e442")
    ),
}
"""The palette of each theme, by its name."""


WIDE, NARROW = 7.2, 4.2
"""Widths of figures, in inches: as wide as a page's text, and as narrow as a phone.

A figure that is as wide as where it is shown has letters of the size that they have there.
"""

_DRAWN_IN = THEMES["light"]


_COLOR = re.compile(r"#[0-9a-f]{6}\b")


@contextmanager
def style() -> Iterator[Palette]:
    """Give every figure made inside the project's look, and yield its colours.

    What is drawn in other colours has no dark form; shades of these are made with `alpha`.
    """
    palette = _DRAWN_IN
    ink = palette.ink
    with mpl.rc_context(
        {
            "font.size": 10,
            "axes.prop_cycle": cycler(color=palette.colors),
            "axes.titlesize": 10,
            "axes.titlelocation": "left",
            "text.color": ink,
            "axes.titlecolor": ink,
            "axes.labelcolor": ink,
            "axes.edgecolor": ink,
            "xtick.color": ink,
            "ytick.color": ink,
            "figure.facecolor": "none",
            "axes.facecolor": "none",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "grid.color": palette.faint,
            "grid.linewidth": 0.6,
            "legend.frameon": False,
        }
    ):
        yield palette


def save(figure: Figure, path: Path) -> list[Path]:
    """Write ``<path>-light.svg`` and ``<path>-dark.svg``, and return their paths.

    Parameters
    ----------
    figure
        Drawn inside `style`.
    path
        Folder and name without extension.

    Raises
    ------
    ValueError
        If something in it is drawn in a colour that is none of the palette's.
    """
    content = io.StringIO()
    with style(), mpl.rc_context({"svg.hashsalt": "convlaws"}):  # some marks are made only now
        figure.savefig(content, format="svg", metadata={"Date": None}, transparent=True)
    drawn = content.getvalue()
    if strange := set(_COLOR.findall(drawn)) - {*_DRAWN_IN}:
        raise ValueError(
            f"{path.name} is drawn in {', '.join(sorted(strange))}, which the palette has not; "
            "take its colours, and alpha for shades of them"
        )
    targets = []
    for theme, palette in THEMES.items():
        target = path.with_name(f"{path.name}-{theme}.svg")
        target.write_text(_recolored(drawn, palette), "utf-8")
        targets.append(target)
    return targets


def _recolored(drawn: str, palette: Palette) -> str:
    instead = dict(zip(_DRAWN_IN, palette, strict=True))
    return _COLOR.sub(lambda color: instead[color[0]], drawn)
