"""Equivalence: bfloat16 is licensed by a whole interval within the margin, and by nothing less."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
import subprocess
import sys

import pytest
from scipy import stats

from experiments.catalog import study
from experiments.equivalence import equivalences
from experiments.figures import THEMES
from experiments.records import Store
from experiments.variants import apart, variant

DIGITS = study("digits")
RECIPE, OTHER = DIGITS.recipes[:2]
MACHINE = {"hardware": "a processor", "threads": 1}
SMALL = [0.001, 0.003, 0.002, 0.001, 0.003]
"""Differences with mean 0.2 points, whose interval reaches 0.32 points."""


@pytest.fixture
def runs(make_record):
    """Make the records of one recipe in one precision, a test accuracy a seed; None diverged."""

    def make(precision, accuracies, *, recipe=RECIPE, seconds=100.0, **fields):
        changed = variant(recipe, precision=precision, epochs_scale=fields.pop("epochs_scale", 1))
        made = {"wall_seconds": 200.0, "training_seconds": seconds, **MACHINE}
        made |= fields.pop("provenance", {})
        return [
            make_record(
                changed, seed, study="digits", provenance=made, test_accuracy=accuracy or 0.0,
                diverged_after=2 if accuracy is None else None, **fields,
            )
            for seed, accuracy in enumerate(accuracies)
        ]  # fmt: skip

    return make


@pytest.fixture
def judged(runs):
    """Judge a recipe by the differences of its pairs, bfloat16 - float32."""

    def judge(differences, **fields):
        reference = [0.75 + 0.02 * seed for seed in range(len(differences))]
        reduced = [a + b for a, b in zip(reference, differences, strict=True)]
        images = {"test_size": fields.pop("test_size", 10_000)}
        both = runs("float32", reference, **images), runs("bfloat16", reduced, **images, **fields)
        return only([*both[0], *both[1]])

    return judge


def only(records):
    (found,) = equivalences(DIGITS, records)
    return found


# --- the rule -----------------------------------------------------------------------------------


def test_a_whole_interval_within_the_margin_is_a_licence(judged):
    found = judged(SMALL, test_size=10**12)  # so that an image is nothing
    expected = stats.ttest_1samp(SMALL, 0).confidence_interval(0.95)
    assert (found.study, found.recipe) == (DIGITS, RECIPE)
    assert (found.seeds, found.diverged, found.pairs) == ((0, 1, 2, 3, 4), (), 5)
    assert found.licensed is True
    assert found.difference == pytest.approx(0.002, rel=1e-9)
    assert found.differences == pytest.approx(SMALL, rel=1e-9)
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(expected), rel=1e-9)
    assert found.reason == "the interval lies within ±0.5 points"
    assert str(found) == "+0.20 ± 0.12 pp"


def test_the_sign_is_that_of_bfloat16(judged):
    """What bfloat16 loses is negative."""
    found = judged([-each for each in SMALL])
    assert found.licensed is True
    assert found.difference == pytest.approx(-0.002, rel=1e-9)
    assert found.interval.low == pytest.approx(-0.00324, abs=1e-5)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(
    ("differences", "why"),
    [
        # The mean is 0.4 points, and the interval reaches 0.52.
        ([0.003, 0.005, 0.004, 0.003, 0.005], "the interval is too wide"),
        # The mean is 0.1 points.
        ([-0.009, 0.011, 0.001, -0.009, 0.011], "the interval is too wide"),
        ([0.009, 0.011, 0.010, 0.009, 0.011], "the difference is too large"),
        (
            [-0.010, 0.030, 0.010, -0.010, 0.030],
            "the difference is too large and the interval is too wide",
        ),
    ],
)
def test_an_interval_that_leaves_the_margin_is_none(judged, sign, differences, why):
    found = judged([sign * each for each in differences])
    assert found.licensed is False
    assert found.reason == f"not within ±0.5 points: {why}"


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [(4, "4 pairs; 5 are needed"), (3, "3 pairs; 5 are needed"), (1, "1 pair; 5 are needed")],
)
def test_fewer_than_five_pairs_say_nothing(judged, pairs, reason):
    found = judged([0.001] * pairs)
    assert (found.licensed, found.reason, found.pairs) == (None, reason, pairs)
    large = judged([0.2] * pairs)
    assert (large.licensed, large.reason) == (None, reason)


def test_where_patience_ends_a_run_the_weights_that_it_keeps_count(make_record):
    """Red if the last epoch is compared, whose weights nothing is judged by."""
    report = study("assignment-3")
    recipe = next(recipe for recipe in report.recipes if recipe.patience is not None)

    def run(precision, seed, kept, last):
        record = make_record(
            variant(recipe, precision=precision), seed, train_loss=[1.0] * 3,
            train_accuracy=[0.5] * 3, test_loss=[1.0] * 3, test_accuracy=[0.25, kept, last],
        )  # fmt: skip
        record.curves.validation_loss.extend([3.0, 1.0, 2.0])
        return record

    reference = [run("float32", seed, 0.75, 0.5) for seed in range(5)]
    reduced = [run("bfloat16", seed, 0.75 + each, 0.7) for seed, each in enumerate(SMALL)]
    (found,) = equivalences(report, [*reference, *reduced])
    assert found.differences == pytest.approx(SMALL, rel=1e-9)
    assert found.licensed is True


def test_only_seeds_that_have_both_precisions_count(runs):
    """Five runs of each are not five pairs."""
    reduced = runs("bfloat16", [0.75] * 6)
    found = only([*runs("float32", [0.75] * 5), *reduced[3:]])
    assert (found.seeds, found.licensed, found.reason) == ((3, 4), None, "2 pairs; 5 are needed")
    alone = only(reduced)
    assert (alone.seeds, alone.difference, alone.interval) == ((), None, None)
    assert (alone.licensed, alone.reason, str(alone)) == (None, "0 pairs; 5 are needed", "–")


def test_pairs_are_of_one_kind_of_device(runs):
    found = only([*runs("float32", [0.75] * 5), *runs("bfloat16", [0.75] * 5, device="cuda")])
    assert (found.pairs, found.licensed) == (0, None)


@pytest.mark.parametrize(
    ("reduced", "reference", "reason"),
    [
        ([2, 4], [], "the loss diverged in bfloat16 alone: seeds 2, 4"),
        ([], [1], "the loss diverged in float32 alone: seed 1"),
        ([3], [3], "the loss diverged in both precisions: seed 3"),
        (
            range(7),
            [0],
            "the loss diverged in bfloat16 alone: seeds 1, 2, 3, 4, 5, 6; "
            "the loss diverged in both precisions: seed 0",
        ),
    ],
)
def test_a_diverged_run_costs_the_licence(runs, reduced, reference, reason):
    """However many pairs are left: what could not be compared is not left out in silence."""
    records = [
        run
        for precision, lost in (("bfloat16", reduced), ("float32", reference))
        for run in runs(precision, [None if seed in lost else 0.75 for seed in range(7)])
    ]
    found = only(records)
    assert found.licensed is False
    assert found.reason == reason
    assert found.diverged == tuple(sorted({*reduced, *reference}))
    assert set(found.seeds) == set(range(7)) - set(found.diverged)
    assert found.pairs == 7


def test_a_diverged_run_is_told_among_few_pairs_too(runs):
    found = only([*runs("float32", [0.75] * 3), *runs("bfloat16", [0.75, None, 0.75])])
    assert found.licensed is None
    assert found.reason == "3 pairs; 5 are needed; the loss diverged in bfloat16 alone: seed 1"


def test_variants_of_another_length_are_passed_over(runs):
    short = runs("bfloat16", [0.75] * 5, epochs_scale=0.1)
    assert equivalences(DIGITS, [*runs("float32", [0.75] * 5), *short]) == ()
    shorter = runs("float32", [0.75] * 5, epochs_scale=0.1)
    assert equivalences(DIGITS, [*short, *shorter]) == ()
    found = only([*runs("float32", [0.75] * 5), *short, *runs("bfloat16", [0.7] * 3)])
    assert found.pairs == 3


def test_a_recipe_in_float32_alone_is_not_in_the_study(runs):
    records = [*runs("float32", [0.75] * 5), *runs("float32", [0.5] * 5, recipe=OTHER)]
    found = only([*records, *runs("bfloat16", [0.5] * 5, recipe=OTHER)])
    assert found.recipe == OTHER


def test_a_recipe_that_is_in_bfloat16_itself_is_not_held_against_itself(runs):
    own = dataclasses.replace(RECIPE, name="own.adam", precision="bfloat16")
    study = dataclasses.replace(DIGITS, recipes=(own,), statements=())
    assert equivalences(study, runs("bfloat16", [0.75] * 5, recipe=own)) == ()


def test_an_initial_network_has_no_training_to_compare(make_record):
    initial = dataclasses.replace(RECIPE, epochs=0)
    study = dataclasses.replace(DIGITS, recipes=(initial,), statements=())
    both = (initial, variant(initial, precision="bfloat16"))
    records = [make_record(recipe, seed, study="digits") for recipe in both for seed in range(5)]
    assert equivalences(study, records) == ()


def test_records_of_different_data_are_refused(runs):
    records = [*runs("float32", [0.7] * 5), *runs("bfloat16", [0.7] * 5, dataset_fingerprint="b")]
    with pytest.raises(ValueError, match="different versions of data set 'digits'"):
        equivalences(DIGITS, records)


# --- speed --------------------------------------------------------------------------------------


def test_speed_is_the_median_of_the_pairs_ratios(runs):
    reference = runs("float32", [0.75] * 5)
    seconds = [50.0, 200.0, 25.0, 100.0, 80.0]
    reduced = [
        runs("bfloat16", [0.75] * 5, seconds=each)[seed] for seed, each in enumerate(seconds)
    ]
    assert only([*reference, *reduced]).speed == pytest.approx(100 / 80, rel=1e-12)


def test_a_run_that_is_ended_early_is_no_faster_for_it(make_record):
    """Of as many seconds, one spent them on twice as many epochs."""
    report = study("assignment-3")
    recipe = next(recipe for recipe in report.recipes if recipe.patience is not None)

    def run(precision, epochs):
        curve = [0.5] * epochs
        record = make_record(
            variant(recipe, precision=precision), 0, train_loss=curve, train_accuracy=curve,
            test_loss=curve, test_accuracy=curve,
        )  # fmt: skip
        record.curves.validation_loss.extend(curve)
        return record

    (found,) = equivalences(report, [run("float32", 4), run("bfloat16", 2)])
    assert found.speed == 0.5


def test_a_run_that_diverged_has_no_speed(runs):
    """The epoch that went wrong is in its seconds, and in no curve."""
    reduced = runs("bfloat16", [0.75, None, None], seconds=50.0)
    found = only([*runs("float32", [0.75] * 3), *reduced])
    assert found.speed == pytest.approx(2, rel=1e-12)


@pytest.mark.parametrize(
    "made",
    [{"hardware": "another"}, {"threads": 2}, {"fleet": 5}],
    ids=str,
)
def test_speeds_of_unequal_machines_are_not_compared(judged, made):
    found = judged(SMALL, provenance=made)
    assert found.licensed is True
    assert found.speed is None


def test_pairs_on_unequal_machines_leave_the_others_speed_alone(runs):
    reduced = [
        *runs("bfloat16", [0.75] * 3, seconds=50.0),
        *runs("bfloat16", [0.75] * 5, seconds=1.0, provenance={"threads": 2})[3:],
    ]
    assert only([*runs("float32", [0.75] * 5), *reduced]).speed == pytest.approx(2, rel=1e-12)


# --- the command --------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path, runs):
    """Store five pairs of one recipe and three of another, some variants of other lengths too."""
    noise = [0.005, -0.003, 0.001]
    folder = tmp_path / "results"
    for run in (
        *runs("float32", [0.75] * 5),
        *runs("float32", [0.5] * 3, recipe=OTHER),
    ):
        Store(folder).write(run)
    for run in (
        *runs("bfloat16", [0.75 + each for each in SMALL], seconds=80.0),
        *runs("bfloat16", [0.5 + each for each in noise], recipe=OTHER),
        *runs("bfloat16", [0.1] * 5, epochs_scale=0.1),
        *runs("float32", [0.1] * 5, epochs_scale=0.1),
    ):
        apart(Store(folder)).write(run)
    return folder


def test_the_command_says_what_is_licensed(convlaws, store):
    code, out, _ = convlaws("precision", "digits", "--store", store)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 100
    rows = [" ".join(line.split()) for line in out.splitlines()]
    assert any(row.startswith("digits 5 +0.20 ± 0.12 pp ×1.25 yes the interval") for row in rows)
    assert any(row.startswith("digits 3 +0.10 ± 0.99 pp ×1.00 undecided 3 pairs;") for row in rows)
    assert f"may be trained in bfloat16: digits.{RECIPE.name}" in rows
    assert any(row.startswith("all others run in float32") for row in rows)


def test_the_command_prints_json(convlaws, store):
    _, out, _ = convlaws("precision", "digits", "--store", store, "--json")
    first, second = json.loads(out)
    assert (first["report"], first["recipe"]) == ("digits", RECIPE.name)
    assert (first["seeds"], first["diverged"]) == ([0, 1, 2, 3, 4], [])
    assert first["difference"] == pytest.approx(0.002, rel=1e-9)
    assert first["interval"] == pytest.approx([0.00076, 0.00324], abs=1e-5)
    assert (first["licensed"], first["speed"]) == (True, 1.25)
    assert (second["licensed"], second["reason"]) == (None, "3 pairs; 5 are needed")


@pytest.mark.parametrize("folder", ["results", "results/digits"])
def test_without_runs_in_bfloat16_the_command_says_how_to_make_them(convlaws, tmp_path, folder):
    (tmp_path / folder).mkdir(parents=True)
    store = tmp_path / "results"
    code, out, _ = convlaws("precision", "--store", store)
    assert code == 0
    command = "python -m experiments run REPORT RECIPE --seeds 5"
    assert f"{command} --store {store}\n{command} --precision bfloat16 --store {store}\n" in out
    assert "may be trained in bfloat16: none\nall others run in float32" in out
    _, out, _ = convlaws("precision", "--store", store, "--json")
    assert json.loads(out) == []


def test_the_command_refuses_what_is_not_there(refused, tmp_path):
    assert "store" in refused("precision", "--store", tmp_path / "nothing")
    assert "did you mean digits?" in refused("precision", "digit", "--store", tmp_path)


def test_the_command_does_not_wait_for_pytorch():
    code = "import sys, experiments.__main__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- the page -----------------------------------------------------------------------------------

PAGE = "# Page\n\n```{precision-differences}\n```\n\n```{precision-licences}\n```\n\n" + (
    "```{precision-commands}\n```\n"
)


@pytest.fixture
def page(build_page):
    """Build a site of one page that shows the study; return its HTML, or raise."""
    return lambda store: build_page(PAGE, "_ext.precision", store=store)


def text(html):
    return re.sub(r"<[^>]*>", "", html)


def test_the_page_shows_the_study(page, store):
    html = page(store)
    assert html.count("<img") == 2 * len(THEMES)  # drawn for wide and for narrow screens
    alt = re.search(r'alt="([^"]*)"', html)[1]
    assert f"digits, {RECIPE.name}: +0.20 ± 0.12 pp, licensed." in alt
    assert f"digits, {OTHER.name}: +0.10 ± 0.99 pp, 3 pairs; 5 are needed." in alt
    said = text(html)
    assert "×1.25" in said
    assert "16 runs" in said
    assert "a processor" in said
    assert f"May be trained in bfloat16: digits.{RECIPE.name}. All others run in float32." in said
    command = f"python -m experiments run digits {RECIPE.name} {OTHER.name} --seeds 5"
    assert f"$ {command} --store {store}\n$ {command} --precision bfloat16" in said
    assert f"$ python -m experiments precision --store {store}" in said


@pytest.mark.parametrize("there", [True, False])
def test_without_records_the_page_says_that_nothing_was_run(page, tmp_path, there):
    store = tmp_path / "empty"
    if there:
        store.mkdir()
    html = page(store)
    assert "<img" not in html
    assert "not run yet The study has not been run" in text(html)
    assert "all of them run in float32" in text(html)
    assert "python -m experiments run REPORT RECIPE --seeds 5 --precision bfloat16" in text(html)


def test_the_picture_has_the_band_and_a_row_for_each_recipe(page, store):
    pictures = importlib.import_module("_ext.precision_pictures")
    found = importlib.import_module("_ext.runs").equivalences_of(store)
    (axes,) = pictures.differences(found).axes
    assert len(axes.get_yticks()) == len(found) == 2
    (band,) = axes.patches
    assert (band.get_x(), band.get_width()) == pytest.approx((-0.5, 1.0))
    means = {line.get_marker(): line.get_xdata()[0] for line in axes.lines}
    assert means["o"] == pytest.approx(0.2)  # licensed
    assert means["s"] == pytest.approx(0.1)
    points = [line.get_xdata() for line in axes.lines if line.get_marker() == "."]
    assert points[0] == pytest.approx([100 * each for each in SMALL])


def test_a_stale_variant_fails_the_page(page, store, runs):
    (record,) = runs("bfloat16", [0.5], recipe=OTHER)
    old = json.loads(record.to_json())
    old["recipe"]["batch"] += 1
    records = importlib.import_module("experiments.records")
    recipe = records.Recipe(
        **old["recipe"] | {"optimizer": records.Optimizer(**old["recipe"]["optimizer"])}
    )
    old["key"] = records.record_key(recipe, 0, record.dataset_fingerprint, "cpu")
    (store / "variants" / "digits" / "old.json").write_text(json.dumps(old))
    with pytest.raises(Exception, match=r"seed 0 \(\w+\): its recipe is not in the catalogue"):
        page(store)
