"""The report ``mnist-2017``: digits with much data and little, a linear network, sums of digits.

The report's network is that of TensorFlow's public tutorial "Deep MNIST for experts", whose
settings fill in what it does not say: Adam at 1e-4, batches of 50, inputs in [0, 1], weights normal
with standard deviation 0.1 and cut at two of them, biases 0.1, convolutions that keep the size, and
dropout with keep probability 0.5 before the last layer, unless a question is about dropout. Only
question 2 says for how long it trained: 20,000 iterations, as the tutorial does. The other figures
may come from shorter trainings, so every recipe is run for 1,000, 2,000 and 20,000 iterations; to
the claims of question 2 only the last applies. The tutorial's loader holds 5,000 training images
out for validation; the report names none, and all 60,000 are used. The network with one convolution
has ReLU and dropout like the others.

The report names no validation images: that fewer parameters and more dropout help was found on the
test images whose accuracy it prints. Here nothing is chosen by them.

How the claims are read, where the report leaves it open:

* A figure is the accuracy on the 10,000 test images after the last iteration. What is printed as
  6.9605 is 0.9605; what is printed with eleven digits is a count of 10,000 images in single
  precision.
* Of questions 3 and 5, the accuracy may also be one that was printed on the way: it is read at the
  end, after half of the iterations, and after a quarter. The last two readings are late: they were
  added when three runs of the network with one convolution had been seen.
* The "minimal" network has 16 filters of 7x7 pixels, 26 of 5x5 and 1,024 units, which are 1,327,076
  parameters; the printed total is smaller by the misprint of its first layer
  (``theory/test_parameter_misprints.py``).
* The tutorial prints the accuracy on a batch now and then; our curve is the running mean over a
  twentieth of the training. Both networks' jumps shrink alike. They are compared in the second half
  of the training, behind the steep start.
* Curves are "similar" if training never leads by two points; it "leads early" if it does so from
  the first quarter on, to the end. Training accuracies are running means while the weights change.
* Each seed draws its own 250 examples, whatever their classes. Without dropout is the network of
  question 1; the reduced network is compared with it on the same examples.
* The table of keep probabilities is lost: 1, 0.75 and 0.5 stand in, and the claim is that of a
  trend. The network is that of question 1 with dropout behind both poolings and the first
  fully-connected layer.
* For the sums, each of MNIST's images is the upper half of one pair. The description lists no
  dropout; the layer that both halves share is followed by ReLU, as in the tutorial.
"""

from __future__ import annotations

from experiments.quantities import (
    at_epoch,
    at_the_end,
    difference,
    jumpiness,
    largest_lead,
    lead_begins,
    trend,
)
from experiments.recipe import Optimizer, Recipe
from experiments.statements import Reported, Statement, Within
from experiments.study import Study

COMPLETIONS = {
    "1000": "1,000 iterations",
    "2000": "2,000 iterations",
    "20000": "20,000 iterations",
}

NETWORKS = {
    "one-conv": "conv8k8 relu drop0.5 fc10",
    "minimal": "conv16k7 relu max2 conv26k5 relu max2 fc1024 relu drop0.5 fc10",
    "reduced-250": "conv32k5 relu max2 conv64k3 relu max2 fc300 relu fc10",
    "baseline": "conv32k5 relu max2 conv64k5 relu max2 fc1024 relu drop0.5 fc10",
    "linear": "conv32k5 avg2 conv64k5 avg2 fc1024 drop0.5 fc10",
    "examples-all": "conv32k5 relu max2 conv64k5 relu max2 fc1024 relu fc10",
    "examples-250": "conv32k5 relu max2 conv64k5 relu max2 fc1024 relu fc10",
    "keep-0.75": (
        "conv32k5 relu max2 drop0.25 conv64k5 relu max2 drop0.25 fc1024 relu drop0.25 fc10"
    ),
    "keep-0.5": "conv32k5 relu max2 drop0.5 conv64k5 relu max2 drop0.5 fc1024 relu drop0.5 fc10",
    "digit-sum": "conv32k5 relu max2 conv64k5 relu max2 halves(fc1024 relu) fc19",
}
"""Each role's network, the cheap ones first."""

_FEW = ("examples-250", "reduced-250", "keep-0.75", "keep-0.5")
_EPOCHS = 20


def _recipe(role: str, completion: str) -> Recipe:
    return Recipe(
        f"{role}.{completion}",
        NETWORKS[role],
        "mnist-pairs" if role == "digit-sum" else "mnist",
        Optimizer("adam", 1e-4),
        _EPOCHS,
        batch=50,
        steps=int(completion) // _EPOCHS,
        examples=250 if role in _FEW else None,
        scaling="unit",
        initialisation="truncated-normal",
    )


