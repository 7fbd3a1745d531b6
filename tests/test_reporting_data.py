"""What programs read of a report: raw values, one entry for each part and completion."""

from __future__ import annotations

import json

from experiments.catalog import study
from experiments.reporting import report_data
from experiments.verdicts import judge
from tests.reported_study import STUDY


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
        assert entry["rounding"] == finding.statement.rounding
        for name in ("interval", "seed_interval", "test_set_interval"):
            interval = getattr(finding if name == "interval" else finding.measurement, name)
            assert entry[name] == (None if interval is None else [interval.low, interval.high])
    entry = next(each for each in entries if each["interval"] and each["test_set_interval"])
    assert len({str(entry[f"{kind}interval"]) for kind in ("", "seed_", "test_set_")}) == 3


def test_one_entry_for_each_part_and_completion(noisy_records) -> None:
    data = report_data(judge(STUDY, noisy_records))
    assert len(data) == len(STUDY.statements) * len(STUDY.completions)
    promised = {
        "claim", "verdict", "measured", "interval", "reported", "completion", "records"
    }  # fmt: skip
    assert all(promised <= entry.keys() for entry in data)
    assert json.loads(json.dumps(data, allow_nan=False)) == data


def test_values_are_raw_and_the_unknown_is_null(noisy_records) -> None:
    data = report_data(judge(STUDY, [r for r in noisy_records if r.seed == 0]))
    entry = next(e for e in data if e["claim"].endswith("q1c-acc-70"))
    assert entry["reported"] == 0.70
    assert 0 < entry["measured"] < 1
    assert entry["interval"] is None
    assert entry["verdict"] == "undecided"
    assert len(entry["records"]) == 1
    empty = report_data(judge(STUDY, []))
    assert {entry["verdict"] for entry in empty} == {"not_run"}
    assert {entry["measured"] for entry in empty} == {None}


def test_what_is_not_run_says_what_it_needs_to_programs_too():
    lacking = study("assignment-3")
    reasons = {entry["claim"]: entry["reason"] for entry in report_data(judge(lacking, []))}
    assert "needs a GPU" in reasons["assignment-3-4a-accuracy"]
    assert reasons["assignment-3-3e-best"] == "no records of best.sgd"
