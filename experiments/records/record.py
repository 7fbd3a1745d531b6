"""A record: what one run measured, one JSON file, refused where no run can have measured it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.arguments import check_device_name, check_name
from experiments.errors import InputError
from experiments.recipe import Optimizer, Recipe

ENGINE_VERSION = 1
"""Raised whenever the training engine would measure something else for the same recipe and seed."""

_COUNTS = {"seed": 0, "parameters": 1, "train_size": 1, "test_size": 1}
"""Fields of a record that count something, and the least that they count."""

_MADE: dict[str, tuple[type | tuple[type, ...], str]] = {
    "wall_seconds": ((int, float), "a number"),
    "training_seconds": ((int, float), "a number"),
    "threads": (int, "an integer"),
    "hardware": (str, "a name"),
    "python": (str, "a version"),
    "torch": (str, "a version"),
    "numpy": (str, "a version"),
}
"""What every record says of how it was made: times, costs and pages are read from it."""

_LEAST = {"wall_seconds": 0, "training_seconds": 0, "threads": 1}


class RecordError(InputError):
    """A record file that cannot be read, or a store that cannot be written."""


@dataclass(frozen=True)
class Curves:
    """Per-epoch measurements; entry ``i`` belongs to epoch ``i + 1``.

    ``train_*`` are running means over the epoch while the weights change (loss in nats,
    accuracy in [0, 1]); ``test_*`` are taken on the whole test set after the epoch, and
    ``validation_*`` on the images held out of training, if any were.
    """

    train_loss: list[float]
    train_accuracy: list[float]
    test_loss: list[float]
    test_accuracy: list[float]
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)

    def append(
        self,
        train: tuple[float, float],
        test: tuple[float, float],
        validation: tuple[float, float] | None = None,
    ) -> None:
        """Append an epoch's losses and accuracies."""
        for name, pair in (("train", train), ("test", test), ("validation", validation)):
            if pair is not None:
                getattr(self, f"{name}_loss").append(pair[0])
                getattr(self, f"{name}_accuracy").append(pair[1])

    @property
    def kept(self) -> int | None:
        """Index of the epoch whose weights early stopping keeps; None without validation.

        It is the one of the lowest validation loss; of equal losses, the first.
        """
        losses = self.validation_loss
        return losses.index(min(losses)) if losses else None


@dataclass(frozen=True)
class Record:
    """What one run measured, with its provenance.

    ``final_train_loss`` and ``final_train_accuracy`` are taken on the whole training set with the
    final weights, ``best_train_accuracy`` with those of the lowest validation loss (where the
    recipe waits for it). ``diverged`` says that the loss stopped being finite; the curves then end
    there. ``provenance`` holds what may differ between two runs of the same key: wall time, library
    versions, thread count, commit, and ``peak_memory_bytes`` (of the device for CUDA; of the whole
    process so far on the CPU).
    """

    key: str
    study: str
    recipe: Recipe
    seed: int
    device: str
    dataset_fingerprint: str
    engine: int
    parameters: int
    train_size: int
    test_size: int
    curves: Curves
    final_train_loss: float | None
    final_train_accuracy: float | None
    diverged: bool
    provenance: dict[str, Any] = field(compare=False)
    best_train_accuracy: float | None = None

    @property
    def place(self) -> Path:
        """Its file in a store, relative to the store's folder."""
        return place_of(self.study, self.recipe, self.seed, self.device, self.key)

    def to_json(self) -> str:
        """Return the record as JSON text (sorted keys, no NaN)."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Read a record from JSON text.

        Raises
        ------
        RecordError
            If the text is not a complete record, or holds what no run can have measured.
        """
        try:
            data = json.loads(text)
            if not isinstance(data, dict):
                raise ValueError(f"it holds a {type(data).__name__}, expected the fields of a run")
            if lacks := [name for name in ("recipe", "curves") if name not in data]:
                raise ValueError(f"it lacks {' and '.join(lacks)}")
            recipe = data.pop("recipe")
            optimizer = Optimizer(**recipe.pop("optimizer"))
            curves = Curves(**data.pop("curves"))
            record = cls(recipe=Recipe(optimizer=optimizer, **recipe), curves=curves, **data)
            record._check()
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
            raise RecordError(f"not a complete record ({error})") from error
        return record

    def _check(self) -> None:
        """Refuse what no run can have measured.

        Raises
        ------
        ValueError
            If a field is of another type or out of its range, the curves do not fit the recipe, or
            the key does not belong to it.
        """
        check_name("a study's", self.study)
        check_device_name(self.device)
        for name, least in _COUNTS.items():
            _check_count(name, getattr(self, name), least)
        if not isinstance(self.diverged, bool):
            raise ValueError(f"diverged is {self.diverged!r}, expected true or false")
        _check_curves(self)
        for name in ("final_train_loss", "final_train_accuracy", "best_train_accuracy"):
            value, waits = getattr(self, name), self.recipe.patience is not None
            if value is not None:
                _check_measured(name, value)
            elif not self.diverged and (waits or name != "best_train_accuracy"):
                raise ValueError(f"{name} is missing, though the loss did not diverge")
        _check_provenance(self.provenance)
        key = record_key(self.recipe, self.seed, self.dataset_fingerprint, self.device, self.engine)
        if self.key != key:
            raise ValueError("the key does not belong to this recipe, seed, data and device")


