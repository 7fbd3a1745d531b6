"""The page on contradictions measures what it says, and says what it lacks."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="the docs extra is not installed")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

from _ext.contradictions import Measurement, conclusion, draw, measurements, sizes
from _ext.questions import CHANGES, CONTRADICTIONS, Contradiction, Side

from experiments.catalog import study
from experiments.figures import NARROW, THEMES, WIDE
from experiments.records import Store
from experiments.statements import Reported
from tests.site_pages import text, words
from theory.ledger import claims

LINEAR = CONTRADICTIONS["linear"].sides


@pytest.fixture
def store(tmp_path, make_record):
    """Make a store with runs of two seeds, whose test accuracy is constant, for some recipes."""

    def made(report: str, completion: str, **accuracies) -> Path:
        for role, accuracy in accuracies.items():
            recipe = study(report).recipe(role.replace("_", "-"), completion)
            for seed in range(2):
                changes = {"diverged_after": 3} if accuracy is None else {}
                record = make_record(
                    recipe, seed, study=report, test_accuracy=accuracy or 0.0, **changes
                )
                Store(tmp_path).write(record)
        return tmp_path

    return made


def test_every_side_can_be_measured_by_its_study() -> None:
    for sides in (asked.sides for asked in CONTRADICTIONS.values()):
        assert len({side.report for side in sides}) > 1
        assert len({side.quantity.unit for side in sides}) == 1
        for side in sides:
            for role, epoch in side.quantity.reads.items():
                for completion in study(side.report).completions:
                    assert epoch <= study(side.report).recipe(role, completion).epochs


def test_reported_numbers_are_those_of_the_ledger() -> None:
    ledger = claims()
    (_, tp1), (nni, nn4i, _) = CONTRADICTIONS["batch-normalisation"].sides, LINEAR
    before = ledger["tp1-cnn-q29-dropout"].reported["test"]
    assert tp1.reported == ledger["tp1-cnn-q34-bn"].reported["test"] - before
    linear = ledger["nni-2023-ex1-q2-linear-acc-37"].reported
    assert nni.reported == linear["nonlinear"] - linear["linear"]
    assert nn4i.reported == ledger["nn4i-2023-a1-q2-drop-15"].reported["drop"]
    (seventy,) = (side for side in CONTRADICTIONS["sixty-thousand"].sides if side.reported)
    reached = ledger["nni-2023-ex1-q1c-acc-70"]
    assert seventy.reported in reached.reported.values()
    assert [*seventy.quantity.reads.values()] == [20], reached.statement
    few = ledger["mnist-2017-q4b-reduced"].reported
    assert CONTRADICTIONS["size"].sides[0].reported == few["baseline"] - few["test"]


def test_a_difference_is_known_to_the_rounding_of_both_numbers() -> None:
    """78 % and 80.22 %; 70 % and 37 %; 88.95 % and 90.6 %: half a unit of each last digit."""
    rounded = {
        side.report: side.half_unit
        for asked in ("batch-normalisation", "linear", "size")
        for side in CONTRADICTIONS[asked].sides
        if side.reported is not None
    }
    assert rounded == {
        "tp1-cnn": pytest.approx(0.005 + 0.00005),
        "nni-2023-ex1": pytest.approx(0.005 + 0.005),
        "nn4i-2023-a1": 0.005,
        "mnist-2017": pytest.approx(0.00005 + 0.0005),
    }


def test_sides_are_measured_from_records_and_name_what_is_missing(store) -> None:
    folder = store("nn4i-2023-a1", "adam", block_3x3=0.75, linear_large=0.25)
    measured = {each.label: each for each in measurements(LINEAR, folder)}
    known = measured["nn4i-2023-a1, Adam: with − without nonlinearities"]
    assert known.values == (0.5, 0.5)
    assert str(known) == "+50.0 pp (+50.0 to +50.0 pp, 2 seeds)"
    assert not known.missing
    unknown = measured["nn4i-2023-a1, SGD with momentum 0.9: with − without nonlinearities"]
    assert unknown.missing == ("block-3x3.sgd-momentum", "linear-large.sgd-momentum")
    assert str(unknown) == "not run"
    assert sum(each.known for each in measured.values()) == 1


def test_a_difference_is_taken_on_one_device(tmp_path, make_record) -> None:
    report = study("nn4i-2023-a1")
    # Both roles were run on the GPU, one of them on the CPU as well, with another result.
    for role, device, accuracy in (
        ("block-3x3", "cuda", 0.75),
        ("linear-large", "cuda", 0.25),
        ("block-3x3", "cpu", 0.5),
    ):
        recipe = report.recipe(role, "adam")
        for seed in range(2):
            record = make_record(
                recipe, seed, study=report.name, device=device, test_accuracy=accuracy
            )
            Store(tmp_path).write(record)
    known = [each for each in measurements(LINEAR, tmp_path) if each.known]
    assert [each.values for each in known] == [(0.5, 0.5)]


def test_a_lost_run_is_said_and_not_drawn(store) -> None:
    folder = store("nn4i-2023-a1", "adam", block_3x3=0.75, linear_large=None)
    (each,) = (each for each in measurements(LINEAR, folder) if each.values)
    assert all(math.isnan(value) for value in each.values)
    assert not each.known
    assert str(each) == "the loss diverged for 2 of 2 seeds"


def test_the_picture_has_a_row_for_each_measurement(store) -> None:
    folder = store("nn4i-2023-a1", "adam", block_3x3=0.75, linear_large=0.25)
    measured = measurements(LINEAR, folder)
    (axes,) = draw(measured).axes
    assert len(axes.get_yticks()) == len(measured)
    (mean,) = (line for line in axes.lines if line.get_marker() == "o")
    assert mean.get_xdata()[0] == pytest.approx(50)
    assert [text.get_text() for text in axes.texts] == ["not run"] * (len(measured) - 1)


def test_rows_of_one_report_and_completion_are_named_by_what_is_measured(store) -> None:
    (axes,) = draw(measurements(CHANGES["assignment-3"], store("assignment-3", "sgd"))).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == [side.what for side in CHANGES["assignment-3"]]
    (axes,) = draw(measurements(LINEAR, store("nn4i-2023-a1", "adam"))).axes
    assert "nn4i-2023-a1, Adam:\n" in axes.get_yticklabels()[3].get_text()


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_what_is_written_beside_the_rows_stays_within_the_picture(store, width) -> None:
    folder = store("nn4i-2023-a1", "adam", block_3x3=0.75, linear_large=0.25)
    figure = draw(measurements(LINEAR, folder), width)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    for label in (axes.xaxis.label, *axes.get_yticklabels()):
        box = label.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width
    assert axes.get_window_extent().width > 0.4 * figure.bbox.width


def test_the_page_is_built_with_and_without_records(store, build_page) -> None:
    page = "# Page\n\n" + "".join(
        f"```{asked}\n```\n\n"
        for asked in ("{contradiction} linear", "{contradiction} depth", "{changes} assignment-3")
    )
    folder = store("nn4i-2023-a1", "adam", block_3x3=0.75, linear_large=0.25)
    html = build_page(page, "_ext.contradictions", store=folder)
    assert html.count("<img") == 2 * len(THEMES)  # drawn for wide and for narrow screens
    said = words(html)
    assert "+50.0 pp" in html
    assert "assignment-3: ELU − ReLU elu at the lowest validation loss − task-2 at" in said
    assert "The question stays open." in html
    assert "python -m experiments run mnist-2017" in text(html)


def _concluded(*measured: tuple[str, str, tuple[float, ...]]) -> str:
    """Conclude from the values of sides, each given by its report and what it measures."""
    quantity = LINEAR[0].quantity
    sides = [
        Measurement(Side(report, what, quantity, ""), "sgd", values, ())
        for report, what, values in measured
    ]
    return conclusion(Contradiction((), "it helps", "it hurts"), sides)


UP, DOWN, FLAT = (0.1, 0.11, 0.12), (-0.1, -0.11, -0.12), (-0.1, 0.0, 0.1)


def test_a_question_is_open_while_a_side_was_not_run_or_lost() -> None:
    told = _concluded(
        ("a", "x", UP), ("b", "x", ()), ("c", "x", (0.1, math.nan)), ("d", "x", UP[:1])
    )
    assert told == (
        "It helps in a (sgd); runs are missing or lost in b (sgd), c (sgd), d (sgd). "
        "The question stays open."
    )


def test_differences_of_both_signs_stand_each_where_it_was_measured() -> None:
    told = _concluded(("a", "x", UP), ("b", "x", DOWN))
    assert told == (
        "It helps in a (sgd); it hurts in b (sgd). Both stand, each where it was measured."
    )


def test_an_interval_that_reaches_to_zero_is_no_answer() -> None:
    told = _concluded(("a", "x", FLAT), ("b", "x", FLAT))
    assert told == "Neither sign is ruled out in a (sgd), b (sgd). The question stays open."


def test_parts_of_one_report_are_told_apart() -> None:
    told = _concluded(("a", "x", UP), ("a", "y", FLAT))
    assert told == (
        "It helps in a (sgd: x); neither sign is ruled out in a (sgd: y). The question stays open."
    )


def _sized(reported: float | None, *values: tuple[float, ...], half_unit: float = 0.005) -> str:
    side = Side("a", "x", LINEAR[0].quantity, "", reported, half_unit)
    return sizes([Measurement(side, f"c{i}", each, ()) for i, each in enumerate(values)])


NEAR, WIDE = (0.105, 0.11, 0.115), (0.05, 0.1, 0.15)


def test_a_reported_size_is_held_against_the_next_run() -> None:
    """And not against that of the mean, +9.8 to +12.2 pp, which would leave +13 pp out."""
    told = _sized(0.13, NEAR, DOWN, (), (math.nan, 0.1), WIDE)
    assert told == (
        "a gives +13 pp, which lies inside the range of one further run under c0 (+8.5 to "
        "+13.5 pp), and outside the range of one further run under c1 (-16.0 to -6.0 pp), and in a "
        "range too wide to confirm it under c4 (-14.8 to +34.8 pp)."
    )


def test_a_size_lies_inside_where_the_same_number_of_a_report_is_reproduced() -> None:
    said = {
        "reproduced": "inside the range of one further run",
        "not_reproduced": "outside the range of one further run",
        "undecided": "in a range too wide to confirm it",
    }
    met = set()
    for value in (0.05, 0.08, 0.083, 0.11, 0.14, 0.2):
        for half_unit in (0.0005, 0.005):
            for runs in (NEAR, UP, WIDE, DOWN):
                statement = Reported("a", LINEAR[0].quantity, value, half_unit)
                verdict = statement.judge(runs, test_images=10_000, grid=0).verdict
                told = _sized(value, runs, half_unit=half_unit)
                assert f"pp, which lies {said[verdict]} under" in told
                met.add(verdict)
    assert met == said.keys()


def test_a_size_is_known_to_its_rounding() -> None:
    """The next run is expected from +8.5 to +13.5 pp."""
    assert "a gives -1.65 pp, which" in _sized(-0.0165, NEAR, half_unit=0.00055)
    assert "a gives +14.0 pp, which lies outside" in _sized(0.14, NEAR, half_unit=0.0005)
    assert "a gives +14 pp, which lies inside" in _sized(0.14, NEAR, half_unit=0.01)


def test_a_size_without_runs_is_open_and_none_is_said_of_none() -> None:
    told = _sized(0.15, (), UP[:1], (math.nan,) * 3)
    assert told == "a gives +15 pp, with too few runs to tell."
    assert _sized(None, UP) == ""


def test_agreement_is_said() -> None:
    told = _concluded(("a", "x", UP), ("b", "x", UP))
    assert told == "It helps in a (sgd), b (sgd). Nothing that was measured points the other way."


def test_what_is_shown_is_what_decides() -> None:
    """A question that shows accuracies decides by their differences, taken at the same time."""
    for asked in CONTRADICTIONS.values():
        shown = {part for side in asked.sides for part in side.quantity.where.split(" − ")}
        for side in asked.decides:
            assert set(side.quantity.where.split(" − ")) <= shown
