"""A study: the recipes of one report, and what its claims say about their measurements."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from experiments.arguments import check_name
from experiments.errors import InputError
from theory.ledger import claims as ledger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from experiments.recipe import Recipe
    from experiments.statements import Statement


@dataclass(frozen=True)
class Study:
    """A report's experiments, complete: what is run and what is claimed about it.

    Parameters
    ----------
    name
        The report's id; the claims of the study start with it.
    title
        One line for people.
    recipes
        Named ``<role>.<completion>``: every role (what the report varies) under every completion
        (one way to fill in what the report does not say).
    statements
        The claims as statements about measured quantities, fixed before the runs.
    completions
        One-line description of each completion, by its short name.
    on_request
        Recipes that are run only when they are named, each with what a run of it needs, as what
        follows "needs".
    own
        The sentences of claims that no report makes, by their ids.
    stated
        Claims of which the report says what completions fill in for others, each with the one
        completion that says the same. No other applies to them.

    Raises
    ------
    ValueError
        If the name could not be part of a file's, names of recipes clash, a recipe is missing under
        some completion, or a statement reads something that no recipe measures.
    """

    name: str
    title: str
    recipes: tuple[Recipe, ...]
    statements: tuple[Statement, ...]
    completions: dict[str, str]
    on_request: Mapping[str, str] = field(default_factory=dict)
    own: Mapping[str, str] = field(default_factory=dict)
    stated: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name("a study's", self.name)
        names = [recipe.name for recipe in self.recipes]
        for name in names:
            role, _, completion = name.rpartition(".")
            if names.count(name) > 1:
                raise InputError(f"study {self.name!r}: two recipes are named {name!r}")
            if not role or completion not in self.completions:
                raise InputError(
                    f"study {self.name!r}: recipe {name!r} must be named <role>.<completion>, "
                    f"with a completion of {', '.join(self.completions)}"
                )
        for role in self.roles:
            for completion in self.completions:
                self.recipe(role, completion)
        for statement in self.statements:
            self._check(statement)
        for name in self.on_request:
            if name not in names:
                raise InputError(f"study {self.name!r} has no recipe {name!r} to run on request")
        for claim, completion in self.stated.items():
            if claim not in self.claims or completion not in self.completions:
                raise InputError(
                    f"study {self.name!r} has no claim {claim!r} with a stated completion "
                    f"{completion!r}"
                )

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles, in the order of the recipes."""
        return tuple(dict.fromkeys(recipe.name.rpartition(".")[0] for recipe in self.recipes))

    @property
    def by_default(self) -> tuple[Recipe, ...]:
        """The recipes that are run where none is named."""
        return tuple(recipe for recipe in self.recipes if recipe.name not in self.on_request)

    @property
    def claims(self) -> tuple[str, ...]:
        """The claims that the study measures, in the order of the statements."""
        return tuple(dict.fromkeys(statement.claim for statement in self.statements))

    def completions_of(self, claim: str) -> tuple[str, ...]:
        """Return the completions that apply to a claim: all, but where the report states one."""
        return (self.stated[claim],) if claim in self.stated else tuple(self.completions)

    def sentence(self, claim: str) -> str:
        """Return what a claim says, as the report or this study has it; "" where neither does."""
        known = ledger().get(claim)
        return self.own.get(claim, "") if known is None else known.statement

    def recipe(self, role: str, completion: str) -> Recipe:
        """Return the recipe of a role under a completion.

        Raises
        ------
        ValueError
            If the study has no such recipe.
        """
        name = f"{role}.{completion}"
        for recipe in self.recipes:
            if recipe.name == name:
                return recipe
        known = ", ".join(recipe.name for recipe in self.recipes)
        raise InputError(f"study {self.name!r} has no recipe {name!r}; known: {known}")

    def _check(self, statement: Statement) -> None:
        if not statement.claim.startswith(f"{self.name}-"):
            raise InputError(
                f"study {self.name!r}: claim {statement.claim!r} must start with '{self.name}-'"
            )
        for role, epoch in statement.quantity.reads.items():
            for completion in self.completions:
                recipe = self.recipe(role, completion)
                if epoch > recipe.epochs:
                    raise InputError(
                        f"claim {statement.claim!r} reads epoch {epoch}, but recipe "
                        f"{recipe.name!r} ends after {recipe.epochs}"
                    )
                if epoch > 1 and recipe.patience is not None:
                    raise InputError(
                        f"claim {statement.claim!r} reads epoch {epoch}, but patience may end "
                        f"recipe {recipe.name!r} before"
                    )
                if statement.quantity.validated and not recipe.validation:
                    raise InputError(
                        f"claim {statement.claim!r} reads what was measured in validation, but "
                        f"recipe {recipe.name!r} holds no images out"
                    )
                if statement.quantity.patient and recipe.patience is None:
                    raise InputError(
                        f"claim {statement.claim!r} reads the weights that patience kept, but "
                        f"recipe {recipe.name!r} has none"
                    )
