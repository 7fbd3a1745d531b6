"""The report ``nni-2023-ex1``: filters, learning rates, a linear network, one convolution.

The report leaves out its optimiser; every recipe is run under three. The architecture follows from
its two parameter counts (``theory/test_recovery.py``). Also left out, and completed here as in
PyTorch's CIFAR-10 tutorial, which the code it prints resembles: CIFAR-10, cross-entropy, inputs in
[-1, 1], PyTorch's default initialisation, no augmentation and no weight decay.

The learning rate is constant, so the first 20 epochs of a run are the 20-epoch run: the network of
questions 1b, 1c and 2 (20 epochs) is read from the runs of question 3 (30 epochs).

How the claims are read, where the report leaves it open:

* A claim on the setup says only how networks were trained. What is tested is that the recipe can be
  run as described: the loss stays finite to the last epoch, and there are as many parameters as
  the report counts, where it counts them.
* A training accuracy is that of the final weights on the whole training set; a training loss, which
  the report shows as a curve, is the running mean over the epoch.
* The learning rates are compared after 20 epochs each, for the second network is said to share all
  other parameters with the first.
* A network "performs better" if its test accuracy is higher.
* The configurations behind "lowest test error" are not listed; those of question 1a stand in. The
  report chose among them by the test set, which makes the chosen test accuracy optimistic.
"""

from __future__ import annotations

import math

from experiments.quantities import (
    at_epoch,
    difference,
    epochs_with_finite_loss,
    final_train_accuracy,
    loss_rise,
    parameters,
)
from experiments.recipe import Optimizer, Recipe
from experiments.statements import Exactly, Reported, Statement, Within
from experiments.study import Study

COMPLETIONS = {
    "sgd": "plain SGD",
    "sgd-momentum": "SGD with momentum 0.9",
    "adam": "Adam",
}


def _optimizer(completion: str, lr: float) -> Optimizer:
    if completion == "adam":
        return Optimizer("adam", lr)
    return Optimizer("sgd", lr, momentum=0.9 if completion == "sgd-momentum" else 0.0)


def _recipes(role: str, network: str, filters: int, lr: float, epochs: int) -> list[Recipe]:
    return [
        Recipe(
            f"{role}.{completion}",
            network,
            "cifar10",
            _optimizer(completion, lr),
            epochs,
            filters=filters,
        )
        for completion in COMPLETIONS
    ]


_SIMILAR_LOSS = 0.05 * math.log(10)
"""Losses this close (nats) look alike on an axis that reaches from 0 to chance, ln 10."""

_PRINTED_ALIKE = 0.01
"""Accuracies that print as the same whole percentage differ by less than this."""

_QUESTION_1: tuple[Statement, ...] = (
    Exactly("nni-2023-ex1-q1a-setup", parameters("filters-3-lr-0.01"), 3172),
    Exactly("nni-2023-ex1-q1a-setup", parameters("filters-20-lr-0.01"), 46590),
    Exactly("nni-2023-ex1-q1a-setup", epochs_with_finite_loss("filters-3-lr-0.01"), 30),
    Exactly("nni-2023-ex1-q1a-setup", epochs_with_finite_loss("filters-20-lr-0.01"), 30),
    Within(
        "nni-2023-ex1-q1a-loss-curves",
        difference(
            at_epoch("train_loss", "filters-3-lr-0.01", 30),
            at_epoch("train_loss", "filters-20-lr-0.01", 30),
        ),
        above=0,
    ),
    Within("nni-2023-ex1-q1a-loss-curves", loss_rise("filters-20-lr-0.01", 30), above=0),
    Reported("nni-2023-ex1-q1a-acc-20", final_train_accuracy("filters-20-lr-0.01"), 0.82),
    Reported("nni-2023-ex1-q1a-acc-20", at_epoch("test_accuracy", "filters-20-lr-0.01", 30), 0.52),
    Reported("nni-2023-ex1-q1a-acc-3", final_train_accuracy("filters-3-lr-0.01"), 0.53),
    Reported("nni-2023-ex1-q1a-acc-3", at_epoch("test_accuracy", "filters-3-lr-0.01", 30), 0.52),
    Exactly("nni-2023-ex1-q1b-best-config", parameters("filters-20-lr-0.001"), 46590),
    *(
        Within(
            "nni-2023-ex1-q1b-best-config",
            difference(
                at_epoch("test_accuracy", "filters-20-lr-0.001", 20),
                at_epoch("test_accuracy", other, 30),
            ),
            above=0,
        )
        for other in ("filters-20-lr-0.01", "filters-3-lr-0.01")
    ),
    Within(
        "nni-2023-ex1-q1c-lr-effect",
        difference(
            at_epoch("train_loss", "filters-20-lr-0.01", 20),
            at_epoch("train_loss", "filters-20-lr-0.001", 20),
        ),
        above=-_SIMILAR_LOSS,
        below=_SIMILAR_LOSS,
    ),
    Within(
        "nni-2023-ex1-q1c-lr-effect",
        difference(
            at_epoch("test_loss", "filters-20-lr-0.01", 20),
            at_epoch("test_loss", "filters-20-lr-0.001", 20),
        ),
        above=0,
    ),
    Within(
        "nni-2023-ex1-q1c-lr-effect",
        loss_rise("filters-20-lr-0.001", 20),
        below=_SIMILAR_LOSS,
    ),
    Reported("nni-2023-ex1-q1c-acc-70", at_epoch("test_accuracy", "filters-20-lr-0.001", 20), 0.70),
)

