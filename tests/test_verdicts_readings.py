"""From the readings of a claim to its verdict."""

from __future__ import annotations

import dataclasses

from experiments.findings import spoken
from experiments.quantities import at_epoch, parameters
from experiments.statements import Exactly, Reported, Within
from experiments.verdicts import ClaimVerdict, judge
from tests.toy_study import recipe, toy_study


def read_as(**accuracies) -> list[Reported]:
    """State a number in a reading for each role."""
    return [
        Reported("toy-acc", at_epoch("test_accuracy", role, 4), value, reading=role)
        for role, value in accuracies.items()
    ]


def both(make_record, accuracies=(0.70, 0.701, 0.699, 0.7005)):
    return [
        make_record(recipe(role, "slow"), seed, test_accuracy=accuracy)
        for role in ("wide", "narrow")
        for seed, accuracy in enumerate(accuracies)
    ]


def read(statements, records) -> ClaimVerdict:
    (verdict,) = judge(toy_study(*statements), records)
    return verdict


def by_reading(claim: ClaimVerdict) -> dict[str, str]:
    """Return the verdict in each reading under the one completion."""
    return {way.reading: way.verdict for way in claim.ways}


def test_one_reading_that_holds_is_enough(make_record):
    claim = read(read_as(wide=0.7, narrow=0.9), both(make_record))
    assert by_reading(claim) == {"wide": "reproduced", "narrow": "not_reproduced"}
    assert claim.by_completion == {"slow": "reproduced"}
    assert claim.verdict == "reproduced"
    assert claim.reason == "reproduced under slow (wide); not reproduced under slow (narrow)"


def test_readings_are_named_where_others_of_the_completion_came_out_otherwise(make_record):
    records = [
        make_record(recipe("wide", completion), seed, test_accuracy=accuracy)
        for completion, accuracy in (("slow", 0.7), ("fast", 0.5))
        for seed in range(4)
    ]
    quantity = at_epoch("test_accuracy", "wide", 4)
    readings = [
        Reported("toy-acc", quantity, value, reading=name)
        for name, value in (("first", 0.7), ("second", 0.8), ("third", 0.9))
    ]
    (claim,) = judge(toy_study(*readings, completions=("slow", "fast")), records)
    assert claim.reason == (
        "reproduced under slow (first); not reproduced under slow (second, third), fast"
    )


def test_a_claim_is_refuted_where_every_reading_is(make_record):
    claim = read(read_as(wide=0.8, narrow=0.9), both(make_record))
    assert claim.verdict == "not_reproduced"
    assert claim.reason == "under any completion in any reading"


def test_a_reading_that_was_not_run_leaves_a_claim_open(make_record):
    wide_only = [record for record in both(make_record) if record.recipe.name == "wide.slow"]
    claim = read(read_as(wide=0.9, narrow=0.9), wide_only)
    assert claim.verdict == "undecided"


def test_a_part_without_a_reading_belongs_to_all(make_record):
    """Red where it counts as a reading of its own, which would hold alone."""
    general = Within("toy-acc", at_epoch("test_accuracy", "wide", 4), above=0.6)
    claim = read([general, *read_as(wide=0.8, narrow=0.9)], both(make_record))
    assert claim.verdict == "not_reproduced"
    refuted = Within("toy-acc", at_epoch("test_accuracy", "wide", 4), above=0.9)
    assert read([refuted, *read_as(wide=0.7)], both(make_record)).verdict == "not_reproduced"


def test_a_finding_names_its_reading(make_record):
    claim = read(read_as(wide=0.7), both(make_record))
    assert claim.findings[0].what.endswith("(reading: wide)")
    late = Within("toy-acc", at_epoch("test_accuracy", "wide", 4), above=0.6, late=True)
    assert read([late], both(make_record)).findings[0].what.endswith(" (late)")


