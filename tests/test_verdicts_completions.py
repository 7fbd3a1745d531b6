"""From the parts of a claim to its verdict, under one completion or several."""

from __future__ import annotations

import dataclasses

from experiments.quantities import at_epoch, difference, parameters
from experiments.statements import Exactly, Reported, Within
from experiments.verdicts import ClaimVerdict, judge
from tests.toy_study import ACCURACY, SEEDS, SEVENTY, SPREAD, judged, recipe, toy_study

PAIR = (
    Reported("toy-pair", at_epoch("train_accuracy", "wide", 4), 0.8),
    Reported("toy-pair", ACCURACY, 0.5),
)


def pair_verdict(make_record, measured) -> ClaimVerdict:
    """Judge the pair on (train, test) accuracies by completion; None leaves runs out."""
    records = [
        make_record(recipe("wide", completion), s, train_accuracy=train, test_accuracy=test)
        for completion, accuracies in measured.items()
        if accuracies is not None
        for train, test in [accuracies]
        for s in SEEDS
    ]
    (claim,) = judge(toy_study(*PAIR, completions=tuple(measured)), records)
    return claim


def test_all_parts_under_one_completion(make_record) -> None:
    claim = pair_verdict(make_record, {"slow": (0.8, 0.5), "fast": (0.8, 0.9)})
    assert claim.by_completion == {"slow": "reproduced", "fast": "not_reproduced"}
    assert claim.verdict == "reproduced"
    assert claim.reason == "reproduced under slow; not reproduced under fast"


def test_each_claim_has_its_sentence_and_a_verdict_of_its_own(wide) -> None:
    ninety = Reported("toy-ninety", ACCURACY, 0.9)
    sentences = {"toy-acc": "It reaches 70 %.", "toy-ninety": "It reaches 90 %."}
    study = dataclasses.replace(toy_study(SEVENTY, ninety), own=sentences)
    assert [
        (each.claim, each.sentence, each.verdict) for each in judge(study, wide([0.7] * 4))
    ] == [
        ("toy-acc", "It reaches 70 %.", "reproduced"),
        ("toy-ninety", "It reaches 90 %.", "not_reproduced"),
    ]


def test_no_completion_applies_but_the_one_that_the_report_states(make_record) -> None:
    """Red where runs that the report rules out refute its claim, or reproduce it."""
    records = [
        make_record(recipe("wide", completion), seed, test_accuracy=accuracy)
        for completion, accuracy in (("slow", 0.9), ("fast", 0.7))
        for seed in SEEDS
    ]
    other = dataclasses.replace(SEVENTY, claim="toy-other")
    open_ = toy_study(SEVENTY, other, completions=("slow", "fast"))
    for completion, verdict in (("slow", "not_reproduced"), ("fast", "reproduced")):
        (claim, unstated) = judge(
            dataclasses.replace(open_, stated={"toy-acc": completion}), records
        )
        assert claim.by_completion == {completion: verdict}
        assert claim.verdict == verdict
        assert claim.reason == "under the one completion that applies"
        assert unstated.by_completion == {"slow": "not_reproduced", "fast": "reproduced"}


def test_a_part_that_shows_the_verdict_is_found_under_a_completion_that_has_it(make_record) -> None:
    claim = pair_verdict(make_record, {"slow": (0.1, 0.9), "fast": (0.8, 0.5)})
    assert (claim.example.completion, claim.example.verdict) == ("fast", "reproduced")
    half = pair_verdict(make_record, {"slow": (0.8, 0.9), "fast": (0.8, 0.5)})
    assert half.example.completion == "fast"  # under slow the first part holds, but not the claim
    refuted = pair_verdict(make_record, {"slow": (0.8, 0.9), "fast": (0.1, 0.5)}).example
    assert (refuted.completion, refuted.verdict) == ("slow", "not_reproduced")
    assert refuted.quantity.what.startswith("test")
    assert pair_verdict(make_record, {"slow": None}).example.verdict == "not_run"