_QUESTION_2: tuple[Statement, ...] = (
    Reported(
        "nni-2023-ex1-q2-linear-acc-37", at_epoch("test_accuracy", "filters-20-lr-0.001", 20), 0.70
    ),
    Reported("nni-2023-ex1-q2-linear-acc-37", at_epoch("test_accuracy", "linear-20", 20), 0.37),
    Within(
        "nni-2023-ex1-q2-linear-acc-37",
        difference(
            at_epoch("test_loss", "linear-20", 20),
            at_epoch("test_loss", "filters-20-lr-0.001", 20),
        ),
        above=0,
    ),
    Reported("nni-2023-ex1-q2-linear-6-vs-20", at_epoch("test_accuracy", "linear-6", 20), 0.37),
    Reported("nni-2023-ex1-q2-linear-6-vs-20", at_epoch("test_accuracy", "linear-20", 20), 0.37),
    Within(
        "nni-2023-ex1-q2-linear-6-vs-20",
        difference(
            at_epoch("test_accuracy", "linear-20", 20),
            at_epoch("test_accuracy", "linear-6", 20),
        ),
        below=_PRINTED_ALIKE,
    ),
)

_QUESTION_3: tuple[Statement, ...] = (
    *(
        Exactly("nni-2023-ex1-q3-setup", epochs_with_finite_loss(role), 30)
        for role in ("filters-20-lr-0.001", "conv-fc", "conv-gap")
    ),
    Within(
        "nni-2023-ex1-q3-fc-beats-gap",
        difference(
            at_epoch("test_accuracy", "conv-fc", 30),
            at_epoch("test_accuracy", "conv-gap", 30),
        ),
        above=0,
    ),
    *(
        Within(
            "nni-2023-ex1-q3-neither-beats-q1",
            difference(
                at_epoch("test_accuracy", "filters-20-lr-0.001", 30),
                at_epoch("test_accuracy", other, 30),
            ),
            above=0,
        )
        for other in ("conv-fc", "conv-gap")
    ),
    Within(
        "nni-2023-ex1-q3-similar-train-loss",
        difference(
            at_epoch("train_loss", "conv-fc", 30),
            at_epoch("train_loss", "filters-20-lr-0.001", 30),
        ),
        above=-_SIMILAR_LOSS,
        below=_SIMILAR_LOSS,
    ),
    Within(
        "nni-2023-ex1-q3-similar-train-loss",
        difference(
            at_epoch("test_loss", "conv-fc", 30),
            at_epoch("test_loss", "filters-20-lr-0.001", 30),
        ),
        above=0,
    ),
)

STUDY = Study(
    name="nni-2023-ex1",
    title="Filters, learning rates, a linear network, one convolution (CIFAR-10)",
    completions=COMPLETIONS,
    recipes=(
        *_recipes("filters-20-lr-0.01", "two-conv", 20, 0.01, 30),
        *_recipes("filters-20-lr-0.001", "two-conv", 20, 0.001, 30),
        *_recipes("filters-3-lr-0.01", "two-conv", 3, 0.01, 30),
        *_recipes("linear-20", "linear-two-conv", 20, 0.001, 20),
        *_recipes("linear-6", "linear-two-conv", 6, 0.001, 20),
        *_recipes("conv-fc", "conv-fc", 20, 0.001, 30),
        *_recipes("conv-gap", "conv-gap", 20, 0.001, 30),
    ),
    statements=_QUESTION_1 + _QUESTION_2 + _QUESTION_3,
)
