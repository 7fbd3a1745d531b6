"""Notes beside checkpoints: which runs go on from one, how far they are, and how they go on.

A checkpoint is a large file that PyTorch alone reads. A note of a few bytes beside it says which
run it is of, how many epochs are done, and in which way, for in no other way it is taken up.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from theory.atomic import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from experiments.records import Store

FOLDER = ".checkpoints"
"""Where checkpoints and their notes lie in a store."""


@dataclass(frozen=True)
class RunIdentity:
    """Which run a checkpoint is of.

    Parameters
    ----------
    study, digest, seed, device
        Its study, the digest of its recipe, its seed, and the kind of device.
    engine
        The version of the engine.
    """

    study: str
    digest: str
    seed: int
    device: str
    engine: int


@dataclass(frozen=True)
class CheckpointNote:
    """What the note of a checkpoint says.

    Parameters
    ----------
    run
        Which run the checkpoint is of.
    epoch
        How many epochs are done.
    wall_seconds
        What these took.
    threads, hardware, model, torch
        The way in which they were carried out, and the others have to be: CPU threads, the
        processor's name and model, and PyTorch's version.
    """

    run: RunIdentity
    epoch: int
    wall_seconds: float
    threads: int
    hardware: str
    model: str
    torch: str


def write(checkpoint: Path, note: CheckpointNote) -> None:
    """Write the note of a checkpoint that is there.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    write_whole(_file(checkpoint), json.dumps(asdict(note)).encode())


def remove(checkpoint: Path) -> None:
    """Remove the note of a checkpoint, if there is one."""
    with contextlib.suppress(OSError):
        _file(checkpoint).unlink()


def read_all(store: Store) -> list[CheckpointNote]:
    """Return the notes of all checkpoints in a store; their runs may be in progress."""
    checkpoints = sorted((store.root / FOLDER).glob("[!.]*.pt"))
    return [note for checkpoint in checkpoints if (note := _read(_file(checkpoint)))]


def _read(file: Path) -> CheckpointNote | None:
    try:
        content = json.loads(file.read_text())
        return CheckpointNote(**content | {"run": RunIdentity(**content["run"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _file(checkpoint: Path) -> Path:
    return checkpoint.with_suffix(".json")
