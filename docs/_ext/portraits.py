"""Portraits on a page: the filters of a network trained here, and its first and last maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils import nodes

from _ext.pictures import picture
from _ext.runs import runs_of
from _ext.study_directive import StudyDirective
from experiments.figures.portraits import COLUMNS, draw_filters, draw_maps
from experiments.portrait import Portrait, load, place

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

    from experiments.records import Record
    from experiments.study import Study

_WAITING = "No portrait of this network has been kept yet; "


class PortraitDirective(StudyDirective):
    """Show the portrait of a recipe's run, of the first seed that has one."""

    required_arguments = 2

    def show(self, study: Study) -> list[nodes.Node]:
        name = self.arguments[1]
        records = runs_of(study.name, self.store)
        if name not in records:
            raise self.error(f"study {study.name!r} has no recipe {name!r}")
        kept = [
            (record, path)
            for record in records[name].values()
            if (path := place(self.store / record.place)).exists()
        ]
        if not kept:
            paragraph = nodes.paragraph("", _WAITING)
            command = f"python -m experiments portrait {study.name} {name}"
            paragraph += nodes.literal("", command)
            paragraph += nodes.Text(" makes one.")
            return [paragraph]
        record, path = kept[0]
        shown = load(path)
        run = f"{name}, seed {record.seed}{_accuracy(record)}"
        return [
            self._figure(f"portrait-{what}-{name}".replace(".", "_"), drawn, alt, caption)
            for what, drawn, alt, caption in _panels(shown, run)
        ]

    def _figure(self, name: str, drawn: Figure, alt: str, caption: str) -> nodes.figure:
        figure = picture(self.env, name, drawn, alt)
        figure += nodes.caption("", caption)
        return figure


def _accuracy(run: Record) -> str:
    """Return what the weights drawn score; "" where the run measured it of no such weights."""
    if run.recipe.patience is not None:
        epoch = run.curves.kept
    else:
        epoch = None if run.diverged or not run.curves.test_accuracy else -1
    if epoch is None:
        return ""
    return f"; the test accuracy of the weights drawn is {run.curves.test_accuracy[epoch]:.1%}"


def _panels(shown: Portrait, run: str) -> list[tuple[str, Figure, str, str]]:
    """Return for each picture its name, itself, its alt text and its caption."""
    count, channels, high, wide = shown.filters.shape
    panels = [
        (
            "filters",
            draw_filters(shown),
            f"The {count} filters of the first convolution, {high}x{wide} pixels each, in colour.",
            f"The {count} filters of the first convolution ({channels}x{high}x{wide} weights) of "
            f"{run}. Grey is a weight of zero; each filter is scaled by its largest weight.",
        )
    ]
    for layer, maps in (("first", shown.first), ("last", shown.last)):
        images, count, rows, columns = maps.shape
        drawn = min(count, COLUMNS)
        panels.append(
            (
                layer,
                draw_maps(maps),
                f"Maps of {rows}x{columns} cells that the {layer} convolution makes of {images} "
                "images, a row each, from black for the least value to white for the greatest.",
                f"What the {layer} convolution makes of {images} test images, a row each: {drawn} "
                f"of {count} maps of {rows}x{columns} cells, before any activation, each from its "
                "least value (black) to its greatest (white).",
            )
        )
    return panels


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive ``portrait``."""
    app.add_directive("portrait", PortraitDirective)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
