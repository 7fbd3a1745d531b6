"""The race on a page: its result, seconds against accuracy, and the ladder, from stored results."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective
from torch.utils.flop_counter import FlopCounterMode

from _ext import race_pictures
from _ext.chips import chip
from _ext.pictures import picture
from _ext.tables import Cell, table
from experiments.errors import InputError
from experiments.records import DEFAULT_STORE, RecordError
from experiments.speed import CURVE, LADDER, RECIPES, TARGET, VIEWS, Results, summary
from experiments.speed.network import PATCH, RaceNet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

    from _ext.race_pictures import Runs
    from experiments.speed import Result, Settings, Split

_IMAGES = 50_000
"""Training images of CIFAR-10."""

_COMMAND = "python -m experiments race"


@cache
def runs_of(store: Path, split: Split = "test") -> Runs:
    """Return the results on the images of a split, on the CPU, by the name of their recipe.

    Raises
    ------
    sphinx.errors.ExtensionError
        If a result cannot be read, its recipe is no longer one of the race, or the results of one
        recipe cannot be summarised.
    """
    names = {entry.settings: name for name, entry in RECIPES.items()}
    runs: dict[str, list[Result]] = {name: [] for name in RECIPES}
    try:
        results = Results(store).all(split)
    except RecordError as error:
        raise ExtensionError(str(error)) from error
    for result in results:
        if result.settings not in names:
            raise ExtensionError(
                f"a result of seed {result.seed} (settings {result.settings.digest[:12]}) in "
                f"{store} is stale: its recipe is none of the race; delete it, and run "
                f"`{_COMMAND}` again"
            )
        if result.device == "cpu":
            runs[names[result.settings]].append(result)
    found = {name: results for name, results in runs.items() if results}
    try:
        for results in found.values():
            summary(results, 1)
    except InputError as error:
        raise ExtensionError(f"{store}: {error}") from error
    return found


class _RaceDirective(SphinxDirective):
    """A directive that shows results, or says that there are none."""

    recipes: tuple[str, ...] = ("whole",)

    @property
    def store(self) -> Path:
        """Where results lie."""
        return Path(self.config.convlaws_race)

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        runs = runs_of(self.store)
        absent = [name for name in self.recipes if name not in runs]
        shown = self.show({name: runs[name] for name in self.recipes if name in runs})
        if absent:
            note = nodes.paragraph("", "", chip("not_run"), nodes.Text(f" {', '.join(absent)}; "))
            note += nodes.literal("", f"{_COMMAND} RECIPE")
            note += nodes.Text(" runs what is missing.")
            shown.append(note)
        return shown

    def show(self, runs: Runs) -> list[nodes.Node]:
        raise NotImplementedError


class ResultDirective(_RaceDirective):
    """Say whether the target is reached, how fast, and where; a row a seed."""

    def show(self, runs: Runs) -> list[nodes.Node]:
        if "whole" not in runs:
            return []
        results = runs["whole"]
        return [*map(_sentence, (results, results), (6, 1)), _seeds(results), _machine(results)]


class CurveDirective(_RaceDirective):
    """Draw seconds against accuracy, for the whole recipe, other lengths of it, and a wider one."""

    recipes = ("whole", *CURVE)

    def show(self, runs: Runs) -> list[nodes.Node]:
        if not runs:
            return []
        alt = "Seconds of training against test accuracy. " + " ".join(
            f"{name.replace('-', ' ')}: {found.median_seconds:.0f} s, {found.mean:.1%}."
            for name, results in race_pictures.by_seconds(runs)
            for found in [summary(results, 6)]
        )
        return [
            picture(self.env, "race-curve", partial(race_pictures.curve, runs, TARGET), alt),
            _lengths(runs, runs_of(self.store, "validation")),
        ]


class LadderDirective(_RaceDirective):
    """Draw what is lost without each idea, and say what each recipe is."""

    recipes = tuple(LADDER)

    def show(self, runs: Runs) -> list[nodes.Node]:
        if "whole" not in runs:
            return []
        lost = race_pictures.losses(runs)
        alt = "Test accuracy lost without each idea, in percentage points. " + " ".join(
            f"{each.label}: {-100 * each.mean:+.1f}." for each in lost
        )
        rows: list[list[Cell]] = [
            [
                each.label,
                each.purpose,
                f"{100 * each.mean:+.2f} ± {100 * each.interval.half_width:.2f}"
                if each.interval
                else f"{100 * each.mean:+.2f}",
                "" if each.seconds is None else f"{each.seconds:+.0%}",
                str(len(each.gaps)),
            ]
            for each in lost
        ]
        head = ["", "what is done instead", "accuracy (pp)", "training time", "seeds"]
        drawn = picture(self.env, "race-ladder", partial(race_pictures.ladder, lost), alt)
        return [drawn, table(head, rows)]


class WorkDirective(_RaceDirective):
    """Say how many operations a run takes, and how many a second that was."""

    def show(self, runs: Runs) -> list[nodes.Node]:
        if "whole" not in runs:
            return []
        found = summary(runs["whole"], 6)
        settings = runs["whole"][0].settings
        seconds, work = found.median_seconds, operations(settings)
        whole, small = (_flops(settings, side) / 1e6 for side in (32, 16))
        text = (
            f"A training step takes {whole:.1f} million floating-point operations for an image, "
            f"and {small:.1f} for a small one: {work / 1e12:.1f} million million in the whole run, "
            f"at {work / seconds / 1e9:.0f} GFLOP/s."
        )
        return [nodes.paragraph("", text)]


def operations(settings: Settings) -> float:
    """Return the floating-point operations of a whole run, of convolutions and products."""
    whole, small = (_flops(settings, side) for side in (32, 16))
    return settings.epochs * _IMAGES * (whole + settings.small * (small - whole))


@cache
def _flops(settings: Settings, side: int) -> int:
    """Return the operations of one image's step, of convolutions and products."""
    stem = torch.ones(settings.components, 3, PATCH, PATCH)
    network = RaceNet(stem, 3, settings.widths, settings.pooled, classes=10).eval()
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, side, side)).sum().backward()
    return counter.get_total_flops()