def test_a_part_that_seeds_can_change_shows_more_than_one_that_none_can(wide) -> None:
    same = Exactly("toy-acc", parameters("wide"), 100)
    for statements in ((same, SEVENTY), (SEVENTY, same)):
        (claim,) = judge(toy_study(*statements), wide([0.7] * 4))
        assert claim.verdict == "reproduced"
        assert claim.example.quantity.what.startswith("test accuracy")
    assert judged(same, wide([0.7])).example.quantity.what.startswith("parameters")


def test_parts_from_different_completions_do_not_add_up(make_record) -> None:
    claim = pair_verdict(make_record, {"slow": (0.8, 0.9), "fast": (0.1, 0.5)})
    assert claim.verdict == "not_reproduced"
    assert claim.reason == "under any completion"


def test_one_refuted_part_refutes_the_claim_whatever_the_others_are(make_record) -> None:
    records = [
        make_record(
            recipe("wide", "slow"),
            seed,
            train_accuracy=float(0.8 + 0.05 * noise),
            test_accuracy=0.9,
        )
        for seed, noise in enumerate(SPREAD)
    ]
    not_run = Exactly("toy-pair", parameters("narrow"), 100)
    (claim,) = judge(toy_study(*PAIR, not_run), records)
    assert [f.verdict for f in claim.findings] == ["undecided", "not_reproduced", "not_run"]
    assert claim.verdict == "not_reproduced"
    (claim,) = judge(toy_study(PAIR[0], not_run), records)
    assert claim.verdict == "not_run"


def test_refuted_where_run_but_not_run_everywhere(make_record) -> None:
    claim = pair_verdict(make_record, {"slow": (0.8, 0.9), "fast": None})
    assert claim.by_completion == {"slow": "not_reproduced", "fast": "not_run"}
    assert claim.verdict == "undecided"
    assert claim.undecided_for == "runs are missing"


def test_not_run_says_what_is_missing(make_record) -> None:
    claim = pair_verdict(make_record, {"slow": None, "fast": None})
    assert claim.verdict == "not_run"
    finding = claim.findings[0]
    assert finding.missing == ("wide.slow",)
    assert finding.reason == "no records of wide.slow"
    assert finding.measurement.records == ()


def test_what_is_run_on_request_says_what_it_needs(wide) -> None:
    asking = dataclasses.replace(toy_study(SEVENTY), on_request={"wide.slow": "a larger machine"})
    (claim,) = judge(asking, [])
    assert (claim.verdict, claim.reason) == ("not_run", "needs a larger machine")
    (finding,) = claim.findings
    assert (finding.statement.reported, finding.statement.expected) == (0.7, "70 %")
    assert (finding.measurement.mean, finding.measurement.records) == (None, ())
    assert finding.missing == ("wide.slow",)
    (claim,) = judge(asking, wide(0.705 + 0.005 * SPREAD))  # once it was run, it counts
    assert (claim.verdict, claim.needs) == ("reproduced", ())


def test_all_that_is_missing_is_named_and_all_that_it_needs(make_record) -> None:
    gap = difference(ACCURACY, at_epoch("test_accuracy", "narrow", 4))
    statement = Within("toy-gap", gap, above=0)
    (finding,) = judged(statement, []).findings
    assert (finding.reason, finding.need) == ("no records of wide.slow, narrow.slow", "")
    needs = {"wide.slow": "a larger machine", "narrow.slow": "a day"}
    (claim,) = judge(dataclasses.replace(toy_study(statement), on_request=needs), [])
    (finding,) = claim.findings
    assert finding.need == "a larger machine; a day"
    assert finding.reason == "no records of wide.slow, narrow.slow; needs a larger machine; a day"
    one = [make_record(recipe("narrow", "slow"), seed) for seed in SEEDS]
    (finding,) = judged(statement, one).findings
    assert finding.missing == ("wide.slow",)
    assert (finding.measurement.seeds, finding.measurement.mean) == ((), None)


def test_a_need_is_not_a_missing_record() -> None:
    claim = judged(SEVENTY, [])
    assert claim.verdict == "not_run"
    assert claim.findings[0].missing == ("wide.slow",)
    assert claim.needs == ()
    assert claim.reason == "no records of wide.slow"
