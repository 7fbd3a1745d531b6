"""What people and programs read: complete, within 100 columns, honest about what is not known."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import re
import shlex
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from rich.console import Console

from experiments import figures
from experiments.advice import how_to_run
from experiments.catalog import study
from experiments.lookup import recipes
from experiments.reporting import measured_text, recipe_summary, report_data, report_table
from experiments.variants import named
from experiments.verdicts import judge

STUDY = study("nni-2023-ex1")


def rendered(renderable, width: int = 100) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(renderable)
    return console.file.getvalue()


@pytest.fixture
def records(make_record):
    """Three noisy runs of every recipe; those of linear-6 under Adam diverge for seed 1."""
    generator = np.random.default_rng(11)

    def curve(recipe, level):
        return list(level + 0.05 * generator.standard_normal(recipe.epochs))

    return [
        make_record(
            recipe,
            seed,
            study=STUDY.name,
            train_loss=curve(recipe, 1.0),
            train_accuracy=curve(recipe, 0.6),
            test_loss=curve(recipe, 1.2),
            test_accuracy=curve(recipe, 0.5),
            parameters=46590 if recipe.filters == 20 else 3172,
            diverged_after=4 if recipe.name == "linear-6.adam" and seed == 1 else None,
        )
        for recipe in STUDY.recipes
        for seed in range(3)
    ]


def test_every_claim_and_completion_is_there(records) -> None:
    text = rendered(report_table(STUDY, judge(STUDY, records)))
    assert all(claim in text for claim in STUDY.claims)
    assert text.count("→") == len(STUDY.claims)
    assert all(f"{name}  " in text for name in STUDY.completions)


@pytest.mark.parametrize("seeds", [0, 1, 2, 3])
def test_it_fits_100_columns_and_cuts_nothing(records, seeds) -> None:
    table = report_table(STUDY, judge(STUDY, [r for r in records if r.seed < seeds]))
    narrow, wide = rendered(table), rendered(table, width=1000)
    assert max(len(line) for line in narrow.splitlines()) <= 100
    assert "…" not in narrow
    # Only running text wraps, as a reason does; a row of numbers is one line at any width.
    assert narrow.split() == wide.split()
    lines = [line.rstrip() for line in wide.splitlines() if line.startswith("    ")]
    rows = [line for line in lines if not line.split()[0].endswith(":")]
    assert set(rows) <= {line.rstrip() for line in narrow.splitlines()}
    assert bool(rows) == bool(seeds)


def test_a_row_states_both_error_bars_the_prediction_and_the_reported_value(make_record) -> None:
    recipe = STUDY.recipe("filters-20-lr-0.001", "adam")
    runs = [
        make_record(recipe, seed, test_accuracy=accuracy)
        for seed, accuracy in enumerate([0.69, 0.70, 0.71])
    ]
    lines = rendered(report_table(STUDY, judge(STUDY, runs))).splitlines()
    start = lines.index("nni-2023-ex1-q1c-acc-70")
    assert lines[start + 1].startswith("  The best configuration (20 filters, lr 0.001")
    (row,) = [line for line in lines[start : start + 8] if line.startswith("    adam")]
    # Seeds: 4.303 * 0.01 / sqrt(3); test set: Wilson, 10,000 images; next run: both combined,
    # hypot(4.303 * 0.01 * sqrt(4 / 3), 1.960 * sqrt(2 * 0.7 * 0.3 / 10000)) = 0.0513.
    assert row.split() == (
        [
            "adam",
            "3",
            "70.0",
            "±",
            "2.5",
            "±",
            "0.9",
            "%",
            "64.9",
            "to",
            "75.1",
            "%",
            "70",
            "%",
            "undecided",
        ]
    )


def test_each_interval_of_an_entry_is_its_own(make_record) -> None:
    """What decides, the seeds' and the test set's; and the verdict of the part and of the claim."""
    recipe = STUDY.recipe("filters-20-lr-0.001", "adam")
    runs = [
        make_record(recipe, seed, test_accuracy=accuracy)
        for seed, accuracy in enumerate([0.69, 0.70, 0.71])
    ]
    verdicts = judge(STUDY, runs)
    found = [(claim, finding) for claim in verdicts for finding in claim.findings]
    entries = report_data(verdicts)
    for entry, (claim, finding) in zip(entries, found, strict=True):
        assert (entry["verdict"], entry["claim_verdict"]) == (finding.verdict, claim.verdict)
        assert entry["statement"] == claim.sentence
        assert entry["rounding"] == finding.rounding
        for name in ("interval", "seed_interval", "test_set_interval"):
            interval = getattr(finding, name)
            assert entry[name] == (None if interval is None else [interval.low, interval.high])
    entry = next(each for each in entries if each["interval"] and each["test_set_interval"])
    assert len({str(entry[f"{kind}interval"]) for kind in ("", "seed_", "test_set_")}) == 3


def test_a_run_shows_its_last_test_accuracy_and_the_loss_of_its_final_weights(make_record) -> None:
    recipe = STUDY.recipe("linear-6", "adam")
    falling = [0.9 - 0.01 * epoch for epoch in range(recipe.epochs)]
    run = make_record(recipe, 0, train_loss=3.0, test_accuracy=falling, final_train_loss=1.234)
    text = rendered(recipe_summary(STUDY, recipe, [run]))
    assert f"{100 * falling[-1]:.1f} %" in text
    assert "90.0 %" not in text
    assert "1.234" in text
    assert "3.000" not in text


def test_a_run_without_epochs_shows_what_its_initial_weights_measure(make_record) -> None:
    tp1 = study("tp1-cnn")
    recipe = tp1.recipe("initial", "sgd")
    run = make_record(recipe, 0, final_train_accuracy=0.1234, final_train_loss=2.345)
    text = " ".join(rendered(recipe_summary(tp1, recipe, [run])).split())
    assert "0 cpu 0 2.345 12.3 %" in text


def test_what_is_missing_is_said_once_with_the_command(records) -> None:
    present = [r for r in records if r.recipe.name != "conv-gap.sgd"]
    text = rendered(report_table(STUDY, judge(STUDY, present)))
    missing = "no records of conv-gap.sgd; run: python -m experiments run nni-2023-ex1 --seeds 3"
    assert text.count("no records of") == 1
    assert missing in text
    assert "--store" not in text


def test_what_needs_more_than_somebody_to_run_it_says_so() -> None:
    resnet = study("assignment-3")
    text = rendered(report_table(resnet, judge(resnet, [])))
    need = text.split("assignment-3-4a-accuracy")[1].split("assignment-3-own")[0]
    assert "→ not run (needs a GPU" in need
    assert text.count("→ not run (") == 2  # all others lack records, which is said once at the end


def test_the_command_names_the_store_that_was_read(tmp_path) -> None:
    store = tmp_path / "my records"
    text = rendered(report_table(STUDY, judge(STUDY, []), store), width=2000)
    advice = f"run: python -m experiments run nni-2023-ex1 --seeds 3 --store '{store}'"
    assert text.count(advice) == 1


def test_nothing_is_missing_when_all_is_there(records) -> None:
    assert "no records" not in rendered(report_table(STUDY, judge(STUDY, records)))


def test_divergence_is_explained(records) -> None:
    text = rendered(report_table(STUDY, judge(STUDY, records)))
    assert "adam: the loss diverged for 1 of 3 seeds" in text


def test_a_count_that_seeds_change_shows_its_interval(make_record) -> None:
    """The lowest loss comes after 4, 5 and 6 epochs: 5 ± 4.303 * sqrt(1 + 1 / 12) / sqrt(3)."""
    report = study("nn4i-2023-a1")
    recipe = report.recipe("block-3x3", "adam")
    runs = [
        make_record(
            recipe,
            epoch,
            study=report.name,
            test_loss=[1 + abs(each - epoch) for each in range(1, recipe.epochs + 1)],
        )
        for epoch in (4, 5, 6)
    ]
    found = [finding for claim in judge(report, runs) for finding in claim.findings]
    measured = {each.quantity: measured_text(each) for each in found if each.measured is not None}
    assert measured["epoch of the lowest test loss, block-3x3, of 8"] == "5 ± 2.6"


def test_a_count_that_is_the_same_in_every_run_shows_none(records) -> None:
    found = [finding for claim in judge(STUDY, records) for finding in claim.findings]
    counts = [each for each in found if each.unit == "count" and each.measured is not None]
    assert any(each.seedless for each in counts)
    assert not any("±" in measured_text(each) for each in counts)


def test_every_part_that_is_open_or_refuted_says_why(records) -> None:
    verdicts = judge(STUDY, records)
    text = " ".join(rendered(report_table(STUDY, verdicts)).split())
    found = [finding for claim in verdicts for finding in claim.findings]
    assert {each.verdict for each in found} == {"reproduced", "not_reproduced", "undecided"}
    for each in found:
        told = f"{each.completion}: {each.reason}" in text
        assert told == (each.verdict != "reproduced")


def test_the_tally_counts_every_claim_once(records) -> None:
    text = rendered(report_table(STUDY, judge(STUDY, records)))
    (header,) = [i for i, line in enumerate(text.splitlines()) if line.startswith("completion ")]
    for line in text.splitlines()[header + 1 : header + 4]:
        assert sum(int(number) for number in line.split()[-4:]) == len(STUDY.claims)


def test_the_tally_counts_the_verdicts_of_each_completion(records) -> None:
    verdicts = judge(STUDY, records)
    text = rendered(report_table(STUDY, verdicts))
    tables = text[text.index("\ncompletion ") :].splitlines()
    for line in tables[2 : 2 + len(STUDY.completions)]:
        name, *_ = line.split()
        counted = [int(number) for number in line.split()[-4:]]
        given = Counter(claim.by_completion[name] for claim in verdicts)
        kinds = ("reproduced", "not_reproduced", "undecided", "not_run")
        assert counted == [given[kind] for kind in kinds]


def test_the_tally_leaves_out_what_does_not_apply(records) -> None:
    stated = dataclasses.replace(STUDY, stated={STUDY.claims[0]: "adam"})
    text = rendered(report_table(stated, judge(stated, records)))
    for line in text[text.index("\ncompletion ") :].splitlines()[2:5]:
        counted = sum(int(number) for number in line.split()[-4:])
        assert counted == len(STUDY.claims) - (not line.startswith("adam"))


def test_one_entry_for_each_part_and_completion(records) -> None:
    data = report_data(judge(STUDY, records))
    assert len(data) == len(STUDY.statements) * len(STUDY.completions)
    promised = {
        "claim", "verdict", "measured", "interval", "reported", "completion", "records"
    }  # fmt: skip
    assert all(promised <= entry.keys() for entry in data)
    assert json.loads(json.dumps(data, allow_nan=False)) == data


def test_values_are_raw_and_the_unknown_is_null(records) -> None:
    data = report_data(judge(STUDY, [r for r in records if r.seed == 0]))
    entry = next(e for e in data if e["claim"].endswith("q1c-acc-70"))
    assert entry["reported"] == 0.70
    assert 0 < entry["measured"] < 1
    assert entry["interval"] is None
    assert entry["verdict"] == "undecided"
    assert len(entry["records"]) == 1
    empty = report_data(judge(STUDY, []))
    assert {entry["verdict"] for entry in empty} == {"not_run"}
    assert {entry["measured"] for entry in empty} == {None}


def test_settings_measurements_and_provenance(records) -> None:
    recipe = STUDY.recipe("filters-20-lr-0.01", "sgd-momentum")
    runs = [record for record in records if record.recipe == recipe]
    text = rendered(recipe_summary(STUDY, recipe, runs))
    assert "sgd, learning rate 0.01, momentum 0.9" in text
    assert recipe.digest[:12] in text
    lowest = min(runs[2].curves.test_loss)
    epoch = runs[2].curves.test_loss.index(lowest) + 1
    assert f"{lowest:.3f} at {epoch}" in text
    assert all(f"seed {run.seed}: key {run.key[:12]}" in text for run in runs)


def test_a_run_that_diverged_at_once(make_record) -> None:
    recipe = STUDY.recipes[0]
    run = make_record(recipe, 0, diverged_after=0)
    assert "0 (diverged)" in rendered(recipe_summary(STUDY, recipe, [run]))


def test_a_recipe_without_records_names_the_command_that_makes_them(tmp_path) -> None:
    text = rendered(recipe_summary(STUDY, STUDY.recipes[0], [], tmp_path), width=2000)
    command = f"run nni-2023-ex1 filters-20-lr-0.01.sgd --seeds 3 --store {tmp_path}"
    assert f"no records of this recipe; run: python -m experiments {command}" in text


@pytest.mark.parametrize("marks", ["", "@bfloat16", "@epochs-0", "@bfloat16@epochs-1000"])
def test_the_command_for_a_variant_makes_that_variant(marks) -> None:
    recipe = STUDY.recipe("linear-6", "adam")
    wanted = named(recipe, marks[1:]) if marks else recipe
    arguments = shlex.split(how_to_run(STUDY, recipe=wanted))
    assert arguments[:5] == ["python", "-m", "experiments", "run", "nni-2023-ex1"]
    assert recipes(STUDY, [arguments[5]]) == [wanted]
    assert arguments[6:] == ["--seeds", "3"]


def test_reading_records_does_not_load_the_training_engine() -> None:
    code = "import sys, experiments.catalog, experiments.reporting; print('torch' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"


def test_a_curve_is_the_mean_and_its_band_the_range_of_the_seeds(make_record) -> None:
    recipe = STUDY.recipe("linear-20", "adam")
    runs = [
        make_record(recipe, 0, test_accuracy=0.3),
        make_record(recipe, 1, test_accuracy=0.4, diverged_after=15),
        make_record(recipe, 2, test_accuracy=0.8),
    ]
    loss, accuracy = figures.draw_curves({"linear": runs}).axes
    train, test = accuracy.lines
    assert (train.get_linestyle(), test.get_linestyle()) == ("--", "-")
    assert list(test.get_xdata()) == list(range(1, 16))
    np.testing.assert_allclose(test.get_ydata(), 50, rtol=1e-12)  # the median is 40
    heights = accuracy.collections[1].get_paths()[0].vertices[:, 1]
    np.testing.assert_allclose([heights.min(), heights.max()], [30, 80], rtol=1e-12)
    assert all(tick == round(tick) for tick in accuracy.get_xticks())  # of 15 epochs
    assert (loss.get_ylabel(), accuracy.get_ylabel()) == (
        "cross-entropy (nats)",
        "accuracy (%)",
    )


def test_each_curve_has_the_line_that_the_legend_gives_it(make_record) -> None:
    levels = {"train_loss": 1.5, "test_loss": 2.0, "train_accuracy": 0.75, "test_accuracy": 0.5}
    run = make_record(STUDY.recipe("linear-20", "adam"), 0, **levels)
    figure = figures.draw_curves({"linear": [run]})
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    lines = dict(zip(names, [line.get_linestyle() for line in legend.get_lines()], strict=True))
    loss, accuracy = figure.axes
    for axes, train, test in ((loss, 1.5, 2.0), (accuracy, 75, 50)):
        drawn = {line.get_linestyle(): set(line.get_ydata()) for line in axes.lines}
        assert drawn == {lines["train"]: {train}, lines["test"]: {test}}
    assert loss.get_ylim()[0] == 0


def test_curves_are_told_apart_without_colour(make_record) -> None:
    runs = {str(i): [make_record(STUDY.recipes[0], 0)] for i in range(figures.MOST_LABELS)}
    figure = figures.draw_curves(runs)
    for axes in figure.axes:
        marked = [line.get_marker() for line in axes.lines if line.get_linestyle() == "-"]
        keys = [key.get_marker() for key in figure.legends[0].get_lines()[: len(runs)]]
        assert marked == keys
        assert len(set(marked)) == len(runs)


@pytest.mark.parametrize(("width", "columns"), [(figures.WIDE, 2), (figures.NARROW, 1)])
def test_loss_and_accuracy_stand_side_by_side_where_there_is_room(
    make_record, width, columns
) -> None:
    figure = figures.draw_curves({"linear": [make_record(STUDY.recipes[0], 0)]}, width)
    assert figure.get_figwidth() == width
    assert figure.axes[0].get_gridspec().ncols == columns


@pytest.mark.parametrize("highest", [2.0, 16.0])
def test_a_spike_of_one_seed_does_not_flatten_the_others(make_record, highest) -> None:
    runs = [make_record(STUDY.recipes[0], seed) for seed in range(3)]
    usual = max(runs[0].curves.test_loss + runs[0].curves.train_loss)
    losses = [*runs[0].curves.train_loss]
    losses[3] = highest * usual
    runs[0] = dataclasses.replace(
        runs[0], curves=dataclasses.replace(runs[0].curves, train_loss=losses)
    )
    loss, _ = figures.draw_curves({"linear": runs}).axes
    told = [text.get_text() for text in loss.texts]
    assert (loss.get_ylim()[1] < highest * usual) == (highest == 16)
    assert loss.get_ylim()[1] > usual  # all the others are on the scale
    assert told == ([f"off the scale: up to {highest * usual:.1f}"] if highest == 16 else [])


def test_reported_numbers_stand_beside_what_was_measured(records) -> None:
    findings = [f for claim in judge(STUDY, records) for f in claim.findings]
    drawn = figures.draw_measured_against_reported(findings, list(STUDY.completions))
    (axes,) = drawn.axes
    labels = [tick.get_text().replace("\n", ", ") for tick in axes.get_yticklabels()]
    narrow = figures.draw_measured_against_reported(findings, list(STUDY.completions), 4.2)
    wrapped = [tick.get_text() for tick in narrow.axes[0].get_yticklabels()]
    in_one_line = [" ".join(label.split()) for label in wrapped]
    assert in_one_line == [label.replace(",", "", 1) for label in labels]
    assert max(len(line) for label in wrapped for line in label.split("\n")) <= 21
    upright = [
        segment
        for lines in axes.collections
        if isinstance(lines, LineCollection)
        for segment in lines.get_segments()
        if np.ptp(segment[:, 1]) > 0
    ]
    reported = [round(float(segment[0, 0])) for segment in upright]
    expected = {
        f.quantity: round(100 * f.reported) for f in findings if f.unit == "accuracy" and f.reported
    }
    assert dict(zip(labels, reported, strict=True)) == expected
    bands = [each for each in axes.collections if isinstance(each, PolyCollection)]
    for row, (line, band, percent) in enumerate(
        zip(upright, bands, expected.values(), strict=True)
    ):
        area = band.get_paths()[0].vertices
        # "70 %" is rounded from 69.5 to 70.5
        np.testing.assert_allclose(line[:, 0], percent, rtol=1e-12)
        ends = [area[:, 0].min(), area[:, 0].max()]
        np.testing.assert_allclose(ends, [percent - 0.5, percent + 0.5], rtol=1e-12)
        for heights in (line[:, 1], area[:, 1]):
            ends = [heights.min(), heights.max()]
            np.testing.assert_allclose(ends, [row - 0.4, row + 0.4], atol=1e-12)
    assert axes.get_ylim() == (len(labels) - 0.5, -0.5)  # the first at the top


def test_a_band_is_as_wide_as_its_number_is_rounded_and_a_difference_has_no_row(records) -> None:
    findings = [f for claim in judge(STUDY, records) for f in claim.findings]
    first, second = [f for f in findings if f.unit == "accuracy" and f.reported and f.interval][:2]
    fine = dataclasses.replace(first, rounding=0.0005)
    difference = dataclasses.replace(second, quantity="difference", unit="points")
    drawn = figures.draw_measured_against_reported([fine, difference], list(STUDY.completions))
    (axes,) = drawn.axes
    labels = [tick.get_text().replace("\n", ", ") for tick in axes.get_yticklabels()]
    assert labels == [fine.quantity]
    (band,) = (each for each in axes.collections if isinstance(each, PolyCollection))
    assert np.ptp(band.get_paths()[0].vertices[:, 0]) == pytest.approx(0.1, rel=1e-9)


def colors_and_markers(figure) -> dict[str, tuple[str, str]]:
    """Return by which colour and marker the legend tells what from what."""
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    keys = [(key.get_color(), key.get_marker()) for key in legend.get_lines()]
    assert len(set(keys)) == len(keys)
    return dict(zip(names, keys, strict=True))


def test_a_point_and_its_bar_are_in_the_row_and_colour_of_what_they_show(records) -> None:
    completions = list(STUDY.completions)
    findings = [f for claim in judge(STUDY, records) for f in claim.findings]
    shown = [
        f
        for f in findings
        if f.unit == "accuracy" and f.reported and f.interval and f.measured is not None
    ]
    drawn = figures.draw_measured_against_reported(findings, completions)
    (axes,) = drawn.axes
    keys = colors_and_markers(drawn)
    assert list(keys)[:-1] == completions
    labels = [tick.get_text().replace("\n", ", ") for tick in axes.get_yticklabels()]
    points = [line for line in axes.lines if line.get_marker() in "osD^v"]
    places: dict[str, dict[str, float]] = {}
    for finding, point, bar in zip(shown, points, axes.containers, strict=True):
        (measured,), (place,) = point.get_data()
        assert measured == pytest.approx(100 * finding.measured, rel=1e-12)
        assert labels[round(place)] == finding.quantity
        assert (point.get_color(), point.get_marker()) == keys[finding.completion]
        (lines,) = bar.lines[2]
        (segment,) = lines.get_segments()
        ends = [[100 * finding.interval.low, place], [100 * finding.interval.high, place]]
        np.testing.assert_allclose(segment, ends, rtol=1e-12)
        assert tuple(lines.get_color()[0][:3]) == to_rgb(point.get_color())
        places.setdefault(finding.quantity, {})[finding.completion] = place
    assert any(len(each) == len(completions) for each in places.values())
    for each in places.values():  # one below the other, as in the legend
        assert sorted(each, key=each.__getitem__) == [name for name in completions if name in each]
        assert len(set(each.values())) == len(each)


def test_the_bar_of_a_reported_number_ends_where_accuracies_do(make_record) -> None:
    recipe = STUDY.recipe("filters-20-lr-0.01", "adam")
    records = [make_record(recipe, seed, test_accuracy=0.3 + 0.5 * seed) for seed in (0, 1)]
    findings = [f for claim in judge(STUDY, records) for f in claim.findings]
    drawn = figures.draw_measured_against_reported(findings, list(STUDY.completions))
    (axes,) = drawn.axes
    caps = [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "|"]
    assert (min(caps), max(caps)) == (0, 100)


def test_a_mean_that_one_collapse_of_many_moves_out_of_its_bar_is_drawn(make_record) -> None:
    """By ranks the bar of 79 runs leaves the lowest out, and is then as short as they agree."""
    recipe = STUDY.recipe("filters-20-lr-0.01", "adam")
    records = [make_record(recipe, seed, final_train_accuracy=0.8) for seed in range(78)]
    records.append(make_record(recipe, 78, final_train_accuracy=0.1))
    [claim] = [c for c in judge(STUDY, records) if c.claim.endswith("q1a-acc-20")]
    [finding] = [f for f in claim.findings if f.interval and f.quantity.startswith("train")]
    assert finding.measured < finding.interval.low == finding.interval.high == 0.8
    figures.draw_measured_against_reported([finding], ["adam"])


def test_accuracies_are_drawn_as_points_mean_and_interval(make_record) -> None:
    first, second = (STUDY.recipe("linear-20", name) for name in ("sgd", "adam"))
    runs = {
        "linear-20": {
            "sgd": [make_record(first, seed, test_accuracy=0.3 + 0.1 * seed) for seed in (0, 1)],
            "adam": [
                make_record(second, 0, test_accuracy=0.9),
                make_record(second, 1, diverged_after=3),
            ],
        },
        "linear-6": {"sgd": [], "adam": []},
    }
    runs["linear-20"]["sgd"][0].curves.test_accuracy[1] = 0.9  # after the second epoch alone
    figure = figures.draw_final_accuracies(runs, epoch=2)
    (early,) = figure.axes
    (key,) = figure.legends
    assert [text.get_text() for text in key.get_texts()] == ["sgd"]  # adam lost a run
    np.testing.assert_allclose(early.lines[0].get_xdata(), [90, 40], rtol=1e-12)
    assert early.get_xlabel() == "test accuracy after epoch 2 (%)"
    (axes,) = figures.draw_final_accuracies(runs).axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["linear-20", "linear-6"]
    drawn = [list(line.get_xdata()) for line in axes.lines if len(line.get_xdata())]
    np.testing.assert_allclose(drawn[0], [30, 40], rtol=1e-12)
    np.testing.assert_allclose(drawn[1], [35], rtol=1e-12)
    # t(0.975, 1) = 12.706 times 7.07 / sqrt(2) = 5, on either side; the caps are lines.
    ends = sorted(float(cap[0]) for cap in drawn[2:])
    np.testing.assert_allclose(ends, [0, 35 + 63.53], atol=0.01)  # no accuracy is negative


def test_a_role_has_its_row_and_a_completion_its_colour(make_record) -> None:
    levels = {
        "linear-20": {"sgd": 0.3, "adam": 0.5},
        "linear-6": {"sgd": 0.4, "adam": 0.6},
    }
    runs = {
        role: {
            name: [
                make_record(STUDY.recipe(role, name), seed, test_accuracy=level + more)
                for seed, more in enumerate((0, 0, 0.03))  # the mean is 1 % above the median
            ]
            for name, level in each.items()
        }
        for role, each in levels.items()
    }
    figure = figures.draw_final_accuracies(runs)
    (axes,) = figure.axes
    keys = colors_and_markers(figure)
    assert list(keys) == ["sgd", "adam"]
    assert axes.get_ylim() == (1.5, -0.5)  # the first at the top
    bars = iter(axes.containers)
    # t(0.975, 2) = 4.3027 times the deviation sqrt(3) % over sqrt(3)
    for row, each in enumerate(levels.values()):
        places = []
        for name, level in each.items():
            point, _, (lines,) = next(bars).lines
            (mean,), (place,) = point.get_data()
            assert mean == pytest.approx(100 * level + 1, rel=1e-12)
            assert (point.get_color(), point.get_marker()) == keys[name]
            (segment,) = lines.get_segments()
            np.testing.assert_allclose(segment[:, 0], [mean - 4.3027, mean + 4.3027], atol=1e-4)
            assert round(place) == row
            places.append(place)
        assert places[0] < places[1]


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


def test_more_labels_than_colours_are_refused(make_record) -> None:
    runs = {str(i): [make_record(STUDY.recipes[0], 0)] for i in range(8)}
    with pytest.raises(ValueError, match="8 labels are too many"):
        figures.draw_curves(runs)


def test_a_label_without_records_is_named() -> None:
    with pytest.raises(ValueError, match="no records to draw for 'linear'"):
        figures.draw_curves({"linear": []})


def test_verdicts_by_few_seeds_are_listed(records):
    """Three seeds decide what they decide; with two more of each nothing is listed."""
    text = rendered(report_table(STUDY, judge(STUDY, records)))
    decided = [claim for claim in judge(STUDY, records) if claim.deciding_seeds is not None]
    assert decided
    assert {claim.deciding_seeds for claim in decided} <= {2, 3}
    assert "decided by fewer than 5 seeds, so far:" in text
    more = [dataclasses.replace(record, seed=record.seed + 3) for record in records]
    whole = judge(STUDY, records + more)
    assert "decided by fewer" not in rendered(report_table(STUDY, whole))
    entries = report_data(whole)
    assert {entry["deciding_seeds"] for entry in entries} <= {None, 5, 6}
    assert all(entry["claim_reason"] for entry in entries)


def test_what_is_not_run_says_what_it_needs_to_programs_too():
    lacking = study("assignment-3")
    reasons = {entry["claim"]: entry["reason"] for entry in report_data(judge(lacking, []))}
    assert "needs a GPU" in reasons["assignment-3-4a-accuracy"]
    assert reasons["assignment-3-3e-best"] == "no records of best.sgd"
