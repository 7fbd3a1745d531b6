"""Which records count for a study, and that findings name them."""

from __future__ import annotations

import dataclasses

import pytest

from experiments.records import by_seed
from experiments.statements import Reported
from tests.toy_study import ACCURACY, judged, recipe, toy_study


def test_findings_name_their_records(wide) -> None:
    records = wide([0.7, 0.7])
    (finding,) = judged(Reported("toy-acc", ACCURACY, 0.7), records).findings
    assert finding.measurement.records == tuple(
        f"toy/wide.slow.seed-{r.seed}.cpu.{r.key[:12]}.json" for r in records
    )


def test_only_the_recipe_as_it_stands_counts(make_record) -> None:
    current = make_record(recipe("wide", "slow"), 0)
    old_engine = make_record(recipe("wide", "slow"), 1, engine=0)
    changed = make_record(dataclasses.replace(recipe("wide", "slow"), epochs=5), 2)
    chosen = by_seed([current, old_engine, changed], toy_study().recipes)
    assert chosen == {"wide.slow": {0: current}, "narrow.slow": {}}


def test_a_name_is_only_a_label(make_record) -> None:
    renamed = make_record(dataclasses.replace(recipe("wide", "slow"), name="broad.slow"), 0)
    assert by_seed([renamed], toy_study().recipes)["wide.slow"] == {0: renamed}


def test_the_cpu_is_the_reference(make_record) -> None:
    cpu = make_record(recipe("wide", "slow"), 0)
    cuda = make_record(recipe("wide", "slow"), 0, device="cuda")
    other = make_record(recipe("wide", "slow"), 1, device="cuda")
    for records in ([cpu, cuda, other], [other, cuda, cpu]):
        assert by_seed(records, toy_study().recipes)["wide.slow"] == {0: cpu, 1: other}


def test_two_versions_of_the_data_are_never_mixed(make_record) -> None:
    records = [
        make_record(recipe("wide", "slow"), 0),
        make_record(recipe("narrow", "slow"), 0, dataset_fingerprint="another"),
    ]
    with pytest.raises(ValueError, match="different versions of data set 'cifar10'"):
        by_seed(records, toy_study().recipes)
