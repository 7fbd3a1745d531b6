"""Fleets: each member measures what its solo run measures, and none touches another."""

from __future__ import annotations

import dataclasses
import math
from functools import cache
from itertools import chain, count
from types import SimpleNamespace

import pytest
import torch

from experiments import catalog, datasets, networks, training
from experiments.augmentation import Inputs
from experiments.fleet import Fleet, Member, architecture, feed, layers, train_fleet, update
from experiments.fleet import training as fleet_training
from experiments.recipe import Optimizer, Recipe
from experiments.records import Record
from experiments.training import train

STEPS = 4
BASE = Recipe(
    "base.sgd", "conv3k3 relu max2 fc10", "digits", Optimizer("sgd", 0.1), epochs=2, examples=50
)


def _with(optimizer=None, **settings):
    """Return the recipe of these settings; those of its optimiser are a dictionary."""
    optimizer = dataclasses.replace(BASE.optimizer, **(optimizer or {}))
    return dataclasses.replace(BASE, optimizer=optimizer, **settings)


def _seeds(recipe, *others):
    """Return two seeds of the recipe, and one of each other."""
    return [Member(recipe, 0), Member(recipe, 1), *(Member(other, 2) for other in others)]


ADAM = {"name": "adam", "lr": 0.01}
DROPOUT = {"network": "conv3k3 relu drop0.5 fc16 relu drop0.3 fc10"}
CASES = {
    "SGD": _seeds(BASE),
    "momentum": _seeds(_with({"momentum": 0.9}), BASE),
    "Adam": _seeds(_with(ADAM), _with(ADAM | {"lr": 0.001})),
    "weight decay": _seeds(_with({"weight_decay": 0.3}), BASE),
    "weight decay of Adam": _seeds(_with(ADAM | {"weight_decay": 0.3}), _with(ADAM)),
    "learning rates": _seeds(BASE, _with({"lr": 0.3}), _with({"lr": 0.01})),
    "two seeds, one of them twice": [*_seeds(BASE), Member(_with({"lr": 0.3}), 1)],
    "schedules": _seeds(_with({"schedule": "step-1-0.1"}), _with({"schedule": "cosine"})),
    "learning rates of one seed": [
        Member(_with({"lr": lr} | extra, **DROPOUT, augmentation="pad1 flip"), 3)
        for lr, extra in ((0.1, {}), (0.01, {"momentum": 0.9}), (0.2, {"weight_decay": 0.1}))
    ],
    "batch normalisation": _seeds(_with(network="conv3k3 bn relu max2 fc16 bn fc10")),
    "dropout": _seeds(_with(**DROPOUT), _with({"lr": 0.2}, **DROPOUT)),
    "initialisation": _seeds(BASE, _with(initialisation="kaiming-uniform")),
    "all images": _seeds(_with(examples=None, batch=600, epochs=1)),
    "crops and flips": _seeds(_with(augmentation="crop6 flip")),
    "padded crops": _seeds(_with(augmentation="pad2")),
    "standardised": _seeds(_with(scaling="standard")),
    "counted steps": _seeds(_with(steps=2)),
    "validation": _seeds(_with(validation=100, augmentation="pad1 flip", scaling="standard")),
    "resized": _seeds(_with(resize=12, augmentation="pad1 flip", network="conv3k3 relu fc10")),
    "no epochs": _seeds(_with(epochs=0)),
    "skip": _seeds(_with(network="conv3k3 skip(relu conv4k3) gap fc10")),
    "halves": _seeds(_with(network="halves(conv3k3 elu avg2 fc5) fc10")),
    "fully connected": _seeds(_with(network="fc16 relu fc10")),
} | {
    name: _seeds(_with(network=name, filters=2))
    for name in ("two-conv", "linear-two-conv", "conv-fc", "conv-gap", "resnet-18")
}


def _in_float64(monkeypatch, *, disturbed_by=0.0):
    """Let everything be computed in float64, from weights that are off by so much, relatively."""
    initialised, noise = training.initialised, torch.Generator()

    def doubled(*arguments):
        network = initialised(*arguments).double()
        noise.manual_seed(0)
        with torch.no_grad():
            for weight in network.parameters():
                size = weight.abs().mean()  # also where a weight is 0
                change = torch.randn(weight.shape, generator=noise, dtype=torch.float64)
                weight += disturbed_by * size * change
        return network

    monkeypatch.setattr(
        Inputs, "_scaled", lambda inputs, images: images.double() * inputs.scale + inputs.shift
    )
    for module in (training, fleet_training):
        monkeypatch.setattr(module, "initialised", doubled)


def _solo(member):
    return train(member.recipe, member.seed, study="test", threads=1)


def _fleet(members, **options):
    return train_fleet(members, study="test", threads=1, **options)


