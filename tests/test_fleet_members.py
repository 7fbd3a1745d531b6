"""Who may be a member of a fleet: recipes that agree, of any network of the catalogue."""

from __future__ import annotations

import math

import pytest
import torch

from experiments import catalog, networks
from experiments.fleet import Fleet, Member, architecture
from tests.toy_fleet import ADAM, BASE, altered, trained_together


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
    other = altered(**change, name="other.sgd")
    assert architecture(other) != architecture(BASE)
    with pytest.raises(ValueError, match=rf"'base.sgd' and 'other.sgd' differ in {field} and"):
        trained_together([Member(BASE, 0), Member(other, 0)])


def test_a_fleet_of_nobody_is_refused():
    with pytest.raises(ValueError, match="at least one member"):
        trained_together([])


def test_what_members_may_differ_in():
    other = altered(
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
