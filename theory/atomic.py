"""Writing a file whole: a reader, or a crash, sees all of it or nothing."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


_PARTIAL = ".partial"

_SECONDS = 3600
"""After so long nobody writes a file any more."""


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its place and move it there, its folder being made where it is missing.

    Raises
    ------
    OSError
        If it cannot be written; what was there stays, and nothing else is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(_PARTIAL, ".", path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):  # an interrupt may come just after the move
            os.unlink(temporary)
        raise


def remove_partial(folder: Path) -> None:
    """Remove what killed processes left of files in a folder's folders, an hour ago or earlier."""
    for file in folder.glob(f"*/.*{_PARTIAL}"):
        with contextlib.suppress(OSError):  # another process may do the same
            if time.time() - file.stat().st_mtime > _SECONDS:
                file.unlink()