def test_the_seeds_behind_a_verdict_are_those_of_its_weakest_part(make_record):
    records = both(make_record)
    wide = [record for record in records if record.recipe.name == "wide.slow"]
    narrow = [record for record in records if record.recipe.name == "narrow.slow"]
    parts = [
        Within("toy-acc", at_epoch("test_accuracy", role, 4), above=0.6)
        for role in ("wide", "narrow")
    ]
    assert read(parts, wide + narrow[:3]).deciding_seeds == 3
    refuted = [
        Within("toy-acc", at_epoch("test_accuracy", role, 4), above=0.9)
        for role in ("wide", "narrow")
    ]
    assert read(refuted, wide + narrow[:3]).deciding_seeds == 4  # either would be enough
    assert read(parts, wide).deciding_seeds is None
    same = Exactly("toy-acc", parameters("wide"), wide[0].parameters)
    assert read([same], wide).deciding_seeds is None
    assert read([same, parts[0]], wide[:3]).deciding_seeds == 3
    other = Exactly("toy-acc", parameters("wide"), wide[0].parameters + 1)
    assert read([other, refuted[0]], wide[:3]).deciding_seeds is None  # any one seed refutes it


def test_readings_with_more_seeds_count_for_a_claim_and_with_fewer_against(make_record):
    records = both(make_record)
    records = [each for each in records if each.recipe.name == "wide.slow" or each.seed < 3]
    assert read(read_as(wide=0.7, narrow=0.7), records).deciding_seeds == 4
    assert read(read_as(wide=0.9, narrow=0.9), records).deciding_seeds == 3


def test_a_late_reading_leaves_a_claim_open_and_reproduces_none(make_record):
    """Red where whoever has seen the runs can still choose what a claim means."""
    wide, narrow = read_as(wide=0.9, narrow=0.7)
    claim = read([wide, dataclasses.replace(narrow, late=True)], both(make_record))
    assert by_reading(claim) == {"wide": "not_reproduced", "narrow": "undecided"}
    assert claim.verdict == "undecided"
    assert claim.deciding_seeds is None
    assert claim.findings[1].what.endswith("(reading: narrow, late)")
    assert claim.reason == "not reproduced under slow (wide); fits, but late under slow (narrow)"
    assert claim.undecided_for == "only a late reading fits"
    assert claim.example.outcome == "fits, but late"
    first = dataclasses.replace(wide, value=0.7, reading="narrow")
    partly = read([wide, first, dataclasses.replace(narrow, late=True)], both(make_record))
    assert partly.verdict == "undecided"  # one part of it was chosen late, and is enough
    refuted = read([wide, dataclasses.replace(narrow, value=0.95, late=True)], both(make_record))
    assert refuted.verdict == "not_reproduced"
    assert read([narrow, dataclasses.replace(wide, late=True)], both(make_record)).verdict == (
        "reproduced"
    )
    late = [dataclasses.replace(each, value=0.7, late=True) for each in (wide, narrow)]
    told = "fits, but late under every completion in every reading"
    assert read(late, both(make_record)).reason == told
    assert read(late[:1], both(make_record)).reason == (
        "fits, but late under the one completion that applies"
    )


def test_a_verdict_is_spoken_in_words():
    assert spoken("not_reproduced") == "not reproduced"
    assert spoken("reproduced") == "reproduced"
    assert spoken("reproduced", fits_late=True) == "fits, but late"


def test_why_a_claim_is_undecided_is_said(make_record):
    """Red where two seeds, or four without any spread, count as error bars that are too wide."""
    records = [record for record in both(make_record) if record.recipe.name == "wide.slow"]
    values = at_epoch("test_accuracy", "wide", 4)
    shown = Within("toy-acc", values, above=0.6)
    too_wide = Reported("toy-acc", values, 0.7, resolution=1e-9)
    missing = Within("toy-acc", at_epoch("test_accuracy", "narrow", 4), above=0.6)
    refuted = Within("toy-acc", values, above=0.9)
    alike = [make_record(recipe("wide", "slow"), seed, test_loss=1.0) for seed in range(5)]
    falls = Within("toy-acc", at_epoch("test_loss", "wide", 4), below=1.5)
    lost = [make_record(recipe("wide", "slow"), 5, diverged_after=2), *alike]
    for statements, used, why in (
        ([shown], records, ""),
        ([refuted, missing], records, ""),
        ([shown], records[:2], "runs are missing"),
        ([shown, missing], records, ""),
        ([too_wide], records, "error bars too wide"),
        ([too_wide], records[:2], "runs are missing"),
        ([falls], alike[:3], "runs are missing"),
        ([falls], alike[:4], "runs are missing"),
        ([falls], alike, ""),
        ([falls], lost[:2], "runs are missing"),
        ([falls], lost[:3], "error bars too wide"),
    ):
        assert read(statements, used).undecided_for == why
