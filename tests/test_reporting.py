"""The table of a report: complete, within 100 columns, honest about what is not known."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections import Counter

import pytest

from experiments.catalog import study
from experiments.reporting import measured_text, report_data, report_table
from experiments.verdicts import judge
from tests.reported_study import STUDY, rendered


def test_every_claim_and_completion_is_there(noisy_records) -> None:
    text = rendered(report_table(STUDY, judge(STUDY, noisy_records)))
    assert all(claim in text for claim in STUDY.claims)
    assert text.count("→") == len(STUDY.claims)
    assert all(f"{name}  " in text for name in STUDY.completions)


@pytest.mark.parametrize("seeds", [0, 1, 2, 3])
def test_it_fits_100_columns_and_cuts_nothing(noisy_records, seeds) -> None:
    table = report_table(STUDY, judge(STUDY, [r for r in noisy_records if r.seed < seeds]))
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


def test_what_is_missing_is_said_once_with_the_command(noisy_records) -> None:
    present = [r for r in noisy_records if r.recipe.name != "conv-gap.sgd"]
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


def test_nothing_is_missing_when_all_is_there(noisy_records) -> None:
    assert "no records" not in rendered(report_table(STUDY, judge(STUDY, noisy_records)))


def test_divergence_is_explained(noisy_records) -> None:
    text = rendered(report_table(STUDY, judge(STUDY, noisy_records)))
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
    measured = {
        str(each.quantity): measured_text(each)
        for each in found
        if each.measurement.mean is not None
    }
    assert measured["epoch of the lowest test loss, block-3x3, of 8"] == "5 ± 2.6"


def test_a_count_that_is_the_same_in_every_run_shows_none(noisy_records) -> None:
    found = [finding for claim in judge(STUDY, noisy_records) for finding in claim.findings]
    counts = [
        each
        for each in found
        if each.quantity.unit == "count" and each.measurement.mean is not None
    ]
    assert any(each.quantity.seedless for each in counts)
    assert not any("±" in measured_text(each) for each in counts)


def test_every_part_that_is_open_or_refuted_says_why(noisy_records) -> None:
    verdicts = judge(STUDY, noisy_records)
    text = " ".join(rendered(report_table(STUDY, verdicts)).split())
    found = [finding for claim in verdicts for finding in claim.findings]
    assert {each.verdict for each in found} == {"reproduced", "not_reproduced", "undecided"}
    for each in found:
        told = f"{each.completion}: {each.reason}" in text
        assert told == (each.verdict != "reproduced")


def test_the_tally_counts_every_claim_once(noisy_records) -> None:
    text = rendered(report_table(STUDY, judge(STUDY, noisy_records)))
    (header,) = [i for i, line in enumerate(text.splitlines()) if line.startswith("completion ")]
    for line in text.splitlines()[header + 1 : header + 4]:
        assert sum(int(number) for number in line.split()[-4:]) == len(STUDY.claims)


def test_the_tally_counts_the_verdicts_of_each_completion(noisy_records) -> None:
    verdicts = judge(STUDY, noisy_records)
    text = rendered(report_table(STUDY, verdicts))
    tables = text[text.index("\ncompletion ") :].splitlines()
    for line in tables[2 : 2 + len(STUDY.completions)]:
        name, *_ = line.split()
        counted = [int(number) for number in line.split()[-4:]]
        given = Counter(claim.by_completion[name] for claim in verdicts)
        kinds = ("reproduced", "not_reproduced", "undecided", "not_run")
        assert counted == [given[kind] for kind in kinds]


def test_the_tally_leaves_out_what_does_not_apply(noisy_records) -> None:
    stated = dataclasses.replace(STUDY, stated={STUDY.claims[0]: "adam"})
    text = rendered(report_table(stated, judge(stated, noisy_records)))
    for line in text[text.index("\ncompletion ") :].splitlines()[2:5]:
        counted = sum(int(number) for number in line.split()[-4:])
        assert counted == len(STUDY.claims) - (not line.startswith("adam"))


def test_reading_records_does_not_load_the_training_engine() -> None:
    code = "import sys, experiments.catalog, experiments.reporting; print('torch' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"


def test_verdicts_by_few_seeds_are_listed(noisy_records):
    """Three seeds decide what they decide; with two more of each nothing is listed."""
    text = rendered(report_table(STUDY, judge(STUDY, noisy_records)))
    decided = [claim for claim in judge(STUDY, noisy_records) if claim.deciding_seeds is not None]
    assert decided
    assert {claim.deciding_seeds for claim in decided} <= {2, 3}
    assert "decided by fewer than 5 seeds, so far:" in text
    more = [dataclasses.replace(record, seed=record.seed + 3) for record in noisy_records]
    whole = judge(STUDY, noisy_records + more)
    assert "decided by fewer" not in rendered(report_table(STUDY, whole))
    entries = report_data(whole)
    assert {entry["deciding_seeds"] for entry in entries} <= {None, 5, 6}
    assert all(entry["claim_reason"] for entry in entries)
