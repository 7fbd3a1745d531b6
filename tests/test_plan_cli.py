"""The command that says how many more seeds would decide what is open."""

from __future__ import annotations

import json

import pytest

from experiments.catalog import study
from experiments.prospects import MOST_SEEDS
from experiments.records import Store

NNI = study("nni-2023-ex1")
CLAIM = "nni-2023-ex1-q1c-acc-70"
COMMAND = "python -m experiments run nni-2023-ex1 filters-20-lr-0.001.adam --seeds {}"


@pytest.fixture
def store(tmp_path, make_record):
    """Return a store in which the claim of 70 % is open: of 4 seeds with Adam, of 2 that differ."""
    (tmp_path / NNI.name).mkdir()
    accuracies = {"adam": (0.68, 0.69, 0.71, 0.72), "sgd": (0.5, 0.9)}
    for completion, seeds in accuracies.items():
        for seed, accuracy in enumerate(seeds):
            recipe = NNI.recipe("filters-20-lr-0.001", completion)
            record = make_record(
                recipe, seed, study=NNI.name, test_accuracy=accuracy,
                provenance={"wall_seconds": 1200.0, "training_seconds": 1200.0},
            )  # fmt: skip
            Store(tmp_path).write(record)
    return tmp_path


def plan_of(convlaws, store):
    _, out, _ = convlaws("plan", NNI.name, "--store", store, "--json")
    return {each["completion"]: each for each in json.loads(out) if each["claim"] == CLAIM}


def test_a_plan_says_what_would_decide_a_claim_and_what_it_takes(convlaws, store):
    found = plan_of(convlaws, store)
    near, far = found["adam"], found["sgd"]
    assert near["seeds"] > 4
    assert near["verdict"] == near["claim_verdict"] == "reproduced"
    assert near["runs"] == {"filters-20-lr-0.001.adam": [*range(4, near["seeds"])]}
    assert near["seconds"] == 1200 * (near["seeds"] - 4)
    assert near["command"] == COMMAND.format(near["seeds"]) + f" --store {store}"
    assert (far["seeds"], far["verdict"], far["command"]) == (None, "undecided", None)


def test_a_plan_reads_as_its_data_say(convlaws, store):
    near = plan_of(convlaws, store)["adam"]
    code, out, _ = convlaws("plan", NNI.name, "--store", store)
    assert code == 0
    what, cost, command, *rest = out[out.index(f"{CLAIM} under adam") :].splitlines()
    assert what == f"{CLAIM} under adam"
    runs = near["seeds"] - 4
    until = near["seeds"] - 1
    assert cost == f"  reproduced with seeds 0 to {until}: {runs} more runs, {runs // 3} h 00 min"
    assert command.strip() == near["command"]
    far = rest.index(f"still open with {MOST_SEEDS} seeds like these:")
    assert f"  {CLAIM} under sgd" in rest[far:]
    assert "Decide how many to run before you run them" in out
    prose = [line for line in out.splitlines() if not line.startswith("  python")]
    assert max(map(len, prose)) <= 100


def test_the_plan_keeps_its_word(convlaws, store, make_record):
    """Red where the seeds that it names, once they are run and like the others, decide nothing."""
    seeds = plan_of(convlaws, store)["adam"]["seeds"]
    for seed in range(4, seeds):
        recipe = NNI.recipe("filters-20-lr-0.001", "adam")
        accuracy = 0.70 + (-1) ** seed * 0.015
        record = make_record(recipe, seed, study=NNI.name, test_accuracy=accuracy)
        Store(store).write(record)
    assert CLAIM not in {each["claim"] for each in plan_of(convlaws, store).values()}
    _, out, _ = convlaws("report", NNI.name, "--store", store, "--json")
    verdicts = {each["claim"]: each["claim_verdict"] for each in json.loads(out)}
    assert verdicts[CLAIM] == "reproduced"


def test_where_nothing_is_open_the_plan_says_so(convlaws, tmp_path):
    (tmp_path / "digits").mkdir()
    _, out, _ = convlaws("plan", "digits", "--store", tmp_path)
    assert out.strip() == "nothing is open that was run: status says what was not"
    _, out, _ = convlaws("plan", "digits", "--store", tmp_path, "--json")
    assert json.loads(out) == []


def test_the_command_runs_on_the_device_whose_runs_count(convlaws, tmp_path, make_record):
    """Red where a plan for the GPU names a command that runs all of it again on the CPU."""
    (tmp_path / NNI.name).mkdir()
    for seed, accuracy in enumerate((0.68, 0.69, 0.71, 0.72)):
        recipe = NNI.recipe("filters-20-lr-0.001", "adam")
        record = make_record(recipe, seed, study=NNI.name, test_accuracy=accuracy, device="cuda")
        Store(tmp_path).write(record)
    _, out, _ = convlaws("plan", NNI.name, "--store", tmp_path, "--device", "cuda", "--json")
    (found,) = (each for each in json.loads(out) if each["claim"] == CLAIM)
    command = COMMAND.format(found["seeds"])
    assert found["command"] == f"{command} --device cuda --store {tmp_path}"


def test_one_seed_is_said_to_tell_of_no_spread(convlaws, tmp_path, make_record):
    """Red where it is listed as open with 20 seeds like it."""
    (tmp_path / NNI.name).mkdir()
    recipe = NNI.recipe("filters-20-lr-0.001", "adam")
    Store(tmp_path).write(make_record(recipe, 0, study=NNI.name, test_accuracy=0.7))
    _, out, _ = convlaws("plan", NNI.name, "--store", tmp_path)
    title, *rest = out.splitlines()
    assert title == "too few to tell, for a spread takes two seeds:"
    assert f"  {CLAIM} under adam" in rest
    assert "still open" not in out


def test_the_cheapest_of_all_reports_comes_first(convlaws, store, make_record):
    """Red where each report is listed after the one before it."""
    other = study("tp1-cnn")
    (store / other.name).mkdir()
    for seed, accuracy in enumerate((0.70, 0.72, 0.74, 0.76)):
        for role, shift in (("dropout", 0.0), ("scheduled", 0.01 * (seed % 2))):
            record = make_record(
                other.recipe(role, "sgd"), seed, study=other.name, test_accuracy=accuracy - shift
            )
            Store(store).write(record)
    found = []
    for names in ((NNI.name, other.name), (other.name, NNI.name)):
        _, out, _ = convlaws("plan", *names, "--store", store, "--json")
        found.append(
            [(each["report"], each["seconds"]) for each in json.loads(out) if each["seeds"]]
        )
    assert found[0] == found[1] == sorted(found[0], key=lambda each: each[1])
    assert {report for report, _ in found[0]} == {NNI.name, other.name}
