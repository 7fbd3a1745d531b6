"""The store: a folder of records, one JSON file each."""

from __future__ import annotations

import fnmatch
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from experiments.interruption import held_back
from experiments.recipe import Recipe
from experiments.records.record import Record, RecordError, place_of
from theory.atomic import remove_partial, write_whole

_ROOM = 2**16
"""Bytes; no record takes more."""

_CHECKOUT = Path(__file__).resolve().parent.parent.parent
DEFAULT_STORE = (
    _CHECKOUT / "docs" / "results" if (_CHECKOUT / "pyproject.toml").is_file() else Path("results")
)
"""The project's own records in a checkout, ``./results`` where the package was installed.

:meta hide-value:
"""


@dataclass(frozen=True)
class Store:
    """A folder of records: ``<root>/<study>/<recipe>.seed-<n>.<device>.<key>.json``."""

    root: Path

    def path(self, study: str, recipe: Recipe, seed: int, device: str, key: str) -> Path:
        """Return where the record with this identity is written."""
        return self.root / place_of(study, recipe, seed, device, key)

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
        with self._explained(path), held_back():
            write_whole(path, f"{text}\n".encode())
        return path

    def check_folder(self) -> None:
        """Raise a RecordError if the store is something else than a folder, or cannot be read."""
        if os.path.exists(self.root) and not os.path.isdir(self.root):
            raise RecordError(f"store {self.root} is not a folder; name another with --store")
        _listed(self.root)

    def check_writable(self) -> None:
        """Find out before hours of training whether a record can be written, and has room.

        What a process that was killed has written in part is removed.

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
            remove_partial(self.root)

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
        except PermissionError as error:  # it may be whole
            raise RecordError(
                f"record {path} cannot be read: {error.strerror}; get permission to read it"
            ) from error
        except (OSError, UnicodeDecodeError, RecordError) as error:
            raise RecordError(
                f"record {path} cannot be read: {error}; delete it and run again to replace it"
            ) from error

    def names(self, study: str) -> list[str]:
        """Return the names of what is in the folder of a study.

        Raises
        ------
        RecordError
            If the folder is there and cannot be read.
        """
        return _listed(self.root / study)

    def keys(self, study: str) -> tuple[str, ...]:
        """Return what the keys of a study's records begin with, as their file names have it.

        Raises
        ------
        RecordError
            If the folder of the study cannot be read.
        """
        folder, found = self.root / study, fnmatch.filter(self.names(study), "*.*.json")
        return tuple(name.split(".")[-2] for name in found if (folder / name).is_file())

    def records(self, study: str) -> Iterator[Record]:
        """Yield every record of a study once, in the order of their file names.

        A run that is there under two names, for its file was copied, is no second run.

        Raises
        ------
        RecordError
            If the store does not exist or is no folder, or it or a record cannot be read.
        """
        self.check_folder()
        if not self.root.is_dir():
            raise RecordError(
                f"store {self.root} does not exist; name another with --store, or fill it first: "
                f"python -m experiments run {study} --store {self.root}"
            )
        seen: set[str] = set()
        for name in sorted(fnmatch.filter(self.names(study), "*.json")):
            record = self.read(self.root / study / name)
            if record.key not in seen:
                seen.add(record.key)
                yield record


def _listed(folder: Path) -> list[str]:
    """Return the names of what is in a folder; none where there is no folder.

    Raises
    ------
    RecordError
        If it cannot be read: its records would seem to be missing.
    """
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
        os.stat(os.path.join(folder, os.curdir))  # names may be read where no file may be opened
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise RecordError(
            f"folder {folder} cannot be read: {error.strerror}; get permission to read it, or name "
            "another store with --store"
        ) from error
    return names