def place_of(study: str, recipe: Recipe, seed: int, device: str, key: str) -> Path:
    """Return where the record with this identity lies, relative to the folder of its store."""
    return Path(study) / f"{recipe.name}.seed-{seed}.{device}.{key[:12]}.json"


def record_key(
    recipe: Recipe,
    seed: int,
    dataset_fingerprint: str,
    device: str,
    engine: int = ENGINE_VERSION,
) -> str:
    """Return the hash (hex) that identifies one run of ``recipe``.

    It covers recipe, seed, dataset fingerprint, device kind (``"cpu"`` or ``"cuda"``) and the
    version of the engine; not the recipe's name, nor the machine.
    """
    parts = [recipe.digest, str(seed), dataset_fingerprint, device, str(engine)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _check_count(name: str, value: Any, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}, expected an integer")
    if value < least:
        raise ValueError(f"{name} is {value}, expected at least {least}")


def _check_curves(record: Record) -> None:
    """Refuse curves that do not end together, or not where the recipe ends."""
    recipe, curves = record.recipe, dataclasses.asdict(record.curves)
    if not recipe.validation:
        del curves["validation_loss"], curves["validation_accuracy"]
    lengths = {len(curve) for curve in curves.values()}
    early = record.diverged or recipe.patience is not None
    fewest = 0 if early else recipe.epochs
    if len(lengths) != 1 or not fewest <= max(lengths) <= recipe.epochs:
        raise ValueError(f"the curves have {sorted(lengths)} epochs, expected {recipe.epochs}")
    for name, curve in curves.items():
        for value in curve:
            _check_measured(f"a value of {name}", value)


def _check_measured(name: str, value: Any) -> None:
    """Refuse what is no loss or, by its name, no accuracy."""
    if not isinstance(value, float) or not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}, expected a finite number")
    if value < 0 or (name.endswith("accuracy") and value > 1):
        raise ValueError(f"{name} is {value}, which none can be")


def _check_provenance(made: Mapping[str, Any]) -> None:
    for name, (kind, expected) in _MADE.items():
        if name not in made:
            raise ValueError(f"the provenance lacks {name}")
        if not isinstance(made[name], kind) or isinstance(made[name], bool):
            raise ValueError(f"{name} in the provenance is {made[name]!r}, expected {expected}")
    for name, least in _LEAST.items():
        if not least <= made[name] < math.inf:  # NaN is not, either
            expected = f"expected at least {least}, and finite"
            raise ValueError(f"{name} in the provenance is {made[name]}, {expected}")
