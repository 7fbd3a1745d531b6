"""The report ``tp1-cnn``: a ladder of remedies against overfitting, a rung at a time.

Every rung keeps those below it: a baseline with inputs in [0, 1], then standardisation, random crop
and horizontal flip, a learning-rate schedule, dropout, batch normalisation; each for 20 epochs in
batches of 128, from a learning rate of 0.1. The network is that of its table, with 1,191,170
parameters. The report leaves out its optimiser and the settings of most rungs. Completed are: SGD
without momentum or weight decay; standardisation for each channel; crops of 32x32 from images in a
frame of 4 black pixels, for with smaller ones, unless pooling rounded up, the network would not be
that of the table; a learning rate times 0.95 after each epoch; dropout of 0.5 on the 1000 features
before the last layer; batch normalisation after each of the three convolutions, with the dropout
kept.

How the claims are read, where the report leaves it open:

* "After 20 epochs" is epoch 20, whatever was better before. Training losses and accuracies are
  running means over the epoch, with dropout and augmentation at work, as a plot of them shows.
* The 13 % at the start is the accuracy of one initial network, drawn anew with each seed, on 10,000
  training images; or, in a second reading, on one batch of 128, as training code prints it. Both
  are late. The second was added when two initial networks had been seen; the first was held against
  a normal model until a hundred networks were seen to have heavier tails, and then against ranks.
* The loss "explodes" if it rises by ln 2 above its minimum, which halves the probability of the
  right class in the geometric mean; losses that far apart are "far" from each other. An accuracy
  has reached a plateau if it changes by less than two points in the last five epochs; results
  within two points are the same.
* That change is the one between two single epochs, 15 and 20; or, in a second reading, between the
  medians of epochs 11 to 15 and 16 to 20. That one is late: it was added when three baselines had
  been seen, whose single epochs stray too far for a few seeds to show any plateau by them; one
  collapsed in epoch 20.
* Batch normalisation stands beside dropout or, in a second reading, in its place.
* Learning is faster if the training loss is lower after 5 epochs.
* Losses are "very close" if they would look alike on an axis that reaches from 0 to chance, as for
  ``nni-2023-ex1``; one is "closer" to the other if they differ by less, whichever is larger.
  Training and test accuracy are "really close" within three points, and "stay" so if they are in
  the medians of epochs 6 to 10, 11 to 15 and 16 to 20, and in the last epoch. (The last epoch alone
  was read until three runs with dropout had been seen. More is asked for now, not less.) A test
  loss is "more stable" if its curve jumps less from epoch 5 on, and it "still increases at the end"
  if the last epoch lies above the minimum.

Six claims are no measurements of the report's, but runs can speak to them, beside the trials of the
theory:

* Learning rates: at 10 times the baseline's nothing is learnt, at a hundredth the training accuracy
  is still lower after 5 epochs.
* Batch sizes: 512 needs fewer steps than 128 to a test loss of half of chance, where both are
  measured after every 98 steps. It is worse than 32 in test accuracy at the lowest test loss, a
  choice by the test set that flatters both. No run tells a local minimum from a slow descent; that
  part is left out.
* Explanations of augmentation, of the schedule and of batch normalisation: the last rung without
  one remedy. Crop and flip, or the schedule, are missed in its test accuracy; without crop and flip
  the training accuracy lies further above it, and of a schedule it is also said that the end is
  less noisy. If batch normalisation has the effect of standardisation, the last rung does not need
  it: without it, the training loss at the end looks alike; and with batch normalisation the
  training loss is lower early.
* Dropout rates: in the last rung 0.9 fits the training set worse than 0.5, and at 0 the training
  accuracy lies further above the test accuracy, both of the final weights and without dropout.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from experiments.quantities import (
    absolute,
    at_epoch,
    at_lowest_test_loss,
    difference,
    failed,
    final_train_accuracy,
    jumpiness,
    loss_rise,
    median_over_epochs,
    parameters,
    steps_to_reach,
)
from experiments.recipe import Optimizer, Recipe
from experiments.statements import Exactly, Reported, Statement, Within
from experiments.study import Study

if TYPE_CHECKING:
    from experiments.quantities import Metric, Quantity

COMPLETIONS = {"sgd": "plain SGD"}

_EPOCHS = 20
_EARLY = 5
_LAST = 5
_SMALL_BATCH_EPOCHS = 10  # four times as many steps an epoch as the baseline
_LARGE_BATCH_STEPS = 98  # in an epoch of batches of 512
_LARGE_BATCH_EPOCHS = 60  # more steps than the baseline takes to its lowest test loss
_LEARNING_RATE = 0.1

_PLAIN = "conv32k5 relu max2 conv64k5 relu max2 conv64k5 relu max2 fc1000 relu"
_NORMALISED = "conv32k5 bn relu max2 conv64k5 bn relu max2 conv64k5 bn relu max2 fc1000 relu"


def _but(recipe: Recipe, role: str, **changes: Any) -> Recipe:
    return dataclasses.replace(recipe, name=f"{role}.sgd", **changes)


_BASELINE = Recipe(
    "baseline.sgd",
    f"{_PLAIN} fc10",
    "cifar10",
    Optimizer("sgd", _LEARNING_RATE),
    _EPOCHS,
    128,
    scaling="unit",
)
_STANDARDISED = _but(_BASELINE, "standardised", scaling="standard")
_AUGMENTED = _but(_STANDARDISED, "augmented", augmentation="pad4 flip")
_SCHEDULED = _but(
    _AUGMENTED,
    "scheduled",
    optimizer=Optimizer("sgd", _LEARNING_RATE, schedule="exponential-0.95"),
)
_DROPOUT = _but(_SCHEDULED, "dropout", network=f"{_PLAIN} drop0.5 fc10")
_BATCH_NORM = _but(_DROPOUT, "batch-norm", network=f"{_NORMALISED} drop0.5 fc10")

_LADDER = (_BASELINE, _STANDARDISED, _AUGMENTED, _SCHEDULED, _DROPOUT, _BATCH_NORM)

_ABLATIONS = (
    _but(_BATCH_NORM, "without-standardisation", scaling="unit"),
    _but(_BATCH_NORM, "without-augmentation", augmentation=""),
    _but(_BATCH_NORM, "without-schedule", optimizer=_BASELINE.optimizer),
    _but(_BATCH_NORM, "without-dropout", network=f"{_NORMALISED} fc10"),
)

_SWEEPS = (
    _but(_BASELINE, "lr-1", optimizer=Optimizer("sgd", 1.0), epochs=_EARLY),
    _but(_BASELINE, "lr-0.001", optimizer=Optimizer("sgd", 0.001), epochs=_EARLY),
    _but(_BASELINE, "batch-32", batch=32, epochs=_SMALL_BATCH_EPOCHS),
    _but(_BASELINE, "batch-512", batch=512, epochs=_LARGE_BATCH_EPOCHS),
    _but(_BASELINE, "batch-128", steps=_LARGE_BATCH_STEPS, epochs=_LARGE_BATCH_EPOCHS),
)

_SIMILAR_LOSS = 0.05 * math.log(10)
_EXPLODES = math.log(2)
_HALF_OF_CHANCE = math.log(10) / 2
_SAME_RESULT = 0.02
_CLOSE = 0.03

_SHARP = 0.015
"""The report's rungs lie within a few points of each other: a wider prediction interval would agree
with any of them."""

_BATCH_TOLD_APART = math.hypot(0.05, 2 * math.sqrt(0.1 * 0.9 / 128))
"""Half-width that can confirm an accuracy on one batch: the 5 points of other accuracies and, in
quadrature, two standard deviations of what a guesser scores on 128 images. Those alone are more
than 5 points, and no number of seeds makes them less."""


def _final(role: str) -> Quantity:
    return at_epoch("test_accuracy", role, _EPOCHS)


def _median_of_the_last(role: str) -> Quantity:
    return median_over_epochs("test_accuracy", role, _EPOCHS - _LAST + 1, _EPOCHS)


def _loss_gap(role: str) -> Quantity:
    return difference(at_epoch("test_loss", role, _EPOCHS), at_epoch("train_loss", role, _EPOCHS))


def _loss_distance(role: str) -> Quantity:
    return absolute(_loss_gap(role))


def _accuracy_gap(role: str) -> Quantity:
    return difference(at_epoch("train_accuracy", role, _EPOCHS), _final(role))


def _median_accuracy_gap(role: str, last: int) -> Quantity:
    first = last - _LAST + 1
    return difference(
        median_over_epochs("train_accuracy", role, first, last),
        median_over_epochs("test_accuracy", role, first, last),
    )


def _overfitting(role: str) -> Quantity:
    return difference(final_train_accuracy(role), _final(role))


def _late_jumpiness(metric: Metric, role: str) -> Quantity:
    return jumpiness(metric, role, _EPOCHS, first=_EARLY)


def _steps_to_half_of_chance(role: str) -> Quantity:
    return steps_to_reach(
        "test_loss", role, _HALF_OF_CHANCE, _LARGE_BATCH_EPOCHS, every=_LARGE_BATCH_STEPS
    )


def _higher(claim: str, better: str, worse: str, *, reading: str = "") -> Within:
    return Within(claim, difference(_final(better), _final(worse)), above=0, reading=reading)


def _faster(claim: str, faster: str, slower: str) -> Within:
    """State that one training loss is lower than another early in the training."""
    quantity = difference(
        at_epoch("train_loss", slower, _EARLY), at_epoch("train_loss", faster, _EARLY)
    )
    return Within(claim, quantity, above=0)


def _same_result(claim: str, single: Quantity, medians: Quantity) -> tuple[Statement, ...]:
    """State that accuracies hardly differ: single epochs or, in a late reading, medians."""
    return tuple(
        Within(claim, change, above=-_SAME_RESULT, below=_SAME_RESULT, reading=reading, late=late)
        for change, reading, late in (
            (single, "single epochs", False),
            (medians, "medians of five epochs", True),
        )
    )


def _plateau(claim: str, role: str) -> tuple[Statement, ...]:
    """State that the test accuracy changes no more in the last epochs."""
    before = _EPOCHS - _LAST
    median_before = median_over_epochs("test_accuracy", role, before - _LAST + 1, before)
    return _same_result(
        claim,
        difference(_final(role), at_epoch("test_accuracy", role, before)),
        difference(_median_of_the_last(role), median_before),
    )


_BASELINE_AND_STANDARDISATION: tuple[Statement, ...] = (
    Reported(
        "tp1-cnn-q17-13-percent",
        final_train_accuracy("initial"),
        0.13,
        reading="10,000 images",
        late=True,
    ),
    Reported(
        "tp1-cnn-q17-13-percent",
        final_train_accuracy("initial-batch"),
        0.13,
        resolution=_BATCH_TOLD_APART,
        reading="one batch",
        late=True,
    ),
    Exactly("tp1-cnn-q18-overfit", parameters("baseline"), 1_191_170),
    Within(
        "tp1-cnn-q18-overfit",
        difference(
            at_epoch("train_loss", "baseline", 1), at_epoch("train_loss", "baseline", _EPOCHS)
        ),
        above=0,
    ),
    Within("tp1-cnn-q18-overfit", loss_rise("baseline", _EPOCHS), above=_EXPLODES),
    *_plateau("tp1-cnn-q18-overfit", "baseline"),
    _faster("tp1-cnn-q19-effect", "standardised", "baseline"),
    Within("tp1-cnn-q19-effect", _loss_gap("standardised"), above=_EXPLODES),
    *_same_result(
        "tp1-cnn-q19-effect",
        difference(_final("standardised"), _final("baseline")),
        difference(_median_of_the_last("standardised"), _median_of_the_last("baseline")),
    ),
)

_AUGMENTATION_AND_SCHEDULE: tuple[Statement, ...] = (
    Within("tp1-cnn-q22-augmentation", at_epoch("test_loss", "augmented", _EPOCHS), below=0.4),
    Within(
        "tp1-cnn-q22-augmentation",
        _loss_gap("augmented"),
        above=-_SIMILAR_LOSS,
        below=_SIMILAR_LOSS,
    ),
    Reported("tp1-cnn-q26-scheduler", _final("scheduled"), 0.7899, 0.00005, _SHARP),
    _higher("tp1-cnn-q26-scheduler", "scheduled", "augmented"),
    Within(
        "tp1-cnn-q26-scheduler",
        difference(_loss_distance("scheduled"), _loss_distance("augmented")),
        below=0,
    ),
    Within("tp1-cnn-q26-scheduler", loss_rise("scheduled", _EPOCHS), above=0),
)

_DROPOUT_AND_BATCH_NORM: tuple[Statement, ...] = (
    Reported("tp1-cnn-q29-dropout", _final("dropout"), 0.8022, 0.00005, _SHARP),
    _higher("tp1-cnn-q29-dropout", "dropout", "scheduled"),
    Within(
        "tp1-cnn-q29-behaviour",
        difference(
            _late_jumpiness("test_loss", "dropout"), _late_jumpiness("test_loss", "scheduled")
        ),
        below=0,
    ),
    _faster("tp1-cnn-q29-behaviour", "scheduled", "dropout"),
    *(
        Within("tp1-cnn-q29-behaviour", gap, above=-_CLOSE, below=_CLOSE)
        for gap in (
            *(_median_accuracy_gap("dropout", last) for last in (10, 15, _EPOCHS)),
            _accuracy_gap("dropout"),
        )
    ),
    *(
        part
        for role, reading in (("batch-norm", "beside dropout"), ("without-dropout", "in its place"))
        for part in (
            Reported("tp1-cnn-q34-bn", _final(role), 0.78, resolution=_SHARP, reading=reading),
            _higher("tp1-cnn-q34-bn", "dropout", role, reading=reading),
        )
    ),
    _faster("tp1-cnn-q34-bn-speed", "batch-norm", "dropout"),
)

_BESIDE_THE_REPORT: tuple[Statement, ...] = (
    Exactly("tp1-cnn-q16-learning-rate", failed("lr-1", _EARLY), 1),
    Within(
        "tp1-cnn-q16-learning-rate",
        difference(
            at_epoch("train_accuracy", "baseline", _EARLY),
            at_epoch("train_accuracy", "lr-0.001", _EARLY),
        ),
        above=0,
    ),
    Within(
        "tp1-cnn-q16-batch-size",
        difference(
            _steps_to_half_of_chance("batch-512"),
            _steps_to_half_of_chance("batch-128"),
        ),
        below=0,
    ),
    Within(
        "tp1-cnn-q16-batch-size",
        difference(
            at_lowest_test_loss("test_accuracy", "batch-32", _SMALL_BATCH_EPOCHS),
            at_lowest_test_loss("test_accuracy", "batch-512", _LARGE_BATCH_EPOCHS),
        ),
        above=0,
    ),
    _higher("tp1-cnn-q22-explanation", "batch-norm", "without-augmentation"),
    Within(
        "tp1-cnn-q22-explanation",
        difference(_overfitting("without-augmentation"), _overfitting("batch-norm")),
        above=0,
    ),
    _higher("tp1-cnn-q27-lr-explanation", "batch-norm", "without-schedule"),
    Within(
        "tp1-cnn-q27-lr-explanation",
        difference(
            _late_jumpiness("test_accuracy", "batch-norm"),
            _late_jumpiness("test_accuracy", "without-schedule"),
        ),
        below=0,
    ),
    _faster("tp1-cnn-q34-bn-explanation", "batch-norm", "dropout"),
    Within(
        "tp1-cnn-q34-bn-explanation",
        difference(
            at_epoch("train_loss", "without-standardisation", _EPOCHS),
            at_epoch("train_loss", "batch-norm", _EPOCHS),
        ),
        above=-_SIMILAR_LOSS,
        below=_SIMILAR_LOSS,
    ),
    Within(
        "tp1-cnn-q32-rate",
        difference(final_train_accuracy("batch-norm"), final_train_accuracy("dropout-0.9")),
        above=0,
    ),
    Within(
        "tp1-cnn-q32-rate",
        difference(_overfitting("without-dropout"), _overfitting("batch-norm")),
        above=0,
    ),
)

STUDY = Study(
    name="tp1-cnn",
    title="A ladder from an overfitting baseline to batch normalisation (CIFAR-10)",
    completions=COMPLETIONS,
    recipes=(
        _but(_BASELINE, "initial", epochs=0, examples=10_000),
        _but(_BASELINE, "initial-batch", epochs=0, examples=128),
        *_LADDER,
        *_SWEEPS,
        *_ABLATIONS,
        _but(_BATCH_NORM, "dropout-0.9", network=f"{_NORMALISED} drop0.9 fc10"),
    ),
    statements=(
        _BASELINE_AND_STANDARDISATION
        + _AUGMENTATION_AND_SCHEDULE
        + _DROPOUT_AND_BATCH_NORM
        + _BESIDE_THE_REPORT
    ),
)
