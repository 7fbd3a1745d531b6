"""A diagnosis as a figure: the kernel if there is one, else a witness and its two sides.

The colours are those of Okabe and Ito, "Color universal design" (2008), which readers with any
common colour vision can tell apart; signs are told by numbers or by a labelled scale as well.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure, SubFigure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from theory.diagnosis.calling import Array
from theory.diagnosis.findings import Diagnosis
from theory.diagnosis.witnesses import Witness

_Panel = tuple[str, Array, str]
"""Title, values of one or two axes, and colour of the bars."""

_INK, _PAPER = "#222222", "#ffffff"
_BLUE, _VERMILION, _GREEN = "#0072B2", "#D55E00", "#00805E"
_SIGNS = LinearSegmentedColormap.from_list("signs", [_VERMILION, _PAPER, _BLUE])
_NUMBERED = 8
"""Bars that are numbered; more are read off the axis."""
_MOST_PANELS = 4
"""Signals, or channels of the kernel, that are drawn side by side."""


@contextmanager
def _style() -> Iterator[None]:
    with mpl.rc_context(
        {
            "font.size": 10,
            "axes.titlesize": 10,
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "text.color": _INK,
            "axes.labelcolor": _INK,
            "axes.edgecolor": _INK,
            "xtick.color": _INK,
            "ytick.color": _INK,
            "svg.hashsalt": "convlaws",
        }
    ):
        yield


def draw(diagnosis: Diagnosis) -> Figure:
    """Draw what a diagnosis found.

    Parameters
    ----------
    diagnosis : Diagnosis
        The diagnosis.

    Returns
    -------
    matplotlib.figure.Figure
        A row with the kernel, the first channels only, if the operator is LTI; and one with the
        inputs and both sides of the first witness, if one property fails. Signals of two axes are
        drawn as maps; of more channels, the one where the sides differ most is shown.
    """
    rows = []
    if diagnosis.kernel is not None:
        rows.append(_kernel_panels(diagnosis))
    if (witness := _witness(diagnosis)) is not None:
        rows.append(_witness_panels(witness))
    with _style():
        figure = Figure(figsize=(7.2, 0.6 + 2.2 * max(1, len(rows))), layout="constrained")
        figure.suptitle(_title(diagnosis), x=0.01, ha="left", fontsize=11)
        grid = figure.subfigures(max(1, len(rows)), squeeze=False)
        for (strip,), panels in zip(grid, rows, strict=False):
            _strip(strip, panels)
    return figure


def describe(diagnosis: Diagnosis) -> str:
    """Return in words what `draw` shows, for readers who do not see it."""
    said = [f"{_title(diagnosis)}."]
    for name, finding in diagnosis.findings.items():
        holds = {True: "yes", False: "no", None: "undecided"}[finding.holds]
        said.append(f"{name.replace('_', '-')}: {holds}, {finding.certainty}.")
    if diagnosis.kernel is not None:
        said.append(f"A panel shows the kernel, of shape {diagnosis.kernel.shape}.")
    if (witness := _witness(diagnosis)) is not None:
        said.append(f"Panels show a witness: {witness}.")
    return " ".join(said)


def svg(diagnosis: Diagnosis) -> str:
    """Return `draw` as SVG, byte for byte the same each time, with `describe` as its description.

    Parameters
    ----------
    diagnosis : Diagnosis
        The diagnosis.
    """
    page = io.StringIO()
    with _style():
        draw(diagnosis).savefig(page, format="svg", facecolor=_PAPER, metadata={"Date": None})
    title, description = (html.escape(words) for words in (_title(diagnosis), describe(diagnosis)))
    words = f'<title id="title">{title}</title>\n <desc id="desc">{description}</desc>'
    return re.sub(
        r"<svg ([^>]*)>",
        lambda tag: f'<svg {tag[1]} role="img" aria-labelledby="title desc">\n {words}',
        page.getvalue(),
        count=1,
    )


def _strip(strip: SubFigure, panels: Sequence[_Panel]) -> None:
    """Draw panels side by side on one scale."""
    scale = _scale([values for _, values, _ in panels])
    places = strip.subplots(1, len(panels), squeeze=False)[0]
    maps = []
    for axes, (title, values, color) in zip(places, panels, strict=True):
        axes.set_title(title)
        if values.ndim == 2:
            maps.append(_cells(axes, values, scale))
        else:
            _bars(axes, values, color, scale)
        if axes is not places[0]:
            axes.set_ylabel("")
    if maps:
        strip.colorbar(maps[0], ax=list(places), shrink=0.8, label="value")


def _title(diagnosis: Diagnosis) -> str:
    shapes = f"{diagnosis.shape} to {diagnosis.output_shape}"
    return f"{diagnosis.operator}, {shapes}, {diagnosis.boundary} boundary"


def _witness(diagnosis: Diagnosis) -> Witness | None:
    """Return the witness that says most: against linearity, else against shifts."""
    for name in ("additive", "homogeneous", "shift_equivariant", "deterministic"):
        if (witness := diagnosis.findings[name].witness) is not None:
            return witness
    return None


def _kernel_panels(diagnosis: Diagnosis) -> list[_Panel]:
    """Return the kernel of each pair of channels, the first few."""
    kernel = diagnosis.kernel
    assert kernel is not None
    axes = len(diagnosis.period)
    pairs = list(np.ndindex(kernel.shape[: kernel.ndim - axes]))
    panels = []
    for pair in pairs[:_MOST_PANELS]:
        channels = str([*map(int, pair)]) if pair else ""
        panels.append((f"kernel{channels}", _map(kernel[pair], np.abs(kernel[pair])), _BLUE))
    if len(pairs) > _MOST_PANELS:
        title, values, color = panels[-1]
        panels[-1] = (f"{title} of {len(pairs)}", values, color)
    return panels


def _witness_panels(witness: Witness) -> list[_Panel]:
    """Return the inputs and both sides."""
    left, right = witness.formulas()
    if witness.property == "shift_equivariant" and witness.output_shift is None:
        right = "f(x)"
    inputs = {"x": witness.inputs[0]}
    if witness.property in ("additive", "affine"):
        inputs["y"] = witness.inputs[1]
    elif witness.boundary == "interior":
        inputs["shift x"] = witness.inputs[1]
    elif witness.property == "deterministic":
        inputs = {"x": witness.inputs[-1]}
    if witness.scalar is not None:
        inputs = {f"x, c = {witness.scalar:g}": witness.inputs[0]}
    elif witness.shift is not None and "shift x" not in inputs:
        inputs = {f"x, shift {_listed(witness.shift)}": witness.inputs[0]}
    given = sum(np.abs(values) for values in inputs.values())
    difference = np.nan_to_num(np.abs(witness.left - witness.right), posinf=np.inf)
    return [
        *((name, _map(values, given), _INK) for name, values in inputs.items()),
        (left, _map(witness.left, difference), _VERMILION),
        (right, _map(witness.right, difference), _GREEN),
    ]


def _listed(values: Sequence[int]) -> str:
    return str(values[0]) if len(values) == 1 else str(tuple(values))


def _map(values: Array, weight: Array) -> Array:
    """Return the last two axes, at the place along the others where some weight is largest."""
    if np.iscomplexobj(values):
        values = np.abs(values)
    place = np.unravel_index(np.argmax(weight), weight.shape)[: max(0, values.ndim - 2)]
    shown: Array = np.atleast_1d(values[tuple(place)])
    return shown[0] if shown.ndim == 2 and shown.shape[0] == 1 else shown


def _scale(signals: Sequence[Array]) -> float:
    """Return the largest finite magnitude, or 1 where there is none but 0."""
    magnitudes = [np.abs(s[np.isfinite(s)]).max(initial=0.0) for s in signals]
    return float(max(magnitudes)) or 1.0


def _cells(axes: Axes, values: Array, scale: float) -> AxesImage:
    """Draw a map of two axes as cells of a colour."""
    image = axes.imshow(values, cmap=_SIGNS, vmin=-scale, vmax=scale, interpolation="nearest")
    axes.set(xlabel="column (cell)", ylabel="row (cell)")
    axes.spines[:].set_visible(True)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4, integer=True))
    return image


def _bars(axes: Axes, values: Array, color: str, scale: float) -> None:
    """Draw a signal as one bar a cell, each with its value if there are few."""
    cells, heights = np.arange(len(values)), np.nan_to_num(values)
    axes.axhline(0, color=_INK, linewidth=0.8)
    axes.bar(cells, heights, width=0.6, color=color)
    axes.set(xlabel="cell", ylabel="value", ylim=(-1.3 * scale, 1.3 * scale))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    if len(cells) > _NUMBERED:
        return
    for cell, value, height in zip(cells, values, heights, strict=True):
        axes.annotate(
            f"{value + 0.0:.2g}".replace("-", "−"),
            (cell, height),
            xytext=(0, 3 if height >= 0 else -3),
            textcoords="offset points",
            ha="center",
            va="bottom" if height >= 0 else "top",
            fontsize=8,
        )
