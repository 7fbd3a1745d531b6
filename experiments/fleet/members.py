"""The members of a fleet: runs, and what they must have in common."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from experiments.arguments import as_count
from experiments.errors import InputError
from experiments.recipe import Optimizer, Recipe

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Member:
    """One run of a fleet: a recipe under a seed.

    Raises
    ------
    ValueError
        If the seed is no integer, or negative.
    """

    recipe: Recipe
    seed: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", as_count("seed", self.seed, least=0))


def architecture(recipe: Recipe) -> Recipe:
    """Return what recipes must have in common to be trained in one fleet.

    That is everything but their names, initialisation and patience, and the numbers of their
    optimiser: learning rate, schedule, momentum and weight decay.
    """
    return replace(
        recipe,
        name="any",
        optimizer=Optimizer(recipe.optimizer.name, lr=1.0),
        initialisation="pytorch",
        patience=None,
    )


def check_alike(members: Sequence[Member]) -> None:
    """Raise a ValueError if there is no member, or one's architecture is not that of the first."""
    if not members:
        raise InputError("a fleet needs at least one member")
    first = members[0].recipe
    for recipe in (member.recipe for member in members):
        one, other = architecture(first), architecture(recipe)
        differing = [
            field.name
            for field in fields(Recipe)
            if getattr(one, field.name) != getattr(other, field.name)
        ]
        if differing:
            raise InputError(
                f"recipes {first.name!r} and {recipe.name!r} differ in {', '.join(differing)} and "
                "cannot be trained in one fleet; train them one by one"
            )
