"""Small fleets on the digits, beside the solo runs of their members."""

from __future__ import annotations

import dataclasses
from itertools import chain

import torch

from experiments import training
from experiments.augmentation import Inputs
from experiments.fleet import Member, train_fleet
from experiments.fleet import training as fleet_training
from experiments.recipe import Optimizer, Recipe
from experiments.training import train

BASE = Recipe(
    "base.sgd", "conv3k3 relu max2 fc10", "digits", Optimizer("sgd", 0.1), epochs=2, examples=50
)


def altered(optimizer=None, **settings):
    """Return the recipe of these settings; those of its optimiser are a dictionary."""
    optimizer = dataclasses.replace(BASE.optimizer, **(optimizer or {}))
    return dataclasses.replace(BASE, optimizer=optimizer, **settings)


def two_seeds(recipe, *others):
    """Return two seeds of the recipe, and one of each other."""
    return [Member(recipe, 0), Member(recipe, 1), *(Member(other, 2) for other in others)]


ADAM = {"name": "adam", "lr": 0.01}
DROPOUT = {"network": "conv3k3 relu drop0.5 fc16 relu drop0.3 fc10"}
CASES = {
    "SGD": two_seeds(BASE),
    "momentum": two_seeds(altered({"momentum": 0.9}), BASE),
    "Adam": two_seeds(altered(ADAM), altered(ADAM | {"lr": 0.001})),
    "weight decay": two_seeds(altered({"weight_decay": 0.3}), BASE),
    "weight decay of Adam": two_seeds(altered(ADAM | {"weight_decay": 0.3}), altered(ADAM)),
    "learning rates": two_seeds(BASE, altered({"lr": 0.3}), altered({"lr": 0.01})),
    "two seeds, one of them twice": [*two_seeds(BASE), Member(altered({"lr": 0.3}), 1)],
    "schedules": two_seeds(altered({"schedule": "step-1-0.1"}), altered({"schedule": "cosine"})),
    "learning rates of one seed": [
        Member(altered({"lr": lr} | extra, **DROPOUT, augmentation="pad1 flip"), 3)
        for lr, extra in ((0.1, {}), (0.01, {"momentum": 0.9}), (0.2, {"weight_decay": 0.1}))
    ],
    "batch normalisation": two_seeds(altered(network="conv3k3 bn relu max2 fc16 bn fc10")),
    "dropout": two_seeds(altered(**DROPOUT), altered({"lr": 0.2}, **DROPOUT)),
    "initialisation": two_seeds(BASE, altered(initialisation="kaiming-uniform")),
    "all images": two_seeds(altered(examples=None, batch=600, epochs=1)),
    "crops and flips": two_seeds(altered(augmentation="crop6 flip")),
    "padded crops": two_seeds(altered(augmentation="pad2")),
    "standardised": two_seeds(altered(scaling="standard")),
    "counted steps": two_seeds(altered(steps=2)),
    "validation": two_seeds(altered(validation=100, augmentation="pad1 flip", scaling="standard")),
    "resized": two_seeds(altered(resize=12, augmentation="pad1 flip", network="conv3k3 relu fc10")),
    "no epochs": two_seeds(altered(epochs=0)),
    "skip": two_seeds(altered(network="conv3k3 skip(relu conv4k3) gap fc10")),
    "halves": two_seeds(altered(network="halves(conv3k3 elu avg2 fc5) fc10")),
    "fully connected": two_seeds(altered(network="fc16 relu fc10")),
} | {
    name: two_seeds(altered(network=name, filters=2))
    for name in ("two-conv", "linear-two-conv", "conv-fc", "conv-gap", "resnet-18")
}


def in_float64(monkeypatch, *, disturbed_by=0.0):
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


def trained_alone(member):
    """Train one member on its own, and return the record."""
    return train(member.recipe, member.seed, study="test", threads=1)


def trained_together(members, **options):
    """Train the members as one fleet, and return their records."""
    return train_fleet(members, study="test", threads=1, **options)


def accuracies(record):
    """Return all accuracies of a record, which rounding in float64 does not change."""
    curves = record.curves
    found = chain(curves.train_accuracy, curves.test_accuracy, curves.validation_accuracy)
    return [*found, record.final_train_accuracy, record.best_train_accuracy]
