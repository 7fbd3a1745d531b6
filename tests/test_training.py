"""Training: every image in every epoch, and measurements as a plain loop makes them."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.utils._python_dispatch import TorchDispatchMode

from experiments import datasets, sampling, training
from experiments.augmentation import Inputs
from experiments.course import Course
from experiments.errors import InputError
from experiments.fleet import Member, train_fleet
from experiments.recipe import Optimizer
from experiments.records import Store
from tests.toy_training import RECIPE, trained

_ACCURACIES = {"train_accuracy": [0.5, 0.5], "test_accuracy": [0.5, 0.5]}


def test_the_record_holds_what_a_plain_loop_measures():
    """Two epochs again, in float64 and written out: all four curves and the final training set."""
    data = datasets.load("digits")
    network = training.initialised(RECIPE, 0, Inputs(), data).double()
    stepper = torch.optim.Adam(network.parameters(), lr=0.003)
    order = torch.Generator().manual_seed(sampling.stream_seed(0, "order"))
    images = {"train": data.train_images, "test": data.test_images}
    images = {split: x.double() / 127.5 - 1 for split, x in images.items()}
    labels = {"train": data.train_labels, "test": data.test_labels}

    def measure(split: str) -> tuple[float, float]:
        with torch.no_grad():
            scores = network(images[split])
        picked = scores.log_softmax(1)[torch.arange(len(scores)), labels[split]]
        return -picked.mean().item(), (scores.argmax(1) == labels[split]).double().mean().item()

    expected: dict[str, list[float]] = {"train": [], "test": []}
    orders = []
    for _ in range(RECIPE.epochs):
        orders.append(torch.randperm(len(labels["train"]), generator=order))
        losses = correct = 0.0
        for indices in orders[-1].split(32):
            scores = network(images["train"][indices])
            loss = F.cross_entropy(scores, labels["train"][indices])
            stepper.zero_grad()
            loss.backward()
            stepper.step()
            losses += loss.item() * len(indices)
            correct += (scores.argmax(1) == labels["train"][indices]).sum().item()
        count = len(labels["train"])
        expected["train"] += [losses / count, correct / count]
        expected["test"] += measure("test")
    assert not torch.equal(*orders)

    record = trained()
    curves = record.curves
    for split, loss, accuracy in (
        ("train", curves.train_loss, curves.train_accuracy),
        ("test", curves.test_loss, curves.test_accuracy),
    ):
        found = [value for pair in zip(loss, accuracy, strict=True) for value in pair]
        # float32 against float64: 86 steps, each with relative roundings of some 1e-6 in the
        # gradients that Adam scales to the learning rate; an accuracy may differ by one image.
        assert found == pytest.approx(expected[split], rel=1e-3, abs=1 / 450)
    final = [record.final_train_loss, record.final_train_accuracy]
    assert final == pytest.approx(measure("train"), rel=1e-3)
    assert abs(measure("train")[1] - expected["test"][-1]) > 0.01  # no split passes for the other


def test_every_image_is_seen_once_an_epoch():
    seen = []

    class Spy(nn.Module):
        def __init__(self):
            super().__init__()
            self.scores = nn.Parameter(torch.zeros(10))

        def forward(self, x):
            seen.append(((x[:, 0, 0, 0] + 1) * 127.5).round().int())
            return self.scores.expand(len(x), 10)

    images = torch.arange(70, dtype=torch.uint8).view(70, 1, 1, 1)
    network = Spy()
    training.train_epoch(
        network,
        torch.optim.SGD(network.parameters(), 0.1),
        images,
        torch.zeros(70, dtype=torch.int64),
        torch.randperm(70),
        RECIPE,
    )
    assert [len(batch) for batch in seen] == [32, 32, 6]
    assert torch.cat(seen).sort().values.tolist() == list(range(70))


def test_an_epoch_waits_for_its_measurements_alone():
    """Two numbers are read back at its end, however many steps it has."""
    data = datasets.load("digits")
    network = training.initialised(RECIPE, 0, Inputs(), data)
    optimizer = training.make_optimizer(RECIPE.optimizer, network)

    class Reads(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, operation, types, arguments=(), options=None):
            self.count += operation is torch.ops.aten._local_scalar_dense.default
            return operation(*arguments, **(options or {}))

    for steps in (1, 5):
        order = torch.arange(steps * RECIPE.batch)
        with Reads() as reads:
            training.train_epoch(
                network, optimizer, data.train_images, data.train_labels, order, RECIPE
            )
        assert reads.count == 2


def test_learning_happens():
    record = trained(dataclasses.replace(RECIPE, epochs=5))
    assert record.curves.train_loss[-1] < record.curves.train_loss[0] / 2
    assert record.final_train_accuracy > 0.8
    assert record.parameters == sum(p.numel() for p in nn.Linear(98, 10).parameters()) + 10


def test_a_diverging_run_is_recorded_as_such():
    record = trained(dataclasses.replace(RECIPE, optimizer=Optimizer("sgd", 1e30), epochs=3))
    assert record.diverged
    assert len(record.curves.train_loss) < 3
    assert record.final_train_accuracy is None
    assert "NaN" not in record.to_json()


def test_a_loss_that_is_lost_at_the_very_end_is_divergence_too(monkeypatch):
    """The final weights give an infinite training loss, though every epoch's mean was finite."""
    evaluate, calls = training.evaluate, []

    def lose_the_last(*arguments):
        calls.append(arguments)
        return (float("inf"), 0.1) if len(calls) == 3 else evaluate(*arguments)

    monkeypatch.setattr(training, "evaluate", lose_the_last)
    record = trained()
    assert record.diverged
    assert record.final_train_loss is None
    assert "Infinity" not in record.to_json()


