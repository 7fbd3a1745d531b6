"""Steps of a fleet, of training and of evaluation, plain or as a CUDA graph."""

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


class _Measuring:
    """A step that adds up what it measures on the device.

    Attributes
    ----------
    loss_sum, correct
        Of each member: the sum of the losses, and the number of images classified correctly, since
        :meth:`reset`.
    """

    def __init__(self, fleet: Fleet, stock: Stock, recipe: Recipe, dtype: torch.dtype) -> None:
        self._fleet, self._stock, self._recipe = fleet, stock, recipe
        device = next(fleet.parameters()).device
        self.loss_sum = torch.zeros(len(fleet), dtype=dtype, device=device)
        self.correct = torch.zeros_like(self.loss_sum, dtype=torch.int64)

    def reset(self) -> None:
        """Begin a new sum."""
        self.loss_sum.zero_()
        self.correct.zero_()


class Step(_Measuring):
    """A training step, which leaves what it measured on the device.

    Parameters
    ----------
    fleet, rule, stock
        What is trained, how it moves, and what it sees.
    recipe
        Says the precision.
    """

    def __init__(self, fleet: Fleet, rule: UpdateRule, stock: Stock, recipe: Recipe) -> None:
        self._rule, self._parameters = rule, list(fleet.parameters())
        super().__init__(fleet, stock, recipe, self._parameters[0].dtype)

    def __call__(self, views: Int64[Tensor, "t b v"]) -> None:
        """Move every member's weights by the gradient of its own mean loss on these views."""
        losses, correct = _scored(self._fleet, self._stock, views, self._recipe)
        mean = losses.mean(0)
        gradients = torch.autograd.grad(mean.sum(), self._parameters)
        self._rule.step(gradients)
        self.loss_sum += mean.detach() * len(losses)
        self.correct += correct


class _Measurement(_Measuring):
    @torch.no_grad()
    def __call__(self, views: Int64[Tensor, "t b v"]) -> None:
        losses, correct = _scored(self._fleet, self._stock, views, self._recipe)
        self.loss_sum += losses.sum(0)
        self.correct += correct


def take_steps(
    step: _Measuring, take: Callable[[Tensor], None], views: Int64[Tensor, "t m v"], batch: int
) -> list[Measured]:
    """Take a step on each batch of views, and return what each member measured meanwhile.

    Nothing waits for the device before the last step has been asked for. ``take`` takes a step:
    ``step`` itself, or :class:`Replayed`.
    """
    step.reset()
    for each in views.split(batch, dim=1):
        take(each)
    return _means(step.loss_sum, step.correct, views.shape[1])


class Evaluation:
    """Each member's mean loss (nats) and accuracy on views that stay the same.

    Parameters
    ----------
    fleet, stock, views
        What is evaluated, and what it sees.
    recipe
        Says the precision.
    replay
        Whether its steps, too, are captured and replayed. As many images as in a step of training
        are then seen at once, at least: they fit.
    """

    def __init__(
        self,
        fleet: Fleet,
        stock: Stock,
        views: Int64[Tensor, "t m v"],
        recipe: Recipe,
        *,
        replay: bool,
    ) -> None:
        self._fleet, self._views = fleet, views
        self._step = _Measurement(fleet, stock, recipe, torch.float64)
        self._take = Replayed(self._step, []) if replay else self._step
        self._at_once = max(recipe.batch if replay else 1, stock.at_once // len(fleet))

    def __call__(self) -> list[Measured]:
        """Return what each member measures now, in evaluation mode."""
        self._fleet.eval()
        measured = take_steps(self._step, self._take, self._views, self._at_once)
        self._fleet.train()
        return measured


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
