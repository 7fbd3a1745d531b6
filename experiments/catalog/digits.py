"""The embedded study: the same four networks on scikit-learn's 8x8 digits, in a minute.

It needs no network and no data folder. Its statements are our own: they ask on small images what
the reports ask on CIFAR-10, always of the test accuracy after the last epoch.
"""

from __future__ import annotations

from experiments.quantities import at_epoch, difference
from experiments.recipe import Optimizer, Recipe
from experiments.statements import Within
from experiments.study import Study

COMPLETIONS = {"adam": "Adam at learning rate 0.003, batch 32, 20 epochs"}


def _recipe(role: str, network: str) -> Recipe:
    return Recipe(f"{role}.adam", network, "digits", Optimizer("adam", 0.003), 20, filters=32)


def _better(claim: str, better: str, worse: str) -> Within:
    return Within(
        claim,
        difference(
            at_epoch("test_accuracy", better, 20),
            at_epoch("test_accuracy", worse, 20),
        ),
        above=0,
    )


_OWN_SENTENCES = {
    "digits-nonlinear-beats-linear": "Two convolutions are better with a ReLU than without.",
    "digits-fc-beats-gap": "One convolution is better before an FC layer than before an average.",
    "digits-neither-beats-two-conv": "Neither of the two is better than two convolutions.",
}

STUDY = Study(
    name="digits",
    title="Non-linear against linear, FC against global average pooling (8x8 digits)",
    completions=COMPLETIONS,
    own=_OWN_SENTENCES,
    recipes=(
        _recipe("two-conv", "two-conv"),
        _recipe("linear", "linear-two-conv"),
        _recipe("conv-fc", "conv-fc"),
        _recipe("conv-gap", "conv-gap"),
    ),
    statements=(
        _better("digits-nonlinear-beats-linear", "two-conv", "linear"),
        _better("digits-fc-beats-gap", "conv-fc", "conv-gap"),
        _better("digits-neither-beats-two-conv", "two-conv", "conv-fc"),
        _better("digits-neither-beats-two-conv", "two-conv", "conv-gap"),
    ),
)
