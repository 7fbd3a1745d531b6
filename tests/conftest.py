"""Fixtures that several tests share."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

import theory
from experiments.records import ENGINE_VERSION, Curves, Record, record_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from experiments.recipe import Recipe


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Small tensors gain nothing from threads, which fight where several processes test at once."""
    torch.set_num_threads(1)


@pytest.fixture
def load_chapter() -> Callable[[str], ModuleType]:
    """Load a chapter a second time, so that faults planted in it stay out of the real one."""

    def load(name: str) -> ModuleType:
        path = Path(theory.__file__).with_name(f"{name}.py")
        spec = importlib.util.spec_from_file_location(f"planted_{name}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def make_record() -> Callable[..., Record]:
    """Build the record of a run that never happened.

    A curve may be given as one number, which then holds at every epoch; ``diverged_after`` cuts all
    curves short. Everything else is a field of the record.
    """

    def make(
        recipe: Recipe,
        seed: int,
        *,
        train_loss: float | list[float] = 1.0,
        train_accuracy: float | list[float] = 0.5,
        test_loss: float | list[float] = 1.0,
        test_accuracy: float | list[float] = 0.5,
        diverged_after: int | None = None,
        **fields: Any,
    ) -> Record:
        curves = [
            (curve if isinstance(curve, list) else [curve] * recipe.epochs)[:diverged_after]
            for curve in (train_loss, train_accuracy, test_loss, test_accuracy)
        ]
        diverged = diverged_after is not None
        settings = {
            "study": "toy",
            "device": "cpu",
            "dataset_fingerprint": "fingerprint",
            "engine": ENGINE_VERSION,
            "parameters": 100,
            "train_size": 50_000,
            "test_size": 10_000,
            "final_train_loss": None if diverged else 1.0,
            "final_train_accuracy": None if diverged else 0.5,
            "provenance": {"wall_seconds": 1.0},
        } | fields
        return Record(
            key=record_key(recipe, seed, settings["dataset_fingerprint"], settings["device"]),
            recipe=recipe,
            seed=seed,
            curves=Curves(*curves),
            diverged=diverged,
            **settings,
        )

    return make