def _sentence(results: Sequence[Result], views: int) -> nodes.paragraph:
    found = summary(results, views)
    what = "one view of each test image" if views == 1 else f"{views} views of each test image"
    if found.interval is None:
        return nodes.paragraph("", f"With {what}: {_percent(found.mean)}, one seed.")
    where = "above" if found.above(TARGET) else "not above"
    return nodes.paragraph(
        "",
        f"With {what}: {_percent(found.mean)}, 95 % interval {_percent(found.interval.low)} to "
        f"{_percent(found.interval.high)} over {found.seeds} seeds, {where} {_percent(TARGET)}; "
        f"median {found.median_seconds:.1f} s of training.",
    )


def _seeds(results: Sequence[Result]) -> nodes.container:
    head = ["seed", *map(_views, VIEWS), "seconds", "processor seconds"]
    rows: list[list[Cell]] = [
        [
            str(result.seed),
            *(_percent(result.accuracy[n]) for n in VIEWS),
            f"{result.training_seconds:.1f}",
            f"{result.processor_seconds:.1f}",
        ]
        for result in sorted(results, key=lambda result: result.seed)
    ]
    return table(head, rows)


def _lengths(runs: Runs, held_out: Runs) -> nodes.container:
    fewest, most = min(VIEWS), max(VIEWS)
    head = ["recipe", "epochs", "seeds", *map(_views, VIEWS), "seconds"]
    head += [f"held out, {_views(n)}" for n in (fewest, most)] if held_out else []
    rows: list[list[Cell]] = []
    for name, results in race_pictures.by_seconds(runs):
        each = [summary(results, n) for n in VIEWS]
        rows.append(
            [
                name.replace("-", " "),
                f"{results[0].settings.epochs:g}",
                str(each[0].seeds),
                *(_percent(found.mean) for found in each),
                f"{each[0].median_seconds:.1f}",
                *(_held_out(held_out.get(name), n) for n in (fewest, most) if held_out),
            ]
        )
    return table(head, rows)


def _percent(accuracy: float) -> str:
    """Return an accuracy in percent, with two digits."""
    return f"{100 * accuracy:.2f} %"


def _views(views: int) -> str:
    return f"{views} view{'s' * (views > 1)}"


def _held_out(results: Sequence[Result] | None, views: int) -> str:
    if results is None:
        return "–"
    found = summary(results, views)
    spread = f" ± {100 * found.interval.half_width:.2f}" if found.interval else ""
    return f"{100 * found.mean:.2f}{spread} % ({found.seeds})"


def _machine(results: Sequence[Result]) -> nodes.paragraph:
    def distinct(key: str) -> str:
        return ", ".join(sorted({str(result.provenance[key]) for result in results}))

    threads = distinct("threads")
    return nodes.paragraph(
        "",
        f"Measured on {distinct('hardware')}, {threads} thread{'s' * (threads != '1')}, "
        f"{results[0].settings.precision}; "
        f"Python {distinct('python')}, PyTorch {distinct('torch')}.",
    )


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the folder of the results, and every directive that shows what is in it."""
    app.add_config_value("convlaws_race", str(DEFAULT_STORE), "env")
    app.add_directive("race-result", ResultDirective)
    app.add_directive("race-curve", CurveDirective)
    app.add_directive("race-ladder", LadderDirective)
    app.add_directive("race-work", WorkDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
