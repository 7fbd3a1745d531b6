"""Members of a fleet that patience ends keep their best weights, and touch no other."""

from __future__ import annotations

from experiments import datasets, training
from experiments.fleet import Fleet, Member
from tests.toy_fleet import (
    ADAM,
    accuracies,
    altered,
    in_float64,
    trained_alone,
    trained_together,
    two_seeds,
)


def test_a_member_that_stops_early_touches_no_other(monkeypatch):
    in_float64(monkeypatch)
    settings = {"validation": 300, "examples": 40, "batch": 40, "epochs": 20}
    impatient = Member(altered(ADAM | {"lr": 0.1}, patience=2, **settings), 0)
    patient = Member(altered(ADAM | {"lr": 0.1}, patience=20, **settings), 0)
    others = [
        Member(altered(ADAM, **settings), 1),
        Member(altered(ADAM, patience=5, **settings), 2),
    ]
    stopped, *rest = trained_together([impatient, *others])
    went_on, *same = trained_together([patient, *others])
    assert rest == same
    assert len(stopped.curves.train_loss) < len(went_on.curves.train_loss) == 20
    for record, member in zip([stopped, went_on], [impatient, patient], strict=True):
        # the weights at the end of its own run, and the best of them, not those of the fleet's end
        assert accuracies(record) == accuracies(trained_alone(member))
    assert stopped.best_train_accuracy is not None


def test_a_member_is_taken_out_where_its_weights_are_kept(monkeypatch):
    """Red if the weights of all members are copied after every epoch."""
    taken, member = [], Fleet.member
    monkeypatch.setattr(
        Fleet, "member", lambda fleet, index: taken.append(index) or member(fleet, index)
    )
    trained_together(two_seeds(altered(epochs=4)))
    assert taken == [0, 1]

    taken.clear()
    settings = {"validation": 300, "examples": 40, "batch": 40, "epochs": 20, "patience": 2}
    (record,) = trained_together([Member(altered(ADAM | {"lr": 0.1}, **settings), 0)])
    losses = record.curves.validation_loss
    better = [loss for epoch, loss in enumerate(losses) if loss < min(losses[:epoch], default=9e9)]
    assert len(taken) == len(better) + 1 < len(losses)


def test_trained_members_are_handed_on_with_the_weights_that_they_keep():
    settings = {"validation": 300, "examples": 40, "batch": 40, "epochs": 20}
    members = [
        Member(altered(ADAM | {"lr": 0.1}, patience=2, **settings), 0),
        Member(altered(ADAM, **settings), 1),
    ]
    test_set, found = (datasets.load("digits").test_images, datasets.load("digits").test_labels), []

    def measure(network, inputs):
        assert not network.training
        found.append(training.evaluate(network, *test_set, members[len(found)].recipe, inputs)[1])

    curves = [record.curves for record in trained_together(members, on_trained=measure)]
    losses = curves[0].validation_loss
    kept = losses.index(min(losses))
    assert kept < len(losses) - 1
    assert found == [curves[0].test_accuracy[kept], curves[1].test_accuracy[-1]]
