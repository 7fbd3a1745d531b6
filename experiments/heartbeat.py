"""Heartbeats: which runs are in progress, and how far, told through files in the store.

A run in progress keeps one small file under ``.running``. Its content says which run it is and how
many epochs are done; its age says whether the process is alive, for a thread touches it every few
seconds. A killed run leaves a file that grows old, and on its own machine a process that is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from experiments.records import Store

_BEAT_SECONDS = 10.0
_ALIVE_SECONDS = 60.0


@dataclass(frozen=True)
class Heartbeat:
    """A run in progress.

    Parameters
    ----------
    study, recipe, seed, device
        Which run it is.
    host, pid
        The process that trains.
    epoch
        How many epochs are done.
    """

    study: str
    recipe: str
    seed: int
    device: str
    host: str
    pid: int
    epoch: int = 0


def path(store: Store, key: str) -> Path:
    """Return where the run with this key tells of its progress."""
    return store.root / ".running" / key


@contextlib.contextmanager
def beating(
    file: Path, *, study: str, recipe: str, seed: int, device: str
) -> Iterator[Callable[[int], None]]:
    """Keep a heartbeat while the block runs, and yield a function that says how far it is.

    A heartbeat is a courtesy: where it cannot be written, the run goes on without one.
    """
    first = Heartbeat(study, recipe, seed, device, socket.gethostname(), os.getpid())
    stop = threading.Event()

    def tell(epoch: int) -> None:
        with contextlib.suppress(OSError):
            _write(file, replace(first, epoch=epoch))

    def touch() -> None:
        while not stop.wait(_BEAT_SECONDS):
            with contextlib.suppress(OSError):
                os.utime(file)

    tell(0)
    toucher = threading.Thread(target=touch, daemon=True)
    toucher.start()
    try:
        yield tell
    finally:
        stop.set()
        toucher.join()
        if not elsewhere(file):
            with contextlib.suppress(OSError):
                file.unlink()


def read(file: Path) -> Heartbeat | None:
    """Return the heartbeat in a file; None where there is none, or it is of a killed run.

    A process of this machine that is gone runs nothing, though its file is young.
    """
    try:
        if time.time() - file.stat().st_mtime >= _ALIVE_SECONDS:
            return None
        beat = Heartbeat(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    gone = beat.host == socket.gethostname() and not _exists(beat.pid)
    return None if gone else beat


def elsewhere(file: Path) -> bool:
    """Return whether another process trains the run that this file tells of."""
    beat = read(file)
    return beat is not None and (beat.host, beat.pid) != (socket.gethostname(), os.getpid())


def alive(store: Store) -> list[Heartbeat]:
    """Return the runs that are in progress in a store; those that were killed are left out."""
    files = sorted((store.root / ".running").glob("[!.]*"))
    return [heartbeat for file in files if (heartbeat := read(file))]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # sends nothing
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _write(file: Path, heartbeat: Heartbeat) -> None:
    """Write it in one piece, for others read it at any time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{heartbeat.pid}")
    partial.write_text(json.dumps(asdict(heartbeat)))
    partial.replace(file)
