"""What each quantity is called, in which unit, and what its runs must have been through."""

from __future__ import annotations

from experiments.quantities import (
    Quantity,
    at_epoch,
    at_lowest_test_loss,
    at_lowest_validation_loss,
    at_the_end,
    best_train_accuracy,
    difference,
    epochs_with_finite_loss,
    failed,
    final_train_accuracy,
    final_train_loss,
    jumpiness,
    largest_lead,
    lead_begins,
    loss_rise,
    median_over_epochs,
    parameters,
    seconds_an_epoch,
    size_of_test_set,
    size_of_training_set,
    steps_taken,
    steps_to_reach,
    turning_point,
)


def of_each() -> list[tuple[Quantity, str, str, int]]:
    """Return each quantity with its name, its unit, and the epochs that it reads.

    They are made while a test runs, as mutants are noticed only then.
    """
    return [
        (at_epoch("test_loss", "a", 4), "test loss, a at epoch 4", "nats", 4),
        (
            median_over_epochs("train_loss", "a", 2, 4),
            "train loss, a in the median of epochs 2 to 4",
            "nats",
            4,
        ),
        (
            at_the_end("validation_accuracy", "a"),
            "validation accuracy, a at the end",
            "accuracy",
            1,
        ),
        (
            at_lowest_validation_loss("test_accuracy", "a"),
            "test accuracy, a at the lowest validation loss",
            "accuracy",
            1,
        ),
        (
            at_lowest_test_loss("test_accuracy", "a", 4),
            "test accuracy, a at the lowest test loss of 4 epochs",
            "accuracy",
            4,
        ),
        (turning_point("a", 4), "epoch of the lowest test loss, a, of 4", "count", 4),
        (
            steps_to_reach("train_loss", "a", 0.5, 4, every=2),
            "steps to a train loss of 0.500, a",
            "count",
            4,
        ),
        (
            jumpiness("train_accuracy", "a", 4),
            "jumpiness of the train accuracy, a, epochs 1 to 4",
            "points",
            4,
        ),
        (loss_rise("a", 4), "test loss above its minimum, a at epoch 4", "nats", 4),
        (largest_lead("a"), "largest lead of train over test accuracy, a", "points", 1),
        (
            lead_begins("a", 0.02, 4),
            "share of the training until train leads test by +2.0 pp, a",
            "share",
            4,
        ),
        (parameters("a"), "parameters, a", "count", 0),
        (size_of_training_set("a"), "training images, a", "count", 0),
        (size_of_test_set("a"), "test images, a", "count", 0),
        (steps_taken("a"), "steps, a", "count", 0),
        (
            best_train_accuracy("a"),
            "train accuracy, a at the lowest validation loss",
            "accuracy",
            0,
        ),
        (final_train_loss("a"), "train loss, a, final weights", "nats", 0),
        (final_train_accuracy("a"), "train accuracy, a, final weights", "accuracy", 0),
        (epochs_with_finite_loss("a"), "epochs with a finite loss, a", "count", 0),
        (failed("a", 4), "share of runs that learnt nothing, a at epoch 4", "count", 4),
        (seconds_an_epoch("a"), "training time of an epoch, a", "seconds", 1),
    ]


def test_a_quantity_says_what_it_is_and_how_many_epochs_it_reads() -> None:
    for quantity, name, unit, epochs in of_each():
        assert (str(quantity), quantity.unit, quantity.reads) == (name, unit, {"a": epochs})
        assert quantity.proportions == (unit == "accuracy")


def test_a_few_are_the_same_for_every_seed_proportions_of_the_test_set_or_of_kept_weights() -> None:
    def of(fact: str) -> set[str]:
        return {name for quantity, name, _, _ in of_each() if getattr(quantity, fact)}

    kept = "a at the lowest validation loss"
    assert of("seedless") == {
        "parameters, a",
        "training images, a",
        "test images, a",
        "epochs with a finite loss, a",
    }
    assert of("of_test_set") == {
        f"test accuracy, {kept}",
        "test accuracy, a at the lowest test loss of 4 epochs",
    }
    assert of("validated") == {
        f"test accuracy, {kept}",
        f"train accuracy, {kept}",
        "validation accuracy, a at the end",
    }
    assert of("patient") == {f"train accuracy, {kept}"}


def test_a_difference_needs_what_either_of_the_two_needs() -> None:
    kept, last = best_train_accuracy("a"), final_train_accuracy("a")
    for pair, needs in (((kept, last), True), ((last, kept), True), ((last, last), False)):
        assert difference(*pair).validated is needs
        assert difference(*pair).patient is needs


def test_how_many_images_an_accuracy_counts_may_be_unknown() -> None:
    accuracy = final_train_accuracy("a")
    assert accuracy.grid_of(50) == 0.02
    assert accuracy.grid_of(0) == 0
    assert turning_point("a", 4).grid_of(50) == 1
