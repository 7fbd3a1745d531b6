"""Advice: the commands that run what a store lacks."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from experiments.records import DEFAULT_STORE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from experiments.recipe import Recipe
    from experiments.study import Study


def how_to_run(study: Study, store: Path = DEFAULT_STORE, recipe: Recipe | None = None) -> str:
    """Return the command that runs what the store lacks of a study, or of one of its recipes."""
    return how_to_seed(study.name, [recipe.name] if recipe else [], 3, store)


def how_to_seed(
    report: str,
    recipes: Sequence[str],
    seeds: int,
    store: Path = DEFAULT_STORE,
    device: str = "cpu",
) -> str:
    """Return the command after which recipes of a report have so many seeds on a device."""
    command = f"python -m experiments run {' '.join([report, *recipes])} --seeds {seeds}"
    if device != "cpu":
        command += f" --device {device}"
    return command + in_store(store)


def how_to_pair(
    report: str, recipes: Sequence[str], seeds: int, store: Path = DEFAULT_STORE
) -> tuple[str, str]:
    """Return the commands that run recipes of a report in float32, and the same in bfloat16."""
    command = how_to_seed(report, recipes, seeds)
    return command + in_store(store), f"{command} --precision bfloat16{in_store(store)}"


def in_store(store: Path) -> str:
    """Return the option that names a store, with a space before it; nothing for the default."""
    return "" if store == DEFAULT_STORE else f" --store {shlex.quote(str(store))}"
