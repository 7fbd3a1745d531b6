"""One training step of a fleet, plain or as a CUDA graph, and the epoch that is made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812

from experiments.device import autocast, full_precision

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxtyping import Float, Int64
    from torch import Tensor

    from experiments.course import Measured
    from experiments.fleet.feed import Stock
    from experiments.fleet.networks import Fleet
    from experiments.fleet.update import UpdateRule
    from experiments.recipe import Recipe

WARM_UP_STEPS = 3
"""Steps that are taken one by one before a graph is captured."""


class Step:
    """A training step, which leaves what it measured on the device.

    Parameters
    ----------
    fleet, rule, stock
        What is trained, how it moves, and what it sees.
    recipe
        Says the precision.

    Attributes
    ----------
    loss_sum, correct
        Of each member: the sum of the losses, and the number of images classified correctly, since
        :meth:`reset`.
    """

    def __init__(self, fleet: Fleet, rule: UpdateRule, stock: Stock, recipe: Recipe) -> None:
        self._fleet, self._rule, self._stock, self._recipe = fleet, rule, stock, recipe
        self._parameters = list(fleet.parameters())
        first = self._parameters[0]
        self.loss_sum = first.new_zeros(len(fleet))
        self.correct = torch.zeros_like(self.loss_sum, dtype=torch.int64)

    def __call__(self, views: Int64[Tensor, "t b v"]) -> None:
        """Move every member's weights by the gradient of its own mean loss on these views."""
        losses, correct = _scored(self._fleet, self._stock, views, self._recipe)
        mean = losses.mean(0)
        gradients = torch.autograd.grad(mean.sum(), self._parameters)
        self._rule.step(gradients)
        self.loss_sum += mean.detach() * len(losses)
        self.correct += correct

    def reset(self) -> None:
        """Begin a new sum."""
        self.loss_sum.zero_()
        self.correct.zero_()


def train_epoch(
    step: Step, take: Callable[[Tensor], None], views: Int64[Tensor, "t m v"], batch: int
) -> list[Measured]:
    """Train on all views, batch by batch, and return what each member measured meanwhile.

    Nothing waits for the device before the last step has been asked for. ``take`` takes a step:
    ``step`` itself, or :class:`Replayed`.
    """
    step.reset()
    for each in views.split(batch, dim=1):
        take(each)
    return _means(step.loss_sum, step.correct, views.shape[1])


@torch.no_grad()
def evaluate(
    fleet: Fleet, stock: Stock, views: Int64[Tensor, "t m v"], recipe: Recipe
) -> list[Measured]:
    """Return each member's mean loss (nats) and accuracy on all views, in evaluation mode."""
    loss_sum = torch.zeros(len(fleet), device=views.device, dtype=torch.float64)
    correct = torch.zeros(len(fleet), device=views.device, dtype=torch.int64)
    fleet.eval()
    for each in views.split(max(1, stock.at_once // len(fleet)), dim=1):
        losses, right = _scored(fleet, stock, each, recipe)
        loss_sum += losses.sum(0)
        correct += right
    fleet.train()
    return _means(loss_sum, correct, views.shape[1])


def _scored(
    fleet: Fleet, stock: Stock, views: Int64[Tensor, "t b v"], recipe: Recipe
) -> tuple[Float[Tensor, "b K"], Int64[Tensor, " K"]]:
    """Return every member's loss on every image, and how many images it classifies correctly."""
    inputs, target = stock.batch(views)
    with autocast(recipe.precision, inputs.device):
        scores = full_precision(fleet(inputs, common=len(views) == 1))
    target = target.expand(-1, len(fleet))
    losses = F.cross_entropy(scores.flatten(0, 1), target.flatten(), reduction="none")
    return losses.view(target.shape), (scores.detach().argmax(2) == target).sum(0)


def _means(
    loss_sum: Float[Tensor, " K"], correct: Int64[Tensor, " K"], count: int
) -> list[Measured]:
    sums = torch.stack([loss_sum.double(), correct.double()], 1)
    return [(loss / count, right / count) for loss, right in sums.tolist()]


class Replayed:
    """A step that is captured as a CUDA graph once it is warm, and replayed from then on.

    The first steps are taken on a stream of their own, as capturing needs. A batch of another size,
    the last of an epoch, is a plain step.

    Parameters
    ----------
    step
        The step; all that it changes, it changes in place.
    generators
        The random streams that it draws from.
    """

    def __init__(
        self, step: Callable[[Tensor], None], generators: Sequence[torch.Generator]
    ) -> None:
        self._step, self._generators = step, generators
        self._views: Tensor | None = None
        self._aside: torch.cuda.Stream | None = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._warm = 0

    def __call__(self, views: Int64[Tensor, "t b v"]) -> None:
        """Take a step on these views."""
        if self._views is None:
            self._views = torch.empty_like(views)
        if views.shape != self._views.shape:
            self._step(views)
            return
        self._views.copy_(views)
        if self._warm < WARM_UP_STEPS:
            self._warm += 1
            self._step_aside(self._views)
            return
        if self._graph is None:
            self._graph = self._captured(self._views)
        self._graph.replay()

    def _step_aside(self, views: Tensor) -> None:
        if self._aside is None:  # one for all steps, for memory is kept apart for each stream
            self._aside = torch.cuda.Stream()
        here, aside = torch.cuda.current_stream(), self._aside
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            self._step(views)
        here.wait_stream(aside)

    def _captured(self, views: Tensor) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        for generator in self._generators:
            graph.register_generator_state(generator)
        with torch.cuda.graph(graph):  # records the step and takes none
            self._step(views)
        return graph