def _losses(record):
    curves = record.curves
    found = chain(curves.train_loss, curves.test_loss, curves.validation_loss)
    return torch.tensor([*found, record.final_train_loss], dtype=torch.float64)


def _accuracies(record):
    curves = record.curves
    found = chain(curves.train_accuracy, curves.test_accuracy, curves.validation_accuracy)
    return [*found, record.final_train_accuracy, record.best_train_accuracy]


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
        _in_float64(patch)
        plain = [_solo(member) for member in members]
    with pytest.MonkeyPatch.context() as patch:
        _in_float64(patch, disturbed_by=2**-30)
        condition = _farthest(plain, [_solo(member) for member in members]) / 2**-30
    products = max(record.parameters for record in plain) + 50 * 64
    return 2 * math.sqrt(products) * (STEPS * condition + 10)


@pytest.mark.parametrize("members", CASES.values(), ids=CASES)
def test_in_float64_a_member_equals_its_solo_run(members, monkeypatch):
    bound = _bound(members, torch.float64)
    _in_float64(monkeypatch)
    records, expected = _fleet(members), [_solo(member) for member in members]
    assert _farthest(records, expected) < bound
    assert bound < 1e-10  # and is no excuse
    for record, solo in zip(records, expected, strict=True):
        assert _accuracies(record) == _accuracies(solo)
        same = {"curves": solo.curves, "final_train_loss": solo.final_train_loss}
        assert dataclasses.replace(record, **same) == solo  # its key, and whatever else it says
        assert Record.from_json(record.to_json()) == record


@pytest.mark.parametrize("case", CASES)
def test_in_float32_a_member_equals_its_solo_run_but_for_rounding(case):
    members = CASES[case]
    records, expected = _fleet(members), [_solo(member) for member in members]
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
    _in_float64(monkeypatch)
    expected = [_solo(member) for member in members]
    plant(monkeypatch)
    assert _farthest(_fleet(members), expected) > bound


def test_a_member_that_diverges_touches_no_other():
    wild = Member(_with({"lr": 1e30}, epochs=3), 1)
    tame = [
        Member(_with({"lr": lr}, epochs=3), seed) for lr, seed in ((0.1, 0), (0.2, 2), (0.1, 1))
    ]
    first, lost, second = _fleet([tame[0], wild, tame[2]])
    calm = _fleet(tame)
    assert [first, second] == [calm[0], calm[2]]
    assert lost.diverged
    assert lost == _solo(wild)


def test_a_member_that_stops_early_touches_no_other(monkeypatch):
    _in_float64(monkeypatch)
    settings = {"validation": 300, "examples": 40, "batch": 40, "epochs": 20}
    impatient = Member(_with(ADAM | {"lr": 0.1}, patience=2, **settings), 0)
    patient = Member(_with(ADAM | {"lr": 0.1}, patience=20, **settings), 0)
    others = [Member(_with(ADAM, **settings), 1), Member(_with(ADAM, patience=5, **settings), 2)]
    stopped, *rest = _fleet([impatient, *others])
    went_on, *same = _fleet([patient, *others])
    assert rest == same
    assert len(stopped.curves.train_loss) < len(went_on.curves.train_loss) == 20
    for record, member in zip([stopped, went_on], [impatient, patient], strict=True):
        # the weights at the end of its own run, and the best of them, not those of the fleet's end
        assert _accuracies(record) == _accuracies(_solo(member))
    assert stopped.best_train_accuracy is not None


def test_a_member_is_taken_out_where_its_weights_are_kept(monkeypatch):
    """Red if the weights of all members are copied after every epoch."""
    taken, member = [], Fleet.member
    monkeypatch.setattr(
        Fleet, "member", lambda fleet, index: taken.append(index) or member(fleet, index)
    )
    _fleet(_seeds(_with(epochs=4)))
    assert taken == [0, 1]

    taken.clear()
    settings = {"validation": 300, "examples": 40, "batch": 40, "epochs": 20, "patience": 2}
    (record,) = _fleet([Member(_with(ADAM | {"lr": 0.1}, **settings), 0)])
    losses = record.curves.validation_loss
    better = [loss for epoch, loss in enumerate(losses) if loss < min(losses[:epoch], default=9e9)]
    assert len(taken) == len(better) + 1 < len(losses)


def test_trained_members_are_handed_on_with_the_weights_that_they_keep():
    settings = {"validation": 300, "examples": 40, "batch": 40, "epochs": 20}
    members = [
        Member(_with(ADAM | {"lr": 0.1}, patience=2, **settings), 0),
        Member(_with(ADAM, **settings), 1),
    ]
    test_set, found = (datasets.load("digits").test_images, datasets.load("digits").test_labels), []

    def measure(network, inputs):
        assert not network.training
        found.append(training.evaluate(network, *test_set, members[len(found)].recipe, inputs)[1])

    curves = [record.curves for record in _fleet(members, on_trained=measure)]
    losses = curves[0].validation_loss
    kept = losses.index(min(losses))
    assert kept < len(losses) - 1
    assert found == [curves[0].test_accuracy[kept], curves[1].test_accuracy[-1]]


