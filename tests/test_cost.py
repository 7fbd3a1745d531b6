"""Cost: hours and images a second, by recipe and machine, from records alone."""

import dataclasses
import json
import re
import subprocess
import sys

import pytest

from experiments.catalog import study
from experiments.cost import Machine, costs, hours
from experiments.records import Store
from tests.site_pages import words

DIGITS = study("digits")
RECIPE, OTHER = DIGITS.recipes[:2]


@pytest.fixture
def run(make_record):
    """Make the record of a run of the digits."""

    def make(recipe=RECIPE, seed=0, *, wall=100.0, training=50.0, **fields):
        made = {
            "wall_seconds": wall, "training_seconds": training, "hardware": "a processor",
            "threads": 1,
        } | fields.pop("made", {})  # fmt: skip
        return make_record(recipe, seed, study="digits", provenance=made, **fields)

    return make


def test_hours_are_summed_and_multiplied_by_threads(run):
    found = costs(DIGITS, [run(seed=0, wall=1800), run(seed=1, wall=5400)])
    assert [(each.runs, each.hours) for each in found] == [(2, 2.0)]
    (each,) = costs(DIGITS, [run(wall=1800, made={"threads": 4})])
    assert each.hours == 2.0
    assert hours([each], "cpu") == 2.0
    assert hours([each], "cuda") == 0


def test_hours_of_a_card_are_not_multiplied_by_threads(run):
    (each,) = costs(DIGITS, [run(wall=3600, device="cuda", made={"threads": 4})])
    assert each.hours == 1.0
    assert (hours([each], "cpu"), hours([each], "cuda")) == (0, 1.0)


def test_images_a_second_are_the_median_of_what_was_seen_in_training(run):
    records = [run(seed=seed, training=seconds) for seed, seconds in enumerate((100, 50, 1000))]
    (each,) = costs(DIGITS, records)
    assert each.images_per_second == RECIPE.epochs * 50_000 / 100


def test_a_run_that_diverged_has_hours_and_no_images_a_second(run):
    """The epoch that went wrong took time, and is in no curve."""
    diverged = run(training=100, wall=3600, diverged_after=3)
    (each,) = costs(DIGITS, [diverged])
    assert (each.hours, each.images_per_second) == (1.0, None)
    (both,) = costs(DIGITS, [diverged, run(seed=1, training=50)])
    assert both.images_per_second == RECIPE.epochs * 50_000 / 50


def test_a_run_that_patience_ended_saw_fewer_images(run):
    patient = dataclasses.replace(RECIPE, patience=1, validation=10)
    curves = dict.fromkeys(
        ("train_loss", "train_accuracy", "test_loss", "test_accuracy"), [1.0] * 3
    )
    record = run(patient, training=100, **curves)
    (each,) = costs(dataclasses.replace(DIGITS, recipes=(patient,), statements=()), [record])
    assert each.images_per_second == 3 * 50_000 / 100


def test_counted_steps_see_full_batches(run):
    mnist = study("mnist-2017")
    recipe = mnist.recipe("baseline", "1000")
    (each,) = costs(mnist, [dataclasses.replace(run(recipe, training=10), study="mnist-2017")])
    assert each.images_per_second == 1000 * 50 / 10


def test_an_initial_network_has_no_images_a_second(run):
    tp1 = study("tp1-cnn")
    recipe = tp1.recipe("initial", "sgd")
    (each,) = costs(tp1, [dataclasses.replace(run(recipe, training=0.0), study="tp1-cnn")])
    assert each.images_per_second is None


@pytest.mark.parametrize(
    "other", [{"hardware": "another"}, {"threads": 2}, {"fleet": 8}], ids=lambda other: str(other)
)
def test_machines_are_never_mixed(run, other):
    records = [run(seed=0, training=100), run(seed=1, training=10, made=other), run(OTHER)]
    found = costs(DIGITS, records)
    assert len(found) == 3
    assert {each.runs for each in found} == {1}
    machines = [each.machine for each in found]
    assert machines == sorted(machines)  # one machine after the other
    assert len(set(machines)) == 2


