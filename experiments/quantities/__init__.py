"""Quantities: what claims speak of, read off the records, one number for each seed."""

from experiments.quantities.combinations import median_of, trend
from experiments.quantities.curve_shapes import jumpiness, loss_rise, steps_to_reach, turning_point
from experiments.quantities.curve_values import (
    at_epoch,
    at_lowest_test_loss,
    at_lowest_validation_loss,
    at_the_end,
    median_over_epochs,
)
from experiments.quantities.formatting import (
    formatted,
    formatted_range,
    formatted_reported,
    formatted_with_bars,
)
from experiments.quantities.quantity import (
    Metric,
    Quantity,
    Unit,
    absolute,
    combined,
    difference,
)
from experiments.quantities.run_facts import (
    best_train_accuracy,
    epochs_with_finite_loss,
    failed,
    final_train_accuracy,
    final_train_loss,
    parameters,
    seconds_an_epoch,
    size_of_test_set,
    size_of_training_set,
    steps_taken,
)
from experiments.quantities.train_test_gap import largest_lead, lead_begins

__all__ = [
    "Metric",
    "Quantity",
    "Unit",
    "absolute",
    "at_epoch",
    "at_lowest_test_loss",
    "at_lowest_validation_loss",
    "at_the_end",
    "best_train_accuracy",
    "combined",
    "difference",
    "epochs_with_finite_loss",
    "failed",
    "final_train_accuracy",
    "final_train_loss",
    "formatted",
    "formatted_range",
    "formatted_reported",
    "formatted_with_bars",
    "jumpiness",
    "largest_lead",
    "lead_begins",
    "loss_rise",
    "median_of",
    "median_over_epochs",
    "parameters",
    "seconds_an_epoch",
    "size_of_test_set",
    "size_of_training_set",
    "steps_taken",
    "steps_to_reach",
    "trend",
    "turning_point",
]
