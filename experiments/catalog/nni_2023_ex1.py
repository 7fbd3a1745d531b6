"""The report ``nni-2023-ex1``: filters, learning rates, a linear network, one convolution.

The report leaves out its optimiser; every recipe is run under three. The architecture follows from
its two parameter counts (``theory/test_parameters.py``). Also left out, and completed here as in
PyTorch's CIFAR-10 tutorial, which the code it prints resembles: CIFAR-10, cross-entropy, inputs in
[-1, 1], PyTorch's default initialisation, no augmentation and no weight decay.

The learning rate is constant, so the first 20 epochs of a run are the 20-epoch run: the network of
questions 1b, 1c and 2 (20 epochs) is read from the runs of question 3 (30 epochs).
"""

from __future__ import annotations

from experiments.recipe import Optimizer, Recipe
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
            filters,
            "cifar10",
            _optimizer(completion, lr),
            epochs,
            batch=32,
        )
        for completion in COMPLETIONS
    ]


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
    statements=(),
)
