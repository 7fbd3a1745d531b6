"""The bench of fleets on trial: it refuses to time members that train as they would not alone."""

from __future__ import annotations

import importlib
import math
from dataclasses import replace

import pytest
import torch

from experiments.fleet.update import UpdateRule
from experiments.recipe import Optimizer

bench_fleet = importlib.import_module("benches.bench_fleet")


@pytest.mark.parametrize("crew", [bench_fleet.ALONE, "2 seeds", "3 rates", "3 rates by vmap"])
def test_a_right_crew_has_no_fault(crew):
    assert bench_fleet._fault.__wrapped__("3-filters", crew, "cpu") is None


@pytest.mark.parametrize("crew", ["2 seeds", "2 rates"])
def test_a_wrong_member_is_named(monkeypatch, crew):
    step = UpdateRule.step

    def half(rule, gradients):
        second = torch.tensor([1])
        step(rule, [gradient.index_fill(0, second, 0) for gradient in gradients])

    monkeypatch.setattr(UpdateRule, "step", half)
    fault = bench_fleet._fault.__wrapped__("3-filters", crew, "cpu")
    assert fault.startswith(f"member 1 of {crew} reaches a mean loss of")


def test_a_member_without_a_loss_is_named(monkeypatch):
    together = bench_fleet._together

    def lost(*arguments):
        views, train = together(*arguments)
        return views, lambda: [*train()[:1], math.nan]

    monkeypatch.setattr(bench_fleet, "_together", lost)
    fault = bench_fleet._fault.__wrapped__("3-filters", "2 seeds", "cpu")
    assert fault.startswith("member 1 of 2 seeds reaches a mean loss of nan")


@pytest.mark.parametrize("part", ["_rates", "_momentum"])
def test_a_mapped_member_that_trains_otherwise_is_named(monkeypatch, part):
    made = bench_fleet.Ensemble.__init__

    def off(ensemble, *arguments):
        made(ensemble, *arguments)
        setattr(ensemble, part, getattr(ensemble, part) / 2)

    monkeypatch.setattr(bench_fleet, "CHECKED_STEPS", {"cpu": 3})  # momentum shows in the third
    assert bench_fleet._fault.__wrapped__("3-filters", "2 rates by vmap", "cpu") is None
    monkeypatch.setattr(bench_fleet.Ensemble, "__init__", off)
    fault = bench_fleet._fault.__wrapped__("3-filters", "2 rates by vmap", "cpu")
    assert fault.startswith("member 0 of 2 rates by vmap reaches a mean loss of")


def test_every_setting_of_the_optimiser_holds_for_the_network_alone(monkeypatch):
    """Red where the network alone ignores the weight decay, or takes Adam for SGD."""
    recipe = bench_fleet.NETWORKS["3-filters"]
    for optimizer in (replace(recipe.optimizer, weight_decay=1.0), Optimizer("adam", lr=1e-3)):
        other = {"3-filters": replace(recipe, optimizer=optimizer)}
        monkeypatch.setattr(bench_fleet, "NETWORKS", other)
        assert bench_fleet._fault.__wrapped__("3-filters", "2 seeds", "cpu") is None


@pytest.mark.parametrize(("crew", "members"), [(bench_fleet.ALONE, 1), ("4 seeds", 4)])
def test_every_network_that_sees_an_image_counts_it(crew, members):
    batch = bench_fleet.NETWORKS["3-filters"].batch
    steps = bench_fleet.STEPS["default"]
    assert bench_fleet._images("3-filters", crew, "default") == members * steps * batch


def test_crews_differ_in_seeds_or_in_rates():
    seeds, rates = (bench_fleet._members("20-filters", crew) for crew in ("4 seeds", "4 rates"))
    assert [member.seed for member in seeds] == [0, 1, 2, 3]
    assert len({member.recipe for member in seeds}) == 1
    assert {member.seed for member in rates} == {0}
    assert len({member.recipe.optimizer.lr for member in rates}) == 4
