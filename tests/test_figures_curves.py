"""Curves of loss and accuracy: mean and band, told apart without colour."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from experiments import figures
from tests.reported_study import STUDY


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


def test_more_labels_than_colours_are_refused(make_record) -> None:
    runs = {str(i): [make_record(STUDY.recipes[0], 0)] for i in range(8)}
    with pytest.raises(ValueError, match="8 labels are too many"):
        figures.draw_curves(runs)


def test_a_label_without_records_is_named() -> None:
    with pytest.raises(ValueError, match="no records to draw for 'linear'"):
        figures.draw_curves({"linear": []})
