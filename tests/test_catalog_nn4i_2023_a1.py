"""The study of nn4i-2023-a1 runs what the report describes and measures all that it claims."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from experiments.catalog.nn4i_2023_a1 import NETWORKS, STUDY
from experiments.networks import layers
from tests.catalog_steps import assert_every_weight_moves
from theory.ledger import claims

IMAGE = (3, 32, 32)
PREFIX = "nn4i-2023-a1-"


def built(role: str) -> nn.Sequential:
    torch.manual_seed(0)
    return layers.build(NETWORKS[role], IMAGE)[0]


def parameters(role: str) -> int:
    return sum(p.numel() for p in built(role).parameters())


def count(role: str, kind: type[nn.Module]) -> int:
    return sum(isinstance(module, kind) for module in built(role).modules())


def convolutions(role: str) -> int:
    """Count the convolutions of the main path: those of a skip connection have 1x1 kernels."""
    return sum(
        isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1)
        for module in built(role).modules()
    )


def test_the_one_layer_networks_have_about_as_many_parameters_as_reported() -> None:
    for role, claim in (("conv-fc", "q3-60000"), ("conv-gap", "q3-gap-600")):
        [reported] = claims()[PREFIX + claim].reported
        assert abs(parameters(role) - reported) < 0.05 * reported
    [reported] = claims()["nni-2023-ex1-q1a-params-20"].reported
    assert parameters("fewer-parameters") == reported < parameters("conv-fc")


def test_the_first_set_is_the_described_one() -> None:
    described = claims()[PREFIX + "q1c-network-first"].reported
    stages = {role: role for role in NETWORKS if role.startswith("stages")}
    assert {convolutions(role) for role in stages} == set(described["conv_layers"])
    assert {count(role, nn.Linear) for role in stages} == set(described["fc_layers"])
    for role in stages:
        pool = nn.AvgPool2d if role.endswith("average") else nn.MaxPool2d
        assert count(role, pool) == convolutions(role)
        assert count(role, nn.ReLU) == convolutions(role) + count(role, nn.Linear) - 1


def test_the_second_set_is_the_grid_of_the_report() -> None:
    described = claims()[PREFIX + "q1c-grid"].reported
    grid = [role for role in NETWORKS if role.startswith("block")]
    assert grid == [
        f"block-{network_depth}x{block_depth}"
        for block_depth in described["block_depth"]
        for network_depth in described["network_depth"]
    ]
    assert len(grid) == described["runs"]
    for role in grid:
        network_depth, block_depth = map(int, role.removeprefix("block-").split("x"))
        assert convolutions(role) == network_depth * block_depth
        assert count(role, nn.MaxPool2d) == network_depth
        assert count(role, layers.Skip) == (network_depth if block_depth > 1 else 0)
        assert count(role, nn.Linear) == 1
    assert [convolutions("block-3x3")] == claims()[PREFIX + "q1c-nine-layers"].reported


def test_more_neurons_are_more_everywhere() -> None:
    assert parameters("stages-3") > 3 * parameters("stages-3-narrow")
    sizes = {role: parameters(role) for role in NETWORKS if role.startswith("block")}
    assert max(sizes, key=sizes.__getitem__) == "block-3x3"


@pytest.mark.parametrize(
    ("linear", "original"), [("linear-small", "block-3x1"), ("linear-large", "block-3x3")]
)
def test_linear_networks_are_the_block_networks_without_nonlinearities(linear, original) -> None:
    assert NETWORKS[linear] == NETWORKS[original].replace(" relu", "").replace("max", "avg")
    assert not any(count(linear, kind) for kind in (nn.ReLU, nn.MaxPool2d))
    assert parameters(linear) == parameters(original)


def test_the_best_network_is_held_against_every_one_of_the_first_set() -> None:
    claim = PREFIX + "q1-second-report"
    accuracies = [s.quantity.reads for s in STUDY.statements if s.claim == claim]
    for role in (role for role in NETWORKS if role.startswith("stages")):
        assert {"block-3x3": 8, role: 8} in accuracies


def test_the_second_set_has_fewer_parameters_by_construction_and_no_statement_says_so() -> None:
    """The widths are ours, so that no run could show anything else."""
    for role in ("stages-1", "stages-2", "stages-3", "stages-3-fc-3", "stages-4"):
        assert parameters("block-3x3") < parameters(role)
    claim = PREFIX + "q1-second-report"
    stated = {s.quantity.what for s in STUDY.statements if s.claim == claim}
    assert stated == {"test accuracy"}


def test_every_empirical_claim_is_stated() -> None:
    empirical = {c.id for c in claims().values() if c.report == STUDY.name and c.empirical}
    assert len(empirical) == 10
    assert set(STUDY.claims) - empirical == {
        PREFIX + claim
        for claim in (
            "q1c-deeper-expectation",
            "q2-bigger-linear",
            "q3-direct-fc-explanation",
            "own-fewer-parameters",
        )
    }
    assert empirical <= set(STUDY.claims)


def test_the_causes_of_one_convolution_are_taken_away_one_by_one() -> None:
    """Four times the neurons, or a field three times as wide at 2 % more parameters, or both."""
    plain, wide, field, both = ("conv-fc", "conv-fc-wide", "conv-fc-9x9", "conv-fc-wide-9x9")
    neurons = {role: built(role)[-1].in_features for role in (plain, wide, field, both)}
    assert neurons[wide] == neurons[both] == 4 * neurons[plain] == 4 * neurons[field]
    assert 1 < parameters(field) / parameters(plain) < 1.03
    sides = {role: NETWORKS[role].split()[0].partition("k")[2] for role in (wide, field, both)}
    assert sides == {wide: "3", field: "9", both: "9"}


@pytest.mark.parametrize("role", NETWORKS)
def test_every_recipe_takes_a_step(role: str) -> None:
    assert_every_weight_moves(STUDY.recipe(role, "adam"), IMAGE)