@pytest.mark.parametrize(
    ("machine", "told"),
    [
        (Machine("cpu", "a processor", 1, 1), "a processor, 1 thread a run"),
        (Machine("cpu", "a processor", 2, 2), "a processor, 2 threads a run, fleets of 2"),
        (Machine("cuda", "a card", 4, 1), "a card"),
        (Machine("cuda", "a card", 4, 8), "a card, fleets of 8"),
    ],
)
def test_a_machine_says_what_its_times_are_of(machine, told):
    assert str(machine) == told


def test_what_no_longer_counts_is_passed_over(run):
    stale = dataclasses.replace(RECIPE, batch=RECIPE.batch + 1)
    assert costs(DIGITS, [run(stale)]) == ()
    assert costs(DIGITS, [dataclasses.replace(run(), engine=0)]) == ()


def test_a_recipe_under_two_names_was_run_once(run):
    twice = dataclasses.replace(
        DIGITS, recipes=(*DIGITS.recipes, dataclasses.replace(RECIPE, name="again.adam"))
    )
    (each,) = costs(twice, [run()])
    assert (each.recipe, each.runs) == (RECIPE, 1)


# --- the command and the page -------------------------------------------------------------------


@pytest.fixture
def store(run, tmp_path):
    kept = Store(tmp_path / "store")
    for record in (
        run(seed=0, wall=3600, training=100),
        run(seed=1, wall=3600, training=100),
        run(OTHER, wall=1800, training=0.5, device="cuda", made={"hardware": "a card"}),
    ):
        kept.write(record)
    return kept.root


def test_the_command_prints_tables_and_json(convlaws, store):
    code, out, _ = convlaws("cost", "digits", "--store", store)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 100
    assert "digits  3 runs, 2.0 core-hours, 0.5 GPU-hours" in out
    assert "on a processor, 1 thread a run\n" in out
    assert "on a card\n" in out
    rate = RECIPE.epochs * 50_000 / 100
    assert re.search(rf"{RECIPE.name} +2 +2\.00 +{rate:,.0f}\n", out.replace(" \n", "\n"))
    data = json.loads(convlaws("cost", "digits", "--store", store, "--json")[1])
    assert [(each["core_hours"], each["gpu_hours"]) for each in data] == [(2.0, 0.5)]
    assert data[0]["recipes"][0] == {
        "recipe": RECIPE.name, "device": "cpu", "hardware": "a processor", "threads": 1,
        "fleet": 1, "runs": 2, "hours": 2.0, "images_per_second": rate,
    }  # fmt: skip
    assert len(json.loads(convlaws("cost", "--store", store, "--json")[1])) > 1


def test_no_runs_and_no_store_are_said(convlaws, refused, tmp_path):
    (tmp_path / "digits").mkdir()
    code, out, _ = convlaws("cost", "digits", "--store", tmp_path)
    assert (code, out.strip()) == (0, "digits  0 runs")
    assert "nowhere" in refused("cost", "--store", tmp_path / "nowhere")
    assert "report 'digit' is not in the catalogue" in refused("cost", "digit")


def test_the_command_reads_records_without_pytorch():
    code = "import sys, experiments.commands.cost; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


PAGE = "# Page\n\n```{cost-sum}\n```\n\n```{cost-recipes}\n```\n"


def test_the_page_shows_the_same(build_page, store):
    said = words(build_page(PAGE, "_ext.cost", store=store))
    assert "report runs core-hours GPU-hours digits 3 2.0 0.5 all 3 2.0 0.5" in said
    assert "digits, on a card: recipe runs hours images/s" in said
    assert f"{RECIPE.name} 2 2.00 {RECIPE.epochs * 500:,}" in said


def test_a_page_without_runs_says_so(build_page, tmp_path):
    assert "Nothing was run so far." in build_page(PAGE, "_ext.cost", store=tmp_path / "empty")