def test_a_fleet_repeats_itself_bit_for_bit():
    torch.manual_seed(1)
    first = _fleet(CASES["dropout"])
    torch.rand(7)  # the caller's random state must not matter
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    assert _fleet(CASES["dropout"]) == first
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_a_record_has_the_key_of_the_solo_run_and_says_how_it_was_made():
    members = CASES["SGD"]
    for record, member in zip(_fleet(members), members, strict=True):
        solo = _solo(member)
        assert record.key == solo.key
        assert record.provenance["fleet"] == len(members)
        assert {*record.provenance} - {*solo.provenance} == {"fleet"}


def test_the_times_of_the_members_are_those_of_the_fleet():
    settings = {"validation": 300, "examples": 40, "batch": 40, "epochs": 20}
    members = [
        Member(_with(ADAM | {"lr": 0.1}, patience=patience, **settings), 0) for patience in (1, 20)
    ]
    told = []
    short, long = _fleet(members, on_epoch=told.append)
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
    records = _fleet(
        [Member(_with(ADAM | {"lr": 0.1}, patience=some, **settings), 0) for some in (1, 3, 20)],
        on_epoch=told.append,
    )
    seconds = sum(record.provenance["training_seconds"] for record in records)
    assert seconds == pytest.approx(len(told), abs=len(records) * 0.0005)


def test_learning_happens_in_bfloat16_too():
    recipe = _with(ADAM, precision="bfloat16", examples=None, network="conv4k3 relu fc10", epochs=3)
    for record in _fleet(_seeds(recipe)):
        assert record.curves.train_loss[-1] < record.curves.train_loss[0] / 2
        assert not record.diverged


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"network": "fc10"}, "network"),
        ({"epochs": 3}, "epochs"),
        ({"batch": 16}, "batch"),
        ({"augmentation": "flip"}, "augmentation"),
        ({"scaling": "unit", "examples": 60}, "examples, scaling"),
        ({"optimizer": ADAM}, "optimizer"),
    ],
)
def test_recipes_that_do_not_agree_are_refused(change, field):
    other = _with(**change, name="other.sgd")
    assert architecture(other) != architecture(BASE)
    with pytest.raises(ValueError, match=rf"'base.sgd' and 'other.sgd' differ in {field} and"):
        _fleet([Member(BASE, 0), Member(other, 0)])


def test_a_fleet_of_nobody_is_refused():
    with pytest.raises(ValueError, match="at least one member"):
        _fleet([])


def test_what_members_may_differ_in():
    other = _with(
        {"lr": 1.0, "momentum": 0.5, "weight_decay": 0.1, "schedule": "cosine"},
        name="other.sgd",
        initialisation="truncated-normal",
    )
    assert architecture(other) == architecture(BASE)


SHAPES = {
    "cifar10": (3, 32, 32),
    "mnist": (1, 28, 28),
    "mnist-pairs": (1, 56, 28),
    "digits": (1, 8, 8),
}


@pytest.mark.parametrize("study", catalog.studies(), ids=lambda study: study.name)
def test_every_network_of_the_catalogue_can_be_a_member(study):
    for name, filters, dataset, augmentation in dict.fromkeys(
        (recipe.network, recipe.filters, recipe.dataset, recipe.augmentation)
        for recipe in study.recipes
    ):
        shape, classes = SHAPES[dataset], 19 if dataset == "mnist-pairs" else 10
        if augmentation.startswith("crop"):
            shape = (shape[0], 28, 28)
        network = networks.build(name, shape, filters, classes).eval()
        network.to(memory_format=torch.channels_last)
        image = torch.rand(1, *shape)
        scores = Fleet([network], [torch.Generator()]).eval()(image, common=True)[:, 0]
        expected = network(image)
        # sums of as many products as there are weights, of numbers near 1, rounded independently
        roundings = math.sqrt(sum(weight.numel() for weight in network.parameters()))
        bound = 2 * roundings * torch.finfo(torch.float32).eps / 2
        assert (scores - expected).abs().max() <= bound * max(1, expected.abs().max())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU")
@pytest.mark.parametrize("case", ["SGD", "Adam", "batch normalisation", "crops and flips"])
def test_cuda_follows_the_cpu_within_float32(case):
    members = CASES[case]
    bound = _bound(members, torch.float32)
    assert _farthest(_fleet(members, device="cuda"), _fleet(members)) < bound


def test_data_stay_where_they_are():
    """A fleet leaves the cached data set as it found it."""
    data = datasets.load("digits")
    before = data.train_images.clone()
    _fleet(CASES["padded crops"])
    assert torch.equal(data.train_images, before)
