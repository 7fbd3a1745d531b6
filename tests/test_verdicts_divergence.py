"""What runs that diverged say of a claim."""

from __future__ import annotations

import pytest

from experiments.quantities import at_epoch, epochs_with_finite_loss, loss_rise
from experiments.statements import Exactly, Reported, Within
from tests.toy_study import ACCURACY, SEEDS, SEVENTY, judged, recipe


@pytest.mark.parametrize(
    ("diverged", "verdict"), [(0, "reproduced"), (1, "undecided"), (4, "not_reproduced")]
)
def test_all_some_or_none(make_record, diverged, verdict) -> None:
    records = [
        make_record(
            recipe("wide", "slow"),
            seed,
            test_accuracy=0.7,
            diverged_after=2 if seed < diverged else None,
        )
        for seed in SEEDS
    ]
    claim = judged(Reported("toy-acc", ACCURACY, 0.7), records)
    assert claim.verdict == verdict
    assert (claim.findings[0].measurement.mean is None) == (diverged > 0)


def test_one_diverged_run_alone_refutes_nothing(make_record) -> None:
    records = [make_record(recipe("wide", "slow"), 0, diverged_after=2)]
    assert judged(SEVENTY, records).verdict == "undecided"


@pytest.mark.parametrize(
    "statement",
    [
        Within("toy-rise", loss_rise("wide", 4), above=0),
        Exactly("toy-setup", epochs_with_finite_loss("wide"), 4),
    ],
    ids=["rise", "setup"],
)
@pytest.mark.parametrize(
    ("diverged", "seeds", "verdict"),
    [
        (1, 1, "undecided"),
        (1, 2, "undecided"),
        (2, 2, "not_reproduced"),
        (1, 3, "undecided"),
        (2, 3, "undecided"),
        (3, 3, "not_reproduced"),
        (0, 3, "reproduced"),
    ],
)
def test_every_quantity_counts_the_diverged_alike(
    make_record, statement, diverged, seeds, verdict
) -> None:
    records = [
        make_record(
            recipe("wide", "slow"),
            seed,
            test_loss=[2.0, 1.0, 1.5, 4.0 + seed / 10],
            diverged_after=2 if seed >= seeds - diverged else None,
        )
        for seed in range(seeds)
    ]
    (finding,) = judged(statement, records).findings
    assert finding.verdict == verdict
    assert finding.measurement.seeds == tuple(range(seeds))
    assert len(finding.measurement.records) == seeds
    if diverged:
        assert finding.reason == f"the loss diverged for {diverged} of {seeds} seeds"


def test_the_rise_of_one_seed_is_undecided(make_record) -> None:
    records = [make_record(recipe("wide", "slow"), 0, test_loss=[2.0, 1.0, 1.5, 4.0])]
    (finding,) = judged(Within("toy-rise", loss_rise("wide", 4), above=0), records).findings
    assert finding.verdict == "undecided"
    assert (finding.measurement.mean, finding.measurement.seeds) == (3.0, (0,))
    assert finding.reason == "seeds with every run: 1; error bars need two"
    assert len(finding.measurement.records) == 1


def test_a_claim_about_an_earlier_epoch_stands(make_record) -> None:
    records = [
        make_record(recipe("wide", "slow"), seed, test_accuracy=0.7, diverged_after=2)
        for seed in SEEDS
    ]
    early = Reported("toy-acc", at_epoch("test_accuracy", "wide", 2), 0.7)
    assert judged(early, records).verdict == "reproduced"
