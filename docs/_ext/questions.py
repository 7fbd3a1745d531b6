"""Differences that a page asks for: those on which reports contradict each other, and changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from experiments.quantities import (
    at_epoch,
    at_lowest_test_loss,
    at_lowest_validation_loss,
    at_the_end,
    difference,
)

if TYPE_CHECKING:
    from experiments.quantities import Quantity


@dataclass(frozen=True)
class Side:
    """What one report says on the question.

    Parameters
    ----------
    report
        Its id, which is also the name of its study.
    what
        What is measured, for people.
    quantity
        What is measured: a test accuracy, or a difference of two.
    claimed
        What the report says of it, for people.
    reported
        The report's number, if it gives one; a fraction of 1.
    half_unit
        How far that number may lie from what was rounded: half a unit of its last digit, 0.005 for
        "15 %", the default; of a difference, the sum of both.
    """

    report: str
    what: str
    quantity: Quantity
    claimed: str
    reported: float | None = None
    half_unit: float = 0.005


@dataclass(frozen=True)
class Contradiction:
    """A question, and what each report says on it.

    Parameters
    ----------
    sides
        What is shown.
    above, below
        What is so where a difference is above 0, and where it is below, for people.
    decides
        The differences that decide, where those are not what is shown.
    """

    sides: tuple[Side, ...]
    above: str
    below: str
    decides: tuple[Side, ...] = ()


def _early_stopped(role: str) -> Quantity:
    return at_lowest_validation_loss("test_accuracy", role)


def _best_of(epochs: int, role: str) -> Quantity:
    return at_lowest_test_loss("test_accuracy", role, epochs)


def _after_20(role: str) -> Quantity:
    return at_epoch("test_accuracy", role, 20)


def _after_30(role: str) -> Quantity:
    return at_epoch("test_accuracy", role, 30)


def _at_the_end(role: str) -> Quantity:
    return at_the_end("test_accuracy", role)


CONTRADICTIONS: dict[str, Contradiction] = {
    "batch-normalisation": Contradiction(
        (
            Side(
                "assignment-3",
                "with − without it",
                difference(_early_stopped("batch-norm"), _early_stopped("task-2")),
                "slightly better, by training faster",
            ),
            Side(
                "tp1-cnn",
                "with − without it, on the last rung",
                difference(_after_20("batch-norm"), _after_20("dropout")),
                "78 % instead of 80.22 %",
                0.78 - 0.8022,
                0.005 + 0.00005,
            ),
        ),
        above="batch normalisation helps",
        below="it hurts",
    ),
    "depth": Contradiction(
        (
            Side(
                "nn4i-2023-a1",
                "four stages − one",
                difference(_best_of(8, "stages-4"), _best_of(8, "stages-1")),
                "higher",
            ),
            Side(
                "nn4i-2023-a1",
                "blocks of three convolutions − of one",
                difference(_best_of(5, "block-3x3"), _best_of(5, "block-3x1")),
                "higher",
            ),
            Side(
                "assignment-3",
                "stages of two convolutions − of one",
                difference(_early_stopped("double-conv"), _early_stopped("task-2")),
                "not higher",
            ),
        ),
        above="deeper is better",
        below="shallower is better",
    ),
    "linear": Contradiction(
        (
            Side(
                "nni-2023-ex1",
                "with − without nonlinearities",
                difference(_after_20("filters-20-lr-0.001"), _after_20("linear-20")),
                "70 % and 37 %",
                0.70 - 0.37,
                0.005 + 0.005,
            ),
            Side(
                "nn4i-2023-a1",
                "with − without nonlinearities",
                difference(_best_of(5, "block-3x3"), _best_of(5, "linear-large")),
                "a 15 % drop",
                0.15,
            ),
            Side(
                "mnist-2017",
                "with − without nonlinearities (MNIST)",
                difference(_at_the_end("baseline"), _at_the_end("linear")),
                "higher",
            ),
        ),
        above="nonlinearities help",
        below="they hurt",
    ),
    "size": Contradiction(
        (
            Side(
                "mnist-2017",
                "3,274,634 − 963,438 parameters, 250 examples",
                difference(_at_the_end("examples-250"), _at_the_end("reduced-250")),
                "88.95 % and 90.6 %",
                0.8895 - 0.906,
                0.00005 + 0.0005,
            ),
            Side(
                "nn4i-2023-a1",
                "1,147,466 − 288,554 parameters, 50,000 examples",
                difference(_best_of(8, "stages-3"), _best_of(8, "stages-3-narrow")),
                "a small improvement",
            ),
        ),
        above="the larger network is better",
        below="the smaller network is better",
    ),
    "sixty-thousand": Contradiction(
        (
            Side(
                "nn4i-2023-a1",
                "one convolution, 61,618 parameters",
                _best_of(8, "conv-fc"),
                "very poor, for so few parameters",
            ),
            Side(
                "nn4i-2023-a1",
                "two convolutions, 46,590 parameters",
                _best_of(8, "fewer-parameters"),
                "nothing, for it is the network of nni-2023-ex1",
            ),
            Side(
                "nni-2023-ex1",
                "two convolutions, 46,590 parameters, epoch 20",
                _after_20("filters-20-lr-0.001"),
                "70 %",
                0.70,
            ),
            Side(
                "nni-2023-ex1",
                "two convolutions, 46,590 parameters",
                _after_30("filters-20-lr-0.001"),
                "better than one convolution",
            ),
            Side(
                "nni-2023-ex1",
                "one convolution, 158,330 parameters",
                _after_30("conv-fc"),
                "worse than two convolutions",
            ),
        ),
        above="two convolutions are better with fewer parameters",
        below="one convolution is better with more",
        decides=(
            Side(
                "nn4i-2023-a1",
                "46,590 parameters in two convolutions − 61,618 in one",
                difference(_best_of(8, "fewer-parameters"), _best_of(8, "conv-fc")),
                "",
            ),
            Side(
                "nni-2023-ex1",
                "46,590 parameters in two convolutions − 158,330 in one",
                difference(_after_30("filters-20-lr-0.001"), _after_30("conv-fc")),
                "",
            ),
        ),
    ),
}

CHANGES: dict[str, tuple[Side, ...]] = {
    "assignment-3": tuple(
        Side("assignment-3", what, difference(_early_stopped(role), _early_stopped("task-2")), said)
        for role, what, said in (
            ("augmentation", "with − without flips", "the largest gain of all changes"),
            (
                "batch-norm",
                "with − without batch normalisation",
                "slightly better, by training faster",
            ),
            ("dropout", "with − without dropout", "slightly higher"),
            ("elu", "ELU − ReLU", "lower"),
            ("double-conv", "two convolutions a stage − one", "not higher"),
            (
                "kaiming",
                "initial weights with the gain of a ReLU − without",
                "similar (a claim of ours)",
            ),
        )
    ),
}
"""What each change to one network does, by report."""
