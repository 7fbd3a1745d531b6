"""Halfway: which runs were stopped and go on from a checkpoint, and how far they are.

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
class Identity:
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
class Halfway:
    """A run that has a checkpoint.

    Parameters
    ----------
    run
        Which one it is.
    epoch
        How many epochs are done.
    threads, hardware, torch
        The way in which they were carried out, and the others have to be.
    """

    run: Identity
    epoch: int
    threads: int
    hardware: str
    torch: str


def tell(checkpoint: Path, found: Halfway) -> None:
    """Write the note of a checkpoint that is there.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    write_whole(_note(checkpoint), json.dumps(asdict(found)).encode())


def forget(checkpoint: Path) -> None:
    """Remove the note of a checkpoint, if there is one."""
    with contextlib.suppress(OSError):
        _note(checkpoint).unlink()


def halfway(store: Store) -> list[Halfway]:
    """Return the runs that have a checkpoint in a store; they may be in progress."""
    checkpoints = sorted((store.root / FOLDER).glob("[!.]*.pt"))
    return [found for file in checkpoints if (found := _read(_note(file)))]


def _read(note: Path) -> Halfway | None:
    try:
        content = json.loads(note.read_text())
        return Halfway(**content | {"run": Identity(**content["run"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _note(checkpoint: Path) -> Path:
    return checkpoint.with_suffix(".json")
