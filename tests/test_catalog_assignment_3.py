"""The catalogue of assignment-3: the report's networks and steps, one change at a time."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from experiments import networks
from experiments.catalog.assignment_3 import STUDY
from experiments.datasets import Dataset
from experiments.recipe import Optimizer
from experiments.sampling import orders, split
from experiments.verdicts import judge
from tests.catalog_steps import assert_every_weight_moves
from theory.ledger.claims import claims

CIFAR = (3, 32, 32)
CURVES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")


def recipe(role: str):
    return STUDY.recipe(role, "sgd")


def build(role: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return networks.build(recipe(role).network, CIFAR, recipe(role).filters, 10)


def count(role: str) -> int:
    return sum(p.numel() for p in build(role).parameters())


def learnt_and_dropped(network: torch.nn.Module) -> list[tuple]:
    """Return kind and sizes of every layer that the report prints but ReLU and pooling."""
    found: list[tuple] = []
    for layer in network:
        match layer:
            case torch.nn.Conv2d():
                sizes = (layer.in_channels, layer.out_channels)
                found.append(("conv", *sizes, layer.kernel_size, layer.stride, layer.padding))
            case torch.nn.Linear():
                found.append(("fc", layer.in_features, layer.out_features))
            case torch.nn.BatchNorm1d() | torch.nn.BatchNorm2d():
                found.append(("bn", layer.num_features, layer.eps, layer.momentum))
            case torch.nn.Dropout():
                found.append(("drop", layer.p))
    return found


def test_every_empirical_claim_is_measured_or_says_what_it_needs() -> None:
    empirical = {c.id for c in claims().values() if c.report == STUDY.name and c.empirical}
    ours = {"assignment-3-own-initialisation", "assignment-3-own-resnet-18"}
    assert set(STUDY.claims) == empirical | ours
    on_request = {
        statement.claim
        for statement in STUDY.statements
        if any(f"{role}.sgd" in STUDY.on_request for role in statement.quantity.reads)
    }
    assert on_request == {"assignment-3-4a-setup", "assignment-3-4a-accuracy"}


def test_the_pretrained_network_is_set_up_as_the_report_says() -> None:
    reported = claims()["assignment-3-4a-setup"].reported
    pretrained = recipe("resnet-18-pretrained")
    assert pretrained.optimizer == Optimizer("adam", reported["lr"])
    assert (pretrained.batch, pretrained.resize) == (reported["batch"], reported["resize"])
    assert (pretrained.augmentation, pretrained.initialisation) == ("flip", "imagenet")


def test_parameters_are_those_of_the_report() -> None:
    total = claims()["assignment-3-1g-total"].reported
    same = ("task-2", "net2", "augmentation", "dropout", "elu", "kaiming")
    assert {count(role) for role in same} == set(total) == {390_410}
    layers = claims()["assignment-3-1g-layers"].reported
    assert [
        sum(p.numel() for p in layer.parameters())
        for layer in build("task-2")
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)
    ] == list(layers)
    normalised = 2 * (32 + 64 + 128 + 64 + 10)  # a scale and a shift for each channel
    assert count("net1") == count("batch-norm") == 390_410 + normalised
    second = sum((25 * filters + 1) * filters for filters in (32, 64, 128))
    assert count("double-conv") == 390_410 + second


def test_net1_and_net2_have_the_layers_that_are_printed() -> None:
    convolutions = [
        ("conv", before, after, (5, 5), (1, 1), (2, 2))
        for before, after in ((3, 32), (32, 64), (64, 128))
    ]
    hidden, scores = ("fc", 2048, 64), ("fc", 64, 10)
    norms = [("bn", channels, 1e-05, 0.1) for channels in (32, 64, 128, 64, 10)]
    net1 = zip([*convolutions, hidden, scores], norms, strict=True)
    assert learnt_and_dropped(build("net1")) == [layer for pair in net1 for layer in pair]
    net2 = [layer for convolution in convolutions for layer in (convolution, ("drop", 0.05))]
    assert learnt_and_dropped(build("net2")) == [*net2, hidden, scores]


def test_what_helped_is_net1_with_more_of_the_dropout_of_net2() -> None:
    helped, net1, net2 = (recipe(role) for role in ("helped", "net1", "net2"))
    assert helped.network.replace(" drop0.2", "") == net1.network
    assert helped.network.replace(" bn", "").replace("0.2", "0.05") == net2.network
    assert dataclasses.replace(helped, name=net1.name, network=net1.network) == net1


@pytest.mark.parametrize("claim", ["assignment-3-3e-best", "assignment-3-3f-overfit"])
def test_either_best_network_decides_alone(claim) -> None:
    of_role = {
        reading: {
            role
            for statement in STUDY.statements
            if (statement.claim, statement.reading) == (claim, reading)
            for role in statement.quantity.reads
        }
        - {"task-2"}
        for reading in ("what helped", "our own")
    }
    assert of_role == {"what helped": {"helped"}, "our own": {"best"}}


def test_fifteen_epochs_are_the_5265_steps_of_the_report() -> None:
    reported = claims()["assignment-3-2b-steps"].reported["steps"]
    assert 15 * recipe("task-2").steps == reported
    data = Dataset(
        name="blank",
        train_images=torch.zeros(50_000, 1, 1, 1, dtype=torch.uint8),
        train_labels=torch.zeros(50_000, dtype=torch.int64),
        test_images=torch.zeros(1, 1, 1, 1, dtype=torch.uint8),
        test_labels=torch.zeros(1, dtype=torch.int64),
        fingerprint="blank",
        classes=10,
    )
    (_, labels), (_, held_out) = split(recipe("task-2"), 0, data)
    assert (len(labels), len(held_out)) == (45_000, 5_000)
    order = next(orders(recipe("task-2"), len(labels), torch.Generator()))
    assert [len(batch) for batch in order.split(recipe("task-2").batch)] == [64] * 351


@pytest.mark.parametrize(
    ("role", "changed"),
    [
        ("augmentation", {"augmentation"}),
        ("batch-norm", {"network"}),
        ("dropout", {"network"}),
        ("elu", {"network"}),
        ("double-conv", {"network"}),
        ("kaiming", {"initialisation"}),
        ("net1", {"network", "augmentation"}),
        ("net2", {"network", "augmentation"}),
        ("helped", {"network", "augmentation"}),
        ("best", {"network", "augmentation", "patience"}),
    ],
)
def test_a_change_changes_nothing_else(role, changed) -> None:
    base, other = (dataclasses.asdict(recipe(name)) for name in ("task-2", role))
    assert {key for key in base if base[key] != other[key]} == {"name", *changed}


@pytest.mark.parametrize(("accuracy", "verdict"), [(0.8, "reproduced"), (0.09, "not_reproduced")])
def test_the_setup_of_task_3_works_if_its_networks_learn(make_record, accuracy, verdict) -> None:
    """However differently long they train; that their losses stay finite is not enough."""
    setup = tuple(s for s in STUDY.statements if s.claim == "assignment-3-3a-setup")
    records = [
        make_record(
            recipe(role),
            seed,
            **dict.fromkeys(CURVES, [1.0] * epochs),
            best_train_accuracy=accuracy,
        )
        for role in ("net1", "net2", "kaiming")
        for seed, epochs in enumerate((4, 30, 30))
    ]
    [claim] = judge(dataclasses.replace(STUDY, statements=setup), records)
    assert claim.verdict == verdict


@pytest.mark.parametrize(
    ("accuracy", "epochs", "verdict"),
    [
        (0.71, 10, "reproduced"),
        (0.70, 10, "undecided"),
        (0.60, 10, "undecided"),
        (0.71, 30, "not_reproduced"),
        (0.60, 30, "not_reproduced"),
    ],
)
def test_batch_normalisation_may_improve_the_training_time_alone(
    make_record, accuracy, epochs, verdict
) -> None:
    """Without better accuracies only the late reading fits, which reproduces nothing."""
    slightly = tuple(s for s in STUDY.statements if s.claim == "assignment-3-3c-batchnorm")
    assert {(s.reading, s.late) for s in slightly} == {
        ("accuracy and time", False),
        ("time alone", True),
    }
    records = []
    for role, score, length in (("task-2", 0.70, 20), ("batch-norm", accuracy, epochs)):
        for seed in range(5):
            curves = dict.fromkeys(CURVES, [1.0] * length)
            curves["test_accuracy"] = [score + seed / 1000] * length
            record = make_record(recipe(role), seed, **curves)
            record.curves.validation_loss[:] = [1.0] * length
            records.append(record)
    [claim] = judge(dataclasses.replace(STUDY, statements=slightly), records)
    assert claim.verdict == verdict


@pytest.mark.parametrize("role", [role for role in STUDY.roles if "resnet" not in role])
def test_every_network_takes_a_step(role: str) -> None:
    assert_every_weight_moves(recipe(role), CIFAR)


def test_without_records_the_resnet_says_what_it_needs() -> None:
    verdicts = {verdict.claim: verdict for verdict in judge(STUDY, [])}
    assert {verdict.verdict for verdict in verdicts.values()} == {"not_run"}
    assert "pretrained" in verdicts["assignment-3-4a-accuracy"].reason
    assert verdicts["assignment-3-2b-steps"].findings[0].missing == ("task-2.sgd",)
