"""Images held out in training: patience, and the weights of the lowest loss on them."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from experiments import training
from experiments.course import Course
from experiments.records import Record
from tests.toy_training import RECIPE, trained


def test_images_held_out_are_measured_and_counted():
    record = trained(dataclasses.replace(RECIPE, validation=347))
    assert record.train_size == 1000
    assert len(record.curves.validation_loss) == len(record.curves.validation_accuracy) == 2
    assert record.curves.validation_loss != record.curves.test_loss
    assert 347 * record.curves.validation_accuracy[-1] == pytest.approx(
        round(347 * record.curves.validation_accuracy[-1])
    )
    assert record.best_train_accuracy is None
    assert not trained().curves.validation_loss


def test_patience_stops_a_run_that_no_longer_improves():
    """A learning rate that makes the validation loss rise ends the run early."""
    recipe = dataclasses.replace(
        RECIPE, examples=40, validation=300, patience=3, epochs=200, batch=40
    )
    record = trained(recipe)
    losses = record.curves.validation_loss
    assert 3 < len(losses) < 200
    assert min(losses[-3:]) >= losses[-4]
    assert all(min(losses[i - 3 : i]) < losses[i - 4] for i in range(4, len(losses)))
    assert not record.diverged
    assert Record.from_json(record.to_json()) == record


def test_a_loss_that_stays_the_same_does_not_improve():
    course = Course(dataclasses.replace(RECIPE, validation=10, patience=2, epochs=9))
    for finished in (False, False, True):
        course.add((1.0, 0.5), (1.0, 0.5), (1.0, 0.5), dict)
        assert course.finished == finished


def test_patience_does_not_outlast_the_epochs():
    course = Course(dataclasses.replace(RECIPE, validation=10, patience=5, epochs=2))
    for finished in (False, True):
        course.add((1.0, 0.5), (1.0, 0.5), (1.0, 0.5), dict)
        assert course.finished == finished


def test_the_best_weights_are_those_of_the_lowest_validation_loss(monkeypatch):
    scores = iter([3.0, 1.0, 2.0, 2.0, 2.0])  # validation losses; epoch 2 has the lowest
    evaluate, states, measured = training.evaluate, [], []

    def planned(network, images, labels, *rest):
        loss, accuracy = evaluate(network, images, labels, *rest)
        if len(images) == 300:
            states.append({k: v.clone() for k, v in network.state_dict().items()})
            loss = next(scores)
        elif len(images) == 100:
            measured.append((dict(network.state_dict()), accuracy))
        return loss, accuracy

    monkeypatch.setattr(training, "evaluate", planned)
    record = trained(
        dataclasses.replace(RECIPE, examples=100, validation=300, patience=3, epochs=9)
    )
    assert len(states) == 5
    (_, last), (weights, best) = measured  # the training set: with the last, then the best weights
    assert all(torch.equal(weights[name], states[1][name]) for name in weights)
    assert (record.final_train_accuracy, record.best_train_accuracy) == (last, best)


def test_the_final_accuracy_is_of_the_last_weights_and_the_network_handed_on_has_the_best(
    monkeypatch,
):
    scores = iter([1.0, 2.0, 2.0])
    evaluate, states, measured, handed_on = training.evaluate, [], [], []

    def copied(network):
        return {name: value.clone() for name, value in network.state_dict().items()}

    def planned(network, images, *rest):
        state = copied(network)
        if len(images) == 300:
            states.append(state)
            return next(scores), 0.5
        if len(images) == 100:
            measured.append(state)
        return evaluate(network, images, *rest)

    monkeypatch.setattr(training, "evaluate", planned)
    recipe = dataclasses.replace(RECIPE, examples=100, validation=300, patience=2, epochs=9)
    trained(recipe, on_trained=lambda network, _: handed_on.append(copied(network)))
    best, _, last = states
    for name in best:
        assert torch.equal(measured[0][name], last[name])
        assert torch.equal(measured[1][name], best[name])
        assert torch.equal(handed_on[0][name], best[name])
        assert not torch.equal(best[name], last[name])


def test_of_equal_validation_losses_the_first_is_the_lowest(monkeypatch):
    """As `at_lowest_validation_loss` counts; a network of dead units repeats its loss."""
    scores = iter([3.0, 1.0, 1.0, 1.0, 1.0])
    evaluate, states = training.evaluate, []

    def planned(network, images, labels, *rest):
        loss, accuracy = evaluate(network, images, labels, *rest)
        if len(images) == 300:
            loss = next(scores)
        if len(images) in (100, 300):
            states.append({k: v.clone() for k, v in network.state_dict().items()})
        return loss, accuracy

    monkeypatch.setattr(training, "evaluate", planned)
    record = trained(
        dataclasses.replace(RECIPE, examples=100, validation=300, patience=3, epochs=9)
    )
    assert record.curves.validation_loss == [3.0, 1.0, 1.0, 1.0, 1.0]
    assert all(torch.equal(states[-1][name], states[1][name]) for name in states[1])
