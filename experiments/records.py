"""Records: what one (recipe, seed, device) run measured, one JSON file each, and their store."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.errors import InputError
from experiments.recipe import Optimizer, Recipe
from experiments.record_checks import check
from theory.atomic import write_whole

ENGINE_VERSION = 1
"""Raised whenever the training engine would measure something else for the same recipe and seed."""

_ROOM = 2**16
"""Bytes; no record takes more."""

_CHECKOUT = Path(__file__).resolve().parent.parent
DEFAULT_STORE = (
    _CHECKOUT / "docs" / "results" if (_CHECKOUT / "pyproject.toml").is_file() else Path("results")
)
"""The project's own records in a checkout, ``./results`` where the package was installed.

:meta hide-value:
"""


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
        return _place(self.study, self.recipe, self.seed, self.device, self.key)

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
            recipe = data.pop("recipe")
            optimizer = Optimizer(**recipe.pop("optimizer"))
            curves = Curves(**data.pop("curves"))
            record = cls(recipe=Recipe(optimizer=optimizer, **recipe), curves=curves, **data)
            record._check()
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
            raise RecordError(f"not a complete record ({error})") from error
        return record

    def _check(self) -> None:
        check(self)
        key = record_key(self.recipe, self.seed, self.dataset_fingerprint, self.device, self.engine)
        if self.key != key:
            raise ValueError("the key does not belong to this recipe, seed, data and device")


def _place(study: str, recipe: Recipe, seed: int, device: str, key: str) -> Path:
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


def by_recipe(records: Iterable[Record], recipes: Iterable[Recipe]) -> dict[str, list[Record]]:
    """Return, for each recipe's name, its records, in order of seeds and devices.

    The records that count are those of the recipe as it stands, whatever its name was, by the
    present engine.

    Raises
    ------
    ValueError
        If records that count come from different versions of one data set.
    """
    by_digest: dict[str, list[Record]] = {}
    fingerprints: dict[str, str] = {}
    names = {recipe.name: recipe.digest for recipe in recipes}
    for record in sorted(records, key=lambda record: (record.seed, record.device)):
        digest, data = record.recipe.digest, record.recipe.dataset
        if record.engine != ENGINE_VERSION or digest not in names.values():
            continue
        fingerprint = fingerprints.setdefault(data, record.dataset_fingerprint)
        if fingerprint != record.dataset_fingerprint:
            raise InputError(
                f"the records of {record.study} come from different versions of data set {data!r}; "
                "keep one store for each"
            )
        by_digest.setdefault(digest, []).append(record)
    return {name: by_digest.get(digest, []) for name, digest in names.items()}


@dataclass(frozen=True)
class Store:
    """A folder of records: ``<root>/<study>/<recipe>.seed-<n>.<device>.<key>.json``."""

    root: Path

    def path(self, study: str, recipe: Recipe, seed: int, device: str, key: str) -> Path:
        """Return where the record with this identity is written."""
        return self.root / _place(study, recipe, seed, device, key)

    def write(self, record: Record) -> Path:
        """Write a record atomically: a reader, or a crash, sees all of it or nothing.

        Raises
        ------
        RecordError
            If it could not be read again, for it holds what no run can have measured, or the folder
            cannot be written (permissions, full disk); the message says why, or where.
        """
        try:
            text = record.to_json()
            Record.from_json(text)  # one that cannot be read makes the whole store unreadable
        except (TypeError, ValueError) as error:
            raise RecordError(
                f"record {record.place} is not written, for it could not be read again: {error}; "
                "mend what made it and run again"
            ) from error
        path = self.root / record.place
        with self._explained(path):
            write_whole(path, f"{text}\n".encode())
        return path

    def check_folder(self) -> None:
        """Raise a RecordError if there is something else than a folder in the store's place."""
        if self.root.exists() and not self.root.is_dir():
            raise RecordError(f"store {self.root} is not a folder; name another with --store")

    def check_writable(self) -> None:
        """Find out before hours of training whether a record can be written, and has room.

        Raises
        ------
        RecordError
            If they cannot.
        """
        self.check_folder()
        with self._explained(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root) as file:
                file.write(bytes(_ROOM))
                file.flush()
                os.fsync(file.fileno())  # a full disk may be noticed only here

    @contextmanager
    def _explained(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RecordError(
                f"cannot write {path}: {error.strerror}; free space or choose another store "
                "with --store"
            ) from error

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

    def keys(self, study: str) -> tuple[str, ...]:
        """Return what the keys of a study's records begin with, as their file names have it."""
        found = (self.root / study).glob("*.*.json")
        return tuple(path.name.split(".")[-2] for path in found if path.is_file())

    def records(self, study: str) -> Iterator[Record]:
        """Yield every record of a study, in the order of their file names.

        Raises
        ------
        RecordError
            If the store does not exist or is no folder, or a record cannot be read.
        """
        self.check_folder()
        if not self.root.is_dir():
            raise RecordError(
                f"store {self.root} does not exist; name another with --store, or fill it first: "
                f"python -m experiments run {study} --store {self.root}"
            )
        for path in sorted((self.root / study).glob("*.json")):
            yield self.read(path)
