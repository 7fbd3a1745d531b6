"""Records: what one (recipe, seed, device) run measured, one JSON file each, and their store."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.recipe import Optimizer, Recipe

ENGINE_VERSION = 1
"""Raised whenever the training engine would measure something else for the same recipe and seed."""

_CHECKOUT = Path(__file__).resolve().parent.parent
DEFAULT_STORE = (
    _CHECKOUT / "docs" / "results" if (_CHECKOUT / "pyproject.toml").is_file() else Path("results")
)
"""The project's own records in a checkout, ``./results`` where the package was installed."""


class RecordError(ValueError):
    """A record file that cannot be read, or a store that cannot be written."""


class SweepError(RuntimeError):
    """A sweep that could not finish; the message says why and what to do."""


@dataclass(frozen=True)
class Curves:
    """Per-epoch measurements; entry ``i`` belongs to epoch ``i + 1``.

    ``train_*`` are running means over the epoch while the weights change (loss in nats,
    accuracy in [0, 1]); ``test_*`` are taken on the whole test set after the epoch.
    """

    train_loss: list[float]
    train_accuracy: list[float]
    test_loss: list[float]
    test_accuracy: list[float]


@dataclass(frozen=True)
class Record:
    """What one run measured, with its provenance.

    ``final_train_loss`` and ``final_train_accuracy`` are taken on the whole training set with the
    final weights. ``diverged`` says that the loss stopped being finite; the curves then end there.
    ``provenance`` holds what may differ between two runs of the same key: wall time, peak memory,
    library versions, thread count, commit.
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

    def to_json(self) -> str:
        """Return the record as JSON text (sorted keys, no NaN)."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Read a record from JSON text.

        Raises
        ------
        RecordError
            If the text is not a complete record.
        """
        try:
            data = json.loads(text)
            recipe = data.pop("recipe")
            optimizer = Optimizer(**recipe.pop("optimizer"))
            curves = Curves(**data.pop("curves"))
            return cls(recipe=Recipe(optimizer=optimizer, **recipe), curves=curves, **data)
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
            raise RecordError(f"not a complete record ({error})") from error


def record_key(recipe: Recipe, seed: int, dataset_fingerprint: str, device: str) -> str:
    """Return the hash (hex) that identifies one run of ``recipe``.

    It covers recipe, seed, dataset fingerprint, device kind (``"cpu"`` or ``"cuda"``) and the
    version of the engine; not the recipe's name, nor the machine.
    """
    parts = [recipe.digest, str(seed), dataset_fingerprint, device, str(ENGINE_VERSION)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Store:
    """A folder of records: ``<root>/<study>/<recipe>.seed-<n>.<device>.<key>.json``."""

    root: Path

    def path(self, study: str, recipe: Recipe, seed: int, device: str, key: str) -> Path:
        """Return where the record with this identity lies, whether or not it exists."""
        return self.root / study / f"{recipe.name}.seed-{seed}.{device}.{key[:12]}.json"

    def write(self, record: Record) -> Path:
        """Write a record atomically: a reader, or a crash, sees all of it or nothing.

        Raises
        ------
        RecordError
            If the folder cannot be written (permissions, full disk); the message says where.
        """
        path = self.path(record.study, record.recipe, record.seed, record.device, record.key)
        temporary = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", dir=path.parent, prefix=".", suffix=".partial", delete=False
            ) as file:
                temporary = file.name
                file.write(record.to_json() + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except OSError as error:
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)
            raise RecordError(
                f"cannot write record {path}: {error.strerror}; free space or choose another "
                "store with --store"
            ) from error
        return path

    def read(self, path: Path) -> Record:
        """Read one record.

        Raises
        ------
        RecordError
            If the file cannot be read or is not a complete record; the message names it.
        """
        try:
            return Record.from_json(path.read_text())
        except (OSError, UnicodeDecodeError, RecordError) as error:
            raise RecordError(
                f"record {path} cannot be read: {error}; delete it and run again to replace it"
            ) from error

    def records(self, study: str) -> Iterator[Record]:
        """Yield every record of a study, in the order of their file names.

        Raises
        ------
        RecordError
            If the store does not exist, or a record cannot be read.
        """
        if not self.root.is_dir():
            raise RecordError(
                f"store {self.root} does not exist; name another with --store, or fill it first: "
                f"python -m experiments run {study} --store {self.root}"
            )
        for path in sorted((self.root / study).glob("*.json")):
            yield self.read(path)