_ACCURACY = {role: at_the_end("test_accuracy", role) for role in NETWORKS}

_PRINTED_EXACTLY = 0.00005
"""Half an image of 10,000."""

_SHARP = 0.015
"""The networks trained on all of MNIST lie within few points of each other: a wider prediction
interval would agree with any of them."""

_SHARP_WITH_FEW = 0.03
"""As above, for 250 examples, whose choice matters more."""

_SIMILAR = 0.02
"""Curves this close look alike on an axis that reaches from chance, 10%, to 100%."""

_EARLY = 0.25
"""Share of the training."""


def _better(claim: str, better: str, worse: str) -> Within:
    return Within(claim, difference(_ACCURACY[better], _ACCURACY[worse]), above=0)


def _printed(claim: str, role: str, value: float, half_unit: float) -> tuple[Statement, ...]:
    """State that an accuracy is that at the end, or one on the way."""
    readings = {
        "at the end": _ACCURACY[role],
        "halfway": at_epoch("test_accuracy", role, _EPOCHS // 2),
        "at a quarter": at_epoch("test_accuracy", role, _EPOCHS // 4),
    }
    return tuple(
        Reported(
            claim,
            quantity,
            value,
            half_unit,
            resolution=_SHARP,
            reading=reading,
            late=reading != "at the end",
        )
        for reading, quantity in readings.items()
    )


_QUESTIONS_2_AND_3: tuple[Statement, ...] = (
    Reported(
        "mnist-2017-q2-linear-acc", _ACCURACY["linear"], 0.9174, _PRINTED_EXACTLY, resolution=_SHARP
    ),
    _better("mnist-2017-q2-linear-acc", "baseline", "linear"),
    Within(
        "mnist-2017-q2-jumpy-curve",
        difference(
            jumpiness("train_accuracy", "linear", _EPOCHS, first=_EPOCHS // 2 + 1),
            jumpiness("train_accuracy", "baseline", _EPOCHS, first=_EPOCHS // 2 + 1),
        ),
        above=0,
    ),
    *_printed("mnist-2017-q3a-acc", "one-conv", 0.9605, _PRINTED_EXACTLY),
    *_printed("mnist-2017-q3b-acc", "minimal", 0.9586, _PRINTED_EXACTLY),
)

_STATED = dict.fromkeys(("mnist-2017-q2-linear-acc", "mnist-2017-q2-jumpy-curve"), "20000")
"""Question 2 prints its accuracy "after 20,000 iterations", and its curve is that training's."""

_QUESTION_4: tuple[Statement, ...] = (
    Within("mnist-2017-q4a-full-data", largest_lead("examples-all"), below=_SIMILAR),
    Reported(
        "mnist-2017-q4a-full-data", _ACCURACY["examples-all"], 0.972, 0.0005, resolution=_SHARP
    ),
    Within("mnist-2017-q4a-250", lead_begins("examples-250", _SIMILAR, _EPOCHS), below=_EARLY),
    Reported(
        "mnist-2017-q4a-250",
        _ACCURACY["examples-250"],
        0.8895,
        _PRINTED_EXACTLY,
        resolution=_SHARP_WITH_FEW,
    ),
    _better("mnist-2017-q4a-250", "examples-all", "examples-250"),
    Reported(
        "mnist-2017-q4b-reduced",
        _ACCURACY["reduced-250"],
        0.906,
        0.0005,
        resolution=_SHARP_WITH_FEW,
    ),
    _better("mnist-2017-q4b-reduced", "reduced-250", "examples-250"),
    Within(
        "mnist-2017-q4c-dropout",
        trend(
            "dropout probability",
            {
                0.0: _ACCURACY["examples-250"],
                0.25: _ACCURACY["keep-0.75"],
                0.5: _ACCURACY["keep-0.5"],
            },
        ),
        above=0,
    ),
    _better("mnist-2017-q4c-dropout", "keep-0.5", "examples-250"),
)

_QUESTION_5: tuple[Statement, ...] = _printed("mnist-2017-q5-acc", "digit-sum", 0.95, 0.005)

STUDY = Study(
    name="mnist-2017",
    title="Much data and little, a linear network, sums of digits (MNIST)",
    completions=COMPLETIONS,
    recipes=tuple(_recipe(role, completion) for completion in COMPLETIONS for role in NETWORKS),
    statements=_QUESTIONS_2_AND_3 + _QUESTION_4 + _QUESTION_5,
    stated=_STATED,
)
