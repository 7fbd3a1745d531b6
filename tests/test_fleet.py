"""Fleets: each member measures what its solo run measures, and none touches another."""

from __future__ import annotations

import dataclasses
import math
from functools import cache
from itertools import chain

import pytest
import torch

from experiments import datasets
from experiments.fleet import Member, feed, layers, update
from experiments.fleet import training as fleet_training
from experiments.records import Record
from tests.toy_fleet import (
    ADAM,
    BASE,
    CASES,
    accuracies,
    altered,
    in_float64,
    trained_alone,
    trained_together,
    two_seeds,
)

STEPS = 4


def _losses(record):
    curves = record.curves
    found = chain(curves.train_loss, curves.test_loss, curves.validation_loss)
    return torch.tensor([*found, record.final_train_loss], dtype=torch.float64)


def _farthest(records, others):
    """Return by how much the losses of records differ, at most."""
    return max(
        (_losses(record) - _losses(other)).abs().max().item()
        for record, other in zip(records, others, strict=True)
    )


def _bound(members, dtype):
    """Return how far rounding may set losses apart, whichever way a float is rounded."""
    return _roundings(tuple(members)) * torch.finfo(dtype).eps / 2


@cache
def _roundings(members):
    """Return by how many units of roundoff losses may differ.

    A score is a sum of as many products as the layers have weights for it, and so is a gradient,
    over pixels and images. Rounding errors that behave as independent ones grow with the square
    root of their number (Higham and Mary, SIAM J. Sci. Comput. 41, 2019). Every step commits such
    an error, as if its weights had been off by it. How far it gets is measured: by what becomes of
    the losses where the initial weights are off by 2^-30. Both runs err, and in the last place of
    a loss as well.
    """
    with pytest.MonkeyPatch.context() as patch:
        in_float64(patch)
        plain = [trained_alone(member) for member in members]
    with pytest.MonkeyPatch.context() as patch:
        in_float64(patch, disturbed_by=2**-30)
        condition = _farthest(plain, [trained_alone(member) for member in members]) / 2**-30
    products = max(record.parameters for record in plain) + 50 * 64
    return 2 * math.sqrt(products) * (STEPS * condition + 10)


@pytest.mark.parametrize("members", CASES.values(), ids=CASES)
def test_in_float64_a_member_equals_its_solo_run(members, monkeypatch):
    bound = _bound(members, torch.float64)
    in_float64(monkeypatch)
    records, expected = trained_together(members), [trained_alone(member) for member in members]
    assert _farthest(records, expected) < bound
    assert bound < 1e-10  # and is no excuse
    for record, solo in zip(records, expected, strict=True):
        assert accuracies(record) == accuracies(solo)
        same = {"curves": solo.curves, "final_train_loss": solo.final_train_loss}
        assert dataclasses.replace(record, **same) == solo  # its key, and whatever else it says
        assert Record.from_json(record.to_json()) == record


@pytest.mark.parametrize("case", CASES)
def test_in_float32_a_member_equals_its_solo_run_but_for_rounding(case):
    members = CASES[case]
    records, expected = trained_together(members), [trained_alone(member) for member in members]
    assert _farthest(records, expected) < _bound(members, torch.float32)


FAULTS = {
    "one learning rate": (
        "learning rates",
        lambda patch: patch.setattr(
            update.UpdateRule,
            "_column",
            lambda rule, values: torch.full((len(values), 1), values[0], dtype=torch.float64),
        ),
    ),
    "no momentum": (
        "momentum",
        lambda patch: patch.setattr(update.UpdateRule, "_sgd", lambda rule, gradient: gradient),
    ),
    "one order": ("all images", lambda patch: _share_stream(patch, "order")),
    "one stream of dropout": ("dropout", lambda patch: _share_stream(patch, "dropout")),
    "one stream of cuts": ("crops and flips", lambda patch: _share_stream(patch, "augmentation")),
    "one set of statistics": ("batch normalisation", lambda patch: _share_statistics(patch)),
    "one initialisation": ("initialisation", lambda patch: _share_weights(patch)),
    "one scale": ("standardised", lambda patch: _share_scale(patch)),
}


def _share_stream(patch, shared):
    stream = feed.random_stream

    def same(seed, purpose, device="cpu"):
        return stream(0 if purpose == shared else seed, purpose, device)

    patch.setattr(feed, "random_stream", same)
    patch.setattr(fleet_training, "random_stream", same)


def _share_statistics(patch):
    forward = layers.BatchNorm.forward

    def shared(layer, x):
        if not layer.training:
            layer.running_mean.data[:] = layer.running_mean[0]
        return forward(layer, x)

    patch.setattr(layers.BatchNorm, "forward", shared)


def _share_weights(patch):
    initialised = fleet_training.initialised
    patch.setattr(fleet_training, "initialised", lambda _, *rest: initialised(BASE, *rest))


def _share_scale(patch):
    stock = feed.Stock
    patch.setattr(feed, "Stock", lambda a, b, x, d: stock(a, b, [x[0]] * len(x), d))


@pytest.mark.parametrize(("case", "plant"), FAULTS.values(), ids=FAULTS)
def test_a_planted_fault_shows(case, plant, monkeypatch):
    """The bound is far below what any of the faults makes of the losses."""
    members = CASES[case]
    bound = _bound(members, torch.float32)
    in_float64(monkeypatch)
    expected = [trained_alone(member) for member in members]
    plant(monkeypatch)
    assert _farthest(trained_together(members), expected) > bound


def test_a_member_that_diverges_touches_no_other():
    wild = Member(altered({"lr": 1e30}, epochs=3), 1)
    tame = [
        Member(altered({"lr": lr}, epochs=3), seed) for lr, seed in ((0.1, 0), (0.2, 2), (0.1, 1))
    ]
    first, lost, second = trained_together([tame[0], wild, tame[2]])
    calm = trained_together(tame)
    assert [first, second] == [calm[0], calm[2]]
    assert lost.diverged
    assert lost == trained_alone(wild)


def test_learning_happens_in_bfloat16_too():
    recipe = altered(
        ADAM, precision="bfloat16", examples=None, network="conv4k3 relu fc10", epochs=3
    )
    for record in trained_together(two_seeds(recipe)):
        assert record.curves.train_loss[-1] < record.curves.train_loss[0] / 2
        assert not record.diverged


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU")
@pytest.mark.parametrize("case", ["SGD", "Adam", "batch normalisation", "crops and flips"])
def test_cuda_follows_the_cpu_within_float32(case):
    members = CASES[case]
    bound = _bound(members, torch.float32)
    assert _farthest(trained_together(members, device="cuda"), trained_together(members)) < bound


def test_data_stay_where_they_are():
    """A fleet leaves the cached data set as it found it."""
    data = datasets.load("digits")
    before = data.train_images.clone()
    trained_together(CASES["padded crops"])
    assert torch.equal(data.train_images, before)
