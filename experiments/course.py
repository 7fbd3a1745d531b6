"""The course of a run: what it has measured so far, and whether it goes on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from experiments.records import Curves

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from experiments.recipe import Recipe

Measured = tuple[float, float]
"""Mean loss (nats) and accuracy (fraction of 1) over a set of images."""


class Course:
    """A run on its way through the epochs of a recipe.

    Parameters
    ----------
    recipe
        Says how many epochs there are, and what patience the run has.

    Attributes
    ----------
    curves
        The epochs so far.
    diverged
        Whether a loss stopped being finite; the curves then end before that epoch.
    finished
        Whether nothing is left to train: all epochs are done, patience has ended, or the run has
        diverged.
    best
        The weights of the lowest validation loss, where the recipe waits for it.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.curves = Curves([], [], [], [])
        self.diverged = False
        self.finished = recipe.epochs == 0
        self.best: dict[str, Tensor] | None = None
        self._recipe = recipe

    def add(
        self,
        trained: Measured,
        tested: Measured,
        validated: Measured | None,
        state: Callable[[], dict[str, Tensor]],
    ) -> None:
        """Add the epoch that was just measured; ``state`` gives the weights that it ended with."""
        if not all(math.isfinite(loss) for loss, _ in (trained, tested, validated or tested)):
            self.diverged = self.finished = True
            return
        self.curves.append(trained, tested, validated)
        self.finished = len(self.curves.train_loss) >= self._recipe.epochs
        if self._recipe.patience is not None:
            losses = self.curves.validation_loss
            if self.curves.kept == len(losses) - 1:
                self.best = {name: value.clone() for name, value in state().items()}
            self.finished |= _patience_ends(losses, self._recipe.patience)

    def load(self, curves: dict[str, list[float]], best: dict[str, Tensor] | None) -> None:
        """Go on after epochs that were measured before."""
        self.curves, self.best = Curves(**curves), best

    def restore(self, network: nn.Module) -> bool:
        """Give a network the weights of the lowest validation loss; say whether they were kept."""
        if self.best is None:
            return False
        network.load_state_dict(self.best)
        return True


def _patience_ends(losses: list[float], patience: int) -> bool:
    """Whether none of the last ``patience`` losses is lower than the one before them."""
    return len(losses) > patience and min(losses[-patience:]) >= losses[-patience - 1]
