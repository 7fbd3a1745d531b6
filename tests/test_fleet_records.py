"""Records of a fleet are those of solo runs, with shares of its time, and repeat bit for bit."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace

import pytest
import torch

from experiments.fleet import Member
from experiments.fleet import training as fleet_training
from tests.toy_fleet import ADAM, CASES, altered, trained_alone, trained_together


def test_a_fleet_repeats_itself_bit_for_bit():
    torch.manual_seed(1)
    first = trained_together(CASES["dropout"])
    torch.rand(7)  # the caller's random state must not matter
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    assert trained_together(CASES["dropout"]) == first
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_a_record_has_the_key_of_the_solo_run_and_says_how_it_was_made():
    members = CASES["SGD"]
    for record, member in zip(trained_together(members), members, strict=True):
        solo = trained_alone(member)
        assert record.key == solo.key
        assert record.provenance["fleet"] == len(members)
        assert {*record.provenance} - {*solo.provenance} == {"fleet"}


def test_the_times_of_the_members_are_those_of_the_fleet():
    settings = {"validation": 300, "examples": 40, "batch": 40, "epochs": 20}
    members = [
        Member(altered(ADAM | {"lr": 0.1}, patience=patience, **settings), 0)
        for patience in (1, 20)
    ]
    told = []
    short, long = trained_together(members, on_epoch=told.append)
    assert told == list(range(1, len(long.curves.train_loss) + 1))
    epochs = [1 + len(record.curves.train_loss) for record in (short, long)]
    seconds = [record.provenance["wall_seconds"] for record in (short, long)]
    assert epochs[0] < epochs[1]
    assert seconds[0] / seconds[1] == pytest.approx(epochs[0] / epochs[1], rel=0.2)


def test_the_shares_of_the_members_are_all_of_the_training_time(monkeypatch):
    clock = SimpleNamespace(perf_counter=map(float, count()).__next__)
    monkeypatch.setattr(fleet_training, "time", clock)  # every epoch's updates take a second
    settings = {"validation": 300, "examples": 40, "batch": 40, "epochs": 20}
    told = []
    records = trained_together(
        [Member(altered(ADAM | {"lr": 0.1}, patience=some, **settings), 0) for some in (1, 3, 20)],
        on_epoch=told.append,
    )
    seconds = sum(record.provenance["training_seconds"] for record in records)
    assert seconds == pytest.approx(len(told), abs=len(records) * 0.0005)
