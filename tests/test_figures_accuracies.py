"""Pictures of accuracies: each point and bar in its row and colour, beside what was reported."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgb

from experiments import figures
from experiments.verdicts import judge
from tests.reported_study import STUDY


def test_reported_numbers_stand_beside_what_was_measured(noisy_records) -> None:
    findings = [f for claim in judge(STUDY, noisy_records) for f in claim.findings]
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
        str(f.quantity): round(100 * f.statement.reported)
        for f in findings
        if f.quantity.unit == "accuracy" and f.statement.reported
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


def test_a_band_is_as_wide_as_its_number_is_rounded_and_a_difference_has_no_row(
    noisy_records,
) -> None:
    findings = [f for claim in judge(STUDY, noisy_records) for f in claim.findings]
    first, second = [
        f for f in findings if f.quantity.unit == "accuracy" and f.statement.reported and f.interval
    ][:2]
    fine = dataclasses.replace(
        first, statement=dataclasses.replace(first.statement, half_unit=0.0005)
    )
    points = dataclasses.replace(second.quantity, what="difference", unit="points")
    difference = dataclasses.replace(
        second, statement=dataclasses.replace(second.statement, quantity=points)
    )
    drawn = figures.draw_measured_against_reported([fine, difference], list(STUDY.completions))
    (axes,) = drawn.axes
    labels = [tick.get_text().replace("\n", ", ") for tick in axes.get_yticklabels()]
    assert labels == [str(fine.quantity)]
    (band,) = (each for each in axes.collections if isinstance(each, PolyCollection))
    assert np.ptp(band.get_paths()[0].vertices[:, 0]) == pytest.approx(0.1, rel=1e-9)


def colors_and_markers(figure) -> dict[str, tuple[str, str]]:
    """Return by which colour and marker the legend tells what from what."""
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    keys = [(key.get_color(), key.get_marker()) for key in legend.get_lines()]
    assert len(set(keys)) == len(keys)
    return dict(zip(names, keys, strict=True))


def test_a_point_and_its_bar_are_in_the_row_and_colour_of_what_they_show(noisy_records) -> None:
    completions = list(STUDY.completions)
    findings = [f for claim in judge(STUDY, noisy_records) for f in claim.findings]
    shown = [
        f
        for f in findings
        if f.quantity.unit == "accuracy"
        and f.statement.reported
        and f.interval
        and f.measurement.mean is not None
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
        assert measured == pytest.approx(100 * finding.measurement.mean, rel=1e-12)
        assert labels[round(place)] == str(finding.quantity)
        assert (point.get_color(), point.get_marker()) == keys[finding.completion]
        (lines,) = bar.lines[2]
        (segment,) = lines.get_segments()
        ends = [[100 * finding.interval.low, place], [100 * finding.interval.high, place]]
        np.testing.assert_allclose(segment, ends, rtol=1e-12)
        assert tuple(lines.get_color()[0][:3]) == to_rgb(point.get_color())
        places.setdefault(str(finding.quantity), {})[finding.completion] = place
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
    [finding] = [f for f in claim.findings if f.interval and f.quantity.what.startswith("train")]
    assert finding.measurement.mean < finding.interval.low == finding.interval.high == 0.8
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