@pytest.mark.parametrize("lost", ["trained", "tested", "validated"])
@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_lost_on_any_images_is_divergence(lost, loss):
    course = Course(dataclasses.replace(RECIPE, validation=10))
    measured = dict.fromkeys(("trained", "tested", "validated"), (1.0, 0.5)) | {lost: (loss, 0.1)}
    course.add(**measured, state=dict)
    assert course.diverged
    assert course.finished
    assert course.curves.train_loss == []


def test_a_run_that_is_past_its_last_epoch_ends():
    """Red where it goes on for ever, for it is never at that epoch again."""
    course = Course(dataclasses.replace(RECIPE, epochs=1))
    course.load({name: [1.0, 1.0] for name in ("train_loss", "test_loss")} | _ACCURACIES, None)
    course.add((1.0, 0.5), (1.0, 0.5), None, dict)
    assert course.finished


def test_evaluation_gives_a_network_back_in_its_mode_and_training_hands_on_one_to_evaluate():
    """Red where the network handed on drops units out."""
    handed_on = []
    recipe = dataclasses.replace(RECIPE, network="relu drop0.5 fc10", filters=None, epochs=1)
    trained(recipe, on_trained=lambda network, inputs: handed_on.append((network, inputs)))
    ((network, inputs),) = handed_on
    data = datasets.load("digits")
    assert not network.training
    for mode in (False, True):
        training.evaluate(network.train(mode), data.test_images, data.test_labels, recipe, inputs)
        assert network.training is mode


def test_counted_steps_are_an_epoch(monkeypatch):
    batches, train_epoch = [], training.train_epoch

    def spy(network, optimizer, images, labels, order, *rest):
        batches.append(len(order) / RECIPE.batch)
        return train_epoch(network, optimizer, images, labels, order, *rest)

    monkeypatch.setattr(training, "train_epoch", spy)
    trained(dataclasses.replace(RECIPE, steps=5, examples=50, epochs=3))
    assert batches == [5, 5, 5]


def test_no_epochs_measure_the_initial_network():
    record = trained(dataclasses.replace(RECIPE, epochs=0))
    assert record.curves.train_loss == []
    assert not record.diverged
    assert 0.0 < record.final_train_accuracy < 0.3


def test_the_training_time_is_that_of_the_updates_alone(monkeypatch):
    """What an epoch's seconds are taken from; every look at this clock takes a second."""
    now = [0.0]

    def perf_counter():
        now[0] += 1.0
        return now[0]

    def slow(*arguments):
        now[0] += 100.0
        return evaluate(*arguments)

    evaluate = training.evaluate
    monkeypatch.setattr(training, "time", SimpleNamespace(perf_counter=perf_counter))
    monkeypatch.setattr(training, "evaluate", slow)
    made = trained().provenance
    assert made["training_seconds"] == RECIPE.epochs
    assert made["wall_seconds"] > 100 * RECIPE.epochs


def test_progress_is_told_after_each_epoch():
    told = []
    trained(on_epoch=told.append)
    assert told == [1, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": "a"}, "seed must be an integer, got 'a'"),
        ({"seed": 1.0}, r"seed must be an integer, got 1\.0"),
        ({"seed": True}, "seed must be an integer, got True"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"threads": 1.5}, r"threads must be an integer, got 1\.5"),
        ({"study": "../.."}, "a study's name is made of letters, digits and"),
    ],
)
def test_a_run_whose_record_could_not_be_read_is_not_trained(options, message):
    """Red where hours end with a record that every later look at the store fails on."""
    given = {"seed": 0, "study": "test", "threads": 1} | options
    seed, alone, told = given.pop("seed"), [], {"on_epoch": lambda epoch: alone.append(epoch)}
    with pytest.raises(InputError, match=message):
        training.train(RECIPE, seed, **given, **told)
    with pytest.raises(InputError, match=message):
        train_fleet([Member(RECIPE, seed)], **given, **told)
    assert alone == []


def test_a_seed_of_any_type_of_integer_makes_the_same_record(tmp_path):
    recipe = dataclasses.replace(RECIPE, epochs=0)
    assert Store(tmp_path).write(trained(recipe, np.int64(3))).is_file()
    assert trained(recipe, np.int64(3)) == trained(recipe, 3)
    assert Member(recipe, np.int64(3)) == Member(recipe, 3)


def test_a_device_that_is_not_there_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="finds no GPU; use --device cpu"):
        trained(device="cuda")
    with pytest.raises(ValueError, match="device 'tpu' is unknown"):
        trained(device="tpu")
