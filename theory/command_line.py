"""What all command lines share: how they print, and how they end when something goes wrong."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator


def table_width() -> int | None:
    """Return how wide tables are: None where a terminal tells it, else 100 columns."""
    return None if sys.stdout is not None and sys.stdout.isatty() else 100  # it may be closed


@contextlib.contextmanager
def ended_by_interrupts() -> Iterator[None]:
    """Let Ctrl-C end the process at once and without a traceback, as nothing is under way yet.

    For the imports of a command line, which take seconds on a busy machine. A process that ignores
    interrupts, as those in the background of a script do, goes on to ignore them.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def run_command_line(app: Callable[[], object], *mendable: type[Exception]) -> None:
    """Run a command line; what its user can mend becomes one line and exit code 2.

    Parameters
    ----------
    app
        Parses the arguments and runs the command.
    mendable
        Errors whose message, with any notes behind it, says what is wrong and what to do. All
        others are faults of the program and keep their traceback.
    """
    _replace_unknown_characters()
    try:
        with _told_of_full_disks():
            app()
    except mendable as error:
        notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
        print("error:", " ".join(f"{error}{notes}".split()), file=sys.stderr)
        sys.exit(2)


def _replace_unknown_characters() -> None:
    """Print a question mark for what standard output or error cannot encode, and go on.

    Tables have dashes, arrows and minus signs, which Latin-1 and ASCII lack.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


@contextlib.contextmanager
def _told_of_full_disks() -> Iterator[None]:
    """End a command that finds a disk full, as standard output may lie on one, with one line.

    What it has printed is written before it ends: as Python ends, a traceback would come of it.
    """
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        if sys.stdout is not None:  # what is left in its buffer has nowhere to go
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"error: {error}: free some space, or write elsewhere", file=sys.stderr)
        sys.exit(2)
